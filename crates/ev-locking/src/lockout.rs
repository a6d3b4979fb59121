//! Told of failed logins, decides which of them locks, and keeps the locks that are to be set.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_core::{Change, Env, EventDigest, Timestamp, UserLock};
use ring::digest::{SHA256, digest};
use tokio::sync::Notify;
use tracing::{debug, error, info};

use crate::limiter::{Limiter, Ruling, Who};
use crate::queue::Queue;

/// Users with a counter at most. Who attacks with made-up names drives out others' counters, not
/// the memory up.
const MAX_USERS: usize = 16_384;
/// Failed logins that are remembered at most.
const MAX_TIMES: usize = 262_144;
/// Locks that wait to be set at most.
const MAX_WAITING: usize = 4_096;
/// Longest name of a user or login that is locked, in bytes. Auth keeps a lock under its name.
const MAX_NAME: usize = 512;
/// Bytes of the digest in the names of some locks, which are twice as many digits.
const NAME_DIGEST: usize = 6;

/// What users are told, word for word as by the reference handler.
const MESSAGE: &str = "User is locked due to too many failed login attempts";

/// When users are locked, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Failed logins that are let pass in any stretch shorter than `period`, 1 to 10,000; each one
    /// more locks. Default 3.
    pub failed_attempts: usize,
    /// How near together they have to be. Default one minute.
    pub period: Duration,
    /// How long a lock lasts from the moment it was decided; `None` (the default) means for ever.
    pub lock_for: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self { failed_attempts: 3, period: Duration::from_secs(60), lock_for: None }
    }
}

/// A login that failed. Names are bytes as the event has them.
#[derive(Clone, Copy, Debug)]
pub struct FailedLogin<'a> {
    /// Id of the event.
    pub id: EventDigest,
    /// Time of the event; year 1 if it has none.
    pub at: Timestamp,
    /// Teleport user.
    pub user: &'a [u8],
    /// Login of the operating system; empty for logins to Teleport itself.
    pub login: &'a [u8],
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Failed logins counted, each event once.
    pub failed_logins: u64,
    /// Failed logins that nobody can be locked for, because they name no user.
    pub nameless: u64,
    /// Users with a counter now.
    pub users: usize,
    /// Locks set.
    pub set: u64,
    /// Attempts to set one that failed.
    pub failures: u64,
    /// Locks that wait to be set now.
    pub waiting: usize,
    /// Locks that will not be set: refused, or too many waited.
    pub lost: u64,
}

/// Counts failed logins and decides who is locked. Clones are the same.
#[derive(Clone)]
pub struct Lockout(Arc<Inner>);

pub(crate) struct Inner {
    config: Config,
    pub(crate) env: Arc<dyn Env>,
    desk: Mutex<Desk>,
    pub(crate) more: Notify,
}

pub(crate) struct Desk {
    limiter: Limiter,
    pub(crate) counts: Counts,
    pub(crate) queue: Queue,
    /// Whether the locks of an earlier process were taken up.
    restored: bool,
}

impl Lockout {
    /// Nothing is counted yet.
    pub fn new(config: Config, env: Arc<dyn Env>) -> Self {
        let limiter = Limiter::new(config.failed_attempts, config.period, MAX_USERS, MAX_TIMES);
        let desk =
            Desk { limiter, counts: Counts::default(), queue: Queue::default(), restored: false };
        Self(Arc::new(Inner { config, env, desk: Mutex::new(desk), more: Notify::new() }))
    }

    /// Counts a failed login and, if it is one too many, has the user locked. Returns at once.
    pub fn failed(&self, login: &FailedLogin<'_>) {
        let now = self.0.env.now();
        let mut desk = self.0.desk();
        let Some((user, os_login)) = who(login) else {
            // Without a user the lock would be on everybody who uses that login, or on nobody.
            desk.counts.nameless += 1;
            debug!("a failed login without a usable user name is not counted");
            return;
        };
        let at = if login.at == Timestamp::ZERO_YEAR_ONE { now } else { login.at };
        match desk.limiter.failed((user.clone(), os_login.clone()), login.id, at) {
            Ruling::Known => {}
            Ruling::Passes => desk.counts.failed_logins += 1,
            Ruling::Locks => {
                desk.counts.failed_logins += 1;
                let expires = self.0.config.lock_for.map(|lock_for| {
                    now.plus_seconds(i64::try_from(lock_for.as_secs()).unwrap_or(i64::MAX))
                });
                let name = lock_name(&user, &os_login);
                info!(user, login = os_login, "too many failed logins, the user is to be locked");
                let message = MESSAGE.to_owned();
                desk.add(UserLock { name, user, login: os_login, message, expires });
                drop(desk);
                self.0.more.notify_one();
            }
        }
    }

