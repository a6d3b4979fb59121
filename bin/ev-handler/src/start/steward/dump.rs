//! What is going on, as a file of JSON: for whoever looks for a trouble. Holds no event, no secret
//! and no key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ev_core::{AuthVersion, StateError, Survey, Timestamp};
use ev_locking::Counts;
use ev_pipeline::{LaneStatus, ReceiverStatus, Status};
use ev_sink_fluentd::{FluentdSink, Stats};
use ev_tls::CertificateFacts;
use serde_json::{Value, json};

use crate::storage;
use crate::text::time;

/// Folder within the storage directory; that of the reference handler's profiles.
const FOLDER: &str = "profiles";
/// It names users and addresses.
const FILE_MODE: u32 = 0o600;

/// A moment of a run.
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    pub(super) uptime: Duration,
    pub(super) dry_run: bool,
    pub(super) address: &'a str,
    pub(super) connected: Option<AuthVersion>,
    pub(super) auth_certificates: Vec<CertificateFacts>,
    pub(super) survey: Option<Survey>,
    pub(super) engine_is_there: bool,
    pub(super) status: Option<Status>,
    pub(super) sink: Option<&'a FluentdSink>,
    pub(super) locking: Option<Counts>,
}

impl Moment<'_> {
    pub(super) fn to_json(&self) -> String {
        let schemas: Vec<String> = ev_decode::embedded()
            .iter()
            .map(|embedded| embedded.table.auth_version().to_string())
            .collect();
        let engine = match &self.status {
            Some(status) => engine(status),
            None if self.engine_is_there => json!("does not answer"),
            None => json!("not started"),
        };
        let value = json!({
            "time": self.now.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "embedded_schemas": schemas,
            "process": std::process::id(),
            "uptime_seconds": self.uptime.as_secs(),
            "dry_run": self.dry_run,
            "auth": {
                "address": self.address,
                "connected": self.connected.is_some(),
                "version": self.connected.as_ref().map(AuthVersion::as_str),
                "cluster": self.survey.as_ref().map(|survey| &survey.cluster),
                "certificates": certificates(&self.auth_certificates),
            },
            "engine": engine,
            "fluentd": self.sink.map(|sink| json!({
                "statistics": statistics(&sink.stats()),
                "certificates": certificates(&sink.identity_facts()),
            })),
            "locking": self.locking.map(|counts| json!({
                "failed_logins": counts.failed_logins,
                "nameless": counts.nameless,
                "users": counts.users,
                "locks_set": counts.set,
                "failures": counts.failures,
                "waiting": counts.waiting,
                "lost": counts.lost,
            })),
        });
        format!("{value:#}\n")
    }
}

fn certificates(facts: &[CertificateFacts]) -> Value {
    let facts = facts.iter().map(|facts| {
        json!({
            "subject": facts.subject,
            "issuer": facts.issuer,
            "not_after": time(facts.not_after),
        })
    });
    facts.collect()
}

fn statistics(stats: &Stats) -> Value {
    let round_trips = stats.round_trips.buckets().map(|(up_to, count)| {
        json!({ "up_to_ms": up_to.map(|up_to| up_to.as_millis()), "count": count })
    });
    json!({
        "requests": stats.requests,
        "events": stats.events,
        "body_bytes": stats.body_bytes,
        "gzip_in_bytes": stats.gzip_in_bytes,
        "gzip_out_bytes": stats.gzip_out_bytes,
        "responses": {
            "success": stats.responses.success,
            "redirect": stats.responses.redirect,
            "client_error": stats.responses.client_error,
            "server_error": stats.responses.server_error,
            "other": stats.responses.other,
        },
        "timeouts": stats.timeouts,
        "broken": stats.broken,
        "connections_opened": stats.connections_opened,
        "connections_failed": stats.connections_failed,
        "resent": stats.resent,
        "possible_duplicates": stats.possible_duplicates,
        "possible_duplicate_events": stats.possible_duplicate_events,
        "certificate_reloads": stats.certificate_reloads,
        "round_trips": round_trips.collect::<Value>(),
        "round_trip_ms": stats.round_trips.smoothed().map(|mean| mean.as_secs_f64() * 1_000.0),
    })
}

