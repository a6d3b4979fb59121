//! What the registry tells an operator.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::rig::{Setup, key};

/// Keeps level, message and fields of each line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

struct Line {
    level: Level,
    message: String,
    fields: String,
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
    let lines = Lines::default();
    let guard = tracing::subscriber::set_default(lines.clone());
    work.await;
    drop(guard);
    let lines = lines.0.lock().unwrap();
    lines.iter().map(|line| format!("{}{}", line.message, line.fields)).collect()
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut line = Line { level, message: String::new(), fields: String::new() };
        event.record(&mut line);
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_told_once_and_is_no_downgrade() {
    let rig = Setup::new(&key(), &[]).start();
    let lines = Lines::default();
    // Events that were parked under the older version ask for it in every round.
    tracing::subscriber::with_default(lines.clone(), || {
        for auth in ["18.1.0", "17.0.0", "18.1.0", "17.0.0"] {
            drop(rig.choose(auth));
        }
    });
    rig.end().await;
    let lines = lines.0.lock().unwrap();
    assert!(lines.iter().all(|line| line.level == Level::INFO));
    let older = |line: &&Line| line.message == "decoder wanted for an older Auth version";
    assert_eq!(lines.iter().filter(older).count(), 1);
}
