//! Staying connected: dialling for ever, asking for Auth's version, noticing what is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Survey, within};
use ev_tls::{CredentialWatch, News};
use tokio::sync::watch;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::AuthCredentials;
use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::dial::{DialError, Dialled, Dialler, Way, describe_all};
use crate::living::{Living, Own};
use crate::rpc;
use crate::tasks::{Attempt, Done, Look, Tasks};

/// A connection that lasted so long, or brought an answer, was a good one: the next pause is short
/// again. One that Auth takes and drops at once is no better than none.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

/// Longest time for the answer to a Ping; whoever takes longer does not answer.
const PING_LIMIT: Duration = Duration::from_secs(20);

/// Pause between two looks at the clock where files are not to be looked at.
const CLOCK_ONLY: Duration = Duration::from_secs(45);
/// Pause between two looks for new credentials once those in use have expired.
const EXPIRED: Duration = Duration::from_secs(5);
const ADVICE: &str = "sign new ones with `tctl auth sign`, or see to it that `tbot` runs";

/// The connection and everything about it.
pub(crate) struct Link {
    dialler: Dialler,
    own: Arc<Own>,
    started: bool,
    connections: u64,
    survey: Option<Survey>,
    generation: u64,
    backoff: Backoff,
    /// When the connection of the moment was made.
    since: Duration,
    trouble: Troubles,
    /// Of Pings over the connection that is there; that of attempts to make one is another.
    ping_trouble: Troubles,
    /// An attempt is under way.
    dialling: bool,
    /// The number of the pause before the next attempt that counts, if there is one.
    redial: Option<u64>,
    redials: u64,
    /// There are credentials that no attempt was made with yet.
    renew: bool,
    watch: CredentialWatch,
    /// The number of the credentials with which the last attempt was made.
    shown: u64,
    /// How often somebody wanted the credentials' files to be read.
    wake: Arc<watch::Sender<u64>>,
    woken: watch::Receiver<u64>,
    /// The way that was told last.
    told: Option<Way>,
}

impl Link {
    /// One among those of a program, which others may ask for any living connection.
    pub(crate) fn new(dialler: Dialler, all: &Living) -> Self {
        let (wake, woken) = watch::channel(0);
        Self {
            dialler,
            own: Arc::new(all.join()),
            started: false,
            connections: 0,
            survey: None,
            generation: 0,
            backoff: Backoff::default(),
            since: Duration::ZERO,
            trouble: Troubles::default(),
            ping_trouble: Troubles::default(),
            dialling: false,
            redial: None,
            redials: 0,
            renew: false,
            watch: CredentialWatch::new("auth", ADVICE),
            shown: 0,
            wake: Arc::new(wake),
            woken,
            told: None,
        }
    }

    /// What is known of its connection, for whoever tells more.
    pub(crate) fn own(&self) -> Arc<Own> {
        Arc::clone(&self.own)
    }

    pub(crate) fn credentials(&self) -> AuthCredentials {
        AuthCredentials::new(Arc::clone(&self.dialler.tls), Arc::clone(&self.wake))
    }

    /// One to the same Auth, with the same credentials, that has not begun.
    pub(crate) fn again(&self) -> Self {
        let new = Self::new(self.dialler.clone(), self.own.all());
        Self { wake: Arc::clone(&self.wake), woken: self.woken.clone(), ..new }
    }

    /// Dials for the first time; later calls do nothing.
    pub(crate) fn start(&mut self, tasks: &mut Tasks) {
        if !std::mem::replace(&mut self.started, true) {
            self.own.begin(self.dialler.env.monotonic());
            self.watch.expiry(&self.dialler.tls);
            self.dial(tasks);
            self.look_later(tasks);
        }
    }

    /// The living connection, with what Auth said of itself.
    pub(crate) fn up(&self) -> Option<(Arc<Connection>, &Survey)> {
        Some((self.own.get()?, self.survey.as_ref()?))
    }

