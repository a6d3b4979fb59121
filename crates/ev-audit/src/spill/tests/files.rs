//! The directory, its files, and the caps.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::fault::{self, Fault};
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn segments(dir: &Path) -> usize {
    names(dir).iter().filter(|name| name.ends_with(".seg")).count()
}

/// Bytes of all segments, as the file system sees them.
fn bytes_in(dir: &Path) -> u64 {
    let names = names(dir).into_iter().filter(|name| name.ends_with(".seg"));
    names.map(|name| fs::metadata(dir.join(name)).expect("it is there").len()).sum()
}

#[test]
fn frames_come_out_in_order_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, recovered) = open(&settings(dir.path(), 400));
    assert_eq!(recovered, Recovered::default());
    for begin in (0..100).step_by(5) {
        must_append(&mut spill, begin..begin + 5);
    }
    assert!(segments(dir.path()) > 4);
    let (frames, _) = block(0..100);
    assert_eq!(spill.pending(), Amount { frames: 100, bytes: frames.len() as u64 });
    assert_eq!(read_all(&mut spill), (0..100).collect::<Vec<_>>());
    assert_eq!(spill.pending().frames, 100, "handed out is not done");
    spill.done(100);
    assert_eq!(spill.pending(), Amount::default());
    must_append(&mut spill, 100..103);
    assert_eq!(read_all(&mut spill), [100, 101, 102]);
}

#[test]
fn a_read_takes_no_more_than_its_limit_and_at_least_one_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 4096));
    must_append(&mut spill, 0..10);
    assert_eq!(read(&mut spill, 0).unwrap(), [0]);
    assert_eq!(read(&mut spill, 8).unwrap(), [1], "9 bytes are one frame");
    assert_eq!(read(&mut spill, 10 + 11).unwrap(), [2, 3]);
    assert_eq!(read(&mut spill, 1 << 20).unwrap(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(read(&mut spill, 1 << 20).unwrap(), Vec::<u64>::new());
}

#[test]
fn what_is_not_done_is_read_again_after_a_rewind() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 400));
    must_append(&mut spill, 0..50);
    must_append(&mut spill, 50..60);
    assert_eq!(read_all(&mut spill).len(), 60);
    spill.done(7);
    spill.rewind();
    assert_eq!(read(&mut spill, 20).unwrap()[0], 7);
    spill.rewind();
    assert_eq!(read_all(&mut spill), (7..60).collect::<Vec<_>>());
    spill.done(53);
    spill.rewind();
    assert_eq!(read_all(&mut spill), Vec::<u64>::new());
    assert!(spill.pending().is_none());
}

#[test]
fn a_new_process_goes_on_where_the_last_one_was() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), 400);
    let (mut spill, _) = open(&settings);
    must_append(&mut spill, 0..50);
    assert_eq!(read(&mut spill, 200).unwrap().len(), 18);
    spill.done(10);
    drop(spill);

    let (mut spill, recovered) = open(&settings);
    let bytes = block(10..50).0.len() as u64;
    let pending = Amount { frames: 40, bytes };
    assert_eq!(recovered, Recovered { pending, maybe_written: 8, ..Recovered::default() });
    must_append(&mut spill, 50..60);
    assert_eq!(read_all(&mut spill), (10..60).collect::<Vec<_>>());
    spill.done(50);
    drop(spill);

    let (mut spill, recovered) = open(&settings);
    assert_eq!(recovered, Recovered::default());
    assert_eq!(read_all(&mut spill), Vec::<u64>::new());
    must_append(&mut spill, 60..61);
    drop(spill);
    let (mut spill, recovered) = open(&settings);
    assert_eq!((recovered.pending.frames, recovered.maybe_written), (1, 0));
    assert_eq!(read_all(&mut spill), [60]);
}

#[test]
fn nobody_else_may_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made").join("here");
    let (mut spill, _) = open(&settings(&path, 400));
    must_append(&mut spill, 0..20);
    must_append(&mut spill, 20..30);
    spill.sync().unwrap();
    assert_eq!(mode(&path), 0o700);
    assert!(names(&path).len() >= 4, "lock, position and segments");
    for name in names(&path) {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
    drop(spill);
    let segment = path.join("00000000000000000001.seg");
    fs::set_permissions(&segment, Permissions::from_mode(0o644)).unwrap();
    let (_spill, _) = open(&settings(&path, 400));
    assert_eq!(mode(&segment), 0o600, "rights are taken away again");
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o1777, 0o770, 0o702] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let error = Time::new().open(&settings(dir.path(), 400)).expect_err("refused");
        assert!(matches!(error, SpillError::Unsafe { mode: found, .. } if found == mode));
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    open(&settings(dir.path(), 400));
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // Only root can give a directory away.
    let given = std::os::unix::fs::chown(dir.path(), Some(65_534), None).is_ok();
    let opened = Time::new().open(&settings(dir.path(), 400));
    if given {
        let error = opened.expect_err("refused");
        assert!(matches!(error, SpillError::Foreign { owner: 65_534, .. }), "{error}");
        assert_eq!(names(dir.path()), [""; 0], "nothing was put there");
    } else {
        opened.expect("it is still ours");
    }
}

