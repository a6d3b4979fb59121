//! Processes that are killed, and a file system that really refuses.
//!
//! The child is this test program, asked for one of the ignored tests below.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

const DIR: &str = "EV_AUDIT_SPILL_DIR";

/// Segments of several entries, so that deaths hit their borders too.
fn spill_settings(dir: &Path) -> SpillSettings {
    settings(dir, 2048)
}

fn start(mut command: Command, test: &str, dir: &Path) -> Child {
    command.arg("--exact").arg(format!("spill::tests::process::{test}"));
    command.args(["--ignored", "--nocapture"]).env(DIR, dir).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().expect("this program runs")
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).lines().map_while(Result::ok)
}

/// The numbers behind a word at the beginning of a line.
fn numbers(line: &str, word: &str) -> Option<Vec<u64>> {
    let rest = line.strip_prefix(word)?;
    Some(rest.split_whitespace().map(|number| number.parse().expect("a number")).collect())
}

#[test]
fn nothing_synced_is_lost_when_the_process_is_killed() {
    for kill_after in [1, 2, 5, 11, 23] {
        let dir = tempfile::tempdir().unwrap();
        let this = Command::new(std::env::current_exe().expect("this program"));
        let mut child = start(this, "fill_until_killed", dir.path());
        // Read to the last line: it tells more than was waited for.
        let mut told = Vec::new();
        let mut lines = lines(&mut child);
        for line in lines.by_ref().filter_map(|line| numbers(&line, "synced")) {
            told = line;
            if told[0] >= kill_after {
                break;
            }
        }
        child.kill().expect("it runs");
        if let Some(last) = lines.filter_map(|line| numbers(&line, "synced")).last() {
            told = last;
        }
        child.wait().expect("it was started");
        let [_, synced, done] = told[..] else { panic!("no line came: {told:?}") };

        let (mut spill, recovered) = open(&spill_settings(dir.path()));
        let numbers = read_all(&mut spill);
        let context = format!("{synced} synced, {done} done, {recovered:?}");
        assert!(spill.take_lost().is_none() && recovered.set_aside == 0, "{context}");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{context}: {numbers:?}");
        assert!(*numbers.last().expect("more than was done") + 1 >= synced, "{context}");
        // Each round does 5, and at most one more round was on its way to be told.
        assert!((done..=done + 5).contains(&numbers[0]), "{context}: {}", numbers[0]);
    }
}

#[test]
#[ignore = "a child of the test above"]
fn fill_until_killed() {
    let dir = std::env::var_os(DIR).expect("started by the test above");
    let (mut spill, _) = open(&spill_settings(Path::new(&dir)));
    fault::sync_for_real();
    println!();
    let mut next = 0;
    for round in 0..100_000 {
        must_append(&mut spill, next..next + 7);
        next += 7;
        read(&mut spill, 400).unwrap();
        spill.done(5);
        spill.rewind();
        spill.sync().unwrap();
        println!("synced {round} {next} {}", (round + 1) * 5);
    }
}

#[test]
fn a_file_system_that_refuses_leaves_the_store_sound() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    // Files end at 8 blocks; without the trap, exceeding that would kill.
    shell.arg("-c").arg("trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"");
    shell.arg(std::env::current_exe().expect("this program"));
    let mut child = start(shell, "fill_until_refused", dir.path());
    let told = lines(&mut child).filter_map(|line| numbers(&line, "taken")).last();
    assert!(child.wait().expect("it was started").success());
    let taken = told.expect("the child tells what it took")[0];
    assert!(taken > 100);
    let (mut spill, recovered) = open(&settings(dir.path(), 1 << 20));
    assert_eq!(recovered.torn, Amount::default());
    assert_eq!(read_all(&mut spill), (0..taken).collect::<Vec<_>>());
}

#[test]
#[ignore = "a child of the test above"]
fn fill_until_refused() {
    let dir = std::env::var_os(DIR).expect("started by the test above");
    let (mut spill, _) = open(&settings(Path::new(&dir), 1 << 20));
    fault::sync_for_real();
    let mut taken = 0;
    let error = loop {
        match append(&mut spill, taken..taken + 9) {
            Ok(amount) => taken += amount.frames,
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error:?}");
    assert_eq!(spill.pending().frames, taken);
    spill.sync().unwrap();
    println!("\ntaken {taken}");
}
