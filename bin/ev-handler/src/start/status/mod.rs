//! What a run is doing, put together for whoever asks: the address for diagnostics, the file that
//! SIGUSR1 writes, and systemd.

mod blind;
mod catching_up;
mod engine;
mod last;
mod notify;
mod parked;
mod turning;
mod unknown;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ev_core::{AuthVersion, BoxFuture, Env, SinkId};
use ev_diag::{
    Artifacts, Auth, Certificate, Decoder, Delivery, Engine, History, Locking, Phase, Pulse,
    Recent, Reconnects, Responses, Sink, Snapshot, Times, TimesBucket, UnixTime, Views, Watchdog,
};
use ev_pipeline::Status;
use ev_sink_fluentd::{RoundTrips, Stats};
use ev_source::{AuthCredentials, AuthPresence};
use ev_state::SqliteStore;
use ev_tls::CertificateFacts;
use tokio_util::sync::CancellationToken;

use self::blind::Blind;
use self::last::Last;
use self::parked::Parked;
use self::unknown::UnknownTypes;
use super::known::{Known, Running};
use super::outlet::{Made, Outlet};
use super::receiver::Watching;

pub(crate) use self::catching_up::foot;
pub(crate) use self::engine::sums;
pub(crate) use self::notify::Notify;
pub(crate) use self::turning::Turning;

/// How long an engine is waited for: it does not answer while its state cannot be used.
const PATIENCE: Duration = Duration::from_secs(2);
/// Something that has not turned for so long hangs. No page takes as long to decode.
const STALLED: Duration = Duration::from_secs(30);

/// Who knows what.
pub(super) struct Sources {
    pub(super) storage: String,
    pub(super) address: String,
    pub(super) dry_run: bool,
    /// Each with the name by which the state knows it; none in a dry run, which sends nothing.
    pub(super) outlets: Vec<Outlet>,
    pub(super) watching: Watching,
    pub(super) store: Arc<SqliteStore>,
    pub(super) credentials: AuthCredentials,
    pub(super) presence: AuthPresence,
    pub(super) known: Known,
    pub(super) recent: Recent,
    pub(super) stop: CancellationToken,
    pub(super) env: Arc<dyn Env>,
}

/// What is going on, and what each engine says in full.
pub(crate) struct Gathered {
    pub(crate) snapshot: Snapshot,
    pub(crate) statuses: Vec<(SinkId, Status)>,
}

/// Puts together what a run is doing.
pub(crate) struct Gatherer {
    from: Sources,
    began: Duration,
    started: UnixTime,
    embedded: Vec<String>,
    parked: Parked,
    unknown: UnknownTypes,
    blind: Blind,
    /// What each engine said last.
    last: Mutex<Last<Status>>,
    history: Mutex<History>,
    /// Beats while the runtime turns.
    runtime: Pulse,
    watchdog: Watchdog,
}

impl Gatherer {
    pub(super) fn new(from: Sources) -> Self {
        let embedded = ev_decode::embedded()
            .iter()
            .map(|embedded| embedded.table.auth_version().to_string())
            .collect();
        let (runtime, known, stop) = (Pulse::default(), from.known.clone(), from.stop.clone());
        let beats = runtime.clone();
        let watchdog = Watchdog::new(STALLED)
            .watch("the runtime", move || vec![("it".to_owned(), beats.beats())])
            .watch("an engine", move || {
                // At the end it waits for requests, and that has a limit.
                if stop.is_cancelled() {
                    return Vec::new();
                }
                let beats = |running: &Running| (running.sink.0.clone(), running.pulse.beats());
                // One that has ended waits for Auth before the next begins, however long that takes.
                let facts = known.lock();
                let turn = facts.engines.iter().filter(|running| !running.inspector.has_ended());
                turn.map(beats).collect()
            });
        Self {
            began: from.env.monotonic(),
            started: UnixTime(from.env.now().seconds()),
            embedded,
            parked: Parked::new(Arc::clone(&from.store), (!from.dry_run).then_some(&*from.storage)),
            unknown: UnknownTypes::default(),
            blind: Blind::default(),
            last: Mutex::default(),
            history: Mutex::default(),
            runtime,
            watchdog,
            from,
        }
    }

    /// What is going on at this moment.
    pub(crate) async fn gather(&self) -> Snapshot {
        self.gather_all().await.snapshot
    }

