//! Receivers other than Fluentd: the form of bodies, headers, and a token.

use super::Build;
use crate::settings::{Body, Header, Token};

/// Those that say where a request goes, where its body ends or how it is written, and our own.
const NOT_TO_BE_SET: [&str; 13] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "ev-batch-id",
    "ev-event-id",
    "proxy-",
];

/// RFC 6750.
const DEFAULT_SCHEME: &str = "Bearer";

impl Build<'_> {
    pub(super) fn body(&self) -> Body {
        match self.choice("fluentd-body") {
            "ndjson" => Body::Ndjson,
            "splunk-hec" => Body::SplunkHec,
            "loki" => Body::Loki,
            _ => Body::Json,
        }
    }

    /// The headers, of which what is wrong is told without any value.
    pub(super) fn headers(&mut self) -> Vec<Header> {
        let mut headers: Vec<Header> = Vec::new();
        for (index, item) in self.list("fluentd-headers").iter().enumerate() {
            let refused = match header(item) {
                Ok(header) if headers.iter().any(|before| is_same(before, &header)) => {
                    format!("`{}` is there twice", header.name)
                }
                Ok(header) => {
                    headers.push(header);
                    continue;
                }
                Err(what) => format!("header {} {what}", index + 1),
            };
            self.problem("fluentd-headers", refused);
        }
        headers
    }

    pub(super) fn token(&mut self) -> Option<Token> {
        let scheme = self.text("fluentd-token-scheme").unwrap_or_default();
        if !scheme.bytes().all(is_token) {
            let message = format!("`{}` is not one word, such as `Bearer`", scheme.escape_debug());
            self.problem("fluentd-token-scheme", message);
        }
        let Some(file) = self.path("fluentd-token-file") else {
            if scheme != DEFAULT_SCHEME {
                let missing = self.setting("fluentd-token-file").named();
                let message = format!("has no effect without {missing}");
                self.warn("fluentd-token-scheme", message);
            }
            return None;
        };
        if self.body() == Body::SplunkHec && !scheme.eq_ignore_ascii_case("splunk") {
            let message = format!("Splunk's collector wants `Splunk`, not `{scheme}`");
            self.warn("fluentd-token-scheme", message);
        }
        Some(Token { file, scheme })
    }

    /// Only one of an address, a header and a token can be `Authorization`, and on a road without
    /// TLS it is everybody's.
    pub(super) fn warn_of_authorization(
        &mut self,
        url: &str,
        session_url: &str,
        headers: &[Header],
        token: Option<&Token>,
    ) {
        let header = headers.iter().any(|header| header.name.eq_ignore_ascii_case("authorization"));
        let user = [url, session_url].into_iter().any(has_user);
        let name = if token.is_some() { "fluentd-token-file" } else { "fluentd-headers" };
        let other = match (token.is_some(), header, user) {
            (true, true, _) => Some("a header"),
            (true, _, true) | (_, true, true) => Some("the user in an address"),
            _ => None,
        };
        if let Some(other) = other {
            let message = format!("`Authorization` is given twice: {other} gives it too");
            self.problem(name, message);
        }
        if token.is_some() && (url.starts_with("http:") || session_url.starts_with("http:")) {
            let message = "is sent without encryption: whoever is on the way can read the token";
            self.warn("fluentd-token-file", message.to_owned());
        }
    }
}

fn is_same(one: &Header, other: &Header) -> bool {
    one.name.eq_ignore_ascii_case(&other.name)
}

/// `Name: value`, or what is wrong with it.
fn header(item: &str) -> Result<Header, String> {
    let Some((name, value)) = item.split_once(':') else {
        return Err("has no colon: write it as `Name: value`".to_owned());
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("has a name that no header can have".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let is_ours = |ours: &&str| lower == **ours || (ours.ends_with('-') && lower.starts_with(ours));
    if NOT_TO_BE_SET.iter().any(is_ours) {
        return Err(format!("is `{name}`, which is set by the handler alone"));
    }
    if value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        return Err(format!("is `{name}`, whose value holds what a header cannot hold"));
    }
    Ok(Header { name: name.to_owned(), value: value.to_owned() })
}

/// What names and schemes consist of (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn has_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].contains('@')
}
