//! Whether a question comes from a page of somebody else in the browser of somebody who may ask.
//!
//! A page may let a browser ask any address, and reads the answer if the address says that it may
//! (this one never does) or if it takes the address for its own: by a name of the page's own domain
//! that it points to 127.0.0.1 after it was loaded ("DNS rebinding"). Monitoring asks by address or
//! by the name of a service, and is no browser, so it is not in the way of either check.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};

/// Who gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// A page that comes from elsewhere.
    Page,
    /// Somebody on this machine that calls it by a name it does not have there.
    Name,
}

impl Stranger {
    /// Whether the one who asks is one.
    pub(crate) fn of(peer: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
        // What a link leads to is shown to a person, and not to the page with the link.
        let is_link = text("sec-fetch-mode") == Some("navigate")
            && text("sec-fetch-dest") == Some("document");
        let is_elsewhere = match text("sec-fetch-site") {
            Some("same-origin" | "none") | None => false,
            Some(_) => !is_link,
        };
        let is_foreign = headers.get(ORIGIN).is_some_and(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            let origin = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
            origin.is_none() || origin != host
        });
        if is_elsewhere || is_foreign {
            return Some(Self::Page);
        }
        let named = uri.authority().map(Authority::as_str).or(host);
        let is_near = peer.ip().to_canonical().is_loopback();
        match named {
            Some(name) if is_near && !is_ours(name) => Some(Self::Name),
            _ => None,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Page => StatusCode::FORBIDDEN,
            Self::Name => StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page => "pages of other addresses get no answer here",
            Self::Name => "on this machine it is asked by address or as `localhost`",
        })
    }
}

/// Whether an authority is an address, or the name that every machine has for itself.
fn is_ours(authority: &str) -> bool {
    let is_v6 = |text: &str| {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        inner.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
    };
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let known = ["localhost", "localhost.localdomain"];
    is_v6(name)
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
        || known.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn of(
        peer: &str,
        uri: &'static str,
        headers: &[(&'static str, &'static str)],
    ) -> Option<Stranger> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = headers.iter().map(pair).collect();
        Stranger::of(peer.parse().expect("an address"), &Uri::from_static(uri), &headers)
    }

    const NEAR: &str = "127.0.0.1:5000";
    const FAR: &str = "10.0.0.9:5000";

    #[test]
    fn on_the_machine_it_has_no_name_but_its_own() {
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "10.1.2.3"] {
            assert_eq!(of(NEAR, "/", &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example.com", "evil.example.com:3000", "127.0.0.1.evil.com:3000", "", "::1"]
        {
            for near in [NEAR, "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
                assert_eq!(of(near, "/", &[("host", host)]), Some(Stranger::Name), "{host}");
            }
        }
        let whole = "http://evil.example.com/status.json";
        assert_eq!(of(NEAR, whole, &[("host", "localhost")]), Some(Stranger::Name));
        // HTTP/1.0, which no browser speaks.
        assert_eq!(of(NEAR, "/", &[]), None);
    }

    #[test]
    fn from_elsewhere_it_is_asked_by_the_name_of_a_service() {
        for host in ["handler:3000", "handler.monitoring.svc", "10.1.2.3:3000", "[fd00::1]:3000"] {
            assert_eq!(of(FAR, "/metrics", &[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_address_learns_nothing() {
        let host = ("host", "127.0.0.1:3000");
        for peer in [NEAR, FAR] {
            let check = |more: &[(&'static str, &'static str)], expected| {
                let headers: Vec<_> = more.iter().copied().chain([host]).collect();
                assert_eq!(of(peer, "/status.json", &headers), expected, "{more:?}");
            };
            check(&[("sec-fetch-site", "cross-site")], Some(Stranger::Page));
            check(&[("sec-fetch-site", "same-site")], Some(Stranger::Page));
            check(&[("sec-fetch-site", "same-origin")], None);
            check(&[("sec-fetch-site", "none")], None);
            check(&[("origin", "http://evil.example.com")], Some(Stranger::Page));
            check(&[("origin", "null")], Some(Stranger::Page));
            check(&[("origin", "http://127.0.0.1:3001")], Some(Stranger::Page));
            check(&[("origin", "http://127.0.0.1:3000")], None);
            // A person follows a link; a frame is not one.
            let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
            check(&[link[0], link[1], ("sec-fetch-dest", "document")], None);
            check(&[link[0], link[1], ("sec-fetch-dest", "iframe")], Some(Stranger::Page));
        }
    }
}
