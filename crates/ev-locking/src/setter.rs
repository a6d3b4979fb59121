//! The task that has locks set.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{LockError, Locks};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::Lockout;
use crate::lockout::Inner;
use crate::queue::{Next, Turn};

/// Pause while we may not set locks: only an operator mends that.
const DENIED_PAUSE: Duration = Duration::from_secs(60);
/// How long a stop waits for locks that are still to be set.
const GRACE: Duration = Duration::from_secs(5);

/// Has the locks set that a [`Lockout`] decides on, one at a time, the oldest first. One on which
/// Auth fails goes behind the others.
pub struct Setter {
    inner: Arc<Inner>,
    locks: Arc<dyn Locks>,
}

/// What was said since something went well.
#[derive(Default)]
struct Said {
    denied: bool,
    failing: bool,
}

/// How Auth took a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It is dealt with, one way or the other.
    Done,
    /// Auth does not let us set any.
    Denied,
    /// It has to be tried again.
    Again,
}

impl Setter {
    /// Sets by `locks` what `lockout` decides.
    pub fn new(lockout: &Lockout, locks: Arc<dyn Locks>) -> Self {
        Self { inner: lockout.inner(), locks }
    }

    /// Runs until `stop` is cancelled; then tries once more to set what waits, for at most five
    /// seconds. What is left then stays in the state, for the next process.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.set_for_ever() => {}
        }
        tokio::select! {
            biased;
            () = self.set_all_once() => {}
            () = self.inner.env.sleep(GRACE) => {}
        }
        let waiting = self.inner.desk().queue.len();
        if waiting > 0 {
            warn!(waiting, "locks are left to the next run");
        }
    }

    async fn set_for_ever(&self) {
        let mut said = Said::default();
        loop {
            let now = self.inner.env.monotonic();
            let next = self.inner.desk().queue.next(now);
            match next {
                Next::Set(turn) => drop(self.set(&turn, &mut said).await),
                Next::Wait(until) => tokio::select! {
                    () = self.inner.env.sleep(until.saturating_sub(now)) => {}
                    () = self.inner.more.notified() => {}
                },
                Next::Nothing => self.inner.more.notified().await,
            }
        }
    }

    async fn set_all_once(&self) {
        let mut said = Said::default();
        let all = self.inner.desk().queue.all();
        for turn in &all {
            if self.set(turn, &mut said).await == Taken::Denied {
                return;
            }
        }
    }

    /// One attempt.
    async fn set(&self, turn: &Turn, said: &mut Said) -> Taken {
        let (name, expires) = (&turn.lock.name, turn.lock.expires);
        let env = &self.inner.env;
        if expires.is_some_and(|at| at <= env.now()) {
            warn!(name, "a lock has ended before it could be set");
            self.inner.desk().queue.done(turn);
            return Taken::Done;
        }
        let answer = self.locks.upsert(&turn.lock).await;
        let now = env.monotonic();
        let mut desk = self.inner.desk();
        let Err(error) = answer else {
            desk.counts.set += 1;
            let attempts = desk.queue.done(turn) + 1;
            desk.queue.answers();
            *said = Said::default();
            match expires {
                Some(expires) => {
                    info!(audit = "user.locked", name, %expires, attempts, "locked after failed logins")
                }
                None => info!(
                    audit = "user.locked",
                    name, attempts, "locked after failed logins, for ever"
                ),
            }
            return Taken::Done;
        };
        desk.counts.failures += 1;
        match error {
            LockError::Refused { message } => {
                desk.counts.lost += 1;
                desk.queue.done(turn);
                error!(name, reason = message, "lock is refused and given up");
                Taken::Done
            }
            LockError::Denied { message } => {
                desk.queue.shut_until(now + DENIED_PAUSE);
                if !std::mem::replace(&mut said.denied, true) {
                    error!(
                        name,
                        reason = message,
                        "not allowed to lock users: the role of this handler needs the verbs \
                         `create` and `update` on `lock`; trying again until it has them"
                    );
                }
                Taken::Denied
            }
            other => {
                desk.queue.failed(turn, now, |pause| env.jitter(pause));
                let error = &other as &dyn std::error::Error;
                if std::mem::replace(&mut said.failing, true) {
                    debug!(name, error, "lock cannot be set");
                } else {
                    warn!(name, error, "lock cannot be set, trying again until it is");
                }
                Taken::Again
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use ev_core::{BoxFuture, Env, EventDigest, Timestamp, UserLock};
    use tokio::sync::watch;

    use super::*;
    use crate::queue::{RETRY_BASE, RETRY_CAP};
    use crate::{Config, FailedLogin};

    /// tokio's clock, which the tests pause.
    pub(crate) struct TestEnv(Option<tokio::time::Instant>);

    impl TestEnv {
        pub(crate) fn new() -> Self {
            let is_there = tokio::runtime::Handle::try_current().is_ok();
            Self(is_there.then(tokio::time::Instant::now))
        }
    }

    impl Env for TestEnv {
        fn now(&self) -> Timestamp {
            Timestamp::new(1_000_000 + i64::try_from(self.monotonic().as_secs()).unwrap(), 0)
        }

        fn monotonic(&self) -> Duration {
            self.0.map(|origin| origin.elapsed()).unwrap_or_default()
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            Box::pin(tokio::time::sleep(duration))
        }

        fn random(&self) -> u64 {
            7
        }
    }

    type Answer = Result<(), LockError>;

    /// Answers as the script says, then always well.
    struct Auth {
        script: Mutex<VecDeque<Answer>>,
        seen: watch::Sender<Vec<(Duration, UserLock)>>,
        env: Arc<TestEnv>,
    }

    impl Auth {
        fn new(env: &Arc<TestEnv>, script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
            let script = Mutex::new(script.into_iter().collect());
            Arc::new(Self { script, seen: watch::Sender::new(Vec::new()), env: env.clone() })
        }

        async fn seen(&self, count: usize) -> Vec<(Duration, UserLock)> {
            let mut seen = self.seen.subscribe();
            seen.wait_for(|seen| seen.len() >= count).await.unwrap().clone()
        }
    }

    impl Locks for Auth {
        fn upsert<'a>(&'a self, lock: &'a UserLock) -> BoxFuture<'a, Answer> {
            self.seen.send_modify(|seen| seen.push((self.env.monotonic(), lock.clone())));
            let answer = self.script.lock().unwrap().pop_front().unwrap_or(Ok(()));
            Box::pin(async move { answer })
        }
    }

    fn failing() -> Answer {
        Err(LockError::Failed { message: "no connection".into(), source: None })
    }

    fn denied() -> Answer {
        Err(LockError::Denied { message: "access denied".into() })
    }

    fn refused() -> Answer {
        Err(LockError::Refused { message: "bad lock".into() })
    }

    struct Rig {
        auth: Arc<Auth>,
        lockout: Lockout,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
        failures: u64,
    }

    impl Rig {
        fn new(config: Config, script: impl IntoIterator<Item = Answer>) -> Self {
            let env = Arc::new(TestEnv::new());
            let auth = Auth::new(&env, script);
            let lockout = Lockout::new(config, env);
            let stop = CancellationToken::new();
            let setter = Setter::new(&lockout, auth.clone());
            let task = tokio::spawn(setter.run(stop.clone()));
            Self { auth, lockout, stop, task, failures: 0 }
        }

        /// So many failed logins in one second.
        fn fail(&mut self, user: &str, count: usize) {
            for _ in 0..count {
                self.failures += 1;
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&self.failures.to_be_bytes());
                let (id, at) = (EventDigest(bytes), Timestamp::new(50, 0));
                self.lockout.failed(&FailedLogin { id, at, user: user.as_bytes(), login: b"" });
            }
        }

        async fn end(self) -> crate::Counts {
            self.stop.cancel();
            self.task.await.unwrap();
            self.lockout.counts()
        }
    }

    fn users(seen: &[(Duration, UserLock)]) -> Vec<&str> {
        seen.iter().map(|(_, lock)| lock.user.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_fails_is_tried_again_with_growing_pauses() {
        let mut rig = Rig::new(Config::default(), (0..12).map(|_| failing()));
        rig.fail("alice", 4);
        let seen = rig.auth.seen(13).await;
        assert_eq!(users(&seen), ["alice"; 13]);
        let pauses: Vec<_> = seen.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(pauses[0] <= RETRY_BASE && pauses[11] <= RETRY_CAP, "{pauses:?}");
        assert!(pauses[11] >= RETRY_CAP / 2, "{pauses:?}");
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.failures, counts.waiting, counts.lost), (1, 12, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_beyond_locks_again_and_users_have_their_own() {
        let mut rig = Rig::new(Config::default(), []);
        rig.fail("alice", 3);
        rig.fail("bob", 3);
        rig.fail("alice", 1);
        rig.auth.seen(1).await;
        rig.fail("alice", 1);
        rig.auth.seen(2).await;
        rig.fail("bob", 1);
        let seen = rig.auth.seen(3).await;
        assert_eq!(users(&seen), ["alice", "alice", "bob"]);
        assert_eq!(rig.end().await.set, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn locks_that_wait_are_set_once_each_and_the_oldest_first() {
        let mut rig = Rig::new(Config::default(), [denied()]);
        rig.fail("zoe", 4);
        rig.auth.seen(1).await;
        rig.fail("alice", 9);
        rig.fail("bob", 5);
        let seen = rig.auth.seen(4).await;
        assert_eq!(users(&seen), ["zoe", "zoe", "alice", "bob"]);
        assert_eq!(rig.end().await.set, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_fails_goes_behind_the_others() {
        let mut rig = Rig::new(Config::default(), [failing()]);
        rig.fail("zoe", 4);
        rig.auth.seen(1).await;
        rig.fail("alice", 4);
        let seen = rig.auth.seen(3).await;
        assert_eq!(users(&seen), ["zoe", "alice", "zoe"]);
        assert_eq!(seen[1].0, Duration::ZERO, "nobody waits for it");
        assert!(seen[2].0 >= RETRY_BASE / 2, "{:?}", seen[2].0);
        assert_eq!(rig.end().await.set, 2);
    }

    /// Fails on one user for ever.
    struct Partly(Arc<Auth>);

    impl Locks for Partly {
        fn upsert<'a>(&'a self, lock: &'a UserLock) -> BoxFuture<'a, Answer> {
            if lock.user == "zoe" {
                self.0.script.lock().unwrap().push_front(failing());
            }
            self.0.upsert(lock)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_lock_that_fails_for_ever_holds_up_no_other() {
        let env = Arc::new(TestEnv::new());
        let auth = Auth::new(&env, []);
        let lockout = Lockout::new(Config::default(), env);
        let stop = CancellationToken::new();
        let setter = Setter::new(&lockout, Arc::new(Partly(auth.clone())));
        let task = tokio::spawn(setter.run(stop.clone()));
        let mut rig = Rig { auth, lockout, stop, task, failures: 0 };
        rig.fail("zoe", 4);
        for n in 0..100 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            rig.fail(&format!("user-{n}"), 4);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = rig.auth.seen(100).await;
        let (zoe, others): (Vec<_>, Vec<_>) = seen.iter().partition(|(_, lock)| lock.user == "zoe");
        assert_eq!(others.len(), 100);
        let at_once =
            |(n, (at, _)): (u64, &&(Duration, UserLock))| *at == Duration::from_secs(7 * (n + 1));
        assert!((0..).zip(&others).all(at_once), "{others:?}");
        // Its own pauses grow although others are set in between.
        assert!((20..60).contains(&zoe.len()), "{} attempts in 700 s", zoe.len());
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.waiting, counts.lost), (100, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn while_auth_does_not_answer_many_locks_are_no_more_requests_than_one() {
        let mut rig = Rig::new(Config::default(), (0..60).map(|_| failing()));
        for n in 0..50 {
            rig.fail(&format!("user-{n:02}"), 4);
        }
        let seen = rig.auth.seen(61).await;
        let took = seen[60].0;
        assert!(took >= 40 * RETRY_CAP / 2, "60 requests in {took:?}");
        // It answers again: all the others are set at once.
        let seen = rig.auth.seen(60 + 50).await;
        assert!(seen.iter().skip(60).all(|(at, _)| *at == took));
        assert_eq!(rig.end().await.set, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn what_auth_refuses_is_given_up_and_the_rest_goes_on() {
        let mut rig = Rig::new(Config::default(), [refused()]);
        rig.fail("alice", 4);
        rig.auth.seen(1).await;
        rig.fail("bob", 4);
        assert_eq!(users(&rig.auth.seen(2).await), ["alice", "bob"]);
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.lost, counts.waiting), (1, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_right_it_is_tried_each_minute() {
        let mut rig = Rig::new(Config::default(), [denied(), denied()]);
        rig.fail("alice", 4);
        let seen = rig.auth.seen(3).await;
        let times: Vec<_> = seen.iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(times, [0, 60, 120]);
        assert_eq!(rig.end().await.set, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_over_is_not_set() {
        let lock_for = Some(Duration::from_secs(90));
        let config = Config { lock_for, ..Config::default() };
        let mut rig = Rig::new(config, [denied(), denied()]);
        rig.fail("alice", 4);
        rig.auth.seen(2).await;
        rig.fail("bob", 4);
        let seen = rig.auth.seen(3).await;
        assert_eq!(users(&seen), ["alice", "alice", "bob"], "alice's ended 90 s after it began");
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.lost, counts.waiting), (1, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_tries_once_more_what_waits() {
        let mut rig = Rig::new(Config::default(), [denied()]);
        rig.fail("alice", 4);
        rig.auth.seen(1).await;
        let auth = rig.auth.clone();
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.waiting), (1, 0));
        assert_eq!(auth.seen(2).await[1].0, Duration::ZERO, "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_tries_each_once_though_one_fails() {
        let mut rig = Rig::new(Config::default(), [denied(), failing()]);
        rig.fail("alice", 4);
        rig.auth.seen(1).await;
        rig.fail("bob", 4);
        let auth = rig.auth.clone();
        let counts = rig.end().await;
        assert_eq!((counts.set, counts.waiting), (1, 1));
        assert_eq!(users(&auth.seen(3).await), ["alice", "alice", "bob"]);
    }

    /// What the state is told: names to be set, and names that are dealt with.
    fn told(lockout: &Lockout) -> (Vec<String>, Vec<String>) {
        let mut change = ev_core::Change::default();
        lockout.put_into(&mut change);
        assert!(!lockout.has_unsaved(), "once each");
        (change.lock.into_iter().map(|lock| lock.user).collect(), change.locked)
    }

    #[tokio::test(start_paused = true)]
    async fn the_state_is_told_of_locks_until_they_are_set_and_the_next_process_sets_them() {
        let (none, name) =
            (Vec::<String>::new(), |user| format!("event-handler-auto-lock-{user}-"));
        let mut rig = Rig::new(Config::default(), (0..3).map(|_| denied()));
        rig.fail("zoe", 3);
        assert!(!rig.lockout.has_unsaved());
        rig.fail("zoe", 1);
        rig.fail("alice", 4);
        assert_eq!(told(&rig.lockout), (vec!["alice".to_owned(), "zoe".to_owned()], none.clone()));
        rig.auth.seen(2).await;
        assert_eq!(told(&rig.lockout), (none.clone(), none.clone()), "neither is set");
        let due: Vec<UserLock> = rig.lockout.inner().desk().queue.locks().cloned().collect();
        // Killed.
        rig.task.abort();

        let mut rig = Rig::new(Config::default(), [denied()]);
        rig.lockout.restore(&due);
        assert!(!rig.lockout.has_unsaved(), "the state has them");
        rig.fail("bob", 4);
        assert_eq!(told(&rig.lockout), (vec!["bob".to_owned()], none.clone()));
        let seen = rig.auth.seen(4).await;
        assert_eq!(users(&seen), ["alice", "alice", "zoe", "bob"]);
        assert_eq!((&seen[1].1, &seen[2].1), (&due[0], &due[1]), "as they were decided");
        // They are set: what was to be told of it is lost with a change, and told again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let set = ["alice", "bob", "zoe"].map(name).to_vec();
        assert_eq!(told(&rig.lockout), (none.clone(), set));
        rig.fail("carol", 4);
        assert_eq!(told(&rig.lockout).0, ["carol"]);
        rig.auth.seen(5).await;
        rig.lockout.restore(&due);
        let again = ["alice", "carol", "zoe"].map(name).to_vec();
        assert_eq!(told(&rig.lockout), (none, again));
        assert_eq!(rig.auth.seen(5).await.len(), 5, "and not set again");
        assert_eq!(rig.end().await.waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_no_longer_than_its_grace() {
        struct Silent;
        impl Locks for Silent {
            fn upsert<'a>(&'a self, _: &'a UserLock) -> BoxFuture<'a, Answer> {
                Box::pin(std::future::pending())
            }
        }
        let env = Arc::new(TestEnv::new());
        let lockout = Lockout::new(Config { failed_attempts: 1, ..Config::default() }, env.clone());
        for n in 0..2 {
            let (id, at) = (EventDigest([n; 16]), Timestamp::new(50, 0));
            lockout.failed(&FailedLogin { id, at, user: b"alice", login: b"" });
        }
        let stop = CancellationToken::new();
        stop.cancel();
        Setter::new(&lockout, Arc::new(Silent)).run(stop).await;
        assert_eq!(env.monotonic(), GRACE);
        assert_eq!(lockout.counts().waiting, 1);
    }
}