    /// Takes up the locks that the state has. The first time they are those that an earlier process
    /// did not come to set; later it is told once more what became of them.
    pub fn restore(&self, due: &[UserLock]) {
        let mut desk = self.0.desk();
        if std::mem::replace(&mut desk.restored, true) {
            return desk.queue.save_again(due);
        }
        if due.is_empty() {
            return;
        }
        info!(locks = due.len(), "locks that were decided on before are to be set");
        due.iter().for_each(|lock| desk.queue.restore(lock.clone()));
        drop(desk);
        self.0.more.notify_one();
    }

    /// Whether the state is to be told of locks that are to be set, or are set.
    pub fn has_unsaved(&self) -> bool {
        self.0.desk().queue.has_unsaved()
    }

    /// Puts into a change what the state is to be told; once each.
    pub fn put_into(&self, change: &mut Change) {
        self.0.desk().queue.put_into(change);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let desk = self.0.desk();
        Counts { users: desk.limiter.users(), waiting: desk.queue.len(), ..desk.counts }
    }

    pub(crate) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Lockout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lockout").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn add(&mut self, lock: UserLock) {
        self.queue.add(lock);
        if self.queue.len() <= MAX_WAITING {
            return;
        }
        if let Some(UserLock { name, .. }) = self.queue.drop_oldest() {
            self.counts.lost += 1;
            error!(name, waiting = MAX_WAITING, "too many locks wait to be set, one is given up");
        }
    }
}

/// The name of a lock as the reference handler gives it, where that tells users and logins apart:
/// `jean-paul` as `root` and `jean` as `paul-root` would share one, and the lock of one would take
/// the place of the other's. With a `-` in either, a digest of both follows.
fn lock_name(user: &str, login: &str) -> String {
    let mut name = format!("event-handler-auto-lock-{user}-{login}");
    if user.contains('-') || login.contains('-') {
        let both = digest(&SHA256, format!("{user}\0{login}").as_bytes());
        name.push('-');
        for byte in &both.as_ref()[..NAME_DIGEST] {
            name.push_str(&format!("{byte:02x}"));
        }
    }
    name
}

