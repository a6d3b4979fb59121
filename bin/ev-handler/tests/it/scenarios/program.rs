//! The real binary and its log.

use std::process::Stdio;

use ev_test_support::FluentdTally;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

use super::PATIENCE;
use crate::stage::Stage;

/// Killed when it is dropped.
pub(super) struct Program {
    child: Child,
    /// Grows while the program runs; the sender is dropped at its end.
    log: watch::Receiver<Vec<Value>>,
}

/// How a program ended that was told to.
pub(super) struct Ending {
    pub(super) code: Option<i32>,
    pub(super) log: Vec<Value>,
    /// The last line of a good end; null without one.
    pub(super) summary: Value,
}

impl Program {
    pub(super) fn start(stage: &Stage, args: &[&str]) -> Self {
        Self::start_in(stage, args, &[])
    }

    /// With more in its environment.
    pub(super) fn start_in(stage: &Stage, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let config = stage.write_config(stage.auth.addr());
        let mut child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
            .args(["start", "--log-format", "json", "--batch", "50", "--window-size", "6h"])
            .arg("--config")
            .arg(config)
            .args(args)
            .envs(environment.iter().copied())
            .current_dir(stage.dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (lines, log) = watch::channel(Vec::new());
        // Ends with the program, which is killed when the test is over.
        tokio::spawn(collect(child.stderr.take().unwrap(), lines));
        Self { child, log }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap()
    }

    /// No file of it may grow beyond so many bytes from now on; `None` is the system's own limit.
    pub(super) fn limit_files(&self, bytes: Option<u64>) {
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes.or(maximum), maximum };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    /// Tells it something; nobody waits for what comes of it.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for so many lines of this level that have all of `parts` in them.
    pub(super) async fn says(&self, level: &str, parts: &[&str], times: usize) {
        let mut log = self.log.clone();
        let said = log.wait_for(|lines| said(lines, level, parts) >= times);
        let said = tokio::time::timeout(PATIENCE, said).await.is_ok_and(|said| said.is_ok());
        assert!(said, "{level} {parts:?} was not said: {:#?}", *self.log.borrow());
    }

    /// The first line with this message, once it is there.
    pub(super) async fn line(&self, message: &str) -> Value {
        let mut log = self.log.clone();
        let is = |line: &&Value| line["message"] == message;
        let said = log.wait_for(|lines| lines.iter().any(|line| is(&line)));
        let lines = tokio::time::timeout(PATIENCE, said).await.expect("it is said").unwrap();
        lines.iter().find(is).cloned().unwrap()
    }

    /// An orderly end.
    pub(super) async fn terminate(self) -> Ending {
        let ending = self.end(Signal::TERM).await;
        assert_eq!(ending.code, Some(0), "{:#?}", ending.log);
        assert!(ending.summary.is_object(), "{:#?}", ending.log);
        let count = |name: &str| ending.count(name);
        let settled = ["delivered", "filtered", "parked", "resolved", "dropped", "given_up"]
            .map(|how| count(&format!("total_{how}")));
        let settled = settled.iter().sum::<u64>();
        assert_eq!(count("total_passed"), settled, "{:?}", ending.summary);
        assert!(count("read") >= count("passed") + count("repeated"), "{:?}", ending.summary);
        ending
    }

    /// No end at all.
    pub(super) async fn kill(self) {
        let ending = self.end(Signal::KILL).await;
        assert_eq!(ending.code, None, "it was there to be killed: {:#?}", ending.log);
    }

    pub(super) async fn end(self, signal: Signal) -> Ending {
        kill_process(self.pid(), signal).unwrap();
        self.ended().await
    }

    /// It ends by itself.
    pub(super) async fn ended(mut self) -> Ending {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("no end: {:#?}", *self.log.borrow()));
        // The rest of the log.
        while self.log.changed().await.is_ok() {}
        let log = self.log.borrow().clone();
        let panicked = log.iter().any(|line| line.to_string().contains("panicked"));
        assert!(!panicked, "{log:#?}");
        let is_summary = |line: &&Value| line["message"] == "successfully shut down";
        let summary = log.iter().find(is_summary).cloned().unwrap_or_default();
        Ending { code: status.unwrap().code(), log, summary }
    }
}

impl Ending {
    /// A count of the summary.
    #[track_caller]
    pub(super) fn count(&self, name: &str) -> u64 {
        let count = self.summary[name].as_u64();
        count.unwrap_or_else(|| panic!("`{name}` is missing: {:?}", self.summary))
    }

    /// How many lines of this level have all of `parts` in them.
    pub(super) fn said(&self, level: &str, parts: &[&str]) -> usize {
        said(&self.log, level, parts)
    }

    /// What came twice was counted as possible duplicates.
    #[track_caller]
    pub(super) fn owns_up_to(&self, tally: &FluentdTally) {
        assert!(
            self.count("possible_duplicates") >= tally.repeated,
            "{:?} {tally:?}",
            self.summary
        );
    }
}

fn said(lines: &[Value], level: &str, parts: &[&str]) -> usize {
    let is = |line: &&Value| {
        let text = line.to_string();
        line["level"] == level && parts.iter().all(|part| text.contains(part))
    };
    lines.iter().filter(is).count()
}

async fn collect(stderr: ChildStderr, log: watch::Sender<Vec<Value>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        // What is no JSON is kept too: a panic is none.
        let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
        log.send_modify(|log| log.push(line));
    }
}
