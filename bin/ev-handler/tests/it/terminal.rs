//! The real binary on a real pseudo-terminal: one line below the log while it works for long.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use ev_test_support::data::{Made, Maker};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, make, now, templates};

const COLUMNS: u16 = 72;

/// A process whose stderr, and stdout if wanted, is a terminal.
struct Terminal {
    child: Child,
    /// Everything it wrote; grows, and its sender is dropped at the end.
    written: watch::Receiver<String>,
}

impl Terminal {
    fn start(stage: &Stage, kind: &str, args: &[&str], stdout_too: bool) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let master = master.unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = std::ffi::OsStr::from_bytes(name.to_bytes());
        let slave = || {
            let mut options = File::options();
            options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
            options.open(name).unwrap()
        };
        let stdout = if stdout_too { slave().into() } else { Stdio::null() };
        let child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(args)
            .env_clear()
            .env("TERM", kind)
            .current_dir(stage.dir.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(slave())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (told, written) = watch::channel(String::new());
        // Ends with the last of its writers, and the child is killed when the test is over.
        tokio::task::spawn_blocking(move || read(master, &told));
        Self { child, written }
    }

    /// What it wrote until now, once that holds.
    async fn until(&self, what: &str, done: impl Fn(&str) -> bool) -> String {
        let mut written = self.written.clone();
        let waited = tokio::time::timeout(PATIENCE, written.wait_for(|text| done(text))).await;
        match waited {
            Ok(Ok(text)) => text.clone(),
            _ => panic!("{what} never came: {:#?}", screen(&self.written.borrow())),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its status and all that it wrote.
    async fn end(mut self) -> (Option<i32>, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("it ends in time").unwrap();
        while self.written.changed().await.is_ok() {}
        (status.code(), self.written.borrow().clone())
    }
}

fn read(master: OwnedFd, told: &watch::Sender<String>) {
    let (mut master, mut all, mut buffer) = (File::from(master), Vec::new(), [0; 4096]);
    // An error is how the system says that nobody has it open any more.
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        all.extend(&buffer[..length]);
        told.send_replace(String::from_utf8_lossy(&all).into_owned());
    }
}

/// What stands on a terminal that is high enough: colours are left out, nothing else may come than
/// what the line needs.
fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut column, mut chars) = (0, written.chars());
    while let Some(c) = chars.next() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => {
                // The terminal's driver has put a return in front of it.
                assert_eq!(column, 0, "{written:?}");
                lines.push(Vec::new());
            }
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                let code: String = chars.by_ref().take_while(|c| !c.is_alphabetic()).collect();
                if is_clear(&code, written) {
                    line.truncate(column);
                }
            }
            c => {
                line.truncate(column);
                line.push(c);
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect()).collect()
}

/// `take_while` has eaten the letter: a clear has no parameters, a colour always has.
fn is_clear(code: &str, written: &str) -> bool {
    let is_colour = code.chars().all(|c| c.is_ascii_digit() || c == ';');
    assert!(is_colour, "{written:?}");
    code.is_empty()
}

/// Each text of the line, in the order in which they were written.
fn drawn<'a>(written: &'a str, what: &str) -> Vec<&'a str> {
    let parts = written.split("\r\u{1b}[K");
    parts.skip(1).filter(|part| part.starts_with(what) && !part.contains('\n')).collect()
}

fn differ(lines: &[&str]) -> bool {
    lines.iter().any(|line| *line != lines[0])
}

/// Lines of the log are whole: a time, a level, and nothing of the other line.
fn assert_log(lines: &[String], what: &str) {
    assert!(lines.len() > 3, "{lines:#?}");
    for line in lines {
        assert!(line.starts_with("20") && line.contains("Z "), "{line:?} in {lines:#?}");
        assert!(!line.contains(what), "{line:?} in {lines:#?}");
    }
}

