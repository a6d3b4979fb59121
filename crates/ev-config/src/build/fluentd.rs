//! The receiver: where, with what certificates, how much at one time, and in which form.

use super::address::check_url;
use super::{Build, HOUR, MAX_CONCURRENCY, SECOND};
use crate::resolve::first_own;
use crate::settings::{
    BatchMode, BatchModeReason, Batching, Body, Fluentd, Gzip, InFlight, Timeouts,
};
use crate::value::{Value, redacted};

/// What else there is, for whoever has set no receiver at all.
const OTHERS: &str = "; or another receiver: `[forward.forward] url`, or `[forward.file] path`, \
                      where `-` is stdout";
/// Requests at one time when they are arrays and nobody says otherwise.
const ARRAY_CONNECTIONS: i64 = 4;
/// Each is a connection with its buffers.
pub(super) const MAX_CONNECTIONS: i64 = 10_000;
/// Fluentd's `in_http` refuses larger bodies by default.
pub(super) const MAX_BATCH_BYTES: i64 = 32 << 20;
/// Where in a session URL the id goes; without it, it goes behind.
pub(super) const SESSION_ID: &str = "{session-id}";
/// Below, a receiver that is merely busy looks dead; above, one that is dead looks busy.
pub(super) const TIMEOUT: (i64, i64) = (SECOND / 10, 600 * SECOND);

