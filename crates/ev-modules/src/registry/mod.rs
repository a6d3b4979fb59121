//! Which decoder for which Auth version.
//!
//! ```text
//!  engine ── choose, report_failure ──▶ Registry (a lock, never held for long)
//!                                          ▲ wakes, reads and writes entries
//!                                          │
//!                             run(): the one task; owns all attempts, at most four at once
//!                                          │
//!              ┌───────────────┬───────────┴───────────┬──────────────────┐
//!         state (kept)    sources in order          verify           load: compile, self-test
//!        blocking thread                        blocking thread       blocking thread
//! ```
//!
//! The task ends when its token is cancelled: attempts that wait for a peer are dropped, blocking
//! work under way is waited for.

mod attempt;
mod entries;
mod entry;
mod highest;
mod known_first;
mod nearest;
mod settings;
mod trusting;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering as Memory};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_core::{
    ArtifactSource, AuthVersion, BoxError, BoxFuture, Choice, Decoder, DecoderError, DecoderSet,
    Env, StateStore, UnknownPolicy,
};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::entries::{Asked, Entries, MAX_IN_USE, MAX_VERSIONS};
use self::entry::{Entry, Outcome};
use self::highest::Highest;
pub use self::settings::{Backoff, Downgrade, Exactness, Settings, VersionPolicy};
use self::trusting::TrustWatch;
use crate::Error;
use crate::envelope::Envelope;
use crate::hex;
use crate::key_id::KeyId;
use crate::manifest::Manifest;
use crate::trust::Trust;
use crate::verify::Verified;
use crate::version::{compare_versions, nearest, same_minor};

/// Attempts at once. Each may hold an artifact of some MiB.
const MAX_ATTEMPTS: usize = 4;

/// Makes a decoder of an artifact that passed all checks: compiles it and tests it against what
/// is known. Called on a thread that may block.
pub trait Load: Send + Sync {
    /// The decoder, ready for use.
    ///
    /// # Errors
    ///
    /// When it cannot be compiled, is not what it says it is, or fails its self-test.
    fn load(&self, verified: Verified) -> Result<Arc<dyn Decoder>, LoadError>;
}

/// An artifact that passed all checks cannot be used all the same.
#[derive(Debug, thiserror::Error)]
#[error("failed to load decoder artifact: {message}")]
pub struct LoadError {
    /// What happened, lower case.
    pub message: String,
    /// The cause, if there is one.
    #[source]
    pub source: Option<BoxError>,
}

impl LoadError {
    /// Without a further cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }
}

/// A table compiled into the program.
#[derive(Clone)]
pub struct Embedded {
    /// The Auth version whose schema it is.
    pub auth_version: AuthVersion,
    /// SHA-256 of the table.
    pub schema_sha256: [u8; 32],
    /// The decoder that runs it.
    pub decoder: Arc<dyn Decoder>,
}

/// What a registry works with.
pub struct Parts {
    /// The embedded tables that may be used; at least one.
    pub embedded: Vec<Embedded>,
    /// Places to fetch artifacts from, the preferred one first.
    pub sources: Vec<Arc<dyn ArtifactSource>>,
    /// Whose signatures count. One that was read from a file is read again when that changes.
    pub trust: Trust,
    /// Makes decoders of artifacts.
    pub loader: Arc<dyn Load>,
    /// Where good artifacts are kept; `None` keeps none.
    pub store: Option<Arc<dyn StateStore>>,
    /// Clock, sleep and jitter.
    pub env: Arc<dyn Env>,
}

/// Answers which decoder fits which Auth version, and gets the artifacts for it.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// How many artifacts were accepted and refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed all checks and loaded.
    pub accepted: u64,
    /// Failed a check or failed to load.
    pub refused: u64,
    /// Calls of a decoder that failed as a whole, those compiled into the program included.
    pub failures: u64,
}

