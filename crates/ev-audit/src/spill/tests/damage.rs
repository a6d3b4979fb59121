//! Files that were altered, cut off or removed, at every byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::store::READ_ATTEMPTS;
use super::fault::{self, Fault};
use super::*;

const TOTAL: u64 = 40;
/// Frames in each entry.
const BLOCK: u64 = 4;
/// Frames that are done.
const DONE: u64 = 6;
/// Frames that were handed out.
const HANDED: u64 = 9;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A directory with several segments of several entries each.
fn sample(dir: &Path) -> Files {
    let (mut spill, _) = open(&settings(dir, 420));
    for begin in (0..TOTAL).step_by(4) {
        must_append(&mut spill, begin..begin + BLOCK);
    }
    let (mut out, mut ends) = (Vec::new(), Vec::new());
    spill.read(&mut out, &mut ends, block(0..HANDED).0.len()).unwrap();
    assert_eq!(ends.len() as u64, HANDED);
    spill.done(DONE);
    spill.sync().unwrap();
    drop(spill);
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files: Files = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert_eq!(files.len(), 2 + 4, "lock, position, segments");
    files
}

fn put_back(dir: &Path, files: &Files) {
    for entry in fs::read_dir(dir).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

/// What came out of a directory: the frames, and what is known to be missing.
struct Outcome {
    recovered: Recovered,
    numbers: Vec<u64>,
    lost: u64,
}

/// Opens the directory, reads it twice, and appends. Whatever was done to it, what comes out is
/// right and in order, and the counts add up.
fn examine(dir: &Path, context: &str) -> Outcome {
    let settings = settings(dir, 420);
    let (mut spill, recovered) = open(&settings);
    let pending = recovered.pending.frames;
    let numbers = read_all(&mut spill);
    let lost = spill.take_lost().frames;
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{context}: {numbers:?}");
    assert!(numbers.iter().all(|number| *number < TOTAL), "{context}: {numbers:?}");
    assert_eq!(pending, numbers.len() as u64 + lost, "{context}");
    assert_eq!(spill.pending().frames, numbers.len() as u64, "{context}");

    spill.rewind();
    must_append(&mut spill, 1000..1004);
    let mut again = read_all(&mut spill);
    assert_eq!(again.split_off(again.len() - 4), [1000, 1001, 1002, 1003], "{context}");
    assert_eq!(again, numbers, "{context}");
    assert_eq!(spill.take_lost().frames, 0, "{context}: nothing is counted twice");
    spill.done(numbers.len() as u64 + 4);
    assert_eq!(spill.pending(), Amount::default(), "{context}");
    spill.sync().unwrap();
    drop(spill);
    let (spill, left) = open(&settings);
    assert!(spill.pending().is_none() && left.set_aside == 0, "{context}: nothing is left");
    Outcome { recovered, numbers, lost }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

#[test]
fn an_altered_byte_costs_one_entry_at_most_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let mut lossless = 0;
    for (path, bytes) in &files {
        for at in 0..bytes.len() {
            let mask = 1 << (at % 8);
            put_back(dir.path(), &files);
            let mut altered = bytes.clone();
            altered[at] ^= mask;
            fs::write(path, &altered).unwrap();
            let context = format!("byte {at} of `{}` ^ {mask}", path.display());
            let Outcome { recovered, numbers, lost } = examine(dir.path(), &context);
            let missing: Vec<u64> =
                (DONE..TOTAL).filter(|number| !numbers.contains(number)).collect();
            // Either it is known to be lost, or it was the torn end.
            let torn = recovered.torn.bytes > 0;
            assert!(torn || missing.len() as u64 == lost, "{context}: {missing:?}");
            assert!(missing.len() as u64 <= BLOCK, "{context}: {missing:?}");
            assert_eq!(recovered.set_aside, 0, "{context}");
            assert!(is_segment(path) || missing.is_empty(), "{context}: {missing:?}");
            let first = numbers[0];
            assert!(is_segment(path) || first <= DONE, "{context}");
            lossless += u32::from(missing.is_empty());
        }
    }
    assert!(lossless > 200, "the headers of segments stand twice: {lossless}");
}

#[test]
fn a_position_that_cannot_be_read_repeats_frames_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = sample(dir.path());
    let outcome = examine(dir.path(), "as it was");
    assert_eq!(outcome.numbers[0], DONE);
    assert_eq!(outcome.recovered.maybe_written, HANDED - DONE);
    assert!(!outcome.recovered.position_lost);

    let position = dir.path().join("position");
    files.insert(position.clone(), vec![0; 1536]);
    put_back(dir.path(), &files);
    let zeroed = examine(dir.path(), "zeroed position");
    files.remove(&position);
    put_back(dir.path(), &files);
    let gone = examine(dir.path(), "no position");
    for Outcome { recovered, numbers, lost } in [zeroed, gone] {
        assert!(recovered.position_lost && lost == 0);
        // What was done lies in a segment that is still there.
        assert_eq!(numbers, (0..TOTAL).collect::<Vec<_>>());
        assert_eq!(recovered.maybe_written, TOTAL, "all of them may have been written");
    }
}

