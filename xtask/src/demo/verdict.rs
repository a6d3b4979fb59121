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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::plan::Phase;

    const A: (&str, &str) = ("audit.log", r#"{"uid":"a"}"#);
    const B: (&str, &str) = ("audit.log", r#"{"uid":"b"}"#);
    const RECORDED: (&str, &str) = ("session.s.log", r#"{"ei":1}"#);

    /// What a healthy run shows, with these events at the receiver.
    fn verdict(arrived: &[(&str, &str)], change: impl FnOnce(&mut Facts)) -> Verdict {
        let phase = |version, expected: &[(&str, &str)], recorded| Phase {
            version,
            lines: Vec::new(),
            log: 1,
            recorded,
            sessions: recorded,
            left_out: 0,
            expected: expected
                .iter()
                .map(|(tag, body)| ((*tag).to_owned(), body.as_bytes().to_vec()))
                .collect(),
        };
        let plan = Plan {
            start: ev_test_support::UtcTime::default(),
            phases: [phase("1", &[A], 0), phase("2", &[B, RECORDED], 1), {
                Phase { log: 0, ..phase("3", &[], 0) }
            }],
        };
        let line = |(tag, body): &(&str, &str)| {
            format!("{{\"tag\":\"{tag}\",\"body\":\"{}\"}}\n", STANDARD.encode(body))
        };
        let mut facts = Facts {
            elapsed: Duration::from_secs(1),
            exit: Some(0),
            peak_kib: 1,
            starts: 2,
            totals: Totals {
                passed: 3,
                delivered: 2,
                resolved: 1,
                by_native: 1,
                by_module: 2,
                sessions: 1,
                ..Totals::default()
            },
            refused: 1,
            auth: AuthTally { artifacts_flipped: 1, ..AuthTally::default() },
            fluentd: FluentdTally::default(),
            events: arrived.iter().map(line).collect::<String>().into_bytes(),
        };
        change(&mut facts);
        Verdict::new(&plan, facts).expect("readable facts")
    }

    fn failed(verdict: &Verdict) -> Vec<&'static str> {
        assert_eq!(verdict.passed(), verdict.checks.iter().all(|check| check.holds));
        verdict.checks.iter().filter(|check| !check.holds).map(|check| check.what).collect()
    }

    #[test]
    fn a_healthy_run_passes() {
        let verdict = verdict(&[A, A, RECORDED, B], |_| {});
        assert_eq!(failed(&verdict), [""; 0]);
        assert_eq!((verdict.delivered, verdict.duplicates, verdict.missing), (3, 1, 0));
    }

    #[test]
    fn what_is_missing_or_differs_fails() {
        let missing = verdict(&[A, B], |_| {});
        assert!(failed(&missing).contains(&"nothing is missing"));
        let spaced = ("audit.log", r#"{"uid": "b"}"#);
        let differs = verdict(&[A, spaced, RECORDED], |_| {});
        assert_eq!((differs.missing, differs.wrong_bodies), (1, 1));
        let elsewhere = verdict(&[A, B, ("audit.log", RECORDED.1)], |_| {});
        assert_eq!((elsewhere.missing, elsewhere.wrong_bodies), (1, 1));
    }

    #[test]
    fn too_many_duplicates_fail() {
        let window = (CONNECTIONS + 1) * BATCH + UNCOMMITTED;
        let times = |count: u64| {
            let again = usize::try_from(count).expect("a small number");
            let arrived = [&vec![A; again + 1][..], &[B, RECORDED]].concat();
            failed(&verdict(&arrived, |_| {}))
        };
        assert_eq!(times(window), [""; 0]);
        assert_eq!(times(window + 1), ["duplicates are within the duplicate window"]);
    }

    #[test]
    fn what_the_handler_says_counts_too() {
        let all = [A, B, RECORDED];
        let check = |change: fn(&mut Facts)| assert!(!failed(&verdict(&all, change)).is_empty());
        check(|facts| facts.exit = None);
        check(|facts| facts.exit = Some(1));
        check(|facts| facts.starts = 1);
        check(|facts| facts.refused = 0);
        check(|facts| facts.totals.parked = 1);
        check(|facts| facts.totals.inexact = 1);
        check(|facts| facts.totals.by_module = 1);
        check(|facts| facts.totals.passed = 4);
        check(|facts| facts.totals.sessions = 0);
    }
}
