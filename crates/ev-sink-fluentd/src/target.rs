//! Addresses: what is dialled, what stands in `Host`, and which path a route has.

use std::fmt;

use ev_core::{Route, SessionId};
use ev_dial::WebServer;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::Error;

/// What stands for the id in a session URL that says itself where it goes.
const PLACEHOLDER: &str = "{session-id}";

/// An address that events are posted to.
#[derive(Clone)]
pub(crate) struct Target {
    /// Connections to equal ones are shared.
    pub(crate) server: WebServer,
    /// What stands in `Authorization`, if the address has a user.
    pub(crate) authorization: Option<HeaderValue>,
    path: PathAndQuery,
    /// The address for messages: without its user, password and query, any of which may be a secret.
    pub(crate) text: String,
    /// Scheme, host and port, as they were given.
    origin: String,
    /// Whether the id of a recording is put behind the path, where there is no placeholder.
    suffix: bool,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.text).finish()
    }
}

impl Target {
    /// Checks the address of audit events.
    pub(crate) fn audit(url: &str) -> Result<Self, Error> {
        parse("url", url)
    }

    /// Checks the address of recordings, with an id in the place of `{session-id}`, or put behind
    /// it if `suffix` says so.
    pub(crate) fn session(url: &str, suffix: bool) -> Result<Self, Error> {
        let target = Self { suffix, ..parse("session-url", url)? };
        // Without a path the id would end up in the host name or the port.
        if suffix && (target.path.as_str() == "/" || target.path.path().is_empty()) {
            let what = "it needs a path, such as `/session`: `.<session id>.log` is put behind it";
            return Err(invalid("session-url", url, what));
        }
        let longest = SessionId::try_new(&[b'x'; SessionId::MAX_LEN]);
        if longest.is_ok_and(|id| target.with_id(&id).is_none()) {
            return Err(invalid("session-url", url, "with session ids in it, it is too long"));
        }
        Ok(target)
    }

    /// Path and query of a request, and its whole address for messages.
    pub(crate) fn of(&self, route: &Route) -> (PathAndQuery, String) {
        match route {
            Route::Audit => (self.path.clone(), self.text.clone()),
            Route::Session(id) => {
                let path = self.with_id(id);
                let path = path.expect("ids hold what a path may hold, and the longest has room");
                let text = shown(&self.origin, &path);
                (path, text)
            }
        }
    }

    /// The part of the address that may hold a secret, as it was given.
    pub(crate) fn query(&self) -> Option<&str> {
        self.path.query()
    }

    /// The path with its placeholders filled; without one there goes behind it what the reference
    /// handler puts there, of which Fluentd makes the tag. `None` if it becomes longer than a path
    /// may be.
    fn with_id(&self, id: &SessionId) -> Option<PathAndQuery> {
        let path = self.path.as_str();
        let filled = if path.contains(PLACEHOLDER) {
            path.replace(PLACEHOLDER, &id.to_string())
        } else if self.suffix {
            format!("{path}.{id}.log")
        } else {
            return Some(self.path.clone());
        };
        PathAndQuery::try_from(filled).ok()
    }
}

/// An address for messages.
fn shown(origin: &str, path: &PathAndQuery) -> String {
    let query = if path.query().is_some() { "?…" } else { "" };
    format!("{origin}{}{query}", path.path())
}

fn invalid(setting: &'static str, url: &str, what: &str) -> Error {
    let url = ev_dial::without_secrets(url);
    Error::InvalidUrl { setting, url, what: what.to_owned() }
}

