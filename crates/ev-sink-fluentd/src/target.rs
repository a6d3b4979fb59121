//! Addresses: what is dialled, what stands in `Host`, and which path a route has.

use ev_core::{Route, SessionId};
use http::Uri;
use http::uri::{Authority, PathAndQuery};

use crate::Error;

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
    path: PathAndQuery,
    text: String,
}

impl Target {
    /// Checks the address of audit events.
    pub(crate) fn audit(url: &str) -> Result<Self, Error> {
        parse("url", url)
    }

    /// Checks the address of recordings, with an id put behind it.
    pub(crate) fn session(url: &str) -> Result<Self, Error> {
        let target = parse("session-url", url)?;
        // Without a path the id would end up in the host name or the port.
        if url.splitn(4, '/').nth(3).is_none_or(str::is_empty) {
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
                let suffix = suffix(id);
                let path = PathAndQuery::try_from(format!("{}{suffix}", self.path));
                let path = path.expect("session ids hold only characters that a path may hold");
                (path, format!("{}{suffix}", self.text))
            }
        }
    }
}

/// What the reference handler puts behind its session URL; Fluentd makes the tag from the path.
fn suffix(id: &SessionId) -> String {
    format!(".{id}.log")
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
    let uri: Uri = url.parse().map_err(|error| invalid(&format!("{error}, {expected}")))?;
    let parts = uri.into_parts();
    let tls = match parts.scheme.as_ref().map(http::uri::Scheme::as_str) {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(invalid(expected)),
    };
    let authority = parts.authority.ok_or_else(|| invalid(expected))?;
    if authority.as_str().contains('@') {
        return Err(invalid("a user or password in the address is not supported"));
    }
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
    Ok(Target { server: Server { tls, host, port }, authority, path, text: url.to_owned() })
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
        check("https://user:secret@fluentd/t", "user or password");
        for url in ["https://fluentd", "https://fluentd:8888", "https://fluentd/"] {
            let text = Target::session(url).expect_err("no path").to_string();
            assert!(text.starts_with("`session-url` is not usable: it needs a path"), "{text}");
        }
    }
}
