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
//! use is replaced only by one that has passed all checks. One of a newer version, taken where the
//! exact one is not offered, is *in use* like any other, but inexact, and the exact one is asked
//! for again and again. All times are monotonic.
//!
//! Only so many decoders are in use at once: one may be put out of use for that of another version
//! ([`super::entries`]). Then the entry *sleeps* until its version is asked for.
//!
//! A report tells that a decoder failed, not on which event. So that a few events which no decoder
//! survives do not look like a decoder that is broken, only one report in `failure_spacing` counts:
//! what fails is what goes on failing. While it is failing its events wait, as they do for an
//! artifact that is not there yet; on trial it is used again. A trial is over, and all trouble
//! before it forgotten, when a whole `failure_window` has passed without a report.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ev_core::{AuthVersion, Choice, Decoder, DecoderKind, UnknownPolicy};

use super::known_first::KnownFirst;
use super::settings::{Exactness, Settings};

/// One Auth version that was asked for and is not embedded.
pub(super) struct Entry {
    in_use: Option<Usable>,
    health: Health,
    not_offered: bool,
    waiting_since: Duration,
    overdue: bool,
    /// Attempts in vain since the last success.
    failures: u32,
    /// When to try next; `None` while an attempt is under way.
    next_attempt: Option<Duration>,
    /// When the decoder in use was reported as failing, as far as it counts.
    reports: Vec<Duration>,
    cache_tried: bool,
    /// When the decoder in use took its place.
    in_use_since: Duration,
    /// Whether it was put out of use for another, and not asked for since.
    dormant: bool,
    /// Whether a good artifact came and there was no place for its decoder.
    waits_for_place: bool,
    /// The last of the near versions, and the index of its place, that were tried in vain, when
    /// there are others behind it.
    pub(super) tried_near: Option<(AuthVersion, usize)>,
    /// Order of asking, for forgetting the version that was not asked for longest.
    pub(super) asked: u64,
    /// When it was asked for last.
    pub(super) asked_at: Duration,
    /// Order of attempts, for the least recently tried to be the next; 0 before the first.
    pub(super) tried: u64,
}

/// An artifact that passed everything.
pub(super) struct Usable {
    pub(super) decoder: Arc<dyn Decoder>,
    pub(super) held: Held,
    /// The envelope that it was verified by.
    pub(super) envelope: Bytes,
    /// Whether it is of the entry's own version, not of a newer one that is taken instead.
    pub(super) exact: bool,
}

/// Which artifact it is. One file may be signed for several versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) sha256: [u8; 32],
    /// The version in its manifest.
    pub(super) of: AuthVersion,
}