fn parse(setting: &'static str, url: &str) -> Result<Target, Error> {
    let invalid = |what: &str| invalid(setting, url, what);
    let expected = "expected `https://host:port/tag` or `http://host:port/tag`";
    if url.contains('#') {
        return Err(invalid("a `#` part is never sent"));
    }
    let (url, user) = split_user(url);
    // As the reference handler's HTTP client makes it of a user and password in an address.
    let authorization = match user.as_deref().map(ev_dial::basic) {
        Some(None) => return Err(invalid("the user or password cannot be sent")),
        Some(Some(value)) => Some(value),
        None => None,
    };
    let uri: Uri = url.parse().map_err(|error| invalid(&format!("{error}, {expected}")))?;
    let parts = uri.into_parts();
    let server = WebServer::try_new(&parts).map_err(|error| invalid(error.what(expected)))?;
    let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let scheme = if server.tls { "https" } else { "http" };
    let origin = format!("{scheme}://{}", server.authority);
    let text = shown(&origin, &path);
    Ok(Target { server, authorization, path, text, origin, suffix: false })
}

/// The address without its user and password, and these.
fn split_user(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => (format!("{scheme}://{}", &rest[at + 1..]), Some(rest[..at].to_owned())),
        None => (url.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |url: &str, tls: bool, host: &str, port: u16, path: &str| {
            let target = Target::audit(url).expect("a good address");
            let server = &target.server;
            assert_eq!((server.tls, &*server.host, server.port), (tls, host, port), "{url}");
            let (got, text) = target.of(&Route::Audit);
            assert_eq!((got.as_str(), target.path.query()), (path, path.split('?').nth(1)));
            let shown = url.split('?').next().expect("something");
            assert!(text.trim_end_matches('/').starts_with(shown.trim_end_matches('/')), "{text}");
        };
        check("https://fluentd:8888/test.log", true, "fluentd", 8888, "/test.log");
        check("https://fluentd/test.log", true, "fluentd", 443, "/test.log");
        check("http://127.0.0.1/a/b?time=1", false, "127.0.0.1", 80, "/a/b?time=1");
        check("https://[::1]:8888/t", true, "::1", 8888, "/t");
        check("https://[::1]/t", true, "::1", 443, "/t");
        check("https://fluentd", true, "fluentd", 443, "/");
    }

    #[test]
    fn the_session_id_is_put_behind_as_it_is() {
        let id = SessionId::try_new(b"1b4e-f158").expect("an id");
        let check = |url: &str, path: &str, whole: &str| {
            let target = Target::session(url, true).expect("a good address");
            let (got, text) = target.of(&Route::Session(id.clone()));
            assert_eq!((got.as_str(), &*text), (path, whole));
        };
        check("https://f/session", "/session.1b4e-f158.log", "https://f/session.1b4e-f158.log");
        check("https://f/s/", "/s/.1b4e-f158.log", "https://f/s/.1b4e-f158.log");
        check("https://f/s?a=b", "/s?a=b.1b4e-f158.log", "https://f/s?…");
    }

    #[test]
    fn the_session_id_stands_where_the_address_wants_it() {
        let id = SessionId::try_new(b"1b4e-f158").expect("an id");
        let check = |url: &str, path: &str, whole: &str| {
            let target = Target::session(url, true).expect("a good address");
            let (got, text) = target.of(&Route::Session(id.clone()));
            assert_eq!((got.as_str(), &*text), (path, whole));
        };
        check("https://f/s/{session-id}/x", "/s/1b4e-f158/x", "https://f/s/1b4e-f158/x");
        check("https://f/s?id={session-id}", "/s?id=1b4e-f158", "https://f/s?…");
        check("https://f/{session-id}", "/1b4e-f158", "https://f/1b4e-f158");
    }

    #[test]
    fn an_address_stays_as_it_is_where_the_body_names_the_recording() {
        let route = Route::Session(SessionId::try_new(b"1b4e-f158").expect("an id"));
        let check = |url: &str, path: &str| {
            let target = Target::session(url, false).expect("a good address");
            assert_eq!(target.of(&route).0.as_str(), path);
        };
        check("https://f/loki/api/v1/push", "/loki/api/v1/push");
        check("https://f", "/");
        check("https://f/s?id={session-id}", "/s?id=1b4e-f158");
    }

    #[test]
    fn user_and_password_become_a_header_and_are_in_no_text() {
        let check = |url: &str, expected: Option<&str>| {
            let target = Target::audit(url).expect("a good address");
            let found = target.authorization.as_ref().map(|value| value.to_str().expect("ASCII"));
            assert_eq!(found, expected, "{url}");
            assert_eq!(target.text, "https://fluentd:8888/t@a");
            assert_eq!(target.server.authority, "fluentd:8888");
            assert!(!format!("{target:?}").contains("Basic"), "{target:?}");
        };
        check("https://fluentd:8888/t@a", None);
        check("https://user:secret@fluentd:8888/t@a", Some("Basic dXNlcjpzZWNyZXQ="));
        check("https://user@fluentd:8888/t@a", Some("Basic dXNlcjo="));
        check("https://us%40er:sec:ret@fluentd:8888/t@a", Some("Basic dXNAZXI6c2VjOnJldA=="));
    }

    #[test]
    fn a_query_may_be_a_secret_and_is_in_no_text() {
        let url = "https://fluentd:8888/t?token=secret";
        let (audit, session) = (Target::audit(url), Target::session(url, true));
        for target in [audit.expect("a good address"), session.expect("a good address")] {
            let id = SessionId::try_new(b"id").expect("an id");
            for route in [Route::Audit, Route::Session(id)] {
                let (path, text) = target.of(&route);
                assert!(path.as_str().contains("secret"));
                assert_eq!(text, "https://fluentd:8888/t?…");
            }
            assert!(!format!("{target:?} {}", target.text).contains("secret"));
        }
        let mut config = crate::Config::new(url, "https://user:secret@fluentd/s");
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        config.url = "secret".to_owned();
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }

    #[test]
    fn an_address_that_has_no_room_for_a_session_id_is_refused() {
        let longest = SessionId::try_new(&[b'x'; SessionId::MAX_LEN]).expect("an id");
        let room = usize::from(u16::MAX) - 1 - SessionId::MAX_LEN - "..log".len();
        for (length, fits) in [(room, true), (room + 1, false)] {
            let url = format!("https://f/{}", "a".repeat(length - 1));
            match Target::session(&url, true) {
                Ok(target) => {
                    assert!(fits);
                    target.of(&Route::Session(longest.clone()));
                }
                Err(error) => {
                    assert!(!fits);
                    let text = error.to_string();
                    assert!(text.starts_with("`session-url` is not usable: with session ids"));
                }
            }
        }
        let many = format!("https://f/{}", "{session-id}".repeat(600));
        assert!(Target::session(&many, true).is_err());
    }

    #[test]
    fn errors_name_the_setting_and_no_password() {
        let check = |url: &str, part: &str| {
            let text = Target::audit(url).expect_err("a bad address").to_string();
            assert!(text.starts_with("`url` is not usable: "), "{text}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("secret"), "{text}");
        };
        check("", "expected `https://host:port/tag`");
        check("fluentd:8888", "expected `https://host:port/tag`");
        check("/test.log", "expected `https://host:port/tag`");
        check("ftp://fluentd/t", "expected `https://host:port/tag`");
        check("https://", "expected `https://host:port/tag`");
        check("https://fluentd:99999/t", "port");
        check("https://fluentd:/t", "port");
        check("https://fluentd:0/t", "port");
        check("https://fluentd/t#x", "`#`");
        check("https://user:secret%4@fluentd/t", "user or password");
        check("https://user:secret@fluentd:0/t", "port");
        check("https://fluentd:0/t?token=secret", "port");
        for url in ["https://fluentd", "https://fluentd:8888", "https://fluentd/"] {
            let text = Target::session(url, true).expect_err("no path").to_string();
            assert!(text.starts_with("`session-url` is not usable: it needs a path"), "{text}");
        }
    }
}
