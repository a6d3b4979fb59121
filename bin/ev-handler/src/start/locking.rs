//! Locks users out after failed logins, when that is asked for.

use std::sync::Arc;

use ev_config::Settings;
use ev_core::{Change, Claim, Env, SinkId, Snapshot, StateStore as _, Timestamp};
use ev_locking::{Config, FailedLogin, Lockout, Setter};
use ev_pipeline::{TakenEvent, Watcher};
use ev_source::AuthLocks;
use ev_state::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::Error;

/// Type of the events that tell of a login, failed or not.
const LOGIN: &str = "user.login";

/// The task that sets locks, and who tells it. Dropping it ends it soon.
pub(crate) struct Locking {
    lockout: Lockout,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Locking {
    /// Begins, if the settings ask for it: never in a dry run. Needs a running tokio runtime.
    pub(super) fn begin(settings: &Settings, locks: AuthLocks, env: &Arc<dyn Env>) -> Option<Self> {
        let lock = settings.lock.filter(|_| !settings.dry_run)?;
        let ingest = &settings.ingest;
        let is_login = |kind: &String| kind == LOGIN;
        if ingest.skip_event_types.iter().any(is_login)
            || !ingest.types.is_empty() && !ingest.types.iter().any(is_login)
        {
            warn!("auto-locking is on, but `{LOGIN}` events are left out: nobody will be locked");
        }
        let config = Config {
            failed_attempts: usize::try_from(lock.failed_attempts).unwrap_or(usize::MAX),
            period: lock.period,
            lock_for: lock.lock_for,
        };
        let lockout = Lockout::new(config, Arc::clone(env));
        let stop = CancellationToken::new();
        let setter = Setter::new(&lockout, Arc::new(locks));
        // Waited for in `end`.
        let task = tokio::spawn(setter.run(stop.clone()));
        Some(Self { lockout, stop: stop.drop_guard(), task })
    }

    /// Tells it of failed logins.
    pub(super) fn watcher(&self) -> Arc<dyn Watcher> {
        Arc::new(Logins(self.lockout.clone()))
    }

    pub(super) fn lockout(&self) -> Lockout {
        self.lockout.clone()
    }

    /// Ends it; locks that wait are tried once more. What became of them since the engine's last
    /// commit is kept in the state, or the next run would set them again.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] if it had panicked, and those of the state.
    pub(super) async fn end(self, store: &SqliteStore, sink: &SinkId) -> Result<(), Error> {
        drop(self.stop);
        self.task.await.map_err(Error::Task)?;
        if !self.lockout.has_unsaved() || store.is_blank(sink)? {
            return Ok(());
        }
        let Some((cluster, flavour)) = store.identity()? else { return Ok(()) };
        let (sink, start_time) = (sink.clone(), Timestamp::EPOCH);
        let claim = Claim { sink, cluster, flavour: Some(flavour), start_time };
        let snapshot = store.open_sink(&claim)?;
        let mut change = Change::default();
        self.lockout.put_into(&mut change);
        store.commit(&claim.sink, snapshot.epoch, &change)?;
        Ok(())
    }
}

/// Picks failed logins.
#[derive(Debug)]
struct Logins(Lockout);

impl Watcher for Logins {
    fn taken(&self, taken: &TakenEvent<'_>) {
        let TakenEvent { digest, event, facts } = *taken;
        if facts.kind.of(&event.bytes) != LOGIN.as_bytes() {
            return;
        }
        let Some(login) = facts.login else { return };
        // A false is not on the wire, so an absent one is a false.
        if login.success == Some(true) {
            return;
        }
        self.0.failed(&FailedLogin {
            id: digest,
            at: facts.time,
            user: login.user.of(&event.bytes),
            login: login.login.of(&event.bytes),
        });
    }

    fn restored(&self, snapshot: &Snapshot) {
        self.0.restore(&snapshot.due_locks);
    }

    fn has_more(&self) -> bool {
        self.0.has_unsaved()
    }

    fn put_into(&self, change: &mut Change) {
        self.0.put_into(change);
    }
}