#[test]
fn a_file_cut_off_anywhere_costs_what_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let last = files.keys().rfind(|path| is_segment(path)).unwrap().clone();
    for (path, bytes) in files.iter().filter(|(path, _)| is_segment(path)) {
        for len in 0..bytes.len() {
            put_back(dir.path(), &files);
            fs::write(path, &bytes[..len]).unwrap();
            let context = format!("`{}` cut to {len} bytes", path.display());
            let Outcome { recovered, numbers, lost } = examine(dir.path(), &context);
            let missing = (DONE..TOTAL).filter(|number| !numbers.contains(number)).count() as u64;
            if *path == last {
                assert_eq!(lost, 0, "{context}: the torn end was never taken");
                assert!(numbers.iter().copied().eq(DONE..DONE + numbers.len() as u64));
            } else if len > 112 {
                assert_eq!(missing, lost, "{context}");
            }
            assert_eq!(recovered.set_aside, 0, "{context}");
        }
    }
}

#[test]
fn a_missing_file_costs_what_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    for path in files.keys() {
        put_back(dir.path(), &files);
        fs::remove_file(path).unwrap();
        examine(dir.path(), &format!("without `{}`", path.display()));
    }
}

#[test]
fn a_segment_removed_while_it_is_in_use_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let (mut spill, _) = open(&settings(dir.path(), 420));
    for path in files.keys().filter(|path| is_segment(path)).skip(1).take(2) {
        fs::remove_file(path).unwrap();
    }
    let numbers = read_all(&mut spill);
    let lost = spill.take_lost().frames;
    assert_eq!(numbers.len() as u64 + lost, TOTAL - DONE);
    assert!(lost > 0);
    spill.done(numbers.len() as u64);
    assert!(spill.pending().is_none());
}

#[test]
fn what_is_lost_is_older_than_all_that_the_same_read_returns() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let segments: Vec<_> = files.keys().filter(|path| is_segment(path)).collect();
    // An entry in the middle of a segment, its last one, and a segment that is gone.
    for damage in 0..3 {
        put_back(dir.path(), &files);
        let mut bytes = files[segments[1]].clone();
        let end = bytes.len();
        match damage {
            0 => bytes[112 + 44] ^= 1,
            1 => bytes[end - 1] ^= 1,
            _ => fs::remove_file(segments[1]).unwrap(),
        }
        if damage < 2 {
            fs::write(segments[1], &bytes).unwrap();
        }
        let settings = settings(dir.path(), 420);
        let Ok((mut spill, _)) = Time::new().open(&settings) else { panic!("it opens") };
        if damage == 2 {
            put_back(dir.path(), &files);
            drop(spill);
            spill = open(&settings).0;
            fs::remove_file(segments[1]).unwrap();
        }
        // Numbers as a queue gives them that takes what is lost from its front.
        let mut next = DONE;
        let mut lost_in_all = 0;
        loop {
            let numbers = read(&mut spill, 1 << 20).unwrap();
            let lost = spill.take_lost().frames;
            next += lost;
            lost_in_all += lost;
            let wanted: Vec<u64> = (next..next + numbers.len() as u64).collect();
            assert_eq!(numbers, wanted, "damage {damage}");
            if numbers.is_empty() {
                break;
            }
            next += numbers.len() as u64;
        }
        assert_eq!(next, TOTAL);
        assert!(lost_in_all >= BLOCK, "damage {damage}");
    }
}

