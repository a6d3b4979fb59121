//! Settings of a source.

use std::path::PathBuf;
use std::time::Duration;

use ev_core::Road;

use crate::address::Address;
use crate::{Error, Surroundings};

/// Where Auth is, who we are, and how to read.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of Auth or of a Proxy, `host:port`.
    pub address: String,
    /// Who we are.
    pub credentials: Credentials,
    /// By which calls the log is searched and recordings are read; [`Road::Export`] has them in
    /// common with [`Road::Unstructured`]. Resuming may name another one. Default [`Road::Typed`].
    pub road: Road,
    /// How often the credentials' files are looked at for changes, at least a second. `None` looks
    /// only when asked to, and once the credentials in use have expired. Default 10 s.
    pub refresh: Option<Duration>,
    /// CAs of a Proxy's web service, and of an HTTP proxy that is spoken to over TLS; `None` takes
    /// the system's. Auth itself is verified with the credentials' own CAs, whatever the way.
    pub proxy_ca: Option<PathBuf>,
    /// What the environment says about the way to Auth.
    pub surroundings: Surroundings,
    /// Event types to ask for, exact names; empty means all.
    pub types: Vec<String>,
    /// Events per page to ask for, 1 to 5,000 (Auth cuts at 5,000 and at 1 MiB). Default 500.
    pub batch: u16,
    /// Width of a catch-up window; cut to whole seconds, at least one; below 10 s it is 10 s.
    /// Default 24 h.
    pub window_size: Duration,
    /// How far the live window may reach from its start to the newest event, less a minute, before
    /// the next one takes over; cut to whole seconds, at least 60. Default 1 h.
    pub live_width: Duration,
    /// When a window is read again for events that were stored late, counted from its end: at most
    /// eight times, each at least one second; none turns that off. Default 10 min and 6 h. One
    /// window is read again at a time, beside the others and within the request budget.
    pub rescan: Vec<Duration>,
    /// A past shorter than [`Self::catch_up_lanes`] windows is cut into narrower ones, so that all
    /// lanes have work, but into none narrower than this, as each costs a request more. Default
    /// 10 min.
    pub least_window: Duration,
    /// Pause between two looks at the tip of the log. Default 5 s.
    pub poll_interval: Duration,
    /// Catch-up windows that are read at once, beside the live one; at least 1. Default 10.
    pub catch_up_lanes: usize,
    /// Chunks of one date of the bulk export that are read at once, at least 1; of all dates
    /// together no more than [`Self::catch_up_lanes`], if that is more. Default 3.
    pub export_chunks: usize,
    /// Dates before the newest one at which is looked for late chunks, 0 to 31. Default 2.
    pub export_backlog: usize,
    /// Pause between two looks for chunks of a date, shortened by up to a seventh. Default 16 s.
    pub export_poll: Duration,
    /// Session recordings that are read at once, at least 1; others queue. Default 5.
    pub concurrency: usize,
    /// Time for TCP, TLS, HTTP/2 and the first Ping together. Default 30 s.
    pub dial_timeout: Duration,
    /// Time for one answer, or for the next event of a recording. Default 2 min.
    pub request_timeout: Duration,
    /// Pause between two Pings on a living connection. Default 30 s.
    pub ping_interval: Duration,
    /// Largest page to take, and largest event of a recording, in bytes. Auth cuts pages at 1 MiB;
    /// one event alone that is larger it sends or refuses, by its version and storage. What is
    /// larger than this, or refused, is reported as a gap. Default 32 MiB.
    pub max_message_bytes: usize,
}

/// Who we are.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An identity file, as `tctl auth sign` writes it.
    Identity(PathBuf),
    /// PEM files.
    Files {
        /// Client certificate and its chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
        /// CA of Auth.
        ca: PathBuf,
    },
}

impl Config {
    /// Default of [`Config::refresh`]. Reading a few kilobytes this often costs next to nothing.
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(10);

