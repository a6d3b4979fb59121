//! Settings turned into the plain configurations of the crates.

use std::sync::Arc;
use std::time::Duration;

use ev_config::{BatchMode, Body, Credentials, Fluentd, Settings};
use ev_core::{Env, Flavour, Framing, Road};
use ev_sink_fluentd::{FluentdSink, Form, Gzip, Timeouts, TokenFile};
use ev_source::{SearchSource, Surroundings};
use ev_tls::{CredentialFiles, Passphrase, PassphraseSource};

use super::Error;

pub(crate) fn sink(settings: &Fluentd, env: Arc<dyn Env>) -> Result<FluentdSink, Error> {
    let mut config = ev_sink_fluentd::Config::new(&settings.url, &settings.session_url);
    config.tls = fluentd_files(settings);
    config.framing = match settings.batching.mode {
        BatchMode::Single => Framing::Single,
        BatchMode::Array => Framing::Array,
    };
    config.form = match settings.batching.body {
        Body::Json => Form::Json,
        Body::Ndjson => Form::Ndjson,
        Body::SplunkHec => Form::SplunkHec,
        Body::Loki => Form::Loki,
    };
    let header = |header: &ev_config::Header| (header.name.clone(), header.value.clone());
    config.headers = settings.headers.iter().map(header).collect();
    config.token = settings
        .token
        .clone()
        .map(|ev_config::Token { file, scheme }| TokenFile { path: file, scheme });
    config.max_connections = settings.max_connections;
    config.max_events = settings.batching.max_events;
    config.max_bytes = settings.batching.max_bytes;
    config.gzip = gzip(settings.batching.gzip);
    config.id_headers = settings.id_headers;
    config.timeouts = Timeouts {
        connect: settings.timeouts.connect,
        handshake: settings.timeouts.handshake,
        request: settings.timeouts.request,
        response: settings.timeouts.response,
        ..Timeouts::default()
    };
    FluentdSink::new(config, env).map_err(|error| match error {
        ev_sink_fluentd::Error::Tls(error @ ev_tls::Error::Expired { .. }) => Error::Expired {
            whose: "forward.fluentd",
            advice: "make a new client certificate, signed by the CA that Fluentd trusts",
            source: error.into(),
        },
        ev_sink_fluentd::Error::Tls(error @ ev_tls::Error::EncryptedKey { .. }) => {
            let name = &settings.key_passphrase_variable;
            let setting = format!(
                "forward.fluentd: set `key-passphrase-file`, or the passphrase in the environment as `{name}`"
            );
            Error::setting(setting, error)
        }
        error => Error::setting("forward.fluentd", error),
    })
}

/// The certificates for Fluentd.
pub(crate) fn fluentd_files(settings: &Fluentd) -> CredentialFiles {
    CredentialFiles {
        ca: settings.ca.clone(),
        certificate: settings.client.as_ref().map(|client| client.cert.clone()),
        key: settings.client.as_ref().map(|client| client.key.clone()),
        passphrase: passphrase(settings),
    }
}

/// Which bodies are compressed.
pub(crate) fn gzip(setting: ev_config::Gzip) -> Gzip {
    match setting {
        ev_config::Gzip::Off => Gzip::Off,
        ev_config::Gzip::Auto { above_bytes } => Gzip::Auto { above_bytes },
        ev_config::Gzip::Always => Gzip::Always,
    }
}

/// What opens an encrypted key: a file before the environment.
pub(crate) fn passphrase(settings: &Fluentd) -> Option<PassphraseSource> {
    if let Some(path) = &settings.key_passphrase_file {
        return Some(PassphraseSource::File(path.clone()));
    }
    let value = std::env::var_os(&settings.key_passphrase_variable)?;
    let known = Passphrase::new(value.into_encoded_bytes());
    Some(PassphraseSource::Known(known))
}

/// How Auth is reached and read.
pub(crate) fn source_config(settings: &Settings) -> ev_source::Config {
    let credentials = match &settings.teleport.credentials {
        Credentials::Identity(path) => ev_source::Credentials::Identity(path.clone()),
        Credentials::Files { cert, key, ca } => ev_source::Credentials::Files {
            certificate: cert.clone(),
            key: key.clone(),
            ca: ca.clone(),
        },
    };
    let mut config = ev_source::Config::new(&settings.teleport.addr, credentials);
    config.road = road(settings);
    config.types.clone_from(&settings.ingest.types);
    config.batch = settings.ingest.page_size;
    config.window_size = settings.ingest.window_size;
    config.poll_interval = settings.ingest.poll_interval;
    config.concurrency = settings.ingest.concurrency;
    config.rescan.clone_from(&settings.ingest.rescan);
    config.export_chunks = settings.ingest.export.chunks;
    config.export_backlog = settings.ingest.export.backlog;
    config.export_poll = settings.ingest.export.poll;
    // Looking costs next to nothing, so the interval is but an upper bound.
    config.refresh = settings
        .teleport
        .refresh
        .map(|interval| interval.clamp(Duration::from_secs(1), ev_source::Config::DEFAULT_REFRESH));
    config.proxy_ca.clone_from(&settings.teleport.proxy_ca);
    config.surroundings = Surroundings::read(|name| std::env::var(name).ok());
    config
}

pub(crate) fn source(settings: &Settings, env: Arc<dyn Env>) -> Result<SearchSource, Error> {
    SearchSource::new(source_config(settings), env).map_err(|error| match error {
        ev_source::Error::Expired(error) => Error::Expired {
            whose: "teleport",
            advice: "sign new credentials, with `tctl auth sign` (whose `--ttl` is 12 h unless \
                     given) or let `tbot` renew them, and start again",
            source: error.into(),
        },
        error => Error::setting("teleport", error),
    })
}

/// What does not depend on the receiver; the rest is the [`super::outlet::Pace`].
pub(crate) fn engine(settings: &Settings) -> ev_pipeline::Config {
    let ingest = &settings.ingest;
    ev_pipeline::Config {
        skip_event_types: ingest.skip_event_types.iter().cloned().collect(),
        skip_session_types: ingest.skip_session_types.iter().cloned().collect(),
        exit_on_last_event: ingest.exit_on_last_event,
        recording_patience: ingest.recording_patience,
        max_parked_events: ingest.max_parked_events,
        max_parked_bytes: ingest.max_parked_bytes,
        ..ev_pipeline::Config::default()
    }
}

/// By which calls the log is read.
pub(crate) fn road(settings: &Settings) -> Road {
    match settings.ingest.source {
        ev_config::Road::Unstructured => Road::Unstructured,
        ev_config::Road::Export => Road::Export,
        ev_config::Road::Auto | ev_config::Road::Typed => Road::Typed,
    }
}

/// By which calls a stretch of the log is searched for; the export cannot be asked for one.
pub(crate) fn search_road(settings: &Settings) -> Road {
    match road(settings) {
        Road::Export => Road::Unstructured,
        road => road,
    }
}

/// The JSON flavour that the settings name; `None` leaves it to the state, and to how that begins.
pub(crate) fn flavour(settings: &Settings) -> Option<Flavour> {
    match settings.json.flavour {
        ev_config::JsonFlavour::Auto => None,
        ev_config::JsonFlavour::Go => Some(Flavour::Go),
        ev_config::JsonFlavour::Struct => Some(Flavour::Struct),
    }
}
