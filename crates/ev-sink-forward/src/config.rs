//! Settings of a Forward sink.

use std::fmt;
use std::time::Duration;

use ev_dial::Gzip;
use ev_tls::CredentialFiles;

/// Where and how to deliver. Checked by [`crate::ForwardSink::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The receiver: `tls://host:port`, or `tcp://host:port` without TLS; without a port 24224.
    pub url: String,
    /// Tag of audit events.
    pub tag: String,
    /// Tag of session recordings: `.<session id>.log` is put behind it, or the id in the place of
    /// `{session-id}`. The same as the path of an HTTP address would become.
    pub session_tag: String,
    /// Certificates for `tls`: CA (else the system's), client certificate and key.
    pub tls: CredentialFiles,
    /// The key that both sides know; `None` where the receiver has no `<security>`.
    pub shared_key: Option<Secret>,
    /// User and password, where the receiver asks for them; only together with the shared key.
    pub login: Option<Login>,
    /// The name by which we introduce ourselves in the handshake; something random is put behind
    /// it, since a receiver with the same name would not be believed.
    pub hostname: String,
    /// Most chunks under way at one time, each on its own connection; at least 1.
    pub max_connections: usize,
    /// Most events in a chunk; at least 1.
    pub max_events: usize,
    /// Most bytes of JSON in a chunk; at least 1. Must stay below the receiver's
    /// `chunk_size_limit`, above which it drops a chunk without a word.
    pub max_bytes: usize,
    /// Which chunks are compressed; what counts is the size of their entries in msgpack.
    pub gzip: Gzip,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Config {
    /// 4 connections, 500 events, 1 MiB, no compression, no shared key, system CAs.
    pub fn new(
        url: impl Into<String>,
        tag: impl Into<String>,
        session_tag: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            tag: tag.into(),
            session_tag: session_tag.into(),
            tls: CredentialFiles::default(),
            shared_key: None,
            login: None,
            hostname: "ev-handler".to_owned(),
            max_connections: 4,
            max_events: 500,
            max_bytes: 1024 * 1024,
            gzip: Gzip::Off,
            timeouts: Timeouts::default(),
        }
    }
}

/// A text that nobody may see. Printing shows nothing of it, not even its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// Who we are to a receiver with a list of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect together.
    pub connect: Duration,
    /// TLS handshake, and then again HELO, PING and PONG together.
    pub handshake: Duration,
    /// Until a whole chunk has been taken by the network.
    pub request: Duration,
    /// From then until its acknowledgement is there. Fluentd's own sender waits 190 s; what takes
    /// longer than this is sent again.
    pub ack: Duration,
    /// How long an idle connection may be used again. Receivers close none by themselves, but
    /// what stands between may forget them.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            request: Duration::from_secs(30),
            ack: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}
