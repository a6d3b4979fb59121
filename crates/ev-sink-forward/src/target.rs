//! The address that is dialled, and the tags of the events.

use ev_core::Route;

use crate::Error;

/// What stands for the id in a session tag that says itself where it goes.
const PLACEHOLDER: &str = "{session-id}";
/// Receivers listen here unless told otherwise.
const DEFAULT_PORT: u16 = 24_224;
/// Fluentd has no bound of its own; a tag is in every chunk, and in names of files.
const MAX_TAG: usize = 1024;

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) tls: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// For messages.
    pub(crate) text: String,
}

impl Server {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::InvalidUrl { url: shown(url), what: what.to_owned() };
        let expected = "expected `tls://host:port` or `tcp://host:port`";
        let (tls, rest) = match url.split_once("://") {
            Some(("tls", rest)) => (true, rest),
            Some(("tcp", rest)) => (false, rest),
            _ => return Err(invalid(expected)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(invalid("user and password are settings of their own"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(invalid("the tag is a setting of its own"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or_else(|| invalid(expected))?;
                match behind.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if behind.is_empty() => (host, None),
                    None => return Err(invalid(expected)),
                }
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid("it has no host"));
        }
        let port = match port.map(str::parse::<u16>) {
            None => DEFAULT_PORT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(invalid("the port must be 1 to 65535")),
        };
        Ok(Self { tls, host: host.to_owned(), port, text: url.to_owned() })
    }
}

/// An address without what may be a password.
fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, behind)) => format!("…@{behind}"),
        None => url.to_owned(),
    }
}

/// The tags of both routes.
#[derive(Clone, Debug)]
pub(crate) struct Tags {
    audit: String,
    session: String,
}

impl Tags {
    pub(crate) fn new(audit: &str, session: &str) -> Result<Self, Error> {
        for (setting, tag) in [("tag", audit), ("session-tag", session)] {
            let what = match tag {
                "" => "it is empty",
                _ if tag.len() > MAX_TAG => "it is too long",
                _ if tag.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                    "it holds a space or a control character"
                }
                _ => continue,
            };
            return Err(Error::InvalidTag { setting, what });
        }
        Ok(Self { audit: audit.to_owned(), session: session.to_owned() })
    }

    /// The tag of a route: of a recording, what the HTTP sink's address would become.
    pub(crate) fn of(&self, route: &Route) -> String {
        match route {
            Route::Audit => self.audit.clone(),
            Route::Session(id) if self.session.contains(PLACEHOLDER) => {
                self.session.replace(PLACEHOLDER, id.as_str())
            }
            Route::Session(id) => format!("{}.{id}.log", self.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::SessionId;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |url: &str, tls: bool, host: &str, port: u16| {
            let server = Server::parse(url).expect("a good address");
            assert_eq!((server.tls, &*server.host, server.port), (tls, host, port), "{url}");
        };
        check("tls://fluentd:24224", true, "fluentd", 24_224);
        check("tcp://fluentd", false, "fluentd", 24_224);
        check("tcp://127.0.0.1:1/", false, "127.0.0.1", 1);
        check("tls://[::1]:24284", true, "::1", 24_284);
        check("tls://[::1]", true, "::1", 24_224);
    }

    #[test]
    fn errors_name_the_setting_and_no_password() {
        let check = |url: &str, part: &str| {
            let text = Server::parse(url).expect_err("a bad address").to_string();
            assert!(text.starts_with("`url` is not usable: "), "{text}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("secret"), "{text}");
        };
        check("", "expected `tls://host:port`");
        check("fluentd:24224", "expected");
        check("https://fluentd:24224", "expected");
        check("tls://", "no host");
        check("tls://:24224", "no host");
        check("tls://fluentd:0", "port");
        check("tls://fluentd:99999", "port");
        check("tls://[::1:24224", "expected");
        check("tls://fluentd:24224/events.log", "tag");
        check("tls://user:secret@fluentd:24224", "settings of their own");
    }

    #[test]
    fn tags_are_those_of_the_http_addresses() {
        let id = SessionId::try_new(b"1b4e-f158").expect("an id");
        let check = |session: &str, expected: &str| {
            let tags = Tags::new("test.log", session).expect("good tags");
            assert_eq!(tags.of(&Route::Audit), "test.log");
            assert_eq!(tags.of(&Route::Session(id.clone())), expected);
        };
        check("session", "session.1b4e-f158.log");
        // What the path of the chart's address becomes.
        check("session.log", "session.log.1b4e-f158.log");
        check("teleport.{session-id}.x", "teleport.1b4e-f158.x");
        for (audit, session, part) in
            [("", "s", "`tag`"), ("a b", "s", "`tag`"), ("a", "s\n", "`session-tag`")]
        {
            let error = Tags::new(audit, session).expect_err("bad").to_string();
            assert!(error.starts_with(part), "{error}");
        }
    }
}
