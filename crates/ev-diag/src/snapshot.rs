//! Everything that is told of a run, as of one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Minute, Told, UnixTime};

/// What a run is doing: the content of `/status.json`, and what all else is made from.
///
/// Holds no event, no key and no passphrase. What an older handler does not tell yet is read as
/// nothing, so that each version can ask those before it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// When this was so.
    pub time: UnixTime,
    /// The program's version.
    pub version: String,
    /// The Auth versions whose schema is compiled in.
    pub embedded_schemas: Vec<String>,
    /// Its process id.
    pub process: u32,
    /// When the run began.
    pub started: UnixTime,
    /// Whole seconds since then.
    pub uptime_seconds: u64,
    /// How far it has come.
    pub phase: Phase,
    /// Nothing is sent and nothing kept.
    pub dry_run: bool,
    /// Where the log is read.
    pub auth: Auth,
    /// What makes JSON of events.
    pub decoder: Decoder,
    /// Where events go.
    pub sinks: Vec<Sink>,
    /// Where what must survive a restart is kept.
    pub storage: String,
    /// Why that cannot be used at the moment.
    pub storage_trouble: Option<String>,
    /// Users locked out after failed logins, if that is asked for.
    pub locking: Option<Locking>,
    /// Credentials that nobody watches over any more, although somebody should.
    pub unwatched: Vec<String>,
    /// The last hour, a minute each, the oldest first.
    pub history: Vec<Minute>,
    /// The last warnings and errors of the log, the newest last.
    pub troubles: Vec<Told>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has flowed yet: Auth was not reached, or the state not opened.
    #[default]
    Starting,
    /// Events flow, or would if there were any.
    Running,
    /// It was told to stop and finishes what is under way.
    Stopping,
    /// There is no process: this was read from the state.
    Ended,
    /// A process has the state open and could not be asked: this was read from the state.
    Unasked,
}

impl Snapshot {
    /// Who holds which certificates and trusts which CA.
    pub(crate) fn holders(&self) -> Vec<(&str, &[Certificate], Option<&Certificate>)> {
        let auth = ("auth", &self.auth.certificates[..], self.auth.authority.as_ref());
        let sinks = self.sinks.iter();
        let of_sinks =
            sinks.map(|sink| (&*sink.name, &sink.certificates[..], sink.authority.as_ref()));
        std::iter::once(auth).chain(of_sinks).collect()
    }
}

impl Phase {
    /// Whether all there is was read from the state.
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Ended | Self::Unasked)
    }
}

/// Where the log is read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// As it is set.
    pub address: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// For how long there has been none, in whole seconds.
    pub disconnected_seconds: Option<u64>,
    /// Why the log cannot be read although there is a connection, or why none can be made.
    pub trouble: Option<String>,
    /// The version that Auth last reported.
    pub version: Option<String>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// By which calls the log is read.
    pub road: Option<String>,
    /// How often and why there was a connection anew.
    pub reconnects: Reconnects,
    /// What shows Auth who we are, and whom we trust.
    pub certificates: Vec<Certificate>,
    /// Of the CAs that the other side's certificate may come from the one that ends last; `None`
    /// where those of the operating system are used, or none.
    pub authority: Option<Certificate>,
}

/// Connections since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reconnects {
    /// Attempts that failed.
    pub failed: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Connections made because the credentials had changed.
    pub credentials: u64,
}

/// A certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// First second of its validity.
    pub not_before: UnixTime,
    /// Last second of its validity.
    pub not_after: UnixTime,
    /// From when on its end is near.
    pub warn_from: UnixTime,
}

/// What makes JSON of events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Decoder {
    /// In use for Auth's version, like `exact: module 18.2.0`.
    pub in_use: Option<String>,
    /// Who signed it, if it is a signed one.
    pub signer: Option<String>,
    /// Signed ones that were fetched.
    pub artifacts: Artifacts,
    /// Events that the one in use did not know wholly, by type, in this run.
    pub unknown: BTreeMap<String, u64>,
}

/// Signed decoders since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifacts {
    /// Passed all checks and loaded.
    pub accepted: u64,
    /// Failed a check, or failed to load.
    pub refused: u64,
    /// Calls of a decoder that failed as a whole.
    pub failures: u64,
}

