//! What the registry tells an operator.
//!
//! One subscriber serves the whole program and keeps the lines of each thread apart. One for each
//! test would come and go while other threads meet a log line for the first time, and such a line
//! may then be silent for good.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::rig::{Setup, key};

/// Keeps level, message and fields of each line of a thread that asked for it.
struct Recorder;

struct Line {
    level: Level,
    message: String,
    fields: String,
}

thread_local! {
    static LINES: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
}

/// Before anything is logged.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Recorder).expect("nobody else installs one");
    });
}

fn begin() {
    install();
    LINES.set(Some(Vec::new()));
}

fn end() -> Vec<Line> {
    LINES.take().unwrap_or_default()
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields.push_str(&format!(" {field}={value:?}"));
        }
    }
}

/// What is logged on this thread meanwhile: message and fields of each line.
pub(crate) async fn captured(work: impl Future<Output = ()>) -> Vec<String> {
    begin();
    work.await;
    end().iter().map(|line| format!("{}{}", line.message, line.fields)).collect()
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let level = *event.metadata().level();
            let mut line = Line { level, message: String::new(), fields: String::new() };
            event.record(&mut line);
            lines.push(line);
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_told_once_and_is_no_downgrade() {
    let rig = Setup::new(&key(), &[]).start();
    // Events that were parked under the older version ask for it in every round.
    begin();
    for auth in ["18.1.0", "17.0.0", "18.1.0", "17.0.0"] {
        drop(rig.choose(auth));
    }
    let lines = end();
    rig.end().await;
    assert!(lines.iter().all(|line| line.level == Level::INFO));
    let older = |line: &&Line| line.message == "decoder wanted for an older Auth version";
    assert_eq!(lines.iter().filter(older).count(), 1);
}
