//! Deaths at every byte that is written.

use super::fault::{self, Fault};
use super::*;

/// What a process did before it died.
#[derive(Debug, Default)]
struct Log {
    /// Frames that `append` returned for.
    appended: u64,
    /// The end of what an append that did not return would have added.
    tried: u64,
    /// Frames that were handed out.
    handed: u64,
    /// Frames that `done` returned for.
    done: u64,
    /// The end of what a `done` that did not return would have added.
    nearly_done: u64,
}

/// Lives until it is told to be dead: fills, hands out, rewinds, and syncs now and then.
fn live(settings: &SpillSettings) -> Log {
    let mut log = Log::default();
    let Ok((mut spill, recovered)) = Time::new().open(settings) else { return log };
    assert_eq!(recovered, Recovered::default());
    for round in 0..6 {
        for _ in 0..2 {
            log.tried = log.appended + 4;
            let appended = append(&mut spill, log.appended..log.tried);
            if fault::is_dead() {
                return log;
            }
            log.appended += appended.expect("the disk has room").frames;
        }
        if round % 2 == 1 {
            let synced = spill.sync();
            if fault::is_dead() {
                return log;
            }
            synced.expect("the disk works");
        }
        let numbers = read(&mut spill, 60).expect("files can be read");
        if fault::is_dead() {
            return log;
        }
        assert_eq!(numbers[0], log.done);
        log.handed = log.handed.max(log.done + numbers.len() as u64);
        log.nearly_done = log.done + 3;
        spill.done(3);
        if fault::is_dead() {
            return log;
        }
        log.done += 3;
        spill.rewind();
    }
    log
}

#[test]
fn nothing_that_was_taken_is_lost_wherever_the_process_dies() {
    let dir = tempfile::tempdir().unwrap();
    fault::set(Fault::Dead(u64::MAX));
    live(&settings(dir.path(), 300));
    let Fault::Dead(left) = fault::now() else { panic!("it is still set") };
    let steps = u64::MAX - left;
    assert!(steps > 1000, "{steps} steps");

    for step in 0..=steps {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), 300);
        fault::set(Fault::Dead(step));
        let log = live(&settings);
        fault::set(Fault::None);

        let (mut spill, recovered) = open(&settings);
        let pending = spill.pending();
        let numbers = read_all(&mut spill);
        let context = format!("step {step}: {log:?}, {recovered:?}, read {numbers:?}");
        assert!(spill.take_lost().is_none() && recovered.set_aside == 0, "{context}");
        assert_eq!(pending, recovered.pending, "{context}");
        assert_eq!(pending.frames, numbers.len() as u64, "{context}");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{context}");
        let first = numbers.first().copied().unwrap_or(log.done);
        let end = numbers.last().map_or(log.appended, |last| last + 1);
        assert!(end == log.appended || end == log.tried, "{context}");
        assert!(first == log.done || first == log.nearly_done, "{context}");
        // Exactly those that were handed out may have been written to the agent.
        assert!(first + recovered.maybe_written >= log.handed, "{context}");

        // And it goes on.
        spill.done(pending.frames);
        must_append(&mut spill, end..end + 20);
        drop(spill);
        let (mut spill, recovered) = open(&settings);
        assert_eq!(recovered.torn, Amount::default());
        assert_eq!(read_all(&mut spill), (end..end + 20).collect::<Vec<_>>(), "{context}");
    }
}

#[test]
fn a_torn_end_is_cut_off_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), 4096);
    let (mut spill, _) = open(&settings);
    must_append(&mut spill, 0..4);
    // An entry of 4 frames: 40 bytes, 16 of ends and the frames.
    let size = 40 + 16 + block(4..8).0.len() as u64;
    for written in 0..size {
        fault::set(Fault::Dead(written));
        append(&mut spill, 4..8).expect_err("the process is dead");
        fault::set(Fault::None);
        drop(spill);
        let recovered;
        (spill, recovered) = open(&settings);
        let frames = if written < 40 { 0 } else { 4 };
        assert_eq!(recovered.torn, Amount { frames, bytes: written });
        assert_eq!(recovered.pending.frames, 4);
    }
    must_append(&mut spill, 4..6);
    assert_eq!(read_all(&mut spill), [0, 1, 2, 3, 4, 5]);
}
