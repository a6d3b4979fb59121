//! Names that the certificates are for.

use std::net::IpAddr;

use rustls::pki_types::{DnsName, ServerName};

use crate::{Config, Error, Host};

/// DNS names and addresses in the certificates of server and client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    dns: Vec<String>,
    ips: Vec<IpAddr>,
}

impl Names {
    /// Those that were asked for; without addresses, those that the DNS names resolve to.
    pub(crate) fn new(config: &Config, host: &mut dyn Host) -> Result<Self, Error> {
        let mut names = Self { dns: Vec::new(), ips: Vec::new() };
        for name in &config.dns_names {
            check(name)?;
            if !names.dns.contains(name) {
                names.dns.push(name.clone());
            }
        }
        if config.ips.is_empty() {
            for name in &config.dns_names {
                names.add(&addresses(name, host)?);
            }
        } else {
            names.add(&config.ips);
        }
        Ok(names)
    }

    fn add(&mut self, ips: &[IpAddr]) {
        for ip in ips {
            if !self.ips.contains(ip) {
                self.ips.push(*ip);
            }
        }
    }

    pub(crate) fn dns(&self) -> &[String] {
        &self.dns
    }

    pub(crate) fn ips(&self) -> &[IpAddr] {
        &self.ips
    }

    /// The host for addresses in the TOML file: `localhost` if the certificate is for it, as in the
    /// reference handler's files, else one that it is for.
    pub(crate) fn url_host(&self) -> String {
        let local = self.dns.iter().find(|name| *name == "localhost");
        let first = || self.dns.iter().find(|name| !name.starts_with("*."));
        match (local.or_else(first), self.ips.first()) {
            (Some(name), _) => name.clone(),
            (None, Some(IpAddr::V4(ip))) => ip.to_string(),
            (None, Some(IpAddr::V6(ip))) => format!("[{ip}]"),
            // Wildcards without addresses do not resolve, so they do not come here.
            (None, None) => "localhost".to_owned(),
        }
    }

    /// Whether a client that dials `host` takes the server's certificate.
    pub(crate) fn are_for(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.dns.iter().any(|name| {
            name.eq_ignore_ascii_case(host)
                || name.strip_prefix("*.").is_some_and(|name| Some(name) == parent)
        })
    }

    /// One name for each way in which a client may dial.
    pub(crate) fn to_dial(&self) -> Vec<ServerName<'static>> {
        let dns = self.dns.iter().filter_map(|name| {
            let name = name.strip_prefix("*.").map_or(name.clone(), |rest| format!("any.{rest}"));
            ServerName::try_from(name).ok()
        });
        dns.chain(self.ips.iter().map(|ip| ServerName::from(*ip))).collect()
    }
}

fn check(name: &str) -> Result<(), Error> {
    let refuse = |what| Err(Error::DnsName { name: name.to_owned(), what });
    if name.parse::<IpAddr>().is_ok() {
        return refuse("it is an address, which belongs behind `--ip`");
    }
    if name.trim() != name {
        return refuse("blanks stand before or behind it; lists are written without blanks");
    }
    if name.ends_with('.') {
        return refuse("it ends with a dot");
    }
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if DnsName::try_from(bare).is_err() {
        return refuse("letters, digits, hyphens and dots make one, other scripts in punycode");
    }
    Ok(())
}

fn addresses(name: &str, host: &mut dyn Host) -> Result<Vec<IpAddr>, Error> {
    let failed = |source| Error::Resolve { name: name.to_owned(), source };
    if name.starts_with("*.") {
        return Err(failed(std::io::Error::other("it stands for many names")));
    }
    let ips = host.resolve(name).map_err(failed)?;
    if ips.is_empty() {
        return Err(failed(std::io::Error::other("it has none")));
    }
    Ok(ips)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;
    use crate::Answer;

    /// Knows `localhost` and `two`.
    struct Resolver;

    impl Host for Resolver {
        fn resolve(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
            match name {
                "localhost" => {
                    Ok(vec!["127.0.0.1".parse().expect("one"), "::1".parse().expect("one")])
                }
                "two" => {
                    Ok(vec!["10.0.0.2".parse().expect("one"), "127.0.0.1".parse().expect("one")])
                }
                "none" => Ok(vec![]),
                _ => Err(io::Error::other("no such host")),
            }
        }

        fn may_overwrite(&mut self, _files: &[PathBuf]) -> Answer {
            Answer::CannotAsk
        }

        fn show_passphrase(&mut self, _passphrase: &crate::Passphrase) {}
    }

    fn names(dns: &[&str], ips: &[&str]) -> Result<Names, String> {
        let mut config = Config::new("/");
        config.dns_names = dns.iter().map(|&name| name.to_owned()).collect();
        config.ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        Names::new(&config, &mut Resolver).map_err(|error| error.to_string())
    }

    fn texts(names: &Names) -> Vec<String> {
        names.ips().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_resolve_unless_addresses_are_given() {
        let local = names(&["localhost"], &[]).expect("resolves");
        assert_eq!(texts(&local), ["127.0.0.1", "::1"]);
        let both = names(&["localhost", "two", "localhost"], &[]).expect("resolve");
        assert_eq!(both.dns(), ["localhost", "two"]);
        assert_eq!(texts(&both), ["127.0.0.1", "::1", "10.0.0.2"]);
        let given = names(&["fluentd.example.com"], &["192.0.2.1"]).expect("not asked for");
        assert_eq!(texts(&given), ["192.0.2.1"]);
    }

    #[test]
    fn what_does_not_resolve_is_told() {
        for name in ["nowhere", "none", "*.example.com"] {
            let error = names(&["localhost", name], &[]).expect_err("refused");
            assert!(error.contains(&format!("`{name}`")) && error.contains("--ip"), "{error}");
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        for (name, part) in [
            ("127.0.0.1", "--ip"),
            ("::1", "--ip"),
            (" b", "blanks"),
            ("", "letters"),
            ("a b", "letters"),
            ("bücher.example", "punycode"),
            ("a..b", "letters"),
            ("example.com.", "dot"),
            ("*.*.example.com", "letters"),
            ("https://a", "letters"),
        ] {
            let error = names(&[name], &["192.0.2.1"]).expect_err(name);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn addresses_in_the_files_are_ones_that_the_certificate_is_for() {
        let check = |dns: &[&str], ips: &[&str], host: &str| {
            assert_eq!(names(dns, ips).expect("good").url_host(), host);
        };
        check(&["localhost"], &[], "localhost");
        check(&["a.example", "localhost"], &["192.0.2.1"], "localhost");
        check(&["*.example", "a.example"], &["192.0.2.1"], "a.example");
        check(&["*.example"], &["192.0.2.1"], "192.0.2.1");
        check(&[], &["2001:db8::1"], "[2001:db8::1]");
        let wild = names(&["*.svc.local", "a.example"], &["192.0.2.1"]).expect("good");
        assert!(wild.are_for("x.svc.local") && wild.are_for("A.example"));
        assert!(!wild.are_for("x.y.svc.local") && !wild.are_for("svc.local"));
        assert_eq!(wild.to_dial().len(), 3);
    }
}