struct Inner {
    embedded: Vec<Embedded>,
    sources: Vec<Arc<dyn ArtifactSource>>,
    trust: Mutex<Arc<Trust>>,
    loader: Arc<dyn Load>,
    store: Option<Arc<dyn StateStore>>,
    env: Arc<dyn Env>,
    settings: Settings,
    shared: Mutex<Shared>,
    wake: Notify,
    generation: watch::Sender<u64>,
    counts: Counters,
}

#[derive(Default)]
struct Shared {
    entries: Entries,
    highest: Highest,
    /// Versions with an embedded table that have sent what the table does not wholly know.
    outgrown: BTreeSet<AuthVersion>,
    /// Versions below it that were told of.
    older: BTreeSet<AuthVersion>,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    fn accepted(&self) {
        self.accepted.fetch_add(1, Memory::Relaxed);
    }

    fn refused(&self) {
        self.refused.fetch_add(1, Memory::Relaxed);
    }
}

impl Registry {
    /// A registry that knows its embedded tables. Nothing is fetched before [`Registry::run`].
    ///
    /// # Errors
    ///
    /// [`Error::NoEmbedded`] when there is no table to fall back to, and [`Error::State`] when the
    /// state does not tell which versions were seen before.
    pub fn try_new(parts: Parts, settings: Settings) -> Result<Self, Error> {
        if parts.embedded.is_empty() {
            return Err(Error::NoEmbedded);
        }
        let highest = Highest::load(parts.store.as_deref())?;
        let shared = Shared { highest, ..Shared::default() };
        let Parts { embedded, sources, trust, loader, store, env } = parts;
        Ok(Self {
            inner: Arc::new(Inner {
                embedded,
                sources,
                trust: Mutex::new(Arc::new(trust)),
                loader,
                store,
                env,
                settings,
                shared: Mutex::new(shared),
                wake: Notify::new(),
                generation: watch::Sender::new(0),
                counts: Counters::default(),
            }),
        })
    }

    /// Fetches, checks and loads artifacts for the versions that are asked for, until `stop` is
    /// cancelled. To be run once; dropping the future stops it too, but leaves blocking work under
    /// way to itself.
    pub async fn run(self, stop: CancellationToken) {
        let inner = &self.inner;
        let mut attempts = FuturesUnordered::new();
        let mut watch = TrustWatch::new(&inner.trust(), inner.env.monotonic());
        loop {
            let now = inner.env.monotonic();
            inner.read_trust(&mut watch, now).await;
            inner.open_overdue(now);
            inner.keep_highest(now).await;
            let room = MAX_ATTEMPTS.saturating_sub(attempts.len());
            let due = inner.lock().entries.due(now, room);
            for (version, task) in due {
                attempts.push(attempt::attempt(Arc::clone(inner), version, task, stop.clone()));
            }
            let next = inner.next_deadline(attempts.len() < MAX_ATTEMPTS);
            let next = next.into_iter().chain(watch.next()).min();
            let sleep = async {
                match next {
                    Some(at) => inner.env.sleep(at.saturating_sub(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((version, outcome)) = attempts.next(), if !attempts.is_empty() => {
                    inner.attempt_ended(&version, outcome);
                }
                () = inner.wake.notified() => {}
                () = sleep => {}
            }
        }
        // Those that wait for a peer give up now; blocking work is waited for.
        while attempts.next().await.is_some() {}
        inner.keep_highest(Duration::MAX).await;
    }

    /// How many artifacts were accepted and refused since the start.
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.inner.counts.accepted.load(Memory::Relaxed),
            refused: self.inner.counts.refused.load(Memory::Relaxed),
            failures: self.inner.counts.failures.load(Memory::Relaxed),
        }
    }

    /// The key by which the artifact in use for that version is signed; `None` if there is none.
    /// Asks for nothing.
    pub fn signer(&self, version: &AuthVersion) -> Option<KeyId> {
        let shared = self.inner.lock();
        let envelope = shared.entries.get(version)?.in_use()?.envelope.clone();
        drop(shared);
        // It was verified, and the manifest has to name the key that counted.
        let envelope = Envelope::parse(&envelope).ok()?;
        Some(Manifest::parse(&envelope.body).ok()?.key_id)
    }
}

impl DecoderSet for Registry {
    fn choose(&self, version: &AuthVersion) -> Choice {
        let inner = &self.inner;
        let own = inner.embedded_of(version);
        let mut shared = inner.lock();
        inner.note_version(&mut shared, version);
        if let Some(own) = own
            && !shared.outgrown.contains(version)
        {
            return Choice::Exact(Arc::clone(&own.decoder));
        }
        let nearest = &own.unwrap_or_else(|| inner.nearest(version)).decoder;
        match inner.entry(&mut shared, version) {
            Some(entry) if own.is_some() => entry.choice_beyond(&inner.settings, nearest),
            Some(entry) => entry.choice(&inner.settings, nearest),
            None => Choice::Inexact { decoder: Arc::clone(nearest), unknown: UnknownPolicy::Park },
        }
    }

