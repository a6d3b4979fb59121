//! What the environment says about the way to Auth.

mod no_proxy;

use std::fmt;

use http::HeaderValue;

use crate::address::Address;
use crate::dial::DialError;

use no_proxy::NoProxy;

/// Variables of the environment that have a say in how Auth is reached. The default is an
/// environment without any of them.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    https_proxy: Option<ProxySetting>,
    http_proxy: Option<ProxySetting>,
    no_proxy: NoProxy,
    tunnel_address: Option<String>,
    upgrade: Option<String>,
}

impl Surroundings {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or, where one is not set, its name in
    /// lower case), `TELEPORT_TUNNEL_PUBLIC_ADDR` and `TELEPORT_TLS_ROUTING_CONN_UPGRADE` through
    /// `variable`. Empty ones count as not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &'static str| variable(name).filter(|value| !value.trim().is_empty());
        let either = |upper: &'static str, lower: &'static str| {
            [upper, lower].into_iter().find_map(|name| Some((name, get(name)?)))
        };
        let proxy = |upper, lower| {
            either(upper, lower).map(|(variable, text)| ProxySetting { variable, text })
        };
        Self {
            https_proxy: proxy("HTTPS_PROXY", "https_proxy"),
            http_proxy: proxy("HTTP_PROXY", "http_proxy"),
            no_proxy: either("NO_PROXY", "no_proxy")
                .map_or_else(NoProxy::default, |(_, text)| NoProxy::parse(&text)),
            tunnel_address: get("TELEPORT_TUNNEL_PUBLIC_ADDR"),
            upgrade: get("TELEPORT_TLS_ROUTING_CONN_UPGRADE"),
        }
    }

    /// The HTTP proxy through which `address` is to be dialled.
    ///
    /// As in the reference: that of `HTTPS_PROXY`, else that of `HTTP_PROXY`, and none for this
    /// machine itself.
    pub(crate) fn proxy_for(&self, address: &Address) -> Result<Option<HttpProxy>, DialError> {
        let Some(setting) = self.https_proxy.as_ref().or(self.http_proxy.as_ref()) else {
            return Ok(None);
        };
        if self.no_proxy.covers(address) {
            return Ok(None);
        }
        let variable = setting.variable;
        HttpProxy::parse(setting)
            .map(Some)
            .map_err(|what| DialError::ProxySetting { variable, what })
    }

    /// Where a Proxy takes connections to be routed, whatever it says itself.
    pub(crate) fn tunnel_address(&self) -> Option<Address> {
        Address::parse_loosely(self.tunnel_address.as_deref()?, 443)
    }

    /// Whether connections to `address` need an upgrade, if that is set: for this address, or for
    /// all. `true`, or `0;host=1`, separated by `;` or `,`; the host with or without its port.
    pub(crate) fn needs_upgrade(&self, address: &Address) -> Option<bool> {
        let mut for_all = None;
        for token in self.upgrade.as_deref()?.split([';', ',']) {
            match token.split_once('=') {
                None => for_all = truth(token).or(for_all),
                Some((host, value)) => {
                    let host = host.trim();
                    if host == address.host || host == address.to_string() {
                        return truth(value).or(for_all);
                    }
                }
            }
        }
        for_all
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The address of an HTTP proxy as it was set; may hold a password, so it is never printed.
#[derive(Clone)]
struct ProxySetting {
    variable: &'static str,
    text: String,
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, not shown", self.variable)
    }
}

/// An HTTP proxy that connects on request.
#[derive(Clone)]
pub(crate) struct HttpProxy {
    /// Where it was set.
    pub(crate) variable: &'static str,
    pub(crate) address: Address,
    /// Whether it is spoken to over TLS.
    pub(crate) tls: bool,
    /// For `Proxy-Authorization`, of what stands before the `@`.
    pub(crate) login: Option<HeaderValue>,
}

impl HttpProxy {
    fn parse(setting: &ProxySetting) -> Result<Self, &'static str> {
        let text = setting.text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            "socks5" | "socks5h" => return Err("SOCKS is not supported, only HTTP CONNECT"),
            _ => return Err("its scheme is neither http nor https"),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let address = Address::parse_loosely(host, port).ok_or("it names no host and port")?;
        let wrong = "a `%` in its login is not followed by two hex digits";
        let login = user.map(|user| ev_dial::basic(user).ok_or(wrong)).transpose()?;
        Ok(Self { variable: setting.variable, address, tls, login })
    }
}

/// Shows nothing of the login.
impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn the_proxy_is_chosen_as_the_reference_does() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let proxy = surroundings(variables).proxy_for(&address("auth.example.com:3025"));
            let proxy = proxy.expect("usable").map(|proxy| format!("{proxy} {}", proxy.variable));
            assert_eq!(proxy.as_deref(), expected, "{variables:?}");
        };
        check(&[], None);
        check(&[("HTTPS_PROXY", "")], None);
        check(&[("HTTPS_PROXY", "http://p:3128")], Some("http://p:3128 HTTPS_PROXY"));
        check(&[("https_proxy", "p:3128")], Some("http://p:3128 https_proxy"));
        check(&[("HTTP_PROXY", "https://p")], Some("https://p:443 HTTP_PROXY"));
        check(
            &[("HTTPS_PROXY", "http://a"), ("HTTP_PROXY", "http://b")],
            Some("http://a:80 HTTPS_PROXY"),
        );
        check(&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", "example.com")], None);
        let both = [("HTTPS_PROXY", "http://p"), ("NO_PROXY", "other.com")];
        check(&both, Some("http://p:80 HTTPS_PROXY"));
    }

    #[test]
    fn logins_are_read_and_never_shown() {
        let all = surroundings(&[("HTTPS_PROXY", "http://me:p%40ss@p:3128/")]);
        let proxy = all.proxy_for(&address("auth:3025")).expect("usable").expect("one");
        let login = proxy.login.as_ref().map(|login| login.to_str().expect("ASCII"));
        assert_eq!(login, Some("Basic bWU6cEBzcw=="));
        for shown in [format!("{all:?}"), format!("{proxy:?}"), proxy.to_string()] {
            assert!(
                !shown.contains("ss@") && !shown.contains("40ss") && !shown.contains("me:"),
                "{shown}"
            );
        }
        let bad = surroundings(&[("HTTPS_PROXY", "http://me:se%cret@p")]);
        let error = bad.proxy_for(&address("auth:3025")).expect_err("no hex digits");
        assert!(!error.to_string().contains("cret"), "{error}");
        let socks = surroundings(&[("HTTPS_PROXY", "socks5://p:1080")]);
        let error = socks.proxy_for(&address("auth:3025")).expect_err("not supported");
        assert!(error.to_string().contains("SOCKS is not supported"), "{error}");
    }

    #[test]
    fn whether_to_upgrade_can_be_set_for_one_host_or_all() {
        let check = |value: &str, expected: Option<bool>| {
            let all = surroundings(&[("TELEPORT_TLS_ROUTING_CONN_UPGRADE", value)]);
            assert_eq!(all.needs_upgrade(&address("proxy.example.com:443")), expected, "{value}");
        };
        check("", None);
        check("true", Some(true));
        check("no", Some(false));
        check("0;proxy.example.com=1", Some(true));
        check("proxy.example.com:443=yes,0", Some(true));
        check("1,proxy.example.com=false", Some(false));
        check("other.example.com=1", None);
        check("0,other.example.com=1", Some(false));
        check("maybe", None);
    }
}
