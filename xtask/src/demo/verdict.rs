//! What was to arrive against what has arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ev_test_support::{AuthTally, FluentdTally};
use serde::{Deserialize, Serialize};

use super::handler::Totals;
use super::plan::Plan;
use super::world::{BATCH, CONNECTIONS};

/// Events that the handler may have acknowledged and not yet committed.
const UNCOMMITTED: u64 = 2_000;

/// What was seen.
pub(super) struct Facts {
    pub(super) elapsed: Duration,
    pub(super) exit: Option<i32>,
    pub(super) peak_kib: u64,
    pub(super) starts: u64,
    pub(super) totals: Totals,
    pub(super) refused: u64,
    pub(super) auth: AuthTally,
    pub(super) fluentd: FluentdTally,
    /// The receiver's events as JSON lines.
    pub(super) events: Vec<u8>,
}

/// The numbers, and what they mean.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) served: u64,
    pub(super) left_out: u64,
    pub(super) delivered: u64,
    pub(super) by_native: u64,
    pub(super) by_module: u64,
    pub(super) parked_and_resolved: u64,
    pub(super) still_parked: u64,
    pub(super) modules_refused: u64,
    pub(super) duplicates: u64,
    pub(super) duplicate_window: u64,
    pub(super) missing: u64,
    pub(super) wrong_bodies: u64,
    pub(super) sessions: u64,
    pub(super) requests: u64,
    pub(super) elapsed_secs: f64,
    pub(super) events_per_sec: f64,
    pub(super) peak_memory_kib: u64,
    /// By the version that Auth ran.
    pub(super) versions: BTreeMap<&'static str, PerVersion>,
    pub(super) checks: Vec<Check>,
}

/// What was served and what arrived of one version.
#[derive(Debug, Default, Serialize)]
pub(super) struct PerVersion {
    pub(super) expected: u64,
    pub(super) delivered: u64,
}

/// One thing that has to hold.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) holds: bool,
}

#[derive(Deserialize)]
struct Line {
    tag: String,
    body: String,
}

impl Verdict {
    pub(super) fn new(plan: &Plan, facts: Facts) -> Result<Self> {
        let expected = plan.expected()?;
        let mut arrived: BTreeMap<(&str, &[u8]), u64> = BTreeMap::new();
        let lines = facts
            .events
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let line: Line = serde_json::from_slice(line)?;
                Ok((line.tag, STANDARD.decode(line.body)?))
            })
            .collect::<Result<Vec<_>>>()
            .context("failed to read what the receiver has got")?;
        for (tag, body) in &lines {
            *arrived.entry((tag, body)).or_default() += 1;
        }
        let mut versions: BTreeMap<&'static str, PerVersion> = BTreeMap::new();
        for (key, version) in &expected {
            let per_version = versions.entry(version).or_default();
            per_version.expected += 1;
            per_version.delivered += u64::from(arrived.contains_key(key));
        }
        let delivered: u64 = versions.values().map(|version| version.delivered).sum();
        let known = arrived.iter().filter(|(key, _)| expected.contains_key(*key));
        let duplicates = known.map(|(_, count)| count - 1).sum();
        let wrong = arrived.keys().filter(|key| !expected.contains_key(*key)).count() as u64;
        let sum = |of: fn(&super::plan::Phase) -> u64| plan.phases.iter().map(of).sum::<u64>();
        let totals = facts.totals;
        let mut verdict = Self {
            served: sum(|phase| phase.log + phase.recorded),
            left_out: sum(|phase| phase.left_out),
            delivered,
            by_native: totals.by_native,
            by_module: totals.by_module,
            parked_and_resolved: totals.resolved,
            still_parked: totals.parked,
            modules_refused: facts.refused,
            duplicates,
            // One batch more: the acknowledgement that fills the limit comes whole.
            duplicate_window: (CONNECTIONS + 1) * BATCH + UNCOMMITTED,
            missing: expected.len() as u64 - delivered,
            wrong_bodies: wrong,
            sessions: totals.sessions,
            requests: facts.fluentd.requests,
            elapsed_secs: facts.elapsed.as_secs_f64(),
            events_per_sec: rate(delivered, facts.elapsed),
            peak_memory_kib: facts.peak_kib,
            versions,
            checks: Vec::new(),
        };
        verdict.checks = verdict.judge(&facts, sum(|phase| phase.sessions));
        Ok(verdict)
    }

    fn judge(&self, facts: &Facts, sessions: u64) -> Vec<Check> {
        let totals = facts.totals;
        let check = |what, holds| Check { what, holds };
        vec![
            check("nothing is missing", self.missing == 0),
            check(
                "every body is byte for byte what Teleport's own code recorded for Auth's version",
                self.wrong_bodies == 0,
            ),
            check(
                "duplicates are within the duplicate window",
                self.duplicates <= self.duplicate_window,
            ),
            check("the handler was killed and started again", facts.starts == 2),
            check("the damaged module was sent and refused", {
                facts.auth.artifacts_flipped > 0 && self.modules_refused > 0
            }),
            check("its events were parked and then delivered", {
                totals.resolved > 0 && totals.parked == 0
            }),
            check("every event was decoded with the schema of its version", totals.inexact == 0),
            check("the built-in decoder and the modules both had work", {
                totals.by_native > 0 && totals.by_module > 0
            }),
            check("the handler accounts for every event", {
                totals.passed == self.served
                    && totals.filtered == self.left_out
                    && totals.delivered + totals.resolved == self.delivered
                    && totals.by_native + totals.by_module == self.delivered
            }),
            check("every recording was read to its end", self.sessions == sessions),
            check("the handler ended by itself when told to", facts.exit == Some(0)),
        ]
    }

    pub(super) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(events: u64, elapsed: Duration) -> f64 {
    events as f64 / elapsed.as_secs_f64()
}
