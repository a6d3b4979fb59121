//! Settings of a Fluentd sink.

use std::fmt;
use std::time::Duration;

use ev_core::Framing;
use ev_dial::Gzip;
use ev_tls::CredentialFiles;

use crate::{Form, TokenFile};

/// Where and how to deliver. Checked by [`crate::FluentdSink::new`].
#[derive(Clone)]
pub struct Config {
    /// Where audit events go: `https://host:port/tag`, or `http://` without TLS. A user and
    /// password in front of the host are sent as basic authentication, and never logged, nor is
    /// what stands behind a `?`.
    pub url: String,
    /// Where session recordings go: `.<session id>.log` is put behind it, character by character,
    /// or the id in the place of `{session-id}`.
    pub session_url: String,
    /// Certificates for `https`: CA (else the system's), client certificate and key.
    pub tls: CredentialFiles,
    /// One JSON object a request, as the reference handler sends, or an array of many.
    pub framing: Framing,
    /// What the body looks like. With forms that say themselves of which recording their events
    /// are, nothing is put behind [`Config::session_url`].
    pub form: Form,
    /// Names and values of headers that every request has, beside ours and instead of them;
    /// never logged. Not those that HTTP itself needs.
    pub headers: Vec<(String, String)>,
    /// Where the token of `Authorization` is read from. It excludes a user in an address.
    pub token: Option<TokenFile>,
    /// Most requests under way at one time, each on its own connection; at least 1. More than
    /// four do not help one Fluentd worker, but hide round trips in single mode.
    pub max_connections: usize,
    /// Most events in a request in array mode; at least 1. Beyond 500 nothing was gained in
    /// measurements and latency grew.
    pub max_events: usize,
    /// Most bytes in a request in array mode; at least 1. Fluentd's own limit is 32 MiB.
    pub max_bytes: usize,
    /// Which bodies are compressed. Fluentd takes gzip on every version from 1.2.3 on, with no
    /// change of its settings. What comes out there is byte for byte what would have been sent
    /// without.
    pub gzip: Gzip,
    /// Whether requests carry ids by which a receiver can drop repeats: `Ev-Batch-Id`, the same
    /// for all attempts of a batch, and in single mode `Ev-Event-Id`, the event's `uid`. Fluentd
    /// takes no notice of them, unless told to keep headers (`add_http_headers`).
    pub id_headers: bool,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Config {
    /// Array mode, 4 connections, 500 events, 1 MiB, no compression, ids in headers, system CAs.
    pub fn new(url: impl Into<String>, session_url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            session_url: session_url.into(),
            tls: CredentialFiles::default(),
            framing: Framing::Array,
            form: Form::Json,
            headers: Vec::new(),
            token: None,
            max_connections: 4,
            max_events: 500,
            max_bytes: 1024 * 1024,
            gzip: Gzip::Off,
            id_headers: true,
            timeouts: Timeouts::default(),
        }
    }
}

impl fmt::Debug for Config {
    /// Without the addresses and the values of headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, session_url: _, tls, framing, form, headers, token, .. } = self;
        let headers: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Config")
            .field("tls", tls)
            .field("framing", framing)
            .field("form", form)
            .field("headers", &headers)
            .field("token", token)
            .field("max_connections", &self.max_connections)
            .field("max_events", &self.max_events)
            .field("max_bytes", &self.max_bytes)
            .field("gzip", &self.gzip)
            .field("id_headers", &self.id_headers)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect together.
    pub connect: Duration,
    /// TLS handshake. A restarting Fluentd takes the TCP connection and lets the handshake hang
    /// for 1 to 9 s.
    pub handshake: Duration,
    /// Until the whole request has been taken by the network.
    pub request: Duration,
    /// From then until the whole answer is there.
    pub response: Duration,
    /// How long an idle connection may be used again. Must stay below the receiver's own limit,
    /// which is 10 s in Fluentd.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            request: Duration::from_secs(30),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(7),
        }
    }
}
