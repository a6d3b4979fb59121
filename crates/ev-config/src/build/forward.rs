//! The receiver by the Forward protocol.

use super::fluentd::{MAX_BATCH_BYTES, MAX_CONNECTIONS, SESSION_ID, TIMEOUT};
use super::{Build, HOUR, SECOND};
use crate::settings::{Forward, ForwardLogin, Gzip, SecretText, Timeouts};
use crate::value::redacted;

impl Build<'_> {
    pub(super) fn forward(&mut self) -> Option<Forward> {
        let url = self.text("forward-url");
        match url.as_deref().and_then(|url| url.split_once("://")) {
            Some(("tls", _)) => {}
            Some(("tcp", _)) => {
                let message = "is not encrypted: whoever is on the way to it can read and change \
                               the events, and store some of their own";
                self.warn("forward-url", message.to_owned());
                for name in ["forward-ca", "forward-cert"] {
                    if self.is_set(name) {
                        self.warn(
                            name,
                            "has no effect, because the address is not `tls`".to_owned(),
                        );
                    }
                }
            }
            _ => {
                let expected = "is no address that starts with `tls://` or `tcp://`";
                let shown = redacted(url.as_deref().unwrap_or_default());
                self.problem("forward-url", format!("`{shown}` {expected}"));
            }
        }
        let session_tag = self.text("forward-session-tag").unwrap_or_default();
        if session_tag.contains('{') && !session_tag.contains(SESSION_ID) {
            let message = format!("holds a brace and no `{SESSION_ID}`, which alone is replaced");
            self.warn("forward-session-tag", message);
        }
        let client = self.client_certificate("forward-cert", "forward-key");
        let shared_key = self.secret("forward-shared-key", "forward-shared-key-file");
        let login = self.forward_login(shared_key.is_some());
        let max_connections = self.ranged("forward-max-connections", 1, MAX_CONNECTIONS);
        let max_events = self.ranged("forward-batch-events", 1, 10_000);
        let max_bytes = self.ranged("forward-batch-bytes", 1_024, MAX_BATCH_BYTES);
        let refresh = self.duration("forward-refresh-interval", SECOND, HOUR);
        let max_age = self.duration("forward-batch-age", 0, 60 * SECOND);
        let gzip = self.forward_gzip();
        let mut timeout = |name| self.duration(name, TIMEOUT.0, TIMEOUT.1);
        let timeouts = Timeouts {
            connect: timeout("forward-connect-timeout"),
            handshake: timeout("forward-handshake-timeout"),
            request: timeout("forward-request-timeout"),
            response: timeout("forward-ack-timeout"),
        };
        Some(Forward {
            url: url?,
            tag: self.text("forward-tag").unwrap_or_default(),
            session_tag,
            ca: self.path("forward-ca"),
            client,
            key_passphrase_file: self.path("forward-key-passphrase-file"),
            refresh,
            shared_key,
            login,
            max_connections: usize::try_from(max_connections).unwrap_or(1),
            max_events: usize::try_from(max_events).unwrap_or(1),
            max_bytes: usize::try_from(max_bytes).unwrap_or(1_024),
            max_age,
            gzip,
            timeouts,
        })
    }

    /// User and password, which are asked for only together with the shared key.
    fn forward_login(&mut self, has_key: bool) -> Option<ForwardLogin> {
        let user = self.text("forward-user");
        let password = self.secret("forward-password", "forward-password-file");
        let (user, password) = match (user, password) {
            (Some(user), Some(password)) => (user, password),
            (None, None) => return None,
            (Some(_), None) => {
                let missing = self.setting("forward-password-file").named();
                let message = format!("user and password go together; missing: {missing}");
                self.problem("forward-user", message);
                return None;
            }
            (None, Some(_)) => {
                let given = match self.is_set("forward-password") {
                    true => "forward-password",
                    false => "forward-password-file",
                };
                let missing = self.setting("forward-user").named();
                let message = format!("user and password go together; missing: {missing}");
                self.problem(given, message);
                return None;
            }
        };
        if !has_key {
            let missing = self.setting("forward-shared-key-file").named();
            let message =
                format!("a receiver asks for users only with a shared key; set {missing}");
            self.problem("forward-user", message);
        }
        Some(ForwardLogin { user, password })
    }

    /// A secret that stands in the settings or in a file.
    fn secret(&mut self, value: &str, file: &str) -> Option<SecretText> {
        if self.is_set(value) && self.is_set(file) {
            let other = self.setting(file).named();
            self.problem(
                value,
                format!("the secret and its file exclude each other; remove {other}"),
            );
        }
        match self.text(value) {
            Some(text) => Some(SecretText::Known(text)),
            None => self.path(file).map(SecretText::File),
        }
    }

    fn forward_gzip(&mut self) -> Gzip {
        let above_bytes = self.ranged("forward-gzip-above", 0, MAX_BATCH_BYTES);
        match self.choice("forward-gzip") {
            "off" => Gzip::Off,
            "always" => Gzip::Always,
            _ => Gzip::Auto { above_bytes: usize::try_from(above_bytes).unwrap_or(0) },
        }
    }

    /// Settings of a receiver that is not turned on say nothing, which nobody can have meant.
    pub(super) fn orphans(&mut self) {
        for (first, prefix) in [("forward-url", "forward-"), ("file-path", "file-")] {
            if self.is_set(first) {
                continue;
            }
            let missing = self.setting(first).named();
            let given: Vec<&str> = self
                .resolved
                .settings
                .iter()
                .filter(|(name, setting)| name.starts_with(prefix) && setting.origin.is_given())
                .map(|(name, _)| *name)
                .collect();
            for name in given {
                self.warn(name, format!("has no effect without {missing}"));
            }
        }
    }
}