impl Build<'_> {
    /// Whether anything is set that means this receiver, beside others.
    pub(super) fn wants_fluentd(&self) -> bool {
        ["fluentd-url", "fluentd-session-url", "fluentd-cert", "fluentd-key", "fluentd-ca"]
            .into_iter()
            .any(|name| self.is_set(name))
    }

    /// The receiver by HTTP; `is_alone` if no other is set.
    pub(super) fn fluentd(&mut self, is_alone: bool) -> Option<Fluentd> {
        // The reference handler knows no other receiver, and complains in the same place.
        let others = if is_alone && !self.wants_fluentd() { OTHERS } else { "" };
        let url = self.url("fluentd-url", others);
        let session_url = self.url("fluentd-session-url", "");
        let client = self.client_certificate("fluentd-cert", "fluentd-key");
        let ca = self.path("fluentd-ca");
        let key_passphrase_file = self.path("fluentd-key-passphrase-file");
        let key_passphrase_variable = self.text("fluentd-key-passphrase-env");
        let batching = self.batching();
        let max_connections = self.max_connections(batching.mode);
        let in_flight = match self.choice("fluentd-in-flight") {
            "fixed" => InFlight::Fixed,
            _ => InFlight::Adaptive,
        };
        let (headers, token) = (self.headers(), self.token());
        let timeouts = self.timeouts();
        let refresh = self.duration("fluentd-refresh-interval", SECOND, HOUR);
        let (url, session_url) = (url?, session_url?);
        let is_plain = |url: &str| !url.starts_with("https:");
        if is_plain(&url) && is_plain(&session_url) {
            for name in ["fluentd-ca", "fluentd-cert"] {
                if self.setting(name).origin.is_given() {
                    self.warn(name, "has no effect, because both addresses are `http`".to_owned());
                }
            }
        }
        if let Some(name) = [("fluentd-url", &url), ("fluentd-session-url", &session_url)]
            .into_iter()
            .find_map(|(name, url)| is_plain(url).then_some(name))
        {
            let message = "is not encrypted: whoever is on the way to it can read and change the \
                           events, and store some of their own";
            self.warn(name, message.to_owned());
        }
        self.warn_of_authorization(&url, &session_url, &headers, token.as_ref());
        if session_url.contains('{') && !session_url.contains(SESSION_ID) {
            let message = format!("holds a brace and no `{SESSION_ID}`, which alone is replaced");
            self.warn("fluentd-session-url", message);
        }
        let stays = matches!(batching.body, Body::SplunkHec | Body::Loki);
        let odd_end = if stays || session_url.contains(SESSION_ID) {
            None
        } else if session_url.contains(['?', '#']) {
            Some("behind its query too")
        } else {
            session_url
                .ends_with('/')
                .then_some("behind its last slash, as in `/.<session id>.log`")
        };
        if let Some(odd_end) = odd_end {
            let message =
                format!("`.<session id>.log` is put behind the whole address, so {odd_end}");
            self.warn("fluentd-session-url", message);
        }
        Some(Fluentd {
            url,
            session_url,
            ca,
            client,
            key_passphrase_file,
            key_passphrase_variable: key_passphrase_variable.unwrap_or_default(),
            refresh,
            max_connections,
            in_flight,
            batching,
            headers,
            token,
            id_headers: self.switch("fluentd-id-headers"),
            timeouts,
            probe: self.switch("fluentd-probe-receiver"),
        })
    }

    fn url(&mut self, name: &str, hint: &str) -> Option<String> {
        let Some(Value::Text(url)) = self.required(name, hint) else { return None };
        if let Err(message) = check_url(&url) {
            let message = format!("`{}` {message}", redacted(&url));
            self.problem(name, message);
        }
        Some(url)
    }

    /// What is asked for, if it is at least one. Else, with one event a request, twice the
    /// concurrency as in the reference handler, and with arrays four: more gained nothing with a
    /// Fluentd worker, and whatever is under way may be sent again after a crash.
    fn max_connections(&mut self, mode: BatchMode) -> usize {
        let asked = match self.setting("fluentd-max-connections").value {
            Some(Value::Number(number)) if number >= 1 => {
                self.clamped("fluentd-max-connections", 1, MAX_CONNECTIONS)
            }
            _ if mode == BatchMode::Array => ARRAY_CONNECTIONS,
            _ => 2 * self.number("concurrency").clamp(1, MAX_CONCURRENCY),
        };
        usize::try_from(asked).unwrap_or(1)
    }

    fn batching(&mut self) -> Batching {
        let max_events = self.ranged("fluentd-batch-events", 1, 10_000);
        let max_bytes = self.ranged("fluentd-batch-bytes", 1_024, MAX_BATCH_BYTES);
        let max_age = self.duration("fluentd-batch-age", 0, 60 * SECOND);
        let asked = self.setting("fluentd-batch-mode");
        let (mode, reason) = match (&asked.value, first_own(&self.resolved.settings)) {
            (Some(Value::Choice(word)), _) => {
                let mode = if *word == "single" { BatchMode::Single } else { BatchMode::Array };
                (mode, BatchModeReason::Set)
            }
            (_, None) => (BatchMode::Single, BatchModeReason::OnlyReferenceSettings),
            (_, Some(_)) => (BatchMode::Array, BatchModeReason::OwnSetting),
        };
        Batching {
            mode,
            body: self.body(),
            reason,
            max_events: usize::try_from(max_events).unwrap_or(1),
            max_bytes: usize::try_from(max_bytes).unwrap_or(1_024),
            max_age,
            gzip: self.gzip(mode),
        }
    }

    /// What is asked for. Else none with one event a request, because that is the request of the
    /// reference handler, and large arrays else.
    fn gzip(&mut self, mode: BatchMode) -> Gzip {
        let above_bytes = self.ranged("fluentd-gzip-above", 0, MAX_BATCH_BYTES);
        let gzip = match (self.choice("fluentd-gzip"), mode) {
            ("auto", _) | ("", BatchMode::Array) => {
                Gzip::Auto { above_bytes: usize::try_from(above_bytes).unwrap_or(0) }
            }
            ("always", _) => Gzip::Always,
            _ => Gzip::Off,
        };
        let word = match gzip {
            Gzip::Auto { .. } => return gzip,
            Gzip::Off => "off",
            Gzip::Always => "always",
        };
        if self.setting("fluentd-gzip-above").origin.is_given() {
            let gzip = self.setting("fluentd-gzip").named();
            let message = format!("has no effect, because {gzip} is `{word}`");
            self.warn("fluentd-gzip-above", message);
        }
        gzip
    }

    fn timeouts(&mut self) -> Timeouts {
        let mut timeout = |name| self.duration(name, TIMEOUT.0, TIMEOUT.1);
        Timeouts {
            connect: timeout("fluentd-connect-timeout"),
            handshake: timeout("fluentd-handshake-timeout"),
            request: timeout("fluentd-request-timeout"),
            response: timeout("fluentd-response-timeout"),
        }
    }
}