fn engine(status: &Status) -> Value {
    let Status { summary, .. } = status;
    let totals = &summary.totals;
    let given_up = status.sessions_given_up.iter().map(|row| {
        json!({
            "session": row.session.as_str(),
            "since": time(row.since_seconds),
            "attempts": row.attempts,
            "missing": row.missing,
            "reason": row.reason,
        })
    });
    json!({
        "version": status.version.as_ref().map(AuthVersion::as_str),
        "decoder": status.decoder,
        "caught_up": status.caught_up,
        "lag_seconds": status.lag_seconds,
        "newest_event": status.newest_event_seconds.map(time),
        "lanes": status.lanes.iter().map(lane).collect::<Value>(),
        "lanes_known": status.lanes_known,
        "backlog": status.backlog,
        "held_bytes": status.held_bytes,
        "audit_receiver": receiver(&status.audit),
        "session_receiver": receiver(&status.sessions),
        "parked": totals.parked,
        "waiting_to_park": status.waiting_to_park,
        "sessions_stopped": status.sessions_stopped,
        "sessions_given_up": given_up.collect::<Value>(),
        "this_run": {
            "read": summary.read,
            "repeated": summary.repeated,
            "passed": summary.passed,
            "sent": summary.sent,
            "retries": summary.retries,
            "unknown_outcomes": summary.unknown_outcomes,
            "sessions_given_up": summary.sessions_given_up,
            "recording_gaps": summary.recording_gaps,
            "commits": summary.commits,
        },
        "totals": {
            "passed": totals.passed,
            "delivered": totals.delivered,
            "filtered": totals.filtered,
            "parked": totals.parked,
            "resolved": totals.resolved,
            "dropped": totals.dropped,
            "given_up": totals.given_up,
            "native": totals.by_native,
            "table": totals.by_table,
            "module": totals.by_module,
            "inexact": totals.inexact,
            "sessions": totals.sessions,
        },
    })
}

fn lane(lane: &LaneStatus) -> Value {
    json!({
        "lane": lane.lane.to_string(),
        "newest_event": lane.newest_seconds.map(time),
        "unsettled": lane.unsettled,
        "attempts": lane.attempts,
    })
}

fn receiver(receiver: &ReceiverStatus) -> Value {
    json!({
        "in_flight": receiver.in_flight,
        "limit": receiver.limit,
        "delayed": receiver.delayed,
        "under_suspicion": receiver.aside,
        "troubled": receiver.trouble.is_some(),
    })
}

/// Writes a file for its owner only, which is there whole or not at all.
pub(super) fn write(storage: &Path, now: Timestamp, text: &str) -> Result<PathBuf, StateError> {
    let folder = storage.join(FOLDER);
    let failed = |what: &str, path: &Path, error: io::Error| StateError::Storage {
        message: format!("failed to {what} `{}`", path.display()),
        source: Some(error.into()),
    };
    storage::make_private(&folder, true)
        .map_err(|error| failed("make the folder", &folder, error))?;
    let millis = i128::from(now.seconds()) * 1_000 + i128::from(now.subsec_nanos() / 1_000_000);
    let path = folder.join(format!("{millis}-state.json"));
    let unfinished = folder.join(format!(".{millis}-state.json.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, &path))
        .and_then(|()| File::open(&folder)?.sync_all());
    if let Err(error) = written {
        // Nothing half written stays, as far as that can be had.
        drop(fs::remove_file(&unfinished));
        return Err(failed("write", &path, error));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_whole_and_its_owners_only() {
        let storage = tempfile::tempdir().unwrap();
        let now = Timestamp::new(1_790_000_000, 123_456_789);
        let path = write(storage.path(), now, "{}\n").unwrap();
        assert!(path.ends_with("profiles/1790000000123-state.json"), "{}", path.display());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        write(storage.path(), now, "again\n").unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing unfinished");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let storage = tempfile::tempdir().unwrap();
        fs::write(storage.path().join(FOLDER), "in the way").unwrap();
        let error = write(storage.path(), Timestamp::EPOCH, "").unwrap_err();
        assert!(error.to_string().contains("profiles"), "{error}");
    }
}