    fn generation(&self) -> u64 {
        *self.inner.generation.borrow()
    }

    fn changed(&self, seen: u64) -> BoxFuture<'static, ()> {
        let mut generation = self.inner.generation.subscribe();
        Box::pin(async move {
            if generation.wait_for(|generation| *generation != seen).await.is_err() {
                // The registry is gone: nothing will ever change.
                std::future::pending().await
            }
        })
    }

    fn report_failure(&self, version: &AuthVersion, error: &DecoderError) {
        let inner = &self.inner;
        inner.counts.failures.fetch_add(1, Memory::Relaxed);
        let now = inner.env.monotonic();
        let mut shared = inner.lock();
        let Some(entry) = shared.entries.get_mut(version) else { return };
        let refetch = entry.decoder_failed(now, &inner.settings, |limit| inner.env.jitter(limit));
        drop(shared);
        warn!(%version, %error, refetch, "decoder failed");
        if refetch {
            inner.wake.notify_one();
            inner.bump();
        }
    }

    /// Only a table that is embedded under the name of the version can be outgrown without anybody
    /// having been asked for a better one. An artifact was signed for just that version: what it
    /// does not know waits for another one.
    fn report_unknown(&self, version: &AuthVersion) {
        let inner = &self.inner;
        if inner.embedded_of(version).is_none() || !inner.lock().outgrown.insert(version.clone()) {
            return;
        }
        warn!(
            %version,
            "auth sends what the embedded table of its version does not know: an artifact is wanted"
        );
        // Asking is what makes it wanted.
        self.choose(version);
        inner.bump();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing inside leaves an entry half changed, so a panic elsewhere does not spoil it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bump(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn embedded_of(&self, version: &AuthVersion) -> Option<&Embedded> {
        self.embedded.iter().find(|embedded| embedded.auth_version == *version)
    }

    fn nearest(&self, version: &AuthVersion) -> &Embedded {
        let index = nearest(version, self.embedded.iter().map(|embedded| &embedded.auth_version));
        &self.embedded[index.unwrap_or(0)]
    }

    /// Keeps the highest version seen, and tells of each lower one once. That need not be a
    /// downgrade of Auth: events that were parked under an older version ask for it too.
    fn note_version(&self, shared: &mut Shared, version: &AuthVersion) {
        let before = shared.highest.seen().cloned();
        match (shared.highest.note(version), before) {
            (Ordering::Equal, _) => {}
            (Ordering::Greater, Some(before)) => {
                info!(%version, %before, "newer Auth version");
                self.wake.notify_one();
            }
            (Ordering::Less, Some(highest)) => {
                if shared.older.contains(version) {
                    return;
                }
                let policy = self.settings.downgrade;
                info!(%version, %highest, ?policy, "decoder wanted for an older Auth version");
                if shared.older.len() >= MAX_VERSIONS {
                    shared.older.clear();
                }
                shared.older.insert(version.clone());
            }
            (_, None) => {
                info!(%version, "first Auth version");
                self.wake.notify_one();
            }
        }
    }

    /// The entry for a version. For a new one, the task is asked to get its artifact. `None` when
    /// there is no room for another one.
    fn entry<'a>(&self, shared: &'a mut Shared, version: &AuthVersion) -> Option<&'a mut Entry> {
        let now = self.env.monotonic();
        let nobody_to_ask = self.sources.is_empty() && self.store.is_none();
        let new = || Entry::new(now, nobody_to_ask);
        let (entry, asked) = shared.entries.ask(version, now, new)?;
        if asked == Asked::New && !shared.outgrown.contains(version) {
            let nearest = &self.nearest(version).auth_version;
            info!(%version, %nearest, "no embedded table for this Auth version: an artifact is wanted");
        }
        if asked != Asked::Again {
            self.wake.notify_one();
        }
        Some(entry)
    }