    /// Everything by default.
    pub fn new(address: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            address: address.into(),
            credentials,
            road: Road::Typed,
            refresh: Some(Self::DEFAULT_REFRESH),
            proxy_ca: None,
            surroundings: Surroundings::default(),
            types: Vec::new(),
            batch: 500,
            window_size: Duration::from_secs(24 * 3600),
            live_width: Duration::from_secs(3600),
            least_window: Duration::from_secs(600),
            rescan: vec![Duration::from_secs(600), Duration::from_secs(6 * 3600)],
            poll_interval: Duration::from_secs(5),
            catch_up_lanes: 10,
            export_chunks: 3,
            export_backlog: 2,
            export_poll: Duration::from_secs(16),
            concurrency: 5,
            dial_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(120),
            ping_interval: Duration::from_secs(30),
            max_message_bytes: 32 * 1024 * 1024,
        }
    }

    /// Chunks of the bulk export that are read at once, of all dates together.
    pub(crate) fn chunks_at_once(&self) -> usize {
        self.catch_up_lanes.max(self.export_chunks)
    }

    /// Answers that may stand half read at one time, for want of anybody who takes what is in them:
    /// recordings, chunks, and lists of dates, of which those around the date reached and those
    /// around the newest one with chunks are looked at, and one behind it.
    pub(crate) fn streams_at_once(&self) -> usize {
        let dates = self.export_backlog.saturating_add(1).saturating_mul(2).saturating_add(1);
        self.concurrency.saturating_add(self.chunks_at_once()).saturating_add(dates)
    }

    /// Whether everything is in range; the address, taken apart.
    pub(crate) fn check(&self) -> Result<Address, Error> {
        let address = Address::parse(&self.address)
            .map_err(|what| Error::Address { address: self.address.clone(), what })?;
        let at_least =
            |name, what, ok| if ok { Ok(()) } else { Err(Error::Setting { name, what }) };
        at_least("batch", "must be 1 to 5000", (1..=5000).contains(&self.batch))?;
        at_least("window_size", "must be at least 1 s", self.window_size.as_secs() >= 1)?;
        at_least("live_width", "must be at least 60 s", self.live_width.as_secs() >= 60)?;
        let rescan = self.rescan.len() <= 8 && self.rescan.iter().all(|d| d.as_secs() >= 1);
        at_least("rescan", "must be at most eight delays of at least 1 s", rescan)?;
        at_least("least_window", "must be at least 1 s", self.least_window.as_secs() >= 1)?;
        at_least("poll_interval", "must not be 0", !self.poll_interval.is_zero())?;
        at_least("catch_up_lanes", "must be at least 1", self.catch_up_lanes >= 1)?;
        at_least("export_chunks", "must be at least 1", self.export_chunks >= 1)?;
        at_least("export_backlog", "must be at most 31", self.export_backlog <= 31)?;
        at_least("export_poll", "must not be 0", !self.export_poll.is_zero())?;
        at_least("concurrency", "must be 1 to 1000", (1..=1000).contains(&self.concurrency))?;
        at_least("dial_timeout", "must not be 0", !self.dial_timeout.is_zero())?;
        at_least("request_timeout", "must not be 0", !self.request_timeout.is_zero())?;
        at_least("ping_interval", "must not be 0", !self.ping_interval.is_zero())?;
        let refresh = self.refresh.is_none_or(|pause| pause >= Duration::from_secs(1));
        at_least("refresh", "must be at least 1 s", refresh)?;
        let max = self.max_message_bytes;
        at_least("max_message_bytes", "must be at least 1 MiB", max >= 1 << 20)?;
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let check = |address: &str| {
            Config::new(address, Credentials::Identity("x".into()))
                .check()
                .map(|address| address.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("auth:3025"), Ok("auth:3025".to_owned()));
        assert_eq!(check("[::1]:3025"), Ok("[::1]:3025".to_owned()));
        for (bad, what) in [
            ("auth", "has no port (host:port)"),
            (":3025", "has no host (host:port)"),
            ("auth:", "has no valid port (1 to 65535)"),
            ("auth:0", "has no valid port (1 to 65535)"),
            ("auth:99999", "has no valid port (1 to 65535)"),
            ("https://auth:3025", "is not of the form host:port"),
        ] {
            assert_eq!(check(bad), Err(format!("address of auth `{bad}` {what}")));
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let mut config = Config::new("auth:3025", Credentials::Identity("x".into()));
        config.concurrency = 0;
        let error = config.check().expect_err("no sessions at all is no setting");
        assert_eq!(error.to_string(), "setting `concurrency` must be 1 to 1000");
    }
}