#[test]
fn names_in_the_directory_lead_to_no_other_file() {
    for name in ["lock", "position", "00000000000000000001.seg"] {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("spill"), dir.path().join("other"));
        fs::write(&other, [b'x'; 2000]).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(&other, path.join(name)).unwrap();
        let error = Time::new().open(&settings(&path, 400)).expect_err("refused");
        assert!(
            matches!(&error, SpillError::Io { action: "open", path: at, .. } if at.ends_with(name))
        );
        assert_eq!(fs::read(&other).unwrap(), [b'x'; 2000]);
        assert_eq!(mode(&other), 0o644);
    }
}

#[test]
fn nothing_is_taken_into_a_directory_that_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spill");
    let (mut spill, _) = open(&settings(&path, 400));
    must_append(&mut spill, 0..5);
    fs::remove_dir_all(&path).unwrap();
    for _ in 0..2 {
        let error = append(&mut spill, 5..8).expect_err("it would be gone with this process");
        assert!(matches!(&error, SpillError::Removed { dir: named } if *named == path));
        assert_eq!(spill.pending().frames, 5);
        // One that was made anew has another lock, which may be another client's.
        fs::create_dir(&path).unwrap_or_default();
    }
    assert_eq!(read_all(&mut spill), [0_u64; 0]);
    assert_eq!((spill.take_lost().frames, spill.pending().frames), (5, 0));
}

#[test]
fn a_segment_that_was_removed_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 4000));
    must_append(&mut spill, 0..5);
    fs::remove_file(dir.path().join("00000000000000000001.seg")).unwrap();
    must_append(&mut spill, 5..8);
    drop(spill);
    let (mut spill, recovered) = open(&settings(dir.path(), 4000));
    assert_eq!(recovered.pending.frames, 3);
    assert_eq!(read_all(&mut spill), [5, 6, 7]);
}

#[test]
fn a_second_client_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (spill, _) = open(&settings(dir.path(), 400));
    let error = Time::new().open(&settings(dir.path(), 400)).expect_err("refused");
    assert!(matches!(&error, SpillError::InUse { dir: named } if named == dir.path()));
    assert!(error.to_string().contains("in use by another client"));
    drop(spill);
    open(&settings(dir.path(), 400));
}

#[test]
fn disk_space_comes_back_when_frames_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 400));
    for begin in (0..100).step_by(5) {
        must_append(&mut spill, begin..begin + 5);
    }
    let all = segments(dir.path());
    let mut before = all;
    for _ in 0..10 {
        read(&mut spill, 150).unwrap();
        spill.done(10);
        let after = segments(dir.path());
        assert!(after <= before);
        before = after;
    }
    read_all(&mut spill);
    spill.done(100);
    assert!(segments(dir.path()) <= 1 && all > 4);
    spill.sync().unwrap();
    assert_eq!(segments(dir.path()), 0, "nothing lies about on a disk at rest");
    must_append(&mut spill, 100..101);
    assert_eq!(read_all(&mut spill), [100]);
}

#[test]
fn the_size_cap_takes_what_fits_and_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SpillSettings { max_bytes: 4096, ..settings(dir.path(), 4096) };
    let (mut spill, _) = open(&settings);
    let mut taken = 0;
    loop {
        let amount = append(&mut spill, taken..taken + 10).unwrap();
        let bytes = block(taken..taken + amount.frames).0.len() as u64;
        assert_eq!(amount.bytes, bytes);
        taken += amount.frames;
        assert!(bytes_in(dir.path()) <= 4096);
        if amount.frames < 10 {
            break;
        }
    }
    assert!(taken > 50 && bytes_in(dir.path()) > 3800, "{taken} frames");
    assert_eq!(append(&mut spill, taken..taken + 10).unwrap().frames, 0);
    assert_eq!(spill.pending().frames, taken);

    let numbers = read(&mut spill, 1024).unwrap();
    spill.done(numbers.len() as u64);
    let more = append(&mut spill, taken..taken + 10).unwrap().frames;
    assert!(more > 0, "there is room again");
    let rest = read_all(&mut spill);
    assert_eq!(rest, (numbers.len() as u64..taken + more).collect::<Vec<_>>());
}

#[test]
fn a_frame_larger_than_a_segment_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 400));
    let huge = vec![7; 3 << 20];
    must_append(&mut spill, 0..3);
    let len = u32::try_from(huge.len()).unwrap();
    assert_eq!(spill.append(&huge, &[len]).unwrap().frames, 1);
    must_append(&mut spill, 3..5);
    assert_eq!(read(&mut spill, 30).unwrap(), [0, 1, 2]);
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    assert_eq!(spill.read(&mut out, &mut ends, 10).unwrap(), 1);
    assert!(out == huge && ends == [len]);
    assert_eq!(read_all(&mut spill), [3, 4]);
}

