//! A status as text.

use std::fmt::Write as _;

use ev_diag::{Light, Phase, Readiness, Sink, Snapshot};

use crate::text::harmless;

/// The parts of the road, then figures. Holds nothing that a terminal would obey.
pub(super) fn text(snapshot: &Snapshot, readiness: &Readiness) -> String {
    let mut out = String::new();
    let verdict = match (snapshot.phase, readiness.ready) {
        (Phase::Ended, _) => "not running: this is what its state says",
        (Phase::Unasked, _) => "cannot be asked: this is what its state says",
        (_, true) => "ready",
        (_, false) => "not ready",
    };
    line(&mut out, "ev-handler", &format!("{} {verdict}", snapshot.version));
    if !snapshot.phase.is_at_rest() {
        let since = format!("{} (up {} s)", snapshot.started, snapshot.uptime_seconds);
        line(&mut out, "since", &since);
    }
    for part in &readiness.parts {
        let light = match part.light {
            Light::Ok => "ok",
            Light::Warning => "LOOK",
            Light::Down => "DOWN",
        };
        line(&mut out, &part.name, &format!("{light:<5}{}", part.reason));
    }
    for sink in &snapshot.sinks {
        figures(&mut out, sink, snapshot.phase);
    }
    for (kind, count) in &snapshot.decoder.unknown {
        line(&mut out, "unknown", &format!("{} of type {}", count, kind));
    }
    for told in snapshot.troubles.iter().rev().take(5) {
        line(&mut out, &told.level, &format!("{} {}", told.time, told.text));
    }
    out
}

fn figures(out: &mut String, sink: &Sink, phase: Phase) {
    let Sink { counters, totals, .. } = sink;
    line(out, "sink", &sink.name);
    if !phase.is_at_rest() {
        let run = format!(
            "{} read, {} delivered, {} filtered, {} parked, {} known already, {} under way",
            counters.read,
            counters.delivered,
            counters.filtered,
            counters.parked,
            counters.repeated,
            counters.in_flight
        );
        line(out, "  this run", &run);
        if let (Some(lag), Some(position)) = (sink.lag_seconds, sink.position) {
            line(out, "  lag", &format!("{lag} s, reading stands at {position}"));
        }
    }
    let life = format!(
        "{} passed: {} delivered, {} filtered, {} parked, {} resolved, {} dropped, {} given up",
        totals.passed,
        totals.delivered,
        totals.filtered,
        totals.parked,
        totals.resolved,
        totals.dropped,
        totals.given_up
    );
    line(out, "  in all", &life);
    let open =
        format!("{} windows, {} chunks, {} recordings", sink.windows, sink.chunks, sink.sessions);
    line(out, "  open", &open);
    let recordings = format!(
        "{} read to their end, {} cannot be read, {} given up",
        totals.sessions, sink.sessions_stopped, sink.sessions_given_up
    );
    line(out, "  recordings", &recordings);
    for (reason, count) in sink.parked.iter().filter(|(_, count)| **count > 0) {
        line(out, "  parked", &format!("{count} {reason}"));
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    // All of it comes from whoever answers at the address.
    let (name, text) = (harmless(name), harmless(text));
    // Writing into a string does not fail.
    let _infallible = writeln!(out, "{name:<14} {text}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ev_diag::{Part, Told};

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        const BAD: &str = "a\nready\u{1b}[2J";
        let sink = Sink {
            name: BAD.to_owned(),
            parked: BTreeMap::from([(BAD.to_owned(), 1), ("waiting".to_owned(), 0)]),
            ..Sink::default()
        };
        let mut snapshot =
            Snapshot { version: BAD.to_owned(), sinks: vec![sink], ..Snapshot::default() };
        snapshot.decoder.unknown.insert(BAD.to_owned(), 1);
        let told = Told { level: BAD.to_owned(), text: BAD.to_owned(), ..Told::default() };
        snapshot.troubles.push(told);
        let part = Part { name: BAD.to_owned(), light: Light::Ok, reason: BAD.to_owned() };
        let text = text(&snapshot, &Readiness { ready: true, parts: vec![part] });
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.lines().all(|line| !line.starts_with("ready")), "{text}");
        assert_eq!(text.matches("a\\u{a}ready\\u{1b}[2J").count(), 8, "{text}");
        assert!(!text.contains("waiting"), "none is parked for that: {text}");
    }
}