/// A backlog of 2,000 events, and an Auth that takes its time.
fn slow_stage(seed: u32) -> Stage {
    let stage = Stage::new("13.3.8");
    let mut vectors = templates("v13");
    vectors.retain(|vector| vector.kind != "session.upload");
    let made = make(&mut Maker::new(seed), &vectors, 2000, 60, 5);
    stage.auth.append(made.iter().map(Made::event));
    stage.auth.set(|switches| switches.latency_ms = 1500);
    stage.write_config(stage.auth.addr());
    stage
}

const START: [&str; 7] =
    ["start", "--config", "handler.toml", "--batch", "20", "--window-size", "6h"];

#[tokio::test(flavor = "multi_thread")]
async fn catching_up_is_one_line_that_is_rewritten_and_goes() {
    const WHAT: &str = "catching up: at 20";
    let stage = slow_stage(71);
    let terminal = Terminal::start(&stage, "xterm-256color", &START, false);
    let written = terminal
        .until("another text of the line", |text| {
            let lines = drawn(text, WHAT);
            !lines.is_empty() && differ(&lines)
        })
        .await;
    for line in drawn(&written, WHAT) {
        assert!(line.contains(" behind, ") && line.contains(" events/s"), "{line:?}");
        assert!(line.chars().count() < COLUMNS.into(), "{line:?}");
    }
    assert!(screen(&written).last().unwrap().starts_with(WHAT), "{:#?}", screen(&written));

    // What is logged meanwhile stands above it, whole.
    let before = written.len();
    terminal.signal(Signal::HUP);
    let is_said = |text: &str| {
        let lines = screen(text);
        let said = lines.iter().any(|line| line.contains("the level of the log is as"));
        said && lines.last().is_some_and(|line| line.starts_with(WHAT))
    };
    let written = terminal.until("the line below another of the log", is_said).await;
    let said = &written[before..];
    assert!(said.contains("\r\u{1b}[K"), "it was cleared: {said:?}");
    let mut lines = screen(&written);
    lines.pop();
    assert_log(&lines, "catching up");

    stage.auth.set(|switches| switches.latency_ms = 0);
    stage.received(2000).await;
    let is_gone = |text: &str| screen(text).last().is_some_and(String::is_empty);
    terminal.until("the end of the line", is_gone).await;
    terminal.signal(Signal::TERM);
    let (status, written) = terminal.end().await;
    assert_eq!(status, Some(0), "{:#?}", screen(&written));
    let mut lines = screen(&written);
    assert_eq!(lines.pop().as_deref(), Some(""));
    assert!(lines.last().unwrap().contains("successfully shut down"), "{lines:#?}");
    assert_log(&lines, "catching up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_the_line_away() {
    let stage = slow_stage(72);
    let terminal = Terminal::start(&stage, "xterm", &START, false);
    terminal.until("the line", |text| !drawn(text, "catching up: at 20").is_empty()).await;
    terminal.signal(Signal::TERM);
    let (status, written) = terminal.end().await;
    assert_eq!(status, Some(0), "{:#?}", screen(&written));
    let mut lines = screen(&written);
    assert_eq!(lines.pop().as_deref(), Some(""));
    assert_log(&lines, "catching up");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_rewritten_where_that_cannot_be_or_is_not_for_people() {
    let stage = slow_stage(73);
    let start = |kind: &str, storage: &str, format: &str| {
        let args = [&START[..], &["--storage", storage, "--log-format", format]].concat();
        Terminal::start(&stage, kind, &args, false)
    };
    let (dumb, json) = (start("dumb", "one", "text"), start("xterm", "two", "json"));
    let shown = start("xterm", "three", "text");
    // They began before it, and had as much time.
    let drawn = |text: &str| drawn(text, "catching up: at 20").len() > 1;
    shown.until("the line, and another", drawn).await;
    for terminal in [dumb, json] {
        terminal.signal(Signal::TERM);
        let (status, written) = terminal.end().await;
        assert_eq!(status, Some(0), "{written}");
        assert!(written.contains("successfully shut down"), "{written}");
        assert!(!written.contains("\u{1b}[K") && !written.contains("catching up"), "{written:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_read_for_long_show_it_too_and_their_reports_are_whole() {
    let stage = slow_stage(74);
    stage.auth.set(|switches| switches.latency_ms = 0);
    let mut settings = stage.settings();
    settings.ingest.exit_on_last_event = true;
    let run = ev_handler::start::start(settings, CancellationToken::new());
    tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap();
    // Of an hour that is closed: what is stored late is missing, and told at once.
    let hour = Duration::from_secs(50 * 3600);
    let (from, to) = (ago(hour + Duration::from_secs(3 * 3600)), ago(hour));
    let late = make(&mut Maker::new(75), &templates("v13")[..5], 3, 1, 51 * 3600);
    stage.auth.store(|store| store.append_in_place(late.iter().map(Made::event)));

    let check = async |args: &[&str], what: &str, status: i32, report: &str| {
        stage.auth.set(|switches| switches.latency_ms = 1500);
        let span = ["--config", "handler.toml", "--from", &from, "--to", &to];
        let terminal = Terminal::start(&stage, "xterm", &[args, &span].concat(), true);
        terminal.until("the line", |text| !drawn(text, what).is_empty()).await;
        stage.auth.set(|switches| switches.latency_ms = 0);
        let (ended, written) = terminal.end().await;
        let lines = screen(&written);
        assert_eq!(ended, Some(status), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with(report)), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains(what)), "{lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some(""), "{lines:#?}");
    };
    let comparing = "comparing with auth's log: at 20";
    check(&["verify"], comparing, 1, "    only auth has    ").await;
    check(&["verify", "--repair"], comparing, 0, "    repaired: ").await;
    check(&["replay"], "sending again: ", 0, "from 20").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_looks_for_its_place_shows_it() {
    const WHAT: &str = "looking in auth's log: ";
    let mut stage = slow_stage(76);
    let of = templates("v13").into_iter().find(|vector| vector.kind == "user.login").unwrap();
    let made = make(&mut Maker::new(77), &[of], 1, 1, 30 * 3600);
    stage.auth.store(|store| store.append_in_place(made.iter().map(Made::event)));
    stage.extra = format!("cursor = {:?}", made[0].uid);
    stage.write_config(stage.auth.addr());
    let terminal = Terminal::start(&stage, "xterm", &START, false);
    let is_rewritten = |text: &str| {
        let lines = drawn(text, WHAT);
        !lines.is_empty() && differ(&lines)
    };
    terminal.until("another text of the line", is_rewritten).await;
    stage.auth.set(|switches| switches.latency_ms = 0);
    terminal.until("a place", |text| text.contains("beginning behind an event")).await;
    terminal.signal(Signal::TERM);
    let (status, written) = terminal.end().await;
    assert_eq!(status, Some(0), "{:#?}", screen(&written));
    let mut lines = screen(&written);
    assert_eq!(lines.pop().as_deref(), Some(""));
    assert_log(&lines, "looking in auth's log");
    // In between it was never cleared without anything in its place.
    let parts: Vec<&str> = written.split("\r\u{1b}[K").collect();
    let is_of_it = |part: &&str| part.starts_with(WHAT);
    let first = parts.iter().position(is_of_it).unwrap();
    let last = parts.iter().rposition(is_of_it).unwrap();
    assert!(!parts[first..=last].contains(&""), "it goes out now and then: {written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_shows_how_it_stands() {
    let stage = slow_stage(78);
    let shadow = ["shadow", "--config", "handler.toml", "--listen", "127.0.0.1:0", "--plain"];
    let terminal = Terminal::start(&stage, "xterm", &shadow, true);
    let what = "comparing: 0 compared, ";
    terminal.until("the line", |text| !drawn(text, what).is_empty()).await;
    terminal.signal(Signal::TERM);
    let (_, written) = terminal.end().await;
    let lines = screen(&written);
    assert!(!lines.iter().any(|line| line.contains("comparing: ")), "{lines:#?}");
    assert!(lines.len() > 5 && lines.last().is_some_and(String::is_empty), "{lines:#?}");
}

fn ago(span: Duration) -> String {
    now().plus_nanos(-i128::from(span.as_secs()) * 1_000_000_000).to_string()
}
