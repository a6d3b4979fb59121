//! Staying connected: dialling for ever, asking for Auth's version, noticing what is lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ev_core::{AuthVersion, Survey};
use tonic::Status;
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::dial::{DialError, Dialler};
use crate::rpc;
use crate::tasks::{Done, Tasks, within};

/// A connection that lasted so long, or brought an answer, was a good one: the next pause is short
/// again. One that Auth takes and drops at once is no better than none.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

/// The connection of the moment and what Auth said of itself, for whoever shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Moment>>);

#[derive(Debug, Default)]
struct Moment {
    connection: Option<Arc<Connection>>,
    version: Option<AuthVersion>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Option<Arc<Connection>> {
        self.lock().connection.clone()
    }

    /// The living connection, with Auth's version.
    pub(crate) fn up(&self) -> Option<(Arc<Connection>, AuthVersion)> {
        let shared = self.lock();
        Some((shared.connection.clone()?, shared.version.clone()?))
    }

    fn set(&self, connection: Option<Arc<Connection>>) {
        self.lock().connection = connection;
    }
}

/// The connection and everything about it.
pub(crate) struct Link {
    dialler: Dialler,
    shared: Shared,
    started: bool,
    connections: u64,
    survey: Option<Survey>,
    generation: u64,
    backoff: Backoff,
    /// When the connection of the moment was made.
    since: Duration,
    trouble: Troubles,
}

impl Link {
    pub(crate) fn new(dialler: Dialler, shared: Shared) -> Self {
        Self {
            dialler,
            shared,
            started: false,
            connections: 0,
            survey: None,
            generation: 0,
            backoff: Backoff::default(),
            since: Duration::ZERO,
            trouble: Troubles::default(),
        }
    }

    /// Dials for the first time; later calls do nothing.
    pub(crate) fn start(&mut self, tasks: &mut Tasks) {
        if !std::mem::replace(&mut self.started, true) {
            self.dial(tasks);
        }
    }

    /// The living connection, with what Auth said of itself.
    pub(crate) fn up(&self) -> Option<(Arc<Connection>, &Survey)> {
        Some((self.shared.get()?, self.survey.as_ref()?))
    }

    /// Counts the changes of Auth's version: what was asked under another number is asked again.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn dial(&mut self, tasks: &mut Tasks) {
        self.connections += 1;
        let (dialler, id) = (self.dialler.clone(), self.connections);
        let again = self.connections > 1;
        tasks.push(async move { Done::Dialled(Box::new(dialler.dial(id, again).await)) });
    }

    /// Takes the outcome of dialling; what Auth said, if it worked.
    pub(crate) fn dialled(
        &mut self,
        outcome: Result<(Arc<Connection>, Survey), DialError>,
        tasks: &mut Tasks,
    ) -> Option<Survey> {
        let address = &self.dialler.config.address;
        match outcome {
            Ok((connection, survey)) => {
                let Survey { cluster, version } = &survey;
                let failures = self.backoff.failures();
                info!(address, %cluster, %version, failures, "connected to auth");
                self.since = self.dialler.env.monotonic();
                self.trouble.clear();
                let (id, closed) = (connection.id, connection.closed());
                // The version first: nobody may read over the new connection under the old one.
                self.learn(&survey);
                self.shared.set(Some(connection));
                tasks.push(async move {
                    closed.await;
                    Done::Closed(id)
                });
                self.ping_later(id, tasks);
                Some(survey)
            }
            Err(error) => {
                let reason = error.describe();
                if self.trouble.is_news(&reason) {
                    warn!(address, reason, "no connection to auth, trying again until there is");
                } else {
                    debug!(address, reason, "no connection to auth");
                }
                self.redial(tasks);
                None
            }
        }
    }

    /// An answer came.
    pub(crate) fn answered(&mut self) {
        self.backoff.reset();
    }

    /// The connection of that id is dead.
    pub(crate) fn closed(&mut self, id: u64, tasks: &mut Tasks) {
        if self.shared.get().is_none_or(|connection| connection.id != id) {
            return;
        }
        warn!(address = self.dialler.config.address, "connection to auth lost, connecting again");
        self.shared.set(None);
        if self.dialler.env.monotonic().saturating_sub(self.since) >= GOOD_CONNECTION {
            self.backoff.reset();
        }
        self.redial(tasks);
    }

    fn redial(&mut self, tasks: &mut Tasks) {
        let env = &self.dialler.env;
        let pause = env.sleep(self.backoff.next(&**env));
        tasks.push(async move {
            pause.await;
            Done::Redial
        });
    }

    pub(crate) fn ping(&self, id: u64, tasks: &mut Tasks) {
        let Some(connection) = self.shared.get().filter(|connection| connection.id == id) else {
            return;
        };
        let env = Arc::clone(&self.dialler.env);
        let limit = self.dialler.config.dial_timeout;
        tasks.push(async move {
            let answer = within(&env, limit, rpc::ping(&connection)).await;
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
        if self.shared.get().is_none_or(|connection| connection.id != id) {
            return None;
        }
        self.ping_later(id, tasks);
        let reason = match answer {
            Some(Ok(survey)) => {
                self.trouble.clear();
                return self.learn(&survey).then_some(survey);
            }
            Some(Err(status)) => rpc::describe(&status),
            None => "no answer in time".to_owned(),
        };
        // Not an outage: the events may well go on flowing.
        if self.trouble.is_news(&reason) {
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
        self.shared.lock().version = Some(survey.version.clone());
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