impl Usable {
    /// Whether it is a table compiled into the program, which a signed envelope has named as that
    /// of the entry's own version.
    fn is_embedded(&self) -> bool {
        self.exact && self.decoder.identity().kind == DecoderKind::Native
    }
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
        usable: Usable,
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
    pub(super) held: Option<Held>,
    /// Whether the state is to be asked first.
    pub(super) try_cache: bool,
    /// Whether what the state keeps is to be loaded again when no place has anything to load: the
    /// one in use is failing, and without another trial it would be for ever.
    pub(super) else_kept: bool,
    /// Whether the exact one is in use, so that no other version can be better.
    pub(super) has_exact: bool,
    /// Whether the time is up that events of this version may wait.
    pub(super) overdue: bool,
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
            reports: Vec::new(),
            cache_tried: false,
            in_use_since: now,
            dormant: false,
            waits_for_place: false,
            tried_near: None,
            asked: 0,
            asked_at: now,
            tried: 0,
        }
    }

    /// The choice as it stands; `nearest` is the embedded decoder to fall back to.
    pub(super) fn choice(&self, settings: &Settings, nearest: &Arc<dyn Decoder>) -> Choice {
        let inexact = |unknown| Choice::Inexact { decoder: Arc::clone(nearest), unknown };
        let known_first = settings.exactness == Exactness::KnownNative;
        let may_wait = !self.overdue && !known_first;
        match &self.in_use {
            Some(_) if self.is_failing() && may_wait => Choice::Pending,
            Some(_) if self.is_failing() => inexact(UnknownPolicy::Park),
            // What the nearest knows may differ from what Auth of that version would write. An
            // embedded table that an envelope names is exact, and native as well.
            Some(in_use) if known_first && !in_use.is_embedded() => Choice::Inexact {
                decoder: Arc::new(KnownFirst::new(
                    Arc::clone(nearest),
                    Arc::clone(&in_use.decoder),
                    in_use.held.sha256,
                )),
                unknown: UnknownPolicy::Park,
            },
            Some(in_use) if !in_use.exact => Choice::Inexact {
                decoder: Arc::clone(&in_use.decoder),
                unknown: settings.unknown_without_artifact(),
            },
            Some(in_use) => Choice::Exact(Arc::clone(&in_use.decoder)),
            None if self.not_offered => inexact(settings.unknown_without_artifact()),
            None if may_wait => Choice::Pending,
            None => inexact(UnknownPolicy::Park),
        }
    }

    /// The choice for a version whose embedded table, `own`, does not know all that Auth sends. As
    /// for any other version, but what `own` does know need not wait: nothing that may come is
    /// nearer.
    pub(super) fn choice_beyond(&self, settings: &Settings, own: &Arc<dyn Decoder>) -> Choice {
        let inexact = |unknown| Choice::Inexact { decoder: Arc::clone(own), unknown };
        match self.choice(settings, own) {
            Choice::Pending => inexact(UnknownPolicy::Park),
            // An envelope that names the same schema again is no help, and no absence either.
            Choice::Exact(decoder) if decoder.identity() == own.identity() => {
                inexact(settings.unknown.unwrap_or(UnknownPolicy::Park))
            }
            choice => choice,
        }
    }

    /// Takes up an attempt if one is due.
    pub(super) fn start_attempt(&mut self, now: Duration) -> Option<Task> {
        self.next_attempt().filter(|at| *at <= now)?;
        self.next_attempt = None;
        let held = self.in_use.as_ref().filter(|_| !self.is_failing());
        Some(Task {
            held: held.map(|in_use| in_use.held.clone()),
            try_cache: !std::mem::replace(&mut self.cache_tried, true),
            else_kept: self.is_failing(),
            has_exact: self.in_use.as_ref().is_some_and(|in_use| in_use.exact),
            overdue: self.overdue,
        })
    }

    /// Notes how the attempt ended. The pause before the next one is `crowd` times as long as it is
    /// with a few versions. Returns whether the choice may have changed.
    pub(super) fn attempt_ended(
        &mut self,
        now: Duration,
        outcome: Outcome,
        settings: &Settings,
        crowd: u32,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> bool {
        self.end_trial(now, settings);
        match outcome {
            Outcome::Ready { usable, cached } => {
                let same = self.in_use.as_ref().is_some_and(|u| u.held == usable.held);
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
                if self.in_use.replace(usable).is_none() {
                    self.in_use_since = now;
                }
                self.waits_for_place = false;
                self.not_offered = false;
                self.reports.clear();
                self.next_attempt = Some(if cached { now } else { self.next_look(now, settings) });
                true
            }
            // Nothing can be unmodified when nothing is held, or when it was to be sent anew.
            Outcome::NotModified | Outcome::NotOffered
                if self.in_use.is_some() && !self.is_failing() =>
            {
                // On trial, the pause before the next one goes on growing.
                if self.health == Health::Good {
                    self.failures = 0;
                }
                self.next_attempt = Some(self.next_look(now, settings));
                false
            }
            Outcome::NotOffered if self.in_use.is_none() => {
                self.failures = 0;
                self.next_attempt = Some(now + settings.recheck.saturating_mul(crowd));
                !std::mem::replace(&mut self.not_offered, true)
            }
            Outcome::Failed { offered } => {
                // A place that offered nothing and does not answer now still offers nothing.
                let appeared = offered && self.is_offered(now);
                self.retry(now, settings, crowd, jitter);
                appeared
            }
            Outcome::NotModified | Outcome::NotOffered => {
                self.retry(now, settings, crowd, jitter);
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
        self.end_trial(now, settings);
        let since = |at: &Duration| now.saturating_sub(*at);
        if self.reports.last().is_some_and(|last| since(last) < settings.failure_spacing) {
            return false;
        }
        self.reports.retain(|at| since(at) < settings.failure_window);
        self.reports.push(now);
        if self.reports.len() < settings.failure_limit.max(1) {
            return false;
        }
        self.reports.clear();
        let since = match self.health {
            Health::Trial { since, .. } => since,
            // New trouble.
            _ => {
                self.failures = 0;
                now
            }
        };
        self.health = Health::Failing { since };
        self.overdue = now.saturating_sub(since) >= settings.artifact_wait;
        // An attempt under way goes on; when it ends it is seen that this is failing.
        if self.next_attempt.is_some() {
            self.retry(now, settings, 1, jitter);
        }
        true
    }

    /// The artifact in use.
    pub(super) fn in_use(&self) -> Option<&Usable> {
        self.in_use.as_ref()
    }

    /// Notes that other signatures count now. One in use that is `refused` is used no longer, and
    /// one that was refused before may be good now.
    pub(super) fn trust_changed(&mut self, now: Duration, refused: bool) {
        if refused {
            // What is offered may be just this, which is no absence.
            self.without_decoder(now);
        }
        if self.in_use.is_none() {
            self.failures = 0;
            self.cache_tried = false;
            // An attempt under way goes on, and is judged by what counts when it ends.
            self.next_attempt = self.next_attempt.map(|_| now);
        }
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
            _ if self.overdue || self.dormant => return None,
            Health::Failing { since } => since,
            _ if self.in_use.is_none() && !self.not_offered => self.waiting_since,
            _ => return None,
        };
        Some(since.saturating_add(settings.artifact_wait))
    }

    /// When the next attempt is due; `None` while one is under way, and for one that sleeps.
    pub(super) fn next_attempt(&self) -> Option<Duration> {
        self.next_attempt.filter(|_| !self.dormant)
    }

    /// Whether an attempt is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.next_attempt.is_none()
    }

    /// Since when the decoder in use has its place; `None` without one.
    pub(super) fn in_use_since(&self) -> Option<Duration> {
        self.in_use.as_ref().map(|_| self.in_use_since)
    }

    /// Gives up the decoder in use, which others have a use for, until this version is asked for
    /// again, and not before `next_attempt`. What failed before is not forgotten.
    pub(super) fn put_out_of_use(&mut self, now: Duration, next_attempt: Duration) {
        self.without_decoder(now);
        self.cache_tried = false;
        self.dormant = true;
        self.next_attempt = Some(next_attempt);
    }

    /// Notes that it is asked for. Returns whether it was asleep.
    pub(super) fn wake(&mut self, now: Duration) -> bool {
        let slept = std::mem::replace(&mut self.dormant, false);
        if slept {
            self.waiting_since = now;
        }
        slept
    }

    /// Whether a good artifact came and there was no place for its decoder.
    pub(super) fn waits_for_place(&self) -> bool {
        self.waits_for_place
    }

    /// Notes that there is no place before `at`. The artifact, which is kept, is loaded then.
    pub(super) fn wait_for_place(&mut self, at: Duration) {
        self.waits_for_place = true;
        self.cache_tried = false;
        self.next_attempt = Some(at);
    }

    /// Notes that it is offered, whatever becomes of it. Returns whether the choice has changed.
    pub(super) fn is_offered(&mut self, now: Duration) -> bool {
        let appeared = std::mem::replace(&mut self.not_offered, false);
        if appeared && self.in_use.is_none() {
            self.waiting_since = now;
            self.overdue = false;
        }
        appeared
    }

    fn without_decoder(&mut self, now: Duration) {
        self.in_use = None;
        self.health = Health::Good;
        self.reports.clear();
        self.not_offered = false;
        self.waiting_since = now;
        self.overdue = false;
    }

    /// Ends a trial that went well: nothing was reported for a whole window.
    fn end_trial(&mut self, now: Duration, settings: &Settings) {
        let Health::Trial { started, .. } = self.health else { return };
        let quiet_since = self.reports.last().map_or(started, |last| started.max(*last));
        if now.saturating_sub(quiet_since) >= settings.failure_window {
            self.health = Health::Good;
            self.overdue = false;
            self.failures = 0;
            self.reports.clear();
        }
    }

    /// When to ask again where all is well. The exact artifact is looked for more often than a
    /// newer build of it.
    fn next_look(&self, now: Duration, settings: &Settings) -> Duration {
        let exact = self.in_use.as_ref().is_some_and(|in_use| in_use.exact);
        now + if exact { settings.refresh } else { settings.recheck }
    }

    fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    fn retry(
        &mut self,
        now: Duration,
        settings: &Settings,
        crowd: u32,
        jitter: impl FnOnce(Duration) -> Duration,
    ) {
        self.failures = self.failures.saturating_add(1);
        let limit = settings.backoff.limit(self.failures).saturating_mul(crowd);
        self.next_attempt = Some(now + jitter(limit));
    }
}
