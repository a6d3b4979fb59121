//! The table.

use std::collections::BTreeMap;

use super::{Kind, Metric, Samples};
use crate::{Certificate, Delivery, Readiness, Receiver, Sink, Snapshot, UnixTime};

const fn metric(
    kind: Kind,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot, &mut Samples),
) -> Metric {
    Metric { name, kind, labels, help, read }
}

const SINK: &[&str] = &["sink"];
const STREAM: &[&str] = &["sink", "stream"];

/// Of each sink.
fn each(snapshot: &Snapshot, read: impl FnMut(&Sink)) {
    snapshot.sinks.iter().for_each(read);
}

/// Of each sink whose transport counts what it does.
fn sent(snapshot: &Snapshot, mut read: impl FnMut(&str, &Delivery)) {
    each(snapshot, |sink| {
        if let Some(delivery) = &sink.delivery {
            read(&sink.name, delivery);
        }
    });
}

/// Of each of the two receivers of each sink.
fn streams(snapshot: &Snapshot, mut read: impl FnMut(&[&str], &Receiver)) {
    each(snapshot, |sink| {
        read(&[&sink.name, "audit"], &sink.audit);
        read(&[&sink.name, "sessions"], &sink.recordings);
    });
}

/// A time of each certificate in use, and of each CA that is trusted.
fn certificates(snapshot: &Snapshot, out: &mut Samples, time: fn(&Certificate) -> UnixTime) {
    for (whose, certificates, authority) in snapshot.holders() {
        let mut first = BTreeMap::new();
        for certificate in certificates {
            let of = first.entry(&*certificate.subject).or_insert(certificate);
            if certificate.not_after < of.not_after {
                *of = certificate;
            }
        }
        for (subject, certificate) in first {
            out.whole(&[whose, subject], time(certificate).0);
        }
        if let Some(authority) = authority {
            out.whole(&[&format!("{whose} ca"), &authority.subject], time(authority).0);
        }
    }
}

