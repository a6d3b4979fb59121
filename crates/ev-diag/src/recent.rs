//! The last warnings and errors of the log.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::UnixTime;

/// Lines that are kept.
const MOST: usize = 32;
/// Longest line that is kept whole, in bytes.
const LONGEST: usize = 500;

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// When it was said last.
    pub time: UnixTime,
    /// `warning` or `error`.
    pub level: String,
    /// What was said, with its fields.
    pub text: String,
    /// How often the same was said in a row.
    pub times: u64,
}

/// Keeps the last warnings and errors.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Told>>>);

impl Recent {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What fills it.
    pub fn layer(&self) -> RecentLayer {
        RecentLayer(self.clone())
    }

    /// The lines, the newest last.
    pub fn lines(&self) -> Vec<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn put(&self, told: Told) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = lines.back_mut()
            && (&last.level, &last.text) == (&told.level, &told.text)
        {
            last.time = told.time;
            last.times += 1;
            return;
        }
        if lines.len() == MOST {
            lines.pop_front();
        }
        lines.push_back(told);
    }
}

/// Takes warnings and errors out of what is logged.
#[derive(Debug)]
pub struct RecentLayer(Recent);

impl<S: Subscriber> Layer<S> for RecentLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => return,
        };
        let mut text = Text::default();
        event.record(&mut text);
        let time = UnixTime(now());
        self.0.put(Told { time, level: level.to_owned(), text: text.line(), times: 1 });
    }
}

#[expect(clippy::disallowed_methods, reason = "the log has the clock of the machine too")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn line(self) -> String {
        let mut line = self.message;
        line.push_str(&self.fields);
        if line.len() > LONGEST {
            line.truncate(line.floor_char_boundary(LONGEST));
            line.push('…');
        }
        line
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a string does not fail.
        let _infallible = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // For another reader of the log.
            "audit" => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing::{error, info, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn warnings_and_errors_are_kept_and_repetitions_counted() {
        let recent = Recent::new();
        let subscriber = tracing_subscriber::registry().with(recent.layer());
        tracing::subscriber::with_default(subscriber, || {
            info!("nothing of interest");
            for _ in 0..3 {
                warn!(attempts = 3, address = "a:1", "no connection");
            }
            error!(error = %"no space", "state cannot be written");
            warn!("{}", "ä".repeat(400));
        });
        let lines = recent.lines();
        let said: Vec<_> =
            lines.iter().map(|told| (&*told.level, &*told.text, told.times)).collect();
        assert_eq!(said[0], ("warning", "no connection attempts=3 address=a:1", 3));
        assert_eq!(said[1], ("error", "state cannot be written error=no space", 1));
        assert_eq!((said[2].1.chars().count(), said.len()), (251, 3));
    }

    #[test]
    fn only_the_last_are_kept() {
        let recent = Recent::new();
        let subscriber = tracing_subscriber::registry().with(recent.layer());
        tracing::subscriber::with_default(subscriber, || {
            (0..100).for_each(|number| warn!(number, "again"));
        });
        let lines = recent.lines();
        assert_eq!((lines.len(), &*lines[0].text), (MOST, "again number=68"));
    }
}