/// One place where events go, with its own resume points.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sink {
    /// Its name in the state.
    pub name: String,
    /// Whether its engine answers.
    pub engine: Engine,
    /// Whether the end of the log was reached.
    pub caught_up: bool,
    /// How far behind the audit log is, in seconds: the age of the oldest place that is still to be
    /// read or delivered, 0 at the end of the log. While there is no connection to Auth it grows,
    /// since nobody knows what comes there. `None` before anything was opened.
    pub lag_seconds: Option<i64>,
    /// How long the recording that is read for the longest has been waited for, in seconds.
    pub sessions_lag_seconds: i64,
    /// Time of the newest event of the audit log that was delivered in this run.
    pub newest_delivered: Option<UnixTime>,
    /// The same of recordings.
    pub newest_session_delivered: Option<UnixTime>,
    /// Where reading of the oldest open stretch of the audit log stands.
    pub position: Option<UnixTime>,
    /// Where it began.
    pub start_time: Option<UnixTime>,
    /// Windows that are read.
    pub windows: u64,
    /// Chunks of the export that are read.
    pub chunks: u64,
    /// Recordings that are read.
    pub sessions: u64,
    /// Recordings that cannot be read at the moment.
    pub sessions_stopped: u64,
    /// Of those: refused or damaged, and not merely missing, as one may be for a while.
    pub sessions_unreadable: u64,
    /// Recordings given up, by any run.
    pub sessions_given_up: u64,
    /// Memory held by what waits to be sent, in bytes.
    pub held_bytes: u64,
    /// Where the audit log goes.
    pub audit: Receiver,
    /// Where recordings go.
    pub recordings: Receiver,
    /// What this process has done.
    pub counters: Counters,
    /// Sums over the life of the state.
    pub totals: Sums,
    /// Parked events by reason.
    pub parked: BTreeMap<String, u64>,
    /// What the transport has done, if it counts that.
    pub delivery: Option<Delivery>,
    /// What shows the receiver who we are, and whom we trust.
    pub certificates: Vec<Certificate>,
    /// Of the CAs that the other side's certificate may come from the one that ends last; `None`
    /// where those of the operating system are used, or none.
    pub authority: Option<Certificate>,
}

/// Whether an engine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// There is none yet.
    #[default]
    NotStarted,
    /// It does.
    Running,
    /// It does not: it waits for the state, or hangs. The figures are those of its last answer.
    Silent,
}

/// A receiver.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Receiver {
    /// Requests under way.
    pub in_flight: u64,
    /// How many may be.
    pub limit: u64,
    /// Batches that wait to be sent again.
    pub delayed: u64,
    /// Batches under suspicion of holding an event that is refused.
    pub suspects: u64,
    /// That requests fail, if none has succeeded since.
    pub trouble: Option<ReceiverTrouble>,
}

/// How requests fail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiverTrouble {
    /// For how long, in whole seconds.
    pub seconds: u64,
    /// How the last one failed.
    pub reason: String,
}

/// What this process has done. At any moment
/// `read = repeated + delivered + filtered + parked + given_up + reread + in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Events taken from Auth, repetitions included.
    pub read: u64,
    /// Of those: known already, and not sent again.
    pub repeated: u64,
    /// Of those: acknowledged by the receiver.
    pub delivered: u64,
    /// Of those: left out because a setting says so.
    pub filtered: u64,
    /// Of those: parked, whatever became of them since.
    pub parked: u64,
    /// Of those: written to files, because there was no room to park them.
    pub given_up: u64,
    /// Of those: not settled when the calls by which they had come were left for others, and read
    /// again by these.
    pub reread: u64,
    /// Of those: not settled yet.
    pub in_flight: u64,
    /// Acknowledged events, those that were parked before included.
    pub sent: u64,
    /// Attempts to deliver that failed.
    pub retries: u64,
    /// Events of requests whose outcome nobody knows, each sent again.
    pub unknown_outcomes: u64,
    /// Recordings given up.
    pub sessions_given_up: u64,
    /// Gaps in recordings that were read to their end.
    pub recording_gaps: u64,
    /// Commits to the state.
    pub commits: u64,
    /// How long those took together, in seconds.
    pub commit_seconds: f64,
}