    /// The highest version seen, if the policy forbids artifacts of this older one.
    fn forbidden_downgrade(&self, version: &AuthVersion) -> Option<AuthVersion> {
        let highest = self.lock().highest.seen().cloned()?;
        let allowed = compare_versions(version, &highest) != Ordering::Less
            || match self.settings.downgrade {
                Downgrade::Always => true,
                Downgrade::WithinMinor => same_minor(version, &highest),
                Downgrade::Never => false,
            };
        (!allowed).then_some(highest)
    }

    fn open_overdue(&self, now: Duration) {
        let mut changed = false;
        for (version, entry) in self.lock().entries.iter_mut() {
            if entry.open_if_overdue(now, &self.settings) {
                changed = true;
                let waited_secs = self.settings.artifact_wait.as_secs();
                warn!(
                    %version,
                    waited_secs,
                    "no usable decoder artifact in time: the nearest table decodes known events"
                );
            }
        }
        if changed {
            self.bump();
        }
    }

    fn next_deadline(&self, room: bool) -> Option<Duration> {
        let shared = self.lock();
        let deadlines = shared.entries.iter().flat_map(|entry| {
            // Without room, the end of an attempt is what is waited for.
            [entry.wait_ends(&self.settings), entry.next_attempt().filter(|_| room)]
        });
        let keep = shared.highest.write_at().filter(|_| self.store.is_some());
        deadlines.flatten().chain(keep).min()
    }

    fn attempt_ended(&self, version: &AuthVersion, outcome: Outcome) {
        let now = self.env.monotonic();
        let mut shared = self.lock();
        let crowd = shared.entries.crowd();
        let place = match &outcome {
            Outcome::Ready { .. } => shared.entries.make_place(version, now),
            _ => Ok(None),
        };
        let Some(entry) = shared.entries.get_mut(version) else { return };
        let changed = match place {
            Ok(gone) => {
                if let Some(gone) = &gone {
                    info!(%version, %gone, limit = MAX_IN_USE, "decoder artifact makes place for another");
                }
                let jitter = |limit| self.env.jitter(limit);
                let before = entry.in_use().map(|usable| usable.held.sha256);
                let changed = entry.attempt_ended(now, outcome, &self.settings, crowd, jitter);
                let after = entry.in_use().map(|usable| usable.held.sha256);
                if let (Some(before), Some(after)) = (before, after)
                    && before != after
                {
                    let (before, after) = (hex::encode(&before), hex::encode(&after));
                    info!(
                        audit = "artifact.swapped",
                        %version, before, after, "decoder artifact takes the place of another"
                    );
                }
                changed
            }
            Err(at) => {
                if !entry.waits_for_place() {
                    let limit = MAX_IN_USE;
                    warn!(%version, limit, "decoder artifact waits, as so many others are in use");
                }
                entry.wait_for_place(at);
                entry.is_offered(now)
            }
        };
        drop(shared);
        if changed {
            self.bump();
        }
    }
}
