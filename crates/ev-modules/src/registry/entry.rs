//! What is known of one Auth version: a state machine without clock, lock or I/O.
//!
//! ```text
//!            attempt: nothing offered                     attempt: good artifact
//!  waiting ───────────────────────────▶ not offered ──────────────┐
//!     │  ▲                                  │                     ▼
//!     │  └── attempt: offered but refused ──┘                   in use ◀─── other artifact, or
//!     │                                                           │         a minute without
//!     └────────────── attempt: good artifact ────────────────▶    │         trouble
//!                                                                 ▼              │
//!                                three reports in a minute:    failing ──▶ on trial (the same
//!                                fetched again                    ▲            │ artifact again)
//!                                                                 └────────────┘ three reports
//! ```
//!
//! Waiting and failing last at most `artifact_wait`; then the entry is *overdue* (the circuit
//! breaker is open) and the nearest table decodes, while attempts go on for ever. An artifact in
//! use is replaced only by one that has passed all checks. All times are monotonic.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{Choice, Decoder, UnknownPolicy};

use super::known_first::KnownFirst;
use super::settings::{Exactness, Settings};

/// One Auth version that was asked for and is not embedded.
pub(super) struct Entry {
    in_use: Option<InUse>,
    health: Health,
    not_offered: bool,
    waiting_since: Duration,
    overdue: bool,
    /// Attempts in vain since the last success.
    failures: u32,
    /// When to try next; `None` while an attempt is under way.
    next_attempt: Option<Duration>,
    /// When the decoder in use was reported as failing.
    reports: VecDeque<Duration>,
    cache_tried: bool,
    /// Order of asking, for forgetting the version that was not asked for longest.
    pub(super) last_asked: u64,
}

struct InUse {
    decoder: Arc<dyn Decoder>,
    artifact_sha256: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// Reported too often; not loaded again since.
    Failing {
        since: Duration,
    },
    /// The same artifact was loaded again.
    Trial {
        since: Duration,
        started: Duration,
    },
}

/// How an attempt to get an artifact ended.
pub(super) enum Outcome {
    /// A decoder is there.
    Ready {
        decoder: Arc<dyn Decoder>,
        artifact_sha256: [u8; 32],
        /// From the state: nobody was asked yet.
        cached: bool,
    },
    /// What is held is what is offered.
    NotModified,
    /// No place offers one.
    NotOffered,
    /// Try again.
    Failed {
        /// Whether some place does offer one, as opposed to not answering.
        offered: bool,
    },
}

/// What an attempt has to know.
pub(super) struct Task {
    /// The artifact in use, unless it is to be fetched again all the same.
    pub(super) held_sha256: Option<[u8; 32]>,
    /// Whether the state is to be asked first.
    pub(super) try_cache: bool,
}

impl Entry {
    /// With nobody to ask it is known at once that nothing is offered.
    pub(super) fn new(now: Duration, nobody_to_ask: bool) -> Self {
        Self {
            in_use: None,
            health: Health::Good,
            not_offered: nobody_to_ask,
            waiting_since: now,
            overdue: false,
            failures: 0,
            next_attempt: Some(now),
            reports: VecDeque::new(),
            cache_tried: false,
            last_asked: 0,
        }
    }

    /// The choice as it stands; `nearest` is the embedded decoder to fall back to.
    pub(super) fn choice(&self, settings: &Settings, nearest: &Arc<dyn Decoder>) -> Choice {
        let inexact = |unknown| Choice::Inexact { decoder: Arc::clone(nearest), unknown };
        match &self.in_use {
            Some(_) if self.is_failing() && self.overdue => inexact(UnknownPolicy::Park),
            // What the nearest knows may differ from what Auth of that version would write.
            Some(in_use) if settings.exactness == Exactness::KnownNative => Choice::Inexact {
                decoder: Arc::new(KnownFirst {
                    nearest: Arc::clone(nearest),
                    exact: Arc::clone(&in_use.decoder),
                }),
                unknown: UnknownPolicy::Park,
            },
            Some(in_use) => Choice::Exact(Arc::clone(&in_use.decoder)),
            None if self.not_offered => inexact(settings.unknown_without_artifact()),
            None if self.overdue || settings.exactness == Exactness::KnownNative => {
                inexact(UnknownPolicy::Park)
            }
            None => Choice::Pending,
        }
    }

