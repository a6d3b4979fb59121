//! A process that is killed with SIGKILL leaves what it said it had committed, and a state that
//! some number of commits has made.

use std::io::{BufRead, BufReader, Write as _};
use std::process::Stdio;

use ev_state::SqliteStore;

use crate::child;
use crate::numbered::{Dice, Numbered};

/// Says the number of each commit behind it, so that it is found among what the test runner says.
const SAYS: &str = "committed ";

#[test]
fn nothing_that_was_reported_is_lost() {
    kills(25, 1);
}

#[test]
#[ignore = "the long form: some minutes"]
fn nothing_that_was_reported_is_lost_in_500_kills() {
    if child::directory().is_none() {
        kills(500, 2);
    }
}

/// Not a test: the process that is killed. Never ends by itself.
#[test]
#[ignore = "the process that is killed"]
fn commits_for_ever() {
    let Some(storage) = child::directory() else { return };
    let store = SqliteStore::open(storage).expect("opens");
    let mut numbered = Numbered::new(store);
    let mut out = std::io::stdout().lock();
    loop {
        numbered.commit().expect("nothing but death stops it");
        writeln!(out, "{SAYS}{}", numbered.last).expect("the other side reads");
        out.flush().expect("the other side reads");
    }
}

fn kills(count: u32, seed: u64) {
    let storage = child::fast_directory();
    let mut dice = Dice(seed);
    let (mut before, mut ahead) = (0, 0);
    for kill in 0..count {
        let mut child = child::command(&[], "kill::commits_for_ever", storage.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("can be started");
        let out = BufReader::new(child.stdout.take().expect("is piped"));
        // Sometimes while it opens what the last one left, else after some commits: more than
        // there are between two copies of the log into the file.
        let lives = if dice.roll(8) == 0 { 0 } else { 1 + dice.roll(250) };
        let mut reported = before;
        let mut lines = out.lines().map(|line| line.expect("text"));
        for _ in 0..lives {
            let number = lines.by_ref().find_map(|line| {
                line.split_once(SAYS)
                    .map(|(_, number)| number.trim().parse::<u64>().expect("a number"))
            });
            reported = number.expect("it never ends by itself");
        }
        // It runs on, so that the moment falls anywhere between two lines.
        for _ in 0..dice.roll(400_000) {
            std::hint::spin_loop();
        }
        child.kill().expect("is ours");
        child.wait().expect("is ours");
        // What was said before it died, but not read yet.
        for line in lines {
            if let Some((_, number)) = line.split_once(SAYS) {
                // The last line may be cut off in its number.
                reported = reported.max(number.trim().parse().unwrap_or(0).min(reported + 1));
            }
        }
        let store = SqliteStore::open(storage.path()).expect("opens, and nobody holds the lock");
        // Checks that the state is what `last` commits have made, to the last byte.
        let found = Numbered::new(store).last;
        assert!(found >= reported, "kill {kill}: {reported} was reported, {found} is there");
        assert!(found <= reported + 1, "kill {kill}: at most one was on its way");
        ahead += u64::from(found > reported);
        before = found;
    }
    eprintln!("{count} kills, {before} commits, {ahead} committed and not reported");
    assert!(before > u64::from(count), "it did something in its lives");
}
