//! Settings of a source.

use std::time::Duration;

use ev_tls::CredentialFiles;

/// Where artifacts are fetched from. Checked by [`crate::HttpsSource::new`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The base: `https://host/path`, or `http://` for a server on this machine's loopback. A
    /// query is sent with every request, as stores want it that sign addresses; it is never
    /// printed.
    pub url: String,
    /// CA (else those of the operating system), and a client certificate with its key for servers
    /// that ask for one.
    pub tls: CredentialFiles,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl Config {
    /// The system's CAs, no client certificate.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), tls: CredentialFiles::default(), timeouts: Timeouts::default() }
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect together; 5 s.
    pub connect: Duration,
    /// TLS handshake; 5 s.
    pub handshake: Duration,
    /// From a request until its whole answer is there; 20 s.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            answer: Duration::from_secs(20),
        }
    }
}