#[test]
fn a_segment_that_the_disk_cannot_read_is_given_up_after_some_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let segments: Vec<_> = files.keys().filter(|path| is_segment(path)).collect();
    let settings = settings(dir.path(), 420);
    let (mut spill, _) = open(&settings);
    // A machine that is short of something says nothing about the file.
    fault::set(Fault::Short);
    for _ in 0..3 * READ_ATTEMPTS {
        read(&mut spill, 100).unwrap_err();
    }
    // A disk that finds it at last.
    fault::set(Fault::None);
    let first = read(&mut spill, 1).unwrap();
    assert_eq!(first, [DONE]);
    spill.rewind();
    fault::set(Fault::Unreadable);
    for _ in 0..READ_ATTEMPTS - 1 {
        read(&mut spill, 100).unwrap_err();
        assert!(spill.take_set_aside().is_none());
    }
    // The next one gives the first segment up and meets the second.
    read(&mut spill, 100).unwrap_err();
    fault::set(Fault::None);
    let aside = segments[0].with_extension("bad");
    assert_eq!(spill.take_set_aside(), Some(aside.clone()));
    assert_eq!(fs::read(aside).unwrap(), files[segments[0]]);
    let lost = spill.take_lost().frames;
    assert!(lost > 0);
    let rest = read_all(&mut spill);
    assert_eq!(rest, (DONE + lost..TOTAL).collect::<Vec<_>>());
    assert_eq!(spill.pending().frames, rest.len() as u64);
    assert!(spill.take_lost().is_none() && spill.take_set_aside().is_none());

    // Also the one that is being filled, which is the last one then.
    spill.done(rest.len() as u64);
    must_append(&mut spill, 40..44);
    fault::set(Fault::Unreadable);
    for _ in 0..READ_ATTEMPTS - 1 {
        read(&mut spill, 100).unwrap_err();
    }
    assert_eq!(read(&mut spill, 100).unwrap(), [] as [u64; 0]);
    fault::set(Fault::None);
    assert_eq!(spill.take_lost().frames, 4);
    must_append(&mut spill, 44..46);
    assert_eq!(read_all(&mut spill), [44, 45]);
    spill.done(2);
    spill.sync().unwrap();
    assert!(spill.pending().is_none());
    drop(spill);
    assert!(open(&settings).0.pending().is_none());
}

#[test]
fn what_was_done_about_damage_is_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    assert_eq!(examine(dir.path(), "as it was").recovered.damage(), 0);
    put_back(dir.path(), &files);
    let segments: Vec<_> = files.keys().filter(|path| is_segment(path)).collect();
    let mut headless = files[segments[1]].clone();
    (headless[3], headless[60]) = (!headless[3], !headless[60]);
    fs::write(segments[1], headless).unwrap();
    let torn = &files[segments[3]];
    fs::write(segments[3], &torn[..torn.len() - 1]).unwrap();
    fs::remove_file(dir.path().join("position")).unwrap();
    let (_, recovered) = open(&settings(dir.path(), 420));
    assert_eq!(recovered.damage(), 3);
    assert_eq!(
        recovered.damage_text(),
        format!(
            "a torn end of {} bytes was cut off, records in it: 4; damaged segments set aside: 1; \
             the position is gone, so that records may come twice",
            recovered.torn.bytes
        )
    );
}

#[test]
fn a_segment_whose_two_headers_are_damaged_is_set_aside_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files = sample(dir.path());
    let segments: Vec<_> = files.keys().filter(|path| is_segment(path)).collect();
    for path in &segments[..3] {
        put_back(dir.path(), &files);
        let mut bytes = files[*path].clone();
        (bytes[3], bytes[60]) = (!bytes[3], !bytes[60]);
        fs::write(path, &bytes).unwrap();
        let (mut spill, recovered) = open(&settings(dir.path(), 420));
        assert_eq!(recovered.set_aside, 1);
        assert_eq!(fs::read(path.with_extension("bad")).unwrap(), bytes);
        let numbers = read_all(&mut spill);
        let lost = spill.take_lost().frames + recovered.lost.frames;
        assert!(lost > 0);
        assert_eq!(numbers.len() as u64 + lost, TOTAL - DONE, "{}", path.display());
    }
}

#[test]
fn an_entry_inside_a_frame_is_not_taken_for_one() {
    // Behind damage the next entry is looked for byte by byte; whoever writes frames could make
    // one that looks like an entry, if he knew the salt.
    let dir = tempfile::tempdir().unwrap();
    let (mut spill, _) = open(&settings(dir.path(), 4096));
    must_append(&mut spill, 0..2);
    drop(spill);
    let path = dir.path().join("00000000000000000001.seg");
    let entry = fs::read(&path).unwrap()[112..].to_vec();
    fs::remove_file(&path).unwrap();
    fs::remove_file(dir.path().join("position")).unwrap();

    // The same marks, in another segment with another salt.
    let (mut spill, _) = open(&settings(dir.path(), 4096));
    spill.append(&entry, &[u32::try_from(entry.len()).unwrap()]).unwrap();
    drop(spill);
    let mut bytes = fs::read(&path).unwrap();
    bytes[112 + 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (mut spill, recovered) = open(&settings(dir.path(), 4096));
    assert_eq!(read_all(&mut spill), [] as [u64; 0]);
    assert_eq!(recovered.torn.bytes, bytes.len() as u64 - 112);
}