    /// The same, with all that the engines say.
    pub(crate) async fn gather_all(&self) -> Gathered {
        let Sources { env, known, stop, presence, .. } = &self.from;
        let (survey, registry, engines, lockout) = {
            let facts = known.lock();
            let engines = facts.engines.clone();
            (facts.survey.clone(), facts.registry.clone(), engines, facts.lockout.clone())
        };
        let statuses = self.ask(&engines).await;
        let now = env.monotonic();
        let lost_at = presence.lost_at();
        let lost = lost_at.map(|at| now.saturating_sub(at).as_secs());
        let trouble = presence.trouble();
        // Nobody knows what comes there meanwhile.
        let troubled_at = trouble.as_ref().map(|(at, _)| *at);
        let since = self.blind.since(lost_at.into_iter().chain(troubled_at).min());
        let blind = since.map(|at| now.saturating_sub(at).as_secs());
        let connected = presence.version();
        let version = connected.as_ref().or(survey.as_ref().map(|survey| &survey.version));
        let signer = registry.as_ref().zip(version).and_then(|(all, of)| all.signer(of));
        let mut answers = statuses.iter().filter_map(|(_, status, _)| status.as_ref());
        let decoder = Decoder {
            in_use: answers.next().and_then(|status| status.decoder.clone()),
            signer: signer.map(|key| key.to_string()),
            artifacts: registry.as_ref().map(artifacts).unwrap_or_default(),
            unknown: self.unknown(&statuses),
        };
        let mut sinks = Vec::new();
        for (running, status, answers) in &statuses {
            let mut sink = engine::sink(running, status.as_ref(), *answers);
            // The age of what is left grows by itself; at the end of the log this is all there is.
            let unseen = i64::try_from(blind.unwrap_or(0)).unwrap_or(i64::MAX);
            sink.lag_seconds = sink.lag_seconds.map(|lag| lag.max(unseen));
            sink.parked = self.parked.of(&running.sink).await;
            self.add_transport(&mut sink);
            sinks.push(sink);
        }
        let phase = match () {
            () if stop.is_cancelled() => Phase::Stopping,
            () if engines.is_empty() => Phase::Starting,
            () => Phase::Running,
        };
        let storage_trouble = engines.iter().find_map(|running| running.pulse.state_trouble());
        let storage_trouble = storage_trouble.or_else(|| self.parked.trouble());
        let snapshot = Snapshot {
            time: UnixTime(env.now().seconds()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            embedded_schemas: self.embedded.clone(),
            process: std::process::id(),
            started: self.started,
            uptime_seconds: now.saturating_sub(self.began).as_secs(),
            phase,
            dry_run: self.from.dry_run,
            auth: Auth {
                address: self.from.address.clone(),
                connected: connected.is_some(),
                disconnected_seconds: lost,
                trouble: trouble.map(|(_, reason)| reason).or_else(|| presence.failure()),
                version: version.map(AuthVersion::to_string),
                cluster: survey.map(|survey| survey.cluster),
                road: engines.first().map(|running| running.road.as_str().to_owned()),
                reconnects: reconnects(presence.reconnects()),
                certificates: certificates(&self.from.credentials.facts()),
                authority: self.from.credentials.authority_facts().as_ref().map(certificate),
            },
            decoder,
            sinks,
            storage: self.from.storage.clone(),
            storage_trouble,
            locking: lockout.map(|lockout| locking(lockout.counts())),
            unwatched: self.from.watching.ended(),
            history: self.history().minutes(),
            troubles: self.from.recent.lines(),
        };
        let statuses =
            statuses.into_iter().filter_map(|(running, status, _)| Some((running.sink, status?)));
        Gathered { snapshot, statuses: statuses.collect() }
    }

    /// What each engine says, or said last, and whether it answers now.
    async fn ask(&self, engines: &[Running]) -> Vec<(Running, Option<Status>, Engine)> {
        let mut said = Vec::new();
        for running in engines {
            let asked = ev_core::within(&*self.from.env, PATIENCE, running.inspector.status());
            let status = asked.await.flatten();
            let answers = match &status {
                Some(_) => Engine::Running,
                None if running.inspector.has_ended() => Engine::NotStarted,
                None => Engine::Silent,
            };
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let status = last.note(&running.sink, running.number, status);
            said.push((running.clone(), status, answers));
        }
        said
    }

    /// Events that were not wholly known, by type. All sinks have the same events: the first
    /// counts, which in a dry run is the only one.
    fn unknown(&self, statuses: &[(Running, Option<Status>, Engine)]) -> BTreeMap<String, u64> {
        let first = self.from.outlets.first().map(|outlet| outlet.name);
        let mut of_first = statuses
            .iter()
            .filter(|(running, ..)| first.is_none_or(|first| running.sink.0 == first));
        match of_first.next() {
            Some((running, Some(status), _)) => {
                let by_type = status.unknown.by_type();
                let counts = by_type.map(|(kind, count)| (kind.to_owned(), count)).collect();
                self.unknown.add(running.number, counts)
            }
            Some((_, None, _)) | None => self.unknown.sums(),
        }
    }

    fn add_transport(&self, sink: &mut Sink) {
        let of = self.from.outlets.iter().find(|outlet| outlet.name == sink.name);
        match of.map(|outlet| &outlet.made) {
            Some(Made::Fluentd(transport)) => {
                sink.delivery = Some(delivery(&transport.stats()));
                sink.certificates = certificates(&transport.identity_facts());
                sink.authority = transport.authority_facts().as_ref().map(certificate);
            }
            Some(Made::Forward(transport)) => {
                sink.delivery = Some(chunks(&transport.stats()));
                sink.certificates = certificates(&transport.identity_facts());
                sink.authority = transport.authority_facts().as_ref().map(certificate);
            }
            Some(Made::File(_)) | None => {}
        }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all engines, so that they turn. What comes of it is in short what each is doing.
    async fn nudge(&self) -> Vec<Sink> {
        let engines = self.from.known.lock().engines.clone();
        let said = self.ask(&engines).await;
        said.iter()
            .map(|(running, status, answers)| engine::sink(running, status.as_ref(), *answers))
            .collect()
    }
}

impl Views for Gatherer {
    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        Box::pin(self.gather())
    }

    fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    fn env(&self) -> &dyn Env {
        &*self.from.env
    }
}

fn artifacts(registry: &ev_modules::Registry) -> Artifacts {
    let ev_modules::Counts { accepted, refused, failures } = registry.counts();
    Artifacts { accepted, refused, failures }
}

fn reconnects(counts: ev_source::Reconnects) -> Reconnects {
    Reconnects { failed: counts.failed, lost: counts.lost, credentials: counts.credentials }
}

fn certificates(facts: &[CertificateFacts]) -> Vec<Certificate> {
    facts.iter().map(certificate).collect()
}

fn certificate(facts: &CertificateFacts) -> Certificate {
    Certificate {
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        not_before: UnixTime(facts.not_before),
        not_after: UnixTime(facts.not_after),
        warn_from: UnixTime(facts.warn_from()),
    }
}

fn locking(counts: ev_locking::Counts) -> Locking {
    Locking {
        failed_logins: counts.failed_logins,
        users: counts.users as u64,
        locks_set: counts.set,
        failures: counts.failures,
        waiting: counts.waiting as u64,
        lost: counts.lost,
    }
}

/// The same of chunks, whose one answer is an acknowledgement.
fn chunks(stats: &ev_sink_forward::Stats) -> Delivery {
    Delivery {
        requests: stats.chunks,
        events: stats.events,
        bytes: stats.bytes,
        gzip_in_bytes: stats.gzip_in_bytes,
        gzip_out_bytes: stats.gzip_out_bytes,
        responses: Responses { success: stats.acks, ..Responses::default() },
        timeouts: stats.timeouts,
        broken: stats.broken + stats.doubts,
        connections_opened: stats.connections_opened,
        connections_failed: stats.connections_failed,
        // Nothing is sent again without the engine, which counts what that may double.
        resent: 0,
        possible_duplicate_events: 0,
        certificate_reloads: stats.certificate_reloads,
        round_trips: times(&stats.round_trips),
    }
}

fn delivery(stats: &Stats) -> Delivery {
    Delivery {
        requests: stats.requests,
        events: stats.events,
        bytes: stats.body_bytes,
        gzip_in_bytes: stats.gzip_in_bytes,
        gzip_out_bytes: stats.gzip_out_bytes,
        responses: Responses {
            success: stats.responses.success,
            redirect: stats.responses.redirect,
            client_error: stats.responses.client_error,
            server_error: stats.responses.server_error,
            other: stats.responses.other,
        },
        timeouts: stats.timeouts,
        broken: stats.broken,
        connections_opened: stats.connections_opened,
        connections_failed: stats.connections_failed,
        resent: stats.resent,
        possible_duplicate_events: stats.possible_duplicate_events,
        certificate_reloads: stats.certificate_reloads,
        round_trips: times(&stats.round_trips),
    }
}

fn times(times: &RoundTrips) -> Times {
    let millis = |bound: Duration| u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    let bucket = |(bound, count): (Option<Duration>, u64)| TimesBucket {
        up_to_ms: bound.map(millis),
        count,
    };
    Times {
        sum_seconds: times.sum().as_secs_f64(),
        mean_ms: times.smoothed().map(|mean| mean.as_secs_f64() * 1_000.0),
        buckets: times.buckets().map(bucket).collect(),
    }
}