pub(super) const METRICS: &[Metric] = &[
    // The run.
    metric(Kind::Info, "ev_build", &["version"], "The version of the program", |of, out| {
        out.fact(&[&of.version])
    }),
    metric(
        Kind::Gauge,
        "ev_start_time_seconds",
        &[],
        "When the run began, in seconds since 1970-01-01T00:00:00Z",
        |of, out| out.whole(&[], of.started.0),
    ),
    metric(
        Kind::Gauge,
        "ev_ready",
        &[],
        "1 when events can flow, 0 otherwise; `/readyz` says why",
        |of, out| out.truth(&[], Readiness::of(of).ready),
    ),
    metric(
        Kind::Gauge,
        "ev_dry_run",
        &[],
        "1 in a dry run: what counts as delivered was made, and sent to nobody",
        |of, out| out.truth(&[], of.dry_run),
    ),
    metric(
        Kind::Gauge,
        "ev_part_ready",
        &["part"],
        "1 for each part of the road that works, 0 for one that keeps events from flowing",
        |of, out| {
            for part in Readiness::of(of).parts {
                out.truth(&[&part.name], part.light.is_usable());
            }
        },
    ),
    // Events.
    metric(
        Kind::Counter,
        "ev_events_read",
        SINK,
        "Events taken from Auth, repetitions included. At any moment it is the sum of \
         `ev_events_repeated_total`, `ev_events_delivered_total`, `ev_events_filtered_total`, \
         `ev_events_parked_total`, `ev_events_given_up_total`, `ev_events_reread_total` and \
         `ev_events_in_flight`",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.read)),
    ),
    metric(
        Kind::Counter,
        "ev_events_repeated",
        SINK,
        "Events that Auth sent again and that were known already; they are not sent again",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.repeated)),
    ),
    metric(
        Kind::Counter,
        "ev_events_delivered",
        SINK,
        "Events that the receiver acknowledged",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.delivered)),
    ),
    metric(
        Kind::Counter,
        "ev_events_filtered",
        SINK,
        "Events left out because a setting says so",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.filtered)),
    ),
    metric(
        Kind::Counter,
        "ev_events_parked",
        SINK,
        "Events kept in the state because they could not be decoded or were refused",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.parked)),
    ),
    metric(
        Kind::Counter,
        "ev_events_given_up",
        SINK,
        "Events written to files because there was no room to park them",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.given_up)),
    ),
    metric(
        Kind::Counter,
        "ev_events_reread",
        SINK,
        "Events that were not settled when the calls by which they had come were left for others; \
         each is read again",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.reread)),
    ),
    metric(
        Kind::Gauge,
        "ev_events_in_flight",
        SINK,
        "Events taken and not settled yet",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.in_flight)),
    ),
    metric(
        Kind::Counter,
        "ev_events_sent",
        SINK,
        "Acknowledged events, those that were parked before included",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.sent)),
    ),
    metric(
        Kind::Gauge,
        "ev_parked_events",
        &["sink", "reason"],
        "Events that are parked now, by reason",
        |of, out| {
            each(of, |sink| {
                for (reason, count) in &sink.parked {
                    out.count(&[&sink.name, reason], *count);
                }
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_state_events",
        &["sink", "outcome"],
        "Events that the resume points have passed over the life of the state, by what became of \
         them",
        |of, out| {
            each(of, |sink| {
                let totals = &sink.totals;
                for (outcome, count) in [
                    ("delivered", totals.delivered),
                    ("filtered", totals.filtered),
                    ("parked", totals.parked),
                    ("resolved", totals.resolved),
                    ("dropped", totals.dropped),
                    ("given_up", totals.given_up),
                ] {
                    out.count(&[&sink.name, outcome], count);
                }
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_state_decoded_events",
        &["sink", "decoder"],
        "Delivered events over the life of the state, by what decoded them: `native`, `table` or \
         `module`; `inexact` are those of them that a schema of another version decoded",
        |of, out| {
            each(of, |sink| {
                let totals = &sink.totals;
                for (kind, count) in [
                    ("native", totals.native),
                    ("table", totals.table),
                    ("module", totals.module),
                    ("inexact", totals.inexact),
                ] {
                    out.count(&[&sink.name, kind], count);
                }
            });
        },
    ),
    metric(
        Kind::Counter,
        "ev_events_unknown",
        &["type"],
        "Events that the decoder in use did not know wholly, by type: the first 64 types by name, \
         all others as `other`",
        |of, out| {
            for (kind, count) in &of.decoder.unknown {
                out.count(&[kind], *count);
            }
        },
    ),
    // How far behind.
    metric(
        Kind::Gauge,
        "ev_lag_seconds",
        STREAM,
        "How far behind: for `audit` the age of the oldest place of the log that is still to be \
         read or delivered, 0 at its end, growing while there is no connection to Auth; for \
         `sessions` how long the recording that is read for the longest has been waited for",
        |of, out| {
            each(of, |sink| {
                if let Some(lag) = sink.lag_seconds {
                    out.whole(&[&sink.name, "audit"], lag);
                }
                out.whole(&[&sink.name, "sessions"], sink.sessions_lag_seconds);
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_newest_delivered_timestamp_seconds",
        STREAM,
        "Time of the newest event that was delivered in this run, in seconds since \
         1970-01-01T00:00:00Z",
        |of, out| {
            each(of, |sink| {
                if let Some(newest) = sink.newest_delivered {
                    out.whole(&[&sink.name, "audit"], newest.0);
                }
                if let Some(newest) = sink.newest_session_delivered {
                    out.whole(&[&sink.name, "sessions"], newest.0);
                }
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_position_timestamp_seconds",
        SINK,
        "Where reading of the oldest open stretch of the audit log stands, in seconds since \
         1970-01-01T00:00:00Z",
        |of, out| {
            each(of, |sink| {
                if let Some(position) = sink.position {
                    out.whole(&[&sink.name], position.0);
                }
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_caught_up",
        SINK,
        "1 when the end of the log was reached",
        |of, out| each(of, |sink| out.truth(&[&sink.name], sink.caught_up)),
    ),
    metric(
        Kind::Gauge,
        "ev_lanes",
        &["sink", "kind"],
        "What is read at this moment: windows of the log, chunks of the export, session recordings",
        |of, out| {
            each(of, |sink| {
                out.count(&[&sink.name, "window"], sink.windows);
                out.count(&[&sink.name, "chunk"], sink.chunks);
                out.count(&[&sink.name, "session"], sink.sessions);
            });
        },
    ),
    metric(
        Kind::Gauge,
        "ev_sessions_stopped",
        SINK,
        "Session recordings that cannot be read at the moment: missing, damaged or not allowed",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.sessions_stopped)),
    ),
    metric(
        Kind::Gauge,
        "ev_sessions_unreadable",
        SINK,
        "Those of `ev_sessions_stopped` that are refused or damaged, and not merely missing, as one may be for \
         a while after it was announced",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.sessions_unreadable)),
    ),
    metric(
        Kind::Counter,
        "ev_sessions_given_up",
        SINK,
        "Session recordings given up",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.sessions_given_up)),
    ),
    metric(
        Kind::Gauge,
        "ev_state_sessions",
        SINK,
        "Session recordings read to their end over the life of the state",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.totals.sessions)),
    ),
    metric(
        Kind::Counter,
        "ev_recording_gaps",
        SINK,
        "Gaps in the indexes of session recordings that were read to their end",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.recording_gaps)),
    ),
    // Delivery.
    metric(Kind::Gauge, "ev_requests_in_flight", STREAM, "Requests under way", |of, out| {
        streams(of, |labels, receiver| out.count(labels, receiver.in_flight))
    }),
    metric(
        Kind::Gauge,
        "ev_requests_limit",
        STREAM,
        "How many requests may be under way, by how the receiver answers",
        |of, out| streams(of, |labels, receiver| out.count(labels, receiver.limit)),
    ),
    metric(
        Kind::Gauge,
        "ev_batches_delayed",
        STREAM,
        "Batches that wait to be sent again",
        |of, out| streams(of, |labels, receiver| out.count(labels, receiver.delayed)),
    ),
    metric(
        Kind::Gauge,
        "ev_batches_suspect",
        STREAM,
        "Batches that are tried alone, because the receiver may refuse one of their events",
        |of, out| streams(of, |labels, receiver| out.count(labels, receiver.suspects)),
    ),
    metric(
        Kind::Gauge,
        "ev_delivery_failing_seconds",
        STREAM,
        "For how long no request has succeeded although some were made; 0 when the last one did",
        |of, out| {
            streams(of, |labels, receiver| {
                out.count(labels, receiver.trouble.as_ref().map_or(0, |trouble| trouble.seconds));
            });
        },
    ),
    metric(
        Kind::Counter,
        "ev_delivery_retries",
        SINK,
        "Attempts to deliver that failed",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.retries)),
    ),
    metric(
        Kind::Counter,
        "ev_unknown_outcome_events",
        SINK,
        "Events of requests whose outcome nobody knows; each is sent again, so it may be stored \
         twice",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.counters.unknown_outcomes)),
    ),
    metric(
        Kind::Gauge,
        "ev_held_bytes",
        SINK,
        "Memory held by what waits to be sent",
        |of, out| each(of, |sink| out.count(&[&sink.name], sink.held_bytes)),
    ),
    metric(
        Kind::Counter,
        "ev_requests",
        SINK,
        "Requests with events (batches) that were begun, second tries included",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.requests)),
    ),
    metric(Kind::Counter, "ev_request_events", SINK, "Events in those requests", |of, out| {
        sent(of, |sink, delivery| out.count(&[sink], delivery.events))
    }),
    metric(
        Kind::Counter,
        "ev_request_bytes",
        SINK,
        "Bytes of the bodies of those requests as they were sent",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.bytes)),
    ),
    metric(
        Kind::Counter,
        "ev_responses",
        &["sink", "status"],
        "Answers by the first digit of their status",
        |of, out| {
            sent(of, |sink, delivery| {
                let responses = &delivery.responses;
                for (status, count) in [
                    ("2xx", responses.success),
                    ("3xx", responses.redirect),
                    ("4xx", responses.client_error),
                    ("5xx", responses.server_error),
                    ("other", responses.other),
                ] {
                    out.count(&[sink, status], count);
                }
            });
        },
    ),
    metric(
        Kind::Histogram,
        "ev_round_trip_seconds",
        SINK,
        "Time from the beginning of a request to its answer, without that of connecting",
        |of, out| sent(of, |sink, delivery| out.times(&[sink], &delivery.round_trips)),
    ),
    metric(
        Kind::Counter,
        "ev_request_timeouts",
        SINK,
        "Requests that got no answer in time",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.timeouts)),
    ),
    metric(
        Kind::Counter,
        "ev_requests_broken",
        SINK,
        "Requests whose connection broke before an answer",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.broken)),
    ),
    metric(
        Kind::Counter,
        "ev_requests_resent",
        SINK,
        "Requests begun anew at once, because the reused connection was closed",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.resent)),
    ),
    metric(
        Kind::Counter,
        "ev_possible_duplicate_events",
        SINK,
        "Events in those that may be stored twice",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.possible_duplicate_events)),
    ),
    metric(
        Kind::Counter,
        "ev_connections_opened",
        SINK,
        "Connections to the receiver that were opened",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.connections_opened)),
    ),
    metric(
        Kind::Counter,
        "ev_connections_failed",
        SINK,
        "Connections to the receiver that could not be opened",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.connections_failed)),
    ),
    metric(
        Kind::Counter,
        "ev_certificate_reloads",
        SINK,
        "Times that changed certificate files were taken into use",
        |of, out| sent(of, |sink, delivery| out.count(&[sink], delivery.certificate_reloads)),
    ),
    // Auth.
    metric(
        Kind::Gauge,
        "ev_auth_connected",
        &[],
        "1 while there is a connection to Auth",
        |of, out| out.truth(&[], of.auth.connected),
    ),
    metric(
        Kind::Info,
        "ev_auth",
        &["cluster", "version", "road"],
        "The cluster, the version that Auth reports, and the calls by which its log is read",
        |of, out| {
            let text = |fact: &Option<String>| fact.clone().unwrap_or_default();
            let auth = &of.auth;
            out.fact(&[&text(&auth.cluster), &text(&auth.version), &text(&auth.road)]);
        },
    ),
    metric(
        Kind::Counter,
        "ev_auth_reconnects",
        &["reason"],
        "Why a connection to Auth had to be made anew: `failed` attempts, connections `lost`, new \
         `credentials`",
        |of, out| {
            let reconnects = &of.auth.reconnects;
            out.count(&["failed"], reconnects.failed);
            out.count(&["lost"], reconnects.lost);
            out.count(&["credentials"], reconnects.credentials);
        },
    ),
    metric(
        Kind::Gauge,
        "ev_certificate_expiry_timestamp_seconds",
        &["for", "subject"],
        "Last second of validity of each certificate in use, in seconds since \
         1970-01-01T00:00:00Z: `auth` is the identity towards Teleport, otherwise the name of the \
         sink. Of several with one subject the first that ends. With ` ca` behind it, the CA that \
         the server's certificate has to come from; of several the one that ends last, as it is \
         enough. Nothing of the CAs of the operating system",
        |of, out| certificates(of, out, |certificate| certificate.not_after),
    ),
    metric(
        Kind::Gauge,
        "ev_certificate_renewal_due_timestamp_seconds",
        &["for", "subject"],
        "From when on the end of each of these is near: in the last fifth of the lifetime, at most \
         30 days ahead. What is renewed by itself never comes there",
        |of, out| certificates(of, out, |certificate| certificate.warn_from),
    ),
    // Decoders.
    metric(
        Kind::Info,
        "ev_decoder",
        &["in_use", "signer"],
        "The decoder in use for Auth's version, and who signed it",
        |of, out| {
            if let Some(in_use) = &of.decoder.in_use {
                out.fact(&[in_use, of.decoder.signer.as_deref().unwrap_or_default()]);
            }
        },
    ),
    metric(
        Kind::Counter,
        "ev_artifacts_accepted",
        &[],
        "Signed decoders that passed all checks and were loaded",
        |of, out| out.count(&[], of.decoder.artifacts.accepted),
    ),
    metric(
        Kind::Counter,
        "ev_artifacts_refused",
        &[],
        "Signed decoders that failed a check or to load",
        |of, out| out.count(&[], of.decoder.artifacts.refused),
    ),
    metric(
        Kind::Counter,
        "ev_decoder_failures",
        &[],
        "Calls of a decoder that failed as a whole; its events are tried again one by one",
        |of, out| out.count(&[], of.decoder.artifacts.failures),
    ),
    // State.
    metric(
        Kind::Gauge,
        "ev_state_usable",
        &[],
        "0 while the state cannot be read or written, and delivery stands still for it",
        |of, out| out.truth(&[], of.storage_trouble.is_none()),
    ),
    metric(Kind::Counter, "ev_state_commits", SINK, "Commits to the state", |of, out| {
        each(of, |sink| out.count(&[&sink.name], sink.counters.commits))
    }),
    metric(
        Kind::Counter,
        "ev_state_commit_seconds",
        SINK,
        "How long those took together",
        |of, out| each(of, |sink| out.number(&[&sink.name], sink.counters.commit_seconds)),
    ),
    // Lock-out.
    metric(
        Kind::Counter,
        "ev_lock_failed_logins",
        &[],
        "Failed logins that count towards a lock",
        |of, out| of.locking.iter().for_each(|locking| out.count(&[], locking.failed_logins)),
    ),
    metric(Kind::Counter, "ev_locks_set", &[], "Users that were locked out", |of, out| {
        of.locking.iter().for_each(|locking| out.count(&[], locking.locks_set))
    }),
    metric(
        Kind::Counter,
        "ev_lock_failures",
        &[],
        "Attempts to lock a user out that failed",
        |of, out| of.locking.iter().for_each(|locking| out.count(&[], locking.failures)),
    ),
    metric(Kind::Gauge, "ev_locks_waiting", &[], "Locks that wait to be set", |of, out| {
        of.locking.iter().for_each(|locking| out.count(&[], locking.waiting))
    }),
];
