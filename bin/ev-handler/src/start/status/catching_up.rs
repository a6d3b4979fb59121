//! What a terminal shows while a run catches up.

use std::collections::BTreeMap;
use std::time::Duration;

use ev_config::Settings;
use ev_diag::Sink;
use ev_pipeline::Mark;

use crate::logging::{self, Foot};
use crate::progress::{End, Meter, Words, words};

/// The line below the log of a run with these settings, if there is one: what a dry run prints
/// would come between.
pub(crate) fn foot(settings: &Settings) -> Option<Foot> {
    logging::foot().filter(|_| !settings.dry_run_print)
}

/// Shows how far the sink has come that is furthest behind; nothing any more when it is dropped.
pub(super) struct CatchingUp {
    foot: Foot,
    /// Whether the line is ours: others show theirs in the same place before anything flows.
    is_shown: bool,
    meters: BTreeMap<String, Meter>,
}

impl CatchingUp {
    pub(super) fn new(foot: Foot) -> Self {
        Self { foot, is_shown: false, meters: BTreeMap::new() }
    }

    /// As it is at that moment, of a clock that never goes back.
    pub(super) fn show(&mut self, sinks: &[Sink], now: Duration) {
        match self.line(sinks, now) {
            Some(line) => {
                self.is_shown = true;
                self.foot.show(line);
            }
            None => self.hide(),
        }
    }

    fn hide(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.foot.hide();
        }
    }

    fn line(&mut self, sinks: &[Sink], now: Duration) -> Option<String> {
        line(&mut self.meters, sinks, now)
    }
}

fn line(meters: &mut BTreeMap<String, Meter>, sinks: &[Sink], now: Duration) -> Option<String> {
    // What is behind again later begins anew.
    meters.retain(|name, _| sinks.iter().any(|sink| sink.name == *name && !sink.caught_up));
    let behind = sinks.iter().filter(|sink| !sink.caught_up && sink.position.is_some());
    let told = behind.filter_map(|sink| {
        let mark = Mark { at: now, left_seconds: sink.lag_seconds, events: sink.counters.sent };
        let meter = meters.entry(sink.name.clone()).or_insert_with(|| Meter::new(End::Moves));
        // The end of a log that is read already is left for a moment with each new event: who is
        // behind is so twice in a row.
        Some((sink, meter.note(mark)?))
    });
    let (sink, headway) = told.max_by_key(|(sink, _)| sink.lag_seconds)?;
    let counted = [(sink.chunks, "chunk"), (sink.sessions, "recording")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let counted: Vec<String> =
        counted.map(|(count, name)| format!("{count} {name}{}", plural(*count))).collect();
    Some(words(&Words {
        what: "catching up",
        of: (sinks.len() > 1).then_some(&*sink.name),
        position: sink.position.map(|position| position.0),
        behind_seconds: sink.lag_seconds,
        headway: Some(headway),
        more: (!counted.is_empty()).then(|| counted.join(", ")),
    }))
}

impl Drop for CatchingUp {
    fn drop(&mut self) {
        self.hide();
    }
}

#[cfg(test)]
mod tests {
    use ev_diag::{Counters, UnixTime};

    use super::*;

    fn sink(name: &str, lag: i64, sent: u64) -> Sink {
        Sink {
            name: name.to_owned(),
            position: Some(UnixTime(1_770_000_000 - lag)),
            lag_seconds: Some(lag),
            counters: Counters { sent, ..Counters::default() },
            ..Sink::default()
        }
    }

    #[test]
    fn the_sink_that_is_furthest_behind_is_named() {
        let mut meters = BTreeMap::new();
        let mut at = |second, sinks: &[Sink]| line(&mut meters, sinks, Duration::from_secs(second));
        let both = |one, two| [sink("fluentd", one, 0), sink("file", two, 10 * two.unsigned_abs())];
        assert_eq!(at(0, &both(700, 900)), None, "nothing can be said yet");
        let expected = "catching up (file): at 2026-02-02T02:26:40Z, 13 min behind, 0 events/s, \
                        8 s left";
        assert_eq!(at(1, &both(700, 800)).as_deref(), Some(expected));
        assert!(at(2, &both(700, 10)).unwrap().starts_with("catching up (fluentd): at 2026-"));
        let mut done = both(0, 10);
        done[0].caught_up = true;
        assert!(at(3, &done).unwrap().starts_with("catching up (file): "));
        done[1].caught_up = true;
        assert_eq!(at(4, &done), None);
        done[1].caught_up = false;
        assert_eq!(at(5, &done), None, "an event that has just come");
        assert!(at(6, &done).is_some());
    }

    #[test]
    fn one_sink_needs_no_name_and_what_it_reads_is_counted() {
        let mut meters = BTreeMap::new();
        let one = Sink { chunks: 1, sessions: 3, ..sink("fluentd", 500, 0) };
        assert_eq!(line(&mut meters, std::slice::from_ref(&one), Duration::ZERO), None);
        let later = Sink { counters: Counters { sent: 70, ..Counters::default() }, ..one };
        let expected = "catching up: at 2026-02-02T02:31:40Z, 8 min behind, 70 events/s, \
                        time left unknown, 1 chunk, 3 recordings";
        let told = line(&mut meters, &[later], Duration::from_secs(1));
        assert_eq!(told.as_deref(), Some(expected));
    }
}
