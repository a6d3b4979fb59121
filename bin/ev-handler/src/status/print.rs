//! A status as text.

use std::fmt::Write as _;

use ev_diag::{Light, Phase, Readiness, Sink, Snapshot};

use crate::text::harmless;

/// The parts of the road, then figures. Holds nothing that a terminal would obey.
pub(super) fn text(snapshot: &Snapshot, readiness: &Readiness) -> String {
    let mut out = String::new();
    let verdict = match (snapshot.phase, readiness.ready) {
        (Phase::Ended, _) => "not running: this is what its state says",
        (_, true) => "ready",
        (_, false) => "not ready",
    };
    line(&mut out, "ev-handler", &format!("{} {verdict}", snapshot.version));
    if snapshot.phase != Phase::Ended {
        let since = format!("{} (up {} s)", snapshot.started, snapshot.uptime_seconds);
        line(&mut out, "since", &since);
    }
    for part in &readiness.parts {
        let light = match part.light {
            Light::Ok => "ok",
            Light::Warning => "LOOK",
            Light::Down => "DOWN",
        };
        line(&mut out, &part.name, &format!("{light:<5}{}", harmless(&part.reason)));
    }
    for sink in &snapshot.sinks {
        figures(&mut out, sink, snapshot.phase);
    }
    for (kind, count) in &snapshot.decoder.unknown {
        line(&mut out, "unknown", &format!("{} of type {}", count, harmless(kind)));
    }
    for told in snapshot.troubles.iter().rev().take(5) {
        line(&mut out, &told.level, &format!("{} {}", told.time, harmless(&told.text)));
    }
    out
}

fn figures(out: &mut String, sink: &Sink, phase: Phase) {
    let Sink { counters, totals, .. } = sink;
    line(out, "sink", &harmless(&sink.name));
    if phase != Phase::Ended {
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
    for (reason, count) in &sink.parked {
        line(out, "  parked", &format!("{count} {}", harmless(reason)));
    }
}

fn line(out: &mut String, name: &str, text: &str) {
    // Writing into a string does not fail.
    let _infallible = writeln!(out, "{name:<14} {text}");
}