/// User and login, if somebody can be locked by them.
fn who(failed: &FailedLogin<'_>) -> Option<Who> {
    let text = |name: &[u8]| {
        (name.len() <= MAX_NAME).then(|| std::str::from_utf8(name).ok().map(str::to_owned))?
    };
    let user = text(failed.user).filter(|user| !user.is_empty())?;
    Some((user, text(failed.login)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setter::tests::TestEnv;

    fn id(n: usize) -> EventDigest {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        EventDigest(bytes)
    }

    fn lockout(config: Config) -> Lockout {
        Lockout::new(config, Arc::new(TestEnv::new()))
    }

    fn fail(lockout: &Lockout, n: usize, user: &[u8], login: &[u8]) {
        lockout.failed(&FailedLogin { id: id(n), at: Timestamp::new(100, 0), user, login });
    }

    fn waiting(lockout: &Lockout) -> Vec<UserLock> {
        lockout.0.desk().queue.locks().cloned().collect()
    }

    #[test]
    fn a_lock_is_what_the_reference_sets() {
        let config = Config { lock_for: Some(Duration::from_secs(300)), ..Config::default() };
        let lockout = lockout(config);
        for n in 0..4 {
            assert_eq!(waiting(&lockout), [], "the fourth locks");
            fail(&lockout, n, b"mallory", b"root");
        }
        let now = lockout.0.env.now();
        let expected = UserLock {
            name: "event-handler-auto-lock-mallory-root".to_owned(),
            user: "mallory".to_owned(),
            login: "root".to_owned(),
            message: "User is locked due to too many failed login attempts".to_owned(),
            expires: Some(now.plus_seconds(300)),
        };
        assert_eq!(waiting(&lockout), [expected]);
    }

    #[test]
    fn no_two_users_and_logins_share_a_lock() {
        let lockout = lockout(Config { failed_attempts: 1, ..Config::default() });
        let pairs: [(&[u8], &[u8]); 5] = [
            (b"jean-paul", b"root"),
            (b"jean", b"paul-root"),
            (b"jean-paul-root", b""),
            (b"jean", b"root"),
            (b"jean.paul", b""),
        ];
        for (n, (user, login)) in pairs.into_iter().enumerate() {
            fail(&lockout, 2 * n, user, login);
            fail(&lockout, 2 * n + 1, user, login);
        }
        let mut names: Vec<_> = waiting(&lockout).into_iter().map(|lock| lock.name).collect();
        names.sort();
        let prefix = "event-handler-auto-lock-";
        let names: Vec<_> = names.iter().map(|name| name.strip_prefix(prefix).unwrap()).collect();
        assert_eq!(
            names,
            [
                // printf 'jean\0paul-root' | sha256sum, and so on.
                "jean-paul-root--412e0f01cc83",
                "jean-paul-root-37b43276532d",
                "jean-paul-root-abf6bfa35065",
                "jean-root",
                "jean.paul-",
            ]
        );
    }

    #[test]
    fn without_a_login_the_user_alone_counts_and_is_locked() {
        let lockout = lockout(Config::default());
        for (n, user) in ["alice", "bob", "carol"].into_iter().enumerate() {
            fail(&lockout, n, user.as_bytes(), b"");
        }
        assert_eq!(waiting(&lockout), [], "one failure each of three users");
        (10..13).for_each(|n| fail(&lockout, n, b"alice", b""));
        let locks = waiting(&lockout);
        assert_eq!(locks.len(), 1);
        assert_eq!((locks[0].user.as_str(), locks[0].login.as_str()), ("alice", ""));
        assert_eq!(locks[0].name, "event-handler-auto-lock-alice-");
        assert_eq!(locks[0].expires, None);
    }

    #[test]
    fn nobody_is_locked_who_has_no_usable_name() {
        let lockout = lockout(Config { failed_attempts: 1, ..Config::default() });
        for n in 0..10 {
            fail(&lockout, n, b"", b"root");
            fail(&lockout, 100 + n, b"\xff", b"");
            fail(&lockout, 200 + n, b"alice", b"\xff");
            fail(&lockout, 300 + n, &[b'a'; MAX_NAME + 1], b"");
        }
        assert_eq!(waiting(&lockout), []);
        assert_eq!((lockout.counts().nameless, lockout.counts().users), (40, 0));
    }

    #[test]
    fn the_locks_that_wait_are_bounded() {
        let lockout = lockout(Config { failed_attempts: 1, ..Config::default() });
        for n in 0..MAX_WAITING + 2 {
            let user = format!("user-{n:05}");
            fail(&lockout, 2 * n, user.as_bytes(), b"");
            fail(&lockout, 2 * n + 1, user.as_bytes(), b"");
        }
        let counts = lockout.counts();
        assert_eq!((counts.waiting, counts.lost), (MAX_WAITING, 2));
        assert!(!waiting(&lockout).iter().any(|lock| lock.user == "user-00000"), "the oldest");
    }

    #[test]
    fn an_event_without_time_counts_as_of_now() {
        let lockout = lockout(Config { failed_attempts: 1, ..Config::default() });
        let at = Timestamp::ZERO_YEAR_ONE;
        for n in 0..2 {
            lockout.failed(&FailedLogin { id: id(n), at, user: b"a", login: b"" });
        }
        assert_eq!(waiting(&lockout).len(), 1);
        let now = lockout.0.env.now();
        let failed = FailedLogin { id: id(9), at: now, user: b"a", login: b"" };
        lockout.failed(&failed);
        assert_eq!(lockout.counts().failed_logins, 3);
    }
}
