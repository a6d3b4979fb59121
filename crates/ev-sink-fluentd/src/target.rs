//! Addresses: what is dialled, what stands in `Host`, and which path a route has.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Route, SessionId};
use http::uri::{Authority, PathAndQuery};

use http::{HeaderValue, Uri};

use crate::Error;

/// What stands for the id in a session URL that says itself where it goes.
const PLACEHOLDER: &str = "{session-id}";

/// A server that is dialled; connections to equal ones are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// An address that events are posted to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) server: Server,
    /// What stands in `Host`: host and port as they were given.
    pub(crate) authority: Authority,
    /// What stands in `Authorization`, if the address has a user.
    pub(crate) authorization: Option<HeaderValue>,
    path: PathAndQuery,
    /// The address without its user and password.
    pub(crate) text: String,
}

impl Target {
    /// Checks the address of audit events.
    pub(crate) fn audit(url: &str) -> Result<Self, Error> {
        parse("url", url)
    }

    /// Checks the address of recordings, with an id put behind it or in the place of
    /// `{session-id}`.
    pub(crate) fn session(url: &str) -> Result<Self, Error> {
        let target = parse("session-url", url)?;
        // Without a path the id would end up in the host name or the port.
        if target.text.splitn(4, '/').nth(3).is_none_or(str::is_empty) {
            let what = "it needs a path, such as `/session`: `.<session id>.log` is put behind it";
            return Err(invalid("session-url", url, what));
        }
        Ok(target)
    }

    /// Path and query of a request, and its whole address for messages.
    pub(crate) fn of(&self, route: &Route) -> (PathAndQuery, String) {
        match route {
            Route::Audit => (self.path.clone(), self.text.clone()),
            Route::Session(id) => {
                let path = PathAndQuery::try_from(with_id(self.path.as_str(), id));
                let path = path.expect("session ids hold only characters that a path may hold");
                (path, with_id(&self.text, id))
            }
        }
    }
}

/// An address with its placeholders filled; without one there goes behind it what the reference
/// handler puts there. Fluentd makes the tag from the path.
fn with_id(address: &str, id: &SessionId) -> String {
    if address.contains(PLACEHOLDER) {
        return address.replace(PLACEHOLDER, &id.to_string());
    }
    format!("{address}.{id}.log")
}

fn invalid(setting: &'static str, url: &str, what: &str) -> Error {
    // A password in the address must not reach a log.
    let url = match url.rsplit_once('@') {
        Some((_, behind)) => format!("…@{behind}"),
        None => url.to_owned(),
    };
    Error::InvalidUrl { setting, url, what: what.to_owned() }
}

fn parse(setting: &'static str, url: &str) -> Result<Target, Error> {
    let invalid = |what: &str| invalid(setting, url, what);
    let expected = "expected `https://host:port/tag` or `http://host:port/tag`";
    if url.contains('#') {
        return Err(invalid("a `#` part is never sent"));
    }
    let (url, user) = split_user(url);
    let authorization = match user.as_deref().map(basic) {
        Some(None) => return Err(invalid("the user or password cannot be sent")),
        Some(Some(value)) => Some(value),
        None => None,
    };
    let uri: Uri = url.parse().map_err(|error| invalid(&format!("{error}, {expected}")))?;
    let parts = uri.into_parts();
    let tls = match parts.scheme.as_ref().map(http::uri::Scheme::as_str) {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid(expected)),
    };
    let authority = parts.authority.ok_or_else(|| invalid(expected))?;
    let given = authority.as_str();
    let has_port = given.rfind(':') > given.rfind(']').or_else(|| given.find(':').map(|_| 0));
    let port = match authority.port_u16() {
        Some(0) => return Err(invalid("the port must be 1 to 65535")),
        Some(port) => port,
        None if has_port => return Err(invalid("the port must be 1 to 65535")),
        None if tls => 443,
        None => 80,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err(invalid("it has no host"));
    }
    let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok(Target { server: Server { tls, host, port }, authority, authorization, path, text: url })
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

/// Basic authentication, which is what the reference handler's HTTP client makes of a user and
/// password in an address. `None` if an escape is none.
fn basic(user: &str) -> Option<HeaderValue> {
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain = unescaped(user)?;
    plain.push(b':');
    plain.extend(unescaped(password)?);
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Text with each `%41` read as the byte that it stands for.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte == b'%' {
            let (digits, behind) = rest.split_at_checked(2)?;
            let digits = str::from_utf8(digits).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |url: &str, tls: bool, host: &str, port: u16, path: &str| {
            let target = Target::audit(url).expect("a good address");
            assert_eq!(target.server, Server { tls, host: host.into(), port }, "{url}");
            assert_eq!(
                target.of(&Route::Audit),
                (PathAndQuery::try_from(path).unwrap(), url.into())
            );
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
            let target = Target::session(url).expect("a good address");
            let (got, text) = target.of(&Route::Session(id.clone()));
            assert_eq!((got.as_str(), &*text), (path, whole));
        };
        check("https://f/session", "/session.1b4e-f158.log", "https://f/session.1b4e-f158.log");
        check("https://f/s/", "/s/.1b4e-f158.log", "https://f/s/.1b4e-f158.log");
        check("https://f/s?a=b", "/s?a=b.1b4e-f158.log", "https://f/s?a=b.1b4e-f158.log");
    }

    #[test]
    fn the_session_id_stands_where_the_address_wants_it() {
        let id = SessionId::try_new(b"1b4e-f158").expect("an id");
        let check = |url: &str, path: &str, whole: &str| {
            let target = Target::session(url).expect("a good address");
            let (got, text) = target.of(&Route::Session(id.clone()));
            assert_eq!((got.as_str(), &*text), (path, whole));
        };
        check("https://f/s/{session-id}/x", "/s/1b4e-f158/x", "https://f/s/1b4e-f158/x");
        check("https://f/s?id={session-id}", "/s?id=1b4e-f158", "https://f/s?id=1b4e-f158");
        check("https://f/{session-id}", "/1b4e-f158", "https://f/1b4e-f158");
    }

    #[test]
    fn user_and_password_become_a_header_and_are_in_no_text() {
        let check = |url: &str, expected: Option<&str>| {
            let target = Target::audit(url).expect("a good address");
            let found = target.authorization.as_ref().map(|value| value.to_str().expect("ASCII"));
            assert_eq!(found, expected, "{url}");
            assert_eq!(target.text, "https://fluentd:8888/t@a");
            assert_eq!(target.authority, "fluentd:8888");
            assert!(!format!("{target:?}").contains("Basic"), "{target:?}");
        };
        check("https://fluentd:8888/t@a", None);
        check("https://user:secret@fluentd:8888/t@a", Some("Basic dXNlcjpzZWNyZXQ="));
        check("https://user@fluentd:8888/t@a", Some("Basic dXNlcjo="));
        check("https://us%40er:sec:ret@fluentd:8888/t@a", Some("Basic dXNAZXI6c2VjOnJldA=="));
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
        for url in ["https://fluentd", "https://fluentd:8888", "https://fluentd/"] {
            let text = Target::session(url).expect_err("no path").to_string();
            assert!(text.starts_with("`session-url` is not usable: it needs a path"), "{text}");
        }
    }
}
