//! Addresses of callers and their text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest text of an address without its zone.
const MAX_TEXT: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".len();

/// The address of a caller: IPv4, or IPv6 with an optional zone (`fe80::1%eth0`).
///
/// Text is dotted for IPv4, RFC 5952 for IPv6, and dotted behind `::ffff:` for IPv4 mapped into
/// IPv6. Octets with leading zeros, short forms, surrounding spaces and empty zones are refused.
///
/// ```
/// use ev_audit::CallerIp;
///
/// let address: CallerIp = "FE80:0:0::1%eth0".parse()?;
/// assert_eq!(address.to_string(), "fe80::1%eth0");
/// assert!("192.168.0.01".parse::<CallerIp>().is_err());
/// # Ok::<(), ev_audit::InvalidAddress>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerIp {
    address: IpAddr,
    zone: Option<Box<str>>,
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no IP address")]
pub struct InvalidAddress {
    /// The text.
    pub text: String,
}

impl CallerIp {
    /// The address without its zone.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The zone of an IPv6 address.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// Whether it is `0.0.0.0` or `::`; not so with a zone, and not the mapped `::ffff:0.0.0.0`.
    pub fn is_unspecified(&self) -> bool {
        self.zone.is_none() && self.address.is_unspecified()
    }

    /// Whether it is of `127.0.0.0/8`, mapped or not, or `::1` in any zone.
    pub fn is_loopback(&self) -> bool {
        self.address.to_canonical().is_loopback()
    }

    /// Whether it is of `224.0.0.0/4`, mapped or not, or of `ff00::/8`.
    pub fn is_multicast(&self) -> bool {
        self.address.to_canonical().is_multicast()
    }

    /// The text of the address without its zone.
    pub(crate) fn text(&self) -> AddressText {
        AddressText::of(self.address)
    }
}

impl From<IpAddr> for CallerIp {
    fn from(address: IpAddr) -> Self {
        Self { address, zone: None }
    }
}

impl From<Ipv4Addr> for CallerIp {
    fn from(address: Ipv4Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl From<Ipv6Addr> for CallerIp {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::from(address).into()
    }
}

impl FromStr for CallerIp {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let parsed = match text.split_once('%') {
            None => text.parse::<IpAddr>().ok().map(Self::from),
            Some((_, "")) => None,
            Some((address, zone)) => address
                .parse::<Ipv6Addr>()
                .ok()
                .map(|address| Self { address: address.into(), zone: Some(zone.into()) }),
        };
        parsed.ok_or_else(|| InvalidAddress { text: text.to_owned() })
    }
}

impl fmt::Display for CallerIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(std::str::from_utf8(text.bytes()).map_err(|_| fmt::Error)?)?;
        match &self.zone {
            Some(zone) => write!(f, "%{zone}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CallerIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for CallerIp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for CallerIp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::from_text(deserializer)
    }
}

/// The text of an address on the stack: it is written for every record, and the formatting of the
/// standard library takes several times as long.
pub(crate) struct AddressText {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl AddressText {
    fn of(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; MAX_TEXT], len: 0 };
        match address {
            IpAddr::V4(address) => text.dotted(address),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => {
                    for byte in *b"::ffff:" {
                        text.push(byte);
                    }
                    text.dotted(mapped);
                }
                None => text.groups(address.segments()),
            },
        }
        text
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn dotted(&mut self, address: Ipv4Addr) {
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    /// RFC 5952: the longest run of two or more groups of zero is left out, the first of equals.
    fn groups(&mut self, groups: [u16; 8]) {
        let (mut run_start, mut run_end) = (groups.len(), groups.len());
        let mut best = 1;
        let mut start = 0;
        while start < groups.len() {
            let len = groups[start..].iter().take_while(|group| **group == 0).count();
            if len > best {
                (run_start, run_end, best) = (start, start + len, len);
            }
            start += len.max(1);
        }
        let mut place = 0;
        while place < groups.len() {
            if place == run_start {
                self.push(b':');
                self.push(b':');
                place = run_end;
                continue;
            }
            if place > 0 && place != run_end {
                self.push(b':');
            }
            self.hex(groups[place]);
            place += 1;
        }
    }

    fn hex(&mut self, group: u16) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut begun = false;
        for shift in [12, 8, 4, 0] {
            let digit = usize::from(group >> shift & 0xf);
            begun |= digit != 0 || shift == 0;
            if begun {
                self.push(DIGITS[digit]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::CallerIp;

    fn check(text: &str, written: &str) {
        let address: CallerIp = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(address.to_string(), written);
    }

    #[test]
    fn texts() {
        check("1.2.3.4", "1.2.3.4");
        check("255.100.10.0", "255.100.10.0");
        check("::", "::");
        check("::1", "::1");
        check("1::", "1::");
        check("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
        check("1:0:2:0:0:0:0:3", "1:0:2::3");
        check("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7");
        check("0:0:1:0:0:0:1:1", "0:0:1::1:1");
        check("::ffff:1.2.3.4", "::ffff:1.2.3.4");
        check("::1.2.3.4", "::102:304");
        check("fe80::1%eth0", "fe80::1%eth0");
        check("::ffff:1.2.3.4%a%b", "::ffff:1.2.3.4%a%b");
        check("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }

    #[test]
    fn refused_texts() {
        for text in [
            "",
            "1.2.3.04",
            "1.2.3",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3.4%eth0",
            "::1%",
            "%eth0",
            "1.2.3.256",
            "1::2::3",
            "12345::",
            "1:2:3:4:5:6::7:8",
            "[::1]",
            "invalid IP",
        ] {
            let error = text.parse::<CallerIp>().expect_err(text);
            assert_eq!(error.to_string(), format!("`{text}` is no IP address"));
        }
    }

    proptest! {
        /// The standard library writes the same text.
        #[test]
        fn as_the_standard_library(bits: u128, mask: u8) {
            let mut groups = Ipv6Addr::from_bits(bits).segments();
            for (place, group) in groups.iter_mut().enumerate() {
                *group *= u16::from(mask >> place & 1);
            }
            let address = Ipv6Addr::from(groups);
            prop_assert_eq!(CallerIp::from(address).to_string(), address.to_string());
            let dotted = std::net::Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap());
            prop_assert_eq!(CallerIp::from(dotted).to_string(), dotted.to_string());
            let mapped = dotted.to_ipv6_mapped();
            prop_assert_eq!(CallerIp::from(mapped).to_string(), mapped.to_string());
        }
    }
}
