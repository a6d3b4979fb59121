//! `NO_PROXY`: what is dialled without an HTTP proxy, by the rules of Go's `httpproxy` package.

use std::net::IpAddr;

use crate::address::Address;

/// The rules of the variable.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`
    All,
    /// An address, or a block of them by its first bits.
    Block { network: IpAddr, bits: u32, port: Option<u16> },
    /// `.example.com`, `*.example.com`: what stands below; `example.com`: itself as well.
    Domain { name: String, itself: bool, port: Option<u16> },
}

impl NoProxy {
    /// Reads a list separated by commas. What cannot be read is passed over, as in Go.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.split(',').filter_map(|part| rule(part.trim())).collect())
    }

    /// Whether `address` is dialled without a proxy. This machine itself always is.
    pub(crate) fn covers(&self, address: &Address) -> bool {
        let host = address.host.trim_end_matches('.').to_ascii_lowercase();
        let ip = host.parse::<IpAddr>().ok();
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        let at = |port: &Option<u16>| port.is_none_or(|port| port == address.port);
        self.0.iter().any(|rule| match rule {
            Rule::All => true,
            Rule::Block { network, bits, port } => {
                at(port) && ip.is_some_and(|ip| is_in(ip, *network, *bits))
            }
            Rule::Domain { name, itself, port } => {
                let below = host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
                at(port) && (below || *itself && host == *name)
            }
        })
    }
}

fn rule(part: &str) -> Option<Rule> {
    if part.is_empty() {
        return None;
    }
    if part == "*" {
        return Some(Rule::All);
    }
    if let Some((network, bits)) = part.split_once('/') {
        let network: IpAddr = network.parse().ok()?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        return Some(Rule::Block { network, bits, port: None });
    }
    let whole = |ip: IpAddr, port| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        Rule::Block { network: ip, bits, port }
    };
    if let Ok(ip) = part.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(whole(ip, None));
    }
    let (host, port) = match part.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (part, None),
    };
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(whole(ip, port));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
    let name = below.unwrap_or(&host).to_owned();
    (!name.is_empty()).then_some(Rule::Domain { name, itself: below.is_none(), port })
}

fn is_in(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let shift = 32 - bits;
            ip.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let shift = 128 - bits;
            ip.to_bits().checked_shr(shift) == network.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_go() {
        let check = |rules: &str, address: &str, covered: bool| {
            let address = Address::parse(address).expect("an address");
            assert_eq!(NoProxy::parse(rules).covers(&address), covered, "{rules} {address}");
        };
        check("", "auth.example.com:3025", false);
        check("", "localhost:3025", true);
        check("", "127.0.0.2:3025", true);
        check("", "[::1]:3025", true);
        check("*", "auth.example.com:3025", true);
        check("example.com", "auth.example.com:3025", true);
        check("example.com", "example.com:3025", true);
        check("example.com", "badexample.com:3025", false);
        check(".example.com", "example.com:3025", false);
        check(".example.com", "Auth.Example.COM:3025", true);
        check("*.example.com", "a.b.example.com:3025", true);
        check("example.com:443", "auth.example.com:3025", false);
        check("example.com:3025", "auth.example.com:3025", true);
        check("a.com, 10.0.0.0/8 ,b.com", "10.9.8.7:3025", true);
        check("10.0.0.0/8", "11.0.0.1:3025", false);
        check("0.0.0.0/0", "11.0.0.1:3025", true);
        check("10.1.2.3", "10.1.2.3:3025", true);
        check("10.1.2.3:443", "10.1.2.3:3025", false);
        check("2001:db8::/32", "[2001:db8::5]:443", true);
        check("[2001:db8::5]:443", "[2001:db8::5]:443", true);
        check("2001:db8::5", "[2001:db8::6]:443", false);
        check("10.0.0.0/33,a.com:x,,.", "10.0.0.1:443", false);
    }
}