    /// Counts the changes of Auth's version: what was asked under another number is asked again.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    fn dial(&mut self, tasks: &mut Tasks) {
        self.connections += 1;
        (self.dialling, self.renew, self.redial) = (true, false, None);
        let (dialler, id) = (self.dialler.clone(), self.connections);
        // In case they have changed meanwhile.
        let again = self.connections > 1 && self.may_read();
        tasks.push(async move {
            let read = if again { Some(dialler.read_again().await) } else { None };
            let shown = dialler.taken();
            let outcome = dialler.dial(id).await;
            Done::Dialled(Box::new(Attempt { read, shown, outcome }))
        });
    }

    /// Takes the outcome of dialling; what Auth said, if it worked.
    pub(crate) fn dialled(&mut self, attempt: Attempt, tasks: &mut Tasks) -> Option<Survey> {
        let Attempt { read, shown, outcome } = attempt;
        (self.dialling, self.shown) = (false, shown);
        // Trouble with the files is told where they are looked at for their own sake.
        if let Some(Ok(changed)) = read {
            self.watch.take(Ok(changed), &self.dialler.tls);
        }
        match outcome {
            Ok(dialled) => {
                self.tell(&dialled);
                let Dialled { connection, survey, .. } = dialled;
                self.since = self.dialler.env.monotonic();
                self.trouble.clear();
                self.ping_trouble.clear();
                let (id, closed) = (connection.id, connection.closed());
                // One that was there before lives on until its last call has ended.
                self.own.set(connection, survey.version.clone());
                self.learn(&survey);
                tasks.push(async move {
                    closed.await;
                    Done::Closed(id)
                });
                self.ping_later(id, tasks);
                if self.renew {
                    self.dial(tasks);
                }
                Some(survey)
            }
            Err(error) => {
                self.own.count(|why| why.failed += 1);
                self.not_dialled(&error);
                self.renew |= self.own.get().is_some();
                // Those that have expired are of no use until the files hold others; whoever looks
                // at these dials then.
                if !matches!(error, DialError::Expired(_)) {
                    self.redial(tasks);
                }
                None
            }
        }
    }

    fn tell(&mut self, dialled: &Dialled) {
        let (address, failures) = (&self.dialler.config.address, self.backoff.failures());
        let Dialled { survey: Survey { cluster, version }, way, failures: others, .. } = dialled;
        info!(address, %cluster, %version, %way, failures, "connected to auth");
        if self.told.as_ref() != Some(way) {
            if !others.is_empty() {
                info!(address, %way, others = describe_all(others), "ways to auth that failed");
            }
            self.told = Some(way.clone());
        }
    }

    fn not_dialled(&mut self, error: &DialError) {
        let (address, reason) = (&self.dialler.config.address, error.describe());
        let is_renewal = self.own.get().is_some();
        self.own.set_failure(reason.clone());
        if matches!(error, DialError::Expired(_)) {
            // That is told once, as an error.
            self.watch.expiry(&self.dialler.tls);
            debug!(address, reason, "no connection to auth");
        } else if !self.trouble.is_news(&reason) {
            debug!(address, reason, "no connection to auth");
        } else if is_renewal {
            warn!(
                address,
                reason, "no connection to auth with new credentials, the old one goes on"
            );
        } else {
            warn!(address, reason, "no connection to auth, trying again until there is");
        }
    }

    /// Whether the files may be read without anybody asking for it.
    fn may_read(&self) -> bool {
        self.dialler.config.refresh.is_some() || self.dialler.tls.check().is_err()
    }

    fn look_later(&self, tasks: &mut Tasks) {
        let pause = self.dialler.config.refresh.unwrap_or(CLOCK_ONLY);
        let is_good = self.dialler.tls.check().is_ok();
        let pause = self.dialler.env.sleep(if is_good { pause } else { pause.min(EXPIRED) });
        let mut woken = self.woken.clone();
        tasks.push(async move {
            tokio::select! {
                biased;
                Ok(()) = woken.changed() => Done::LookDue(true),
                () = pause => Done::LookDue(false),
            }
        });
    }

    /// Looks at the credentials' files.
    pub(crate) fn look(&mut self, asked: bool, tasks: &mut Tasks) {
        self.watch.expiry(&self.dialler.tls);
        if asked {
            self.woken.mark_unchanged();
        }
        self.take_over(tasks);
        if asked || self.may_read() {
            self.read(asked, false, tasks);
        } else {
            self.look_later(tasks);
        }
    }

    fn read(&self, asked: bool, second: bool, tasks: &mut Tasks) {
        let dialler = self.dialler.clone();
        tasks.push(async move {
            if second {
                dialler.env.sleep(CredentialWatch::SETTLE).await;
            }
            let read = dialler.read_again().await;
            Done::Looked(Look { asked, second, read })
        });
    }

    /// Takes what a look at them brought. Changed ones make a new connection; the old one serves
    /// until that is there.
    pub(crate) fn looked(&mut self, look: Look, tasks: &mut Tasks) {
        let Look { asked, second, read } = look;
        if let Err(error) = &read
            && !second
            && self.watch.is_new(error, &self.dialler.tls)
        {
            return self.read(asked, true, tasks);
        }
        let (watch, tls) = (&mut self.watch, &self.dialler.tls);
        let news = if asked { watch.take_asked(read, tls) } else { watch.take(read, tls) };
        if let News::Taken(_) = news {
            self.own.count(|why| why.credentials += 1);
        }
        self.take_over(tasks);
        let has_expired = self.watch.expiry(&self.dialler.tls);
        let is_idle = self.own.get().is_none() && !self.dialling && self.redial.is_none();
        // The clock may have been set right.
        if is_idle && !has_expired {
            self.dial(tasks);
        }
        self.look_later(tasks);
    }

    /// Makes a new connection if there are credentials that no attempt was made with: this link has
    /// read them, or another.
    fn take_over(&mut self, tasks: &mut Tasks) {
        if self.renew || self.dialler.taken() == self.shown {
            return;
        }
        self.trouble.clear();
        self.backoff.reset();
        self.renew = true;
        if !self.dialling {
            self.dial(tasks);
        }
    }

    /// An answer came.
    pub(crate) fn answered(&mut self) {
        // That the old connection is good says nothing of attempts to replace it.
        if !self.dialling && self.redial.is_none() {
            self.backoff.reset();
        }
    }

    /// The connection of that id is dead.
    pub(crate) fn closed(&mut self, id: u64, tasks: &mut Tasks) {
        if self.own.get().is_none_or(|connection| connection.id != id) {
            return;
        }
        warn!(address = self.dialler.config.address, "connection to auth lost, connecting again");
        self.own.lose(self.dialler.env.monotonic());
        self.own.count(|why| why.lost += 1);
        if self.dialler.env.monotonic().saturating_sub(self.since) >= GOOD_CONNECTION {
            self.backoff.reset();
        }
        // An attempt that is under way or waits for its time is one already.
        if !self.dialling && self.redial.is_none() {
            self.redial(tasks);
        }
    }

    fn redial(&mut self, tasks: &mut Tasks) {
        let env = &self.dialler.env;
        let pause = env.sleep(self.backoff.next(&**env));
        self.redials += 1;
        let number = self.redials;
        self.redial = Some(number);
        tasks.push(async move {
            pause.await;
            Done::Redial(number)
        });
    }

    /// The pause before an attempt is over.
    pub(crate) fn redial_due(&mut self, number: u64, tasks: &mut Tasks) {
        if self.redial == Some(number) {
            self.dial(tasks);
        }
    }

    pub(crate) fn ping(&self, id: u64, tasks: &mut Tasks) {
        let Some(connection) = self.own.get().filter(|connection| connection.id == id) else {
            return;
        };
        let env = Arc::clone(&self.dialler.env);
        tasks.push(async move {
            let answer = within(&*env, PING_LIMIT, rpc::ping(&connection)).await;
            Done::Pinged(id, answer.map(|answer| answer.map_err(Box::new)))
        });
    }

    /// Takes the answer to a Ping; what Auth said, if that has changed.
    pub(crate) fn pinged(
        &mut self,
        id: u64,
        answer: Option<Result<Survey, Box<Status>>>,
        tasks: &mut Tasks,
    ) -> Option<Survey> {
        if self.own.get().is_none_or(|connection| connection.id != id) {
            return None;
        }
        self.ping_later(id, tasks);
        let reason = match answer {
            Some(Ok(survey)) => {
                self.ping_trouble.clear();
                self.own.set_silent(None);
                return self.learn(&survey).then_some(survey);
            }
            Some(Err(status)) => rpc::describe(&status),
            None => {
                // It did not when it was asked.
                let since = self.dialler.env.monotonic().saturating_sub(PING_LIMIT);
                self.own.set_silent(Some((since, "it does not answer".to_owned())));
                "no answer in time".to_owned()
            }
        };
        // Not an outage: the events may well go on flowing.
        if self.ping_trouble.is_news(&reason) {
            warn!(reason, "ping of auth failed, its version may have changed unnoticed");
        }
        None
    }

    fn ping_later(&self, id: u64, tasks: &mut Tasks) {
        let pause = self.dialler.env.sleep(self.dialler.config.ping_interval);
        tasks.push(async move {
            pause.await;
            Done::PingDue(id)
        });
    }

    /// Whether that was new.
    fn learn(&mut self, survey: &Survey) -> bool {
        let known = self.survey.replace(survey.clone());
        self.own.learn(survey.version.clone());
        let changed = known.as_ref() != Some(survey);
        if changed {
            self.generation += 1;
            if let Some(Survey { version, .. }) = known {
                log_change(&version, &survey.version);
            }
        }
        changed
    }
}

fn log_change(from: &AuthVersion, to: &AuthVersion) {
    if from != to {
        info!(%from, %to, "auth has another version");
    }
}

/// Kinds of trouble that are remembered; beyond that everything is old.
const KINDS: usize = 16;

/// One line per kind of trouble instead of one per attempt.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeSet<String>);

impl Troubles {
    /// Whether this is the first trouble of its kind since all was well. Digits do not count:
    /// messages hold times and port numbers.
    pub(crate) fn is_news(&mut self, reason: &str) -> bool {
        let kind = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        self.0.len() < KINDS && self.0.insert(kind)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_trouble_is_news() {
        let mut troubles = Troubles::default();
        assert!(troubles.is_news("expired, it is now 12:00"));
        assert!(!troubles.is_news("expired, it is now 12:01"));
        assert!(troubles.is_news("connection refused"));
        assert!(!troubles.is_news("expired, it is now 12:02"), "both in turn");
        troubles.clear();
        assert!(troubles.is_news("connection refused"));
    }
}
