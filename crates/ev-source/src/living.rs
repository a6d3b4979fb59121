//! The connections of the moment and what Auth said on them, for whoever shares them.
//!
//! Each link has its own, over which alone it reads. What belongs to no link (artifacts, locks, which
//! calls there are) goes over the one that was made last.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_core::AuthVersion;
use tokio::sync::Notify;

use crate::connection::Connection;
use crate::presence::Reconnects;

/// All connections of a program to one Auth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Living(Arc<Place>);

#[derive(Debug, Default)]
struct Place {
    all: Mutex<All>,
    /// There is another connection, or one is gone.
    changed: Notify,
}

#[derive(Debug, Default)]
struct All {
    /// By the number of the link; only of those that have begun.
    moments: BTreeMap<u64, Moment>,
    joined: u64,
    /// How many connections were made.
    made: u64,
    reconnects: Reconnects,
    /// That of the last link, which has ended: what is still to be said at the end (a lock) goes
    /// over it.
    last: Option<(Arc<Connection>, AuthVersion)>,
}

/// Where one link stands.
#[derive(Debug, Default)]
struct Moment {
    connection: Option<Arc<Connection>>,
    /// Its place in the order in which connections were made.
    order: u64,
    version: Option<AuthVersion>,
    /// When the last one was lost.
    lost_at: Option<Duration>,
    /// Why the last attempt to make one failed.
    failure: Option<String>,
    /// Since when and why the log cannot be read although there is a connection.
    unread: Option<(Duration, String)>,
    /// Since when Auth does not answer.
    silent: Option<(Duration, String)>,
}

impl Moment {
    fn up(&self) -> Option<(Arc<Connection>, AuthVersion)> {
        Some((self.connection.clone()?, self.version.clone()?))
    }
}

impl Living {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a link that has not begun.
    pub(crate) fn join(&self) -> Own {
        let mut all = self.lock();
        all.joined += 1;
        Own { all: self.clone(), number: all.joined }
    }

    pub(crate) fn get(&self) -> Option<Arc<Connection>> {
        self.up().map(|(connection, _)| connection)
    }

    /// The living connection that was made last, with Auth's version; behind the end of all links
    /// that of the last one.
    pub(crate) fn up(&self) -> Option<(Arc<Connection>, AuthVersion)> {
        let all = self.lock();
        let living = all.moments.values().filter(|moment| moment.connection.is_some());
        match living.max_by_key(|moment| moment.order) {
            Some(moment) => moment.up(),
            None => all.last.clone(),
        }
    }

    /// The same once there is one.
    pub(crate) async fn connected(&self) -> (Arc<Connection>, AuthVersion) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Before the look, so that nothing is missed between the two.
            changed.as_mut().enable();
            if let Some(up) = self.up() {
                return up;
            }
            changed.await;
        }
    }

    /// Whether each link that has begun has a connection, and there is one.
    pub(crate) fn is_whole(&self) -> bool {
        let all = self.lock();
        !all.moments.is_empty() && all.moments.values().all(|moment| moment.connection.is_some())
    }

    /// Since when a link has none; that which has had none for longest.
    pub(crate) fn lost_at(&self) -> Option<Duration> {
        let all = self.lock();
        let lost = all.moments.values().filter(|moment| moment.connection.is_none());
        lost.filter_map(|moment| moment.lost_at).min()
    }

    /// Why the last attempt of a link without a connection failed.
    pub(crate) fn failure(&self) -> Option<String> {
        let all = self.lock();
        let mut lost = all.moments.values().filter(|moment| moment.connection.is_none());
        lost.find_map(|moment| moment.failure.clone())
    }

    /// Why nothing comes although there is a connection, and since when.
    pub(crate) fn trouble(&self) -> Option<(Duration, String)> {
        let all = self.lock();
        let up = all.moments.values().filter(|moment| moment.connection.is_some());
        let troubles = up.filter_map(|moment| moment.silent.clone().or(moment.unread.clone()));
        troubles.min_by_key(|(since, _)| *since)
    }

    pub(crate) fn reconnects(&self) -> Reconnects {
        self.lock().reconnects
    }
}

/// The connection of one link. It is gone with the last that knows of it.
#[derive(Debug)]
pub(crate) struct Own {
    all: Living,
    number: u64,
}

impl Own {
    /// All of the program, this one among them.
    pub(crate) fn all(&self) -> &Living {
        &self.all
    }

    fn change<T>(&self, change: impl FnOnce(&mut Moment) -> T) -> T {
        change(self.all.lock().moments.entry(self.number).or_default())
    }

    pub(crate) fn get(&self) -> Option<Arc<Connection>> {
        self.all.lock().moments.get(&self.number)?.connection.clone()
    }

    /// It counts from now on, without a connection as yet.
    pub(crate) fn begin(&self, now: Duration) {
        let mut all = self.all.lock();
        // That was to another Auth, for all that anybody knows.
        all.last = None;
        let was_connected = all.made > 0;
        drop(all);
        self.change(|moment| moment.lost_at = was_connected.then_some(now));
    }

    /// Another connection, with the version that Auth told on it.
    pub(crate) fn set(&self, connection: Arc<Connection>, version: AuthVersion) {
        let mut all = self.all.lock();
        all.made += 1;
        let order = all.made;
        let (connection, version) = (Some(connection), Some(version));
        let moment = Moment { connection, order, version, ..Moment::default() };
        all.moments.insert(self.number, moment);
        drop(all);
        self.all.0.changed.notify_waiters();
    }

    /// There is none any more.
    pub(crate) fn lose(&self, now: Duration) {
        self.change(|moment| {
            if moment.connection.take().is_some() {
                // Nothing came since then.
                let silent = moment.silent.take().map(|(since, _)| since);
                moment.lost_at = Some(silent.unwrap_or(now));
            }
        });
        self.all.0.changed.notify_waiters();
    }

    /// The version that Auth tells.
    pub(crate) fn learn(&self, version: AuthVersion) {
        self.change(|moment| moment.version = Some(version));
    }

    /// No connection could be made.
    pub(crate) fn set_failure(&self, reason: String) {
        self.change(|moment| moment.failure = Some(reason));
    }

    /// Searches fail, or do so no more; one that goes on failing keeps its beginning.
    pub(crate) fn set_unread(&self, trouble: Option<(Duration, String)>) {
        self.change(|moment| {
            if trouble.is_none() {
                // Whoever answers a search is not silent.
                moment.silent = None;
            }
            keep(&mut moment.unread, trouble);
        });
    }

    pub(crate) fn set_silent(&self, trouble: Option<(Duration, String)>) {
        self.change(|moment| keep(&mut moment.silent, trouble));
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Reconnects)) {
        count(&mut self.all.lock().reconnects);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let ended = all.moments.remove(&self.number);
        if let Some(ended) = ended.filter(|_| all.moments.is_empty()) {
            all.last = ended.up();
        }
        drop(all);
        self.all.0.changed.notify_waiters();
    }
}

/// A trouble that lasts began when it was first seen.
fn keep(place: &mut Option<(Duration, String)>, trouble: Option<(Duration, String)>) {
    *place = match (place.take(), trouble) {
        (Some((since, _)), Some((_, reason))) => Some((since, reason)),
        (_, trouble) => trouble,
    };
}
