//! The base address: what is dialled, what is asked for, and what may be printed of it.

use std::net::IpAddr;

use ev_dial::WebServer;
use http::Uri;
use http::uri::PathAndQuery;

use crate::Error;

const EXPECTED: &str = "expected `https://host/path`";

/// Most bytes of the host with its port, and of the path. A name in DNS has at most 253.
const MAX_PART_BYTES: usize = 2 * 1024;
/// Most bytes of the query. Stores that sign addresses put whole credentials into it, of some
/// 2 KiB; servers commonly take a request line of 8 KiB.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// A base address that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) server: WebServer,
    /// Without a slash at its end.
    path: String,
    query: Option<String>,
    /// Scheme, authority and path.
    shown: String,
}

/// A file below a base.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: PathAndQuery,
    /// Its address without the query.
    pub(crate) shown: String,
}

impl Base {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::InvalidUrl { url: printable(url), what: what.to_owned() };
        if url.contains('#') {
            return Err(invalid("a `#` part is never sent"));
        }
        check_lengths(url).map_err(|what| invalid(&what))?;
        let uri: Uri = url.parse().map_err(|error| invalid(&format!("{error}, {EXPECTED}")))?;
        let parts = uri.into_parts();
        let server = WebServer::try_new(&parts).map_err(|error| invalid(error.what(EXPECTED)))?;
        let WebServer { tls, host, authority, .. } = &server;
        if authority.as_str().contains('@') {
            return Err(invalid(
                "a user or password in the address is not supported; servers that ask who we are \
                 take a client certificate",
            ));
        }
        if !tls && !is_loopback(host) {
            return Err(invalid(
                "`http` is taken for a server on this machine only (`127.0.0.1`, `[::1]` or \
                 `localhost`); use `https`",
            ));
        }
        let path_and_query = parts.path_and_query;
        let path = path_and_query.as_ref().map_or("/", PathAndQuery::path).trim_end_matches('/');
        let query = path_and_query.as_ref().and_then(PathAndQuery::query).map(str::to_owned);
        let scheme = if *tls { "https" } else { "http" };
        let shown = format!("{scheme}://{authority}{path}");
        Ok(Self { server, path: path.to_owned(), query, shown })
    }

    /// The base for logs.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// A file below the base, by its plain names.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, when no request can be made for it.
    pub(crate) fn file(&self, names: &[&str]) -> Result<File, String> {
        let shown = self.shown_file(names);
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let path = PathAndQuery::try_from(format!("{}{}{query}", self.path, below(names)))
            .map_err(|error| format!("`{shown}` cannot be asked for: {error}"))?;
        Ok(File { path, shown })
    }

    /// The address of a file below the base, for logs.
    pub(crate) fn shown_file(&self, names: &[&str]) -> String {
        format!("{}{}", self.shown, below(names))
    }
}

/// Plain names hold nothing that has to be escaped but `+`, which stores take for a blank.
fn below(names: &[&str]) -> String {
    names.iter().map(|name| format!("/{}", name.replace('+', "%2B"))).collect()
}

/// Holds each part of an address against its limit. What is wrong with it otherwise is told by
/// whoever takes it apart.
fn check_lengths(url: &str) -> Result<(), String> {
    let (rest, query) = url.split_once('?').unwrap_or((url, ""));
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    for (name, part, max) in [
        ("host", host, MAX_PART_BYTES),
        ("path", path, MAX_PART_BYTES),
        ("query", query, MAX_QUERY_BYTES),
    ] {
        if part.len() > max {
            let len = part.len();
            return Err(format!("its {name} has {len} bytes, more than the limit of {max}"));
        }
    }
    Ok(())
}