#[test]
fn old_segments_are_dropped_whole_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let time = Time::new();
    let max_age = Some(Duration::from_secs(800));
    let settings = SpillSettings { max_age, ..settings(dir.path(), 1 << 20) };
    let (mut spill, _) = time.open(&settings).unwrap();
    must_append(&mut spill, 0..10);
    time.advance(100);
    must_append(&mut spill, 10..20);
    time.advance(1);
    // The first segment is older than an eighth of the age: this is the second one.
    must_append(&mut spill, 20..30);
    assert_eq!(segments(dir.path()), 2);

    time.advance(799);
    assert_eq!(spill.expire(), Amount::default(), "the youngest is 800 s old, not older");
    time.advance(1);
    let bytes = |numbers| block(numbers).0.len() as u64;
    assert_eq!(spill.expire(), Amount { frames: 20, bytes: bytes(0..20) });
    assert_eq!(spill.pending(), Amount { frames: 10, bytes: bytes(20..30) });
    assert_eq!(segments(dir.path()), 1);
    assert_eq!(read_all(&mut spill), (20..30).collect::<Vec<_>>());
    drop(spill);

    time.advance(1000);
    let (mut spill, recovered) = time.open(&settings).unwrap();
    assert_eq!(recovered.expired.frames, 10, "also when it is opened");
    assert_eq!((recovered.pending, recovered.maybe_written), (Amount::default(), 0));
    must_append(&mut spill, 30..31);
    assert_eq!(read_all(&mut spill), [30]);
    assert_eq!(segments(dir.path()), 1);
}

#[test]
fn frames_on_their_way_are_not_dropped_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let time = Time::new();
    let max_age = Some(Duration::from_secs(80));
    let settings = SpillSettings { max_age, ..settings(dir.path(), 200) };
    let (mut spill, _) = time.open(&settings).unwrap();
    must_append(&mut spill, 0..8);
    must_append(&mut spill, 8..16);
    assert_eq!(read(&mut spill, 25).unwrap(), [0, 1]);
    time.advance(1000);
    assert_eq!(spill.expire().frames, 14);
    assert_eq!(spill.pending().frames, 2);
    must_append(&mut spill, 16..18);
    spill.rewind();
    assert_eq!(read_all(&mut spill), [0, 1, 16, 17]);
    spill.done(2);
    assert_eq!(spill.pending().frames, 2);
    spill.done(2);
    assert!(spill.pending().is_none());
    assert!(spill.take_lost().is_none());
}

#[test]
fn a_clock_set_back_drops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let time = Time::new();
    let (mut spill, _) = time.open(&settings(dir.path(), 400)).unwrap();
    must_append(&mut spill, 0..10);
    time.advance(-1_000_000_000);
    assert!(spill.expire().is_none());
    must_append(&mut spill, 10..20);
    assert_eq!(read_all(&mut spill).len(), 20);
}

#[test]
fn a_full_disk_is_an_error_that_leaves_the_store_sound() {
    // Whichever write it hits: the header of a segment, an entry, at its first or last byte.
    for room in 0..700 {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), 256);
        let (mut spill, _) = open(&settings);
        must_append(&mut spill, 0..3);
        fault::set(Fault::Full(room));
        let mut taken = 3;
        let error = loop {
            match append(&mut spill, taken..taken + 4) {
                Ok(amount) => taken += amount.frames,
                Err(error) => break error,
            }
        };
        assert!(error.is_full(), "{error:?}");
        assert!(append(&mut spill, taken..taken + 4).is_err());
        assert_eq!(spill.pending().frames, taken);
        assert_eq!(read(&mut spill, 30).unwrap(), [0, 1, 2]);
        fault::set(Fault::None);
        spill.done(3);
        must_append(&mut spill, taken..taken + 2);
        spill.sync().unwrap();
        if room % 2 == 0 {
            drop(spill);
            let (again, recovered) = open(&settings);
            assert_eq!(recovered.torn, Amount::default());
            spill = again;
        }
        assert_eq!(read_all(&mut spill), (3..taken + 2).collect::<Vec<_>>());
        assert!(spill.take_lost().is_none());
    }
}

#[test]
fn a_segment_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000000000000000007.seg");
    let mut header = b"ev-spill".to_vec();
    header.extend_from_slice(&2_u32.to_le_bytes());
    header.resize(300, 9);
    fs::write(&path, &header).unwrap();
    let error = Time::new().open(&settings(dir.path(), 400)).expect_err("refused");
    assert!(matches!(error, SpillError::Newer { found: 2, .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), header);
}

#[test]
fn files_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let strange = ["1.seg", "0000000000000000000x.seg", "notes", "99999999999999999999.seg"];
    for name in strange {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let (mut spill, recovered) = open(&settings(dir.path(), 400));
    assert_eq!(recovered, Recovered::default());
    must_append(&mut spill, 0..10);
    assert_eq!(read_all(&mut spill).len(), 10);
    spill.done(10);
    spill.sync().unwrap();
    assert!(strange.iter().all(|name| dir.path().join(name).exists()));
}