/// Sums over the life of the state. Each event that was passed is in exactly one of `delivered`,
/// `filtered`, `parked`, `resolved`, `dropped` and `given_up`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Events that the resume points have passed.
    pub passed: u64,
    /// Delivered without having been parked.
    pub delivered: u64,
    /// Left out because a setting says so.
    pub filtered: u64,
    /// Parked now.
    pub parked: u64,
    /// Parked once, delivered since.
    pub resolved: u64,
    /// Parked once, dropped by hand since.
    pub dropped: u64,
    /// Given up.
    pub given_up: u64,
    /// Of the delivered and resolved: decoded with a schema compiled into the program.
    pub native: u64,
    /// Of them: decoded with a signed table.
    pub table: u64,
    /// Of them: decoded by a module.
    pub module: u64,
    /// Of them: decoded with a schema other than that of their version.
    pub inexact: u64,
    /// Session recordings read to their end.
    pub sessions: u64,
}

/// What a transport has done since the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Requests with events that were begun.
    pub requests: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their bodies as they were sent.
    pub bytes: u64,
    /// Bytes of bodies before compression, of those that were compressed.
    pub gzip_in_bytes: u64,
    /// Bytes of the same behind compression.
    pub gzip_out_bytes: u64,
    /// Answers.
    pub responses: Responses,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Requests whose connection broke before an answer.
    pub broken: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Connections that could not be opened.
    pub connections_failed: u64,
    /// Requests begun anew at once, because the reused connection was closed.
    pub resent: u64,
    /// Events in those that may be stored twice.
    pub possible_duplicate_events: u64,
    /// Certificates taken from changed files.
    pub certificate_reloads: u64,
    /// From the beginning of a request to its answer.
    pub round_trips: Times,
}

/// Answers by the first digit of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Responses {
    /// 200 to 299.
    pub success: u64,
    /// 300 to 399.
    pub redirect: u64,
    /// 400 to 499.
    pub client_error: u64,
    /// 500 to 599.
    pub server_error: u64,
    /// Anything else.
    pub other: u64,
}

/// A histogram of times.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// All of them together, in seconds.
    pub sum_seconds: f64,
    /// A moving mean, in milliseconds.
    pub mean_ms: Option<f64>,
    /// In order of their bounds.
    pub buckets: Vec<TimesBucket>,
}

/// How many times lie above the bound before and at most at this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimesBucket {
    /// The bound, in milliseconds; `None` for the last.
    pub up_to_ms: Option<u64>,
    /// How many.
    pub count: u64,
}

/// The lock-out of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Locking {
    /// Failed logins that counted.
    pub failed_logins: u64,
    /// Users that are counted.
    pub users: u64,
    /// Locks set.
    pub locks_set: u64,
    /// Attempts to set one that failed.
    pub failures: u64,
    /// Locks that wait to be set.
    pub waiting: u64,
    /// Locks that could not be kept.
    pub lost: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Told;

    /// One of everything.
    fn full() -> Snapshot {
        let delivery = Delivery {
            round_trips: Times { buckets: vec![TimesBucket::default()], ..Times::default() },
            ..Delivery::default()
        };
        let receiver =
            Receiver { trouble: Some(ReceiverTrouble::default()), ..Receiver::default() };
        let certificates = vec![Certificate::default()];
        Snapshot {
            auth: Auth { certificates: certificates.clone(), ..Auth::default() },
            sinks: vec![Sink {
                audit: receiver,
                delivery: Some(delivery),
                certificates,
                authority: Some(Certificate::default()),
                ..Sink::default()
            }],
            locking: Some(Locking::default()),
            history: vec![Minute::default()],
            troubles: vec![Told::default()],
            ..Snapshot::default()
        }
    }

    /// Each of the objects inside without one of its fields.
    fn without_one(value: &Value) -> Vec<Value> {
        let put = |key: &str, inner: Value| {
            let mut changed = value.clone();
            changed[key] = inner;
            changed
        };
        match value {
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(key, inner)| {
                    let mut less = fields.clone();
                    less.remove(key);
                    let deeper = without_one(inner).into_iter().map(|inner| put(key, inner));
                    std::iter::once(Value::Object(less)).chain(deeper).collect::<Vec<_>>()
                })
                .collect(),
            Value::Array(all) => {
                all.iter().flat_map(without_one).map(|one| Value::Array(vec![one])).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_answer_of_an_older_handler_is_read() {
        let nothing: Snapshot = serde_json::from_value(json!({})).unwrap();
        assert_eq!(json!(nothing), json!(Snapshot::default()));
        let full = json!(full());
        let older = without_one(&full);
        assert!(older.len() > 100, "{}", older.len());
        for older in older {
            if let Err(error) = serde_json::from_value::<Snapshot>(older.clone()) {
                panic!("{error}: {older:#}");
            }
        }
    }
}
