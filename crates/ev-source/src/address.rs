//! `host:port`, taken apart.

use std::fmt;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    /// A name or an IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `host:port`, where an IPv6 host stands in brackets; the text of the error says what
    /// is wrong, and follows the address in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, port) = text.rsplit_once(':').ok_or("has no port (host:port)")?;
        if host.is_empty() {
            return Err("has no host (host:port)");
        }
        if host.contains("//") || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err("is not of the form host:port");
        }
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or("has no valid port (1 to 65535)")?;
        Ok(Self { host: bare(host).to_owned(), port })
    }

    /// Reads an address as a Proxy tells its own: with or without a scheme, and without a port if
    /// that is `port`.
    pub(crate) fn parse_loosely(text: &str, port: u16) -> Option<Self> {
        let text = text.trim();
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Ok(address) = Self::parse(rest) {
            // Without brackets the last group of an IPv6 address would pass for a port.
            let is_split_ipv6 = address.host.contains(':') && !rest.starts_with('[');
            if !is_split_ipv6 {
                return Some(address);
            }
        }
        let host = bare(rest);
        let is_host = !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c == '@')
            && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok());
        is_host.then(|| Self { host: host.to_owned(), port })
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_read_in_every_form() {
        let check = |text: &str, expected: Option<&str>| {
            let address = Address::parse_loosely(text, 443).map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text}");
        };
        check("proxy.example.com", Some("proxy.example.com:443"));
        check("proxy.example.com:3080", Some("proxy.example.com:3080"));
        check("https://proxy.example.com/web", Some("proxy.example.com:443"));
        check("tcp://proxy.example.com:3024", Some("proxy.example.com:3024"));
        check("[::1]:3080", Some("[::1]:3080"));
        check("[2001:db8::1]", Some("[2001:db8::1]:443"));
        check("2001:db8::1", Some("[2001:db8::1]:443"));
        check("", None);
        check("https://", None);
        check("two words", None);
        check("user@host", None);
        check("a:b:c", None);
    }
}