/// Whether that name or address is this machine. A name is looked at again when it is dialled.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An address without what may be secret in it: user, password, query and fragment.
pub(crate) fn printable(url: &str) -> String {
    const MAX_CHARS: usize = 200;
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest[..authority_end].rfind('@') {
        Some(at) => format!("…{}", &rest[at..]),
        None => rest.to_owned(),
    };
    let clean = |c: char| if c.is_control() || c.is_whitespace() { '?' } else { c };
    format!("{scheme}{rest}").chars().map(clean).take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let check = |url: &str, host: &str, port: u16, path: &str, shown: &str| {
            let base = Base::parse(url).expect(url);
            assert_eq!((&*base.server.host, base.server.port), (host, port), "{url}");
            let file = base.file(&["18.1.0", "table-v1.evt"]).unwrap();
            assert_eq!((file.path.as_str(), &*file.shown), (path, shown), "{url}");
        };
        let names = "18.1.0/table-v1.evt";
        check("https://h", "h", 443, &format!("/{names}"), &format!("https://h/{names}"));
        check("https://h/", "h", 443, &format!("/{names}"), &format!("https://h/{names}"));
        check(
            "https://h:8443/a/b/",
            "h",
            8443,
            &format!("/a/b/{names}"),
            &format!("https://h:8443/a/b/{names}"),
        );
        check(
            "https://[::1]:1/a",
            "::1",
            1,
            &format!("/a/{names}"),
            &format!("https://[::1]:1/a/{names}"),
        );
        check(
            "http://127.0.0.9/a",
            "127.0.0.9",
            80,
            &format!("/a/{names}"),
            &format!("http://127.0.0.9/a/{names}"),
        );
        check(
            "http://localhost:1",
            "localhost",
            1,
            &format!("/{names}"),
            &format!("http://localhost:1/{names}"),
        );
        check("http://[::1]", "::1", 80, &format!("/{names}"), &format!("http://[::1]/{names}"));
        // The query goes with every request and into no text.
        check(
            "https://h/a?sig=s3cret",
            "h",
            443,
            &format!("/a/{names}?sig=s3cret"),
            &format!("https://h/a/{names}"),
        );
        assert_eq!(Base::parse("https://h/a/?sig=s3cret").unwrap().shown(), "https://h/a");
    }

    #[test]
    fn a_plus_is_escaped() {
        let file = Base::parse("https://h").unwrap().file(&["18.1.0+build", "table-v1.evt"]);
        assert_eq!(file.unwrap().path, "/18.1.0%2Bbuild/table-v1.evt");
    }

    #[test]
    fn each_part_has_its_limit() {
        let name = "1".repeat(128);
        let check = |host: usize, path: usize, query: usize, refused: Option<&str>| {
            let (host, path) = ("h".repeat(host), "p".repeat(path - 1));
            let url = format!("https://{host}/{path}?{}", "s3cret".repeat(query / 6));
            match (Base::parse(&url), refused) {
                // What is taken can be asked for, whatever the names.
                (Ok(base), None) => drop(base.file(&[&name, &name]).unwrap()),
                (Err(error), Some(part)) => {
                    let text = error.to_string();
                    assert!(text.contains(part), "{text}");
                    assert!(text.len() < 500 && !text.contains("s3cret"), "{text}");
                }
                (taken, _) => panic!("{host} {path} {query}: {taken:?}"),
            }
        };
        check(2048, 2048, 8190, None);
        check(2049, 1, 0, Some("its host has 2049 bytes, more than the limit of 2048"));
        check(1, 2049, 0, Some("its path has 2049 bytes, more than the limit of 2048"));
        check(1, 1, 8196, Some("its query has 8196 bytes, more than the limit of 8192"));
        // So long that no request could be made of it and of a name behind it.
        check(1, 65_500, 0, Some("its path has 65500 bytes"));
        check(1, 70_000, 0, Some("its path has 70000 bytes"));
    }

    #[test]
    fn what_cannot_be_asked_for_is_an_error() {
        // Longer than `http` takes: no panic, whatever came past the limits.
        let base = Base::parse("https://h/a?sig=s3cret").unwrap();
        let error = base.file(&[&"1".repeat(70_000)]).unwrap_err();
        assert!(error.starts_with("`https://h/a/111"), "{}", &error[..40]);
        assert!(error.ends_with("` cannot be asked for: uri too long"), "{error}");
        assert!(!error.contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_secrets() {
        let check = |url: &str, part: &str| {
            let text = Base::parse(url).expect_err(url).to_string();
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("s3cret"), "{text}");
        };
        check("", EXPECTED);
        check("artifacts.example.com", EXPECTED);
        check("ftp://h/a", EXPECTED);
        check("https://", EXPECTED);
        check("https://h:0/a", "port must be");
        check("https://h:/a", "port must be");
        check("https://h:99999/a", "port");
        check("https://h/a#s3cret", "`#`");
        check("https://user:s3cret@h/a?x=s3cret", "user or password");
        check("http://artifacts.example.com/a", "use `https`");
        check("http://10.0.0.1/a", "use `https`");
        check("http://127.0.0.1.example.com/a", "use `https`");
        check("http://localhost.example.com/a", "use `https`");
        let text = Base::parse("http://h/a?x=s3cret").unwrap_err().to_string();
        assert!(text.starts_with("`http://h/a` is not usable: `http` is taken for"), "{text}");
    }

    #[test]
    fn nothing_secret_is_printed() {
        let check = |url: &str, shown: &str| assert_eq!(printable(url), shown);
        check("https://u:p@h/a?q#f", "https://…@h/a");
        check("/elsewhere?q", "/elsewhere");
        check("https://h/a@b", "https://h/a@b");
        check("https://h/\r\n x", "https://h/???x");
        assert_eq!(printable(&"é".repeat(300)).chars().count(), 200);
    }
}
