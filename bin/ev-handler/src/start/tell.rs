//! The first lines of the log: a line for each setting, by which people see what is in force.

use std::path::Path;
use std::time::Duration;

use ev_config::{
    BatchMode, BatchModeReason, Credentials, Fluentd, Forward, Ingest, Settings, format_duration,
    redacted,
};
use tracing::{debug, info, warn};

use crate::text::time;
use crate::{program, storage};

/// Tells all of them, in the order of the reference handler; ours stand behind.
pub(super) fn tell(settings: &Settings) {
    debug!(
        version = env!("CARGO_PKG_VERSION"),
        git_ref = option_env!("EV_GIT_REF").unwrap_or_default(),
        rust = env!("EV_RUSTC_VERSION"),
        "this is {}",
        program::NAME
    );
    info!(storage = %settings.storage.display(), "using storage");
    if let Some(why) = storage::fleeting(&settings.storage) {
        warn!("what is stored does not last: {why}");
    }
    ingest(&settings.ingest);
    if let Some(set) = &settings.fluentd {
        fluentd(set);
    }
    if let Some(set) = &settings.forward {
        forward(set);
    }
    if let Some(set) = &settings.file {
        info!(
            path = %set.path.display(),
            session_path = %set.session_path.display(),
            sync = ?set.sync,
            "writing events to files"
        );
    }
    info!(window_size = duration(settings.ingest.window_size), "using window size");
    teleport(settings);
    if let Some(lock) = &settings.lock {
        info!(
            count = lock.failed_attempts,
            period = duration(lock.period),
            lock_for = lock.lock_for.map_or_else(|| "ever".to_owned(), duration),
            "auto-locking is on"
        );
    }
    ours(settings);
    if settings.dry_run {
        warn!("dry run: events are not sent, and the resume point stays where it is");
    }
    if settings.ingest.exit_on_last_event {
        warn!("stopping at the end of the log, as `exit-on-last-event` is set");
    }
}

fn ingest(ingest: &Ingest) {
    info!(batch = ingest.page_size, "using batch size");
    info!(concurrency = ingest.concurrency, "using concurrency");
    info!(types = list(&ingest.types), "using type filter");
    info!(types = list(&ingest.skip_event_types), "skipping events of types");
    info!(types = list(&ingest.skip_session_types), "skipping session events of types");
    match &ingest.start_time_unix_secs {
        Some(seconds) => info!(start_time = time(*seconds), "using start time"),
        None => info!("using start time of the state, and in a new one now"),
    }
    if let Some(cursor) = &ingest.cursor {
        info!(cursor, "using cursor");
    }
    info!(timeout = duration(ingest.poll_interval), "using timeout");
}

fn fluentd(fluentd: &Fluentd) {
    info!(url = redacted(&fluentd.url), "using Fluentd url");
    info!(url = redacted(&fluentd.session_url), "using Fluentd session url");
    let client = fluentd.client.as_ref();
    file(fluentd.ca.as_deref(), "using Fluentd ca");
    file(client.map(|client| client.cert.as_path()), "using Fluentd cert");
    file(client.map(|client| client.key.as_path()), "using Fluentd key");
    info!(max_connections = fluentd.max_connections, "using Fluentd max connections");
}

fn forward(forward: &Forward) {
    let client = forward.client.as_ref();
    info!(url = redacted(&forward.url), "using Forward url");
    info!(tag = forward.tag, session_tag = forward.session_tag, "using Forward tags");
    if forward.url.starts_with("tls:") {
        file(forward.ca.as_deref(), "using Forward ca");
        file(client.map(|client| client.cert.as_path()), "using Forward cert");
        file(client.map(|client| client.key.as_path()), "using Forward key");
    }
    let (has_key, has_user) = (forward.shared_key.is_some(), forward.login.is_some());
    info!(shared_key = has_key, user = has_user, "using Forward handshake");
}

fn teleport(settings: &Settings) {
    let teleport = &settings.teleport;
    match &teleport.credentials {
        Credentials::Identity(path) => file(Some(path), "using Teleport identity file"),
        Credentials::Files { cert, key, ca } => {
            file(Some(ca), "using Teleport CA");
            file(Some(cert), "using Teleport cert");
            file(Some(key), "using Teleport key");
        }
    }
    match teleport.refresh {
        Some(interval) => {
            info!(interval = duration(interval), "using Teleport credentials refresh")
        }
        None => info!("not using Teleport credentials refresh"),
    }
    info!(addr = teleport.addr, "using Teleport addr");
}

fn ours(settings: &Settings) {
    let Settings { fluentd, decoder, ingest, .. } = settings;
    match fluentd {
        Some(fluentd) => info!(
            batch_mode = fluentd.batching.mode.as_str(),
            in_flight = ?fluentd.in_flight,
            gzip = ?fluentd.batching.gzip,
            source = ?ingest.source,
            "using delivery"
        ),
        None => info!(source = ?ingest.source, "using delivery"),
    }
    if fluentd.as_ref().is_some_and(|fluentd| {
        fluentd.batching.reason == BatchModeReason::OnlyReferenceSettings
            && fluentd.batching.mode == BatchMode::Single
    }) {
        info!(
            "sending one event a request, as the configuration has none of our own settings about what is sent; `batch-mode = \"array\"` under `[forward.fluentd]` is many times faster where the receiver is Fluentd"
        );
    }
    if decoder.trust.is_none() {
        info!("no trust file is set (`trust` under `[decoder]`): decoder artifacts are not used");
    }
}

fn file(path: Option<&Path>, what: &'static str) {
    match path {
        Some(path) => info!(path = %path.display(), "{what}"),
        None => info!(path = "none", "{what}"),
    }
}

/// As the settings have it: `1m0s`.
fn duration(duration: Duration) -> String {
    format_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(",") }
}