    /// Takes up an attempt if one is due.
    pub(super) fn start_attempt(&mut self, now: Duration) -> Option<Task> {
        self.next_attempt.take_if(|at| *at <= now)?;
        let held = self.in_use.as_ref().filter(|_| !self.is_failing());
        Some(Task {
            held_sha256: held.map(|in_use| in_use.artifact_sha256),
            try_cache: !std::mem::replace(&mut self.cache_tried, true),
        })
    }

    /// Notes how the attempt ended. Returns whether the choice may have changed.
    pub(super) fn attempt_ended(
        &mut self,
        now: Duration,
        outcome: Outcome,
        settings: &Settings,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> bool {
        match outcome {
            Outcome::Ready { decoder, artifact_sha256, cached } => {
                let same =
                    self.in_use.as_ref().is_some_and(|u| u.artifact_sha256 == artifact_sha256);
                self.health = match self.health {
                    Health::Failing { since } | Health::Trial { since, .. } if same => {
                        Health::Trial { since, started: now }
                    }
                    _ => Health::Good,
                };
                if self.health == Health::Good {
                    self.failures = 0;
                    self.overdue = false;
                }
                self.in_use = Some(InUse { decoder, artifact_sha256 });
                self.not_offered = false;
                self.reports.clear();
                self.next_attempt = Some(if cached { now } else { now + settings.refresh });
                true
            }
            // Nothing can be unmodified when nothing is held, or when it was to be sent anew.
            Outcome::NotModified if self.in_use.is_some() && !self.is_failing() => {
                self.failures = 0;
                self.next_attempt = Some(now + settings.refresh);
                false
            }
            Outcome::NotOffered if self.in_use.is_some() && !self.is_failing() => {
                self.failures = 0;
                self.next_attempt = Some(now + settings.refresh);
                false
            }
            Outcome::NotOffered if self.in_use.is_none() => {
                self.failures = 0;
                self.next_attempt = Some(now + settings.recheck);
                !std::mem::replace(&mut self.not_offered, true)
            }
            Outcome::Failed { offered } => {
                // A place that offered nothing and does not answer now still offers nothing.
                let appeared = offered && std::mem::replace(&mut self.not_offered, false);
                if appeared && self.in_use.is_none() {
                    self.waiting_since = now;
                    self.overdue = false;
                }
                self.retry(now, settings, jitter);
                appeared
            }
            Outcome::NotModified | Outcome::NotOffered => {
                self.retry(now, settings, jitter);
                false
            }
        }
    }

    /// Notes that the decoder in use failed. Returns whether its artifact is to be fetched again.
    pub(super) fn decoder_failed(
        &mut self,
        now: Duration,
        settings: &Settings,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> bool {
        if self.in_use.is_none() || self.is_failing() {
            return false;
        }
        self.reports.push_back(now);
        while self
            .reports
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > settings.failure_window)
        {
            self.reports.pop_front();
        }
        if self.reports.len() < settings.failure_limit.max(1) {
            return false;
        }
        self.reports.clear();
        let since = match self.health {
            Health::Trial { since, started }
                if now.saturating_sub(started) <= settings.failure_window =>
            {
                since
            }
            // The trial went well for a while: this is new trouble.
            _ => {
                self.failures = 0;
                now
            }
        };
        self.health = Health::Failing { since };
        self.overdue = now.saturating_sub(since) >= settings.artifact_wait;
        // An attempt under way goes on; when it ends it is seen that this is failing.
        if self.next_attempt.is_some() {
            self.retry(now, settings, jitter);
        }
        true
    }

    /// Opens the circuit breaker if it is time. Returns whether it did.
    pub(super) fn open_if_overdue(&mut self, now: Duration, settings: &Settings) -> bool {
        let due = self.wait_ends(settings).is_some_and(|at| at <= now);
        self.overdue |= due;
        due
    }

    /// When the time runs out that events of this version may wait.
    pub(super) fn wait_ends(&self, settings: &Settings) -> Option<Duration> {
        let since = match self.health {
            _ if self.overdue => return None,
            Health::Failing { since } => since,
            _ if self.in_use.is_none() && !self.not_offered => self.waiting_since,
            _ => return None,
        };
        Some(since.saturating_add(settings.artifact_wait))
    }

    /// When the next attempt is due; `None` while one is under way.
    pub(super) fn next_attempt(&self) -> Option<Duration> {
        self.next_attempt
    }

    fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    fn retry(
        &mut self,
        now: Duration,
        settings: &Settings,
        jitter: impl FnOnce(Duration) -> Duration,
    ) {
        self.failures = self.failures.saturating_add(1);
        self.next_attempt = Some(now + jitter(settings.backoff.limit(self.failures)));
    }
}
