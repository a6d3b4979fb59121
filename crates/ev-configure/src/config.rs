//! What is to be written.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// The reference handler's default, ten years.
const DEFAULT_TTL: Duration = Duration::from_secs(87_600 * 3600);

/// What is to be written, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// An existing directory. Best given as an absolute path: it stands in the TOML file.
    pub out: PathBuf,
    /// Address of Auth or the Proxy, for the TOML file and the Helm values.
    pub addr: String,
    /// Base names of the certificate and key files.
    pub files: FileNames,
    /// How long the certificates are valid.
    pub ttl: Duration,
    /// DNS names in the certificates of server and client.
    pub dns_names: Vec<String>,
    /// IP addresses in them; when empty, those that the DNS names resolve to.
    pub ips: Vec<IpAddr>,
    /// Kind of all three keys.
    pub key: KeyKind,
    /// Whether the role may lock users out, as `lock.enabled` needs it.
    pub with_lock: bool,
    /// What becomes of files that are there already.
    pub overwrite: Overwrite,
}

impl Config {
    /// The reference handler's defaults.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            addr: "localhost:3025".to_owned(),
            files: FileNames::default(),
            ttl: DEFAULT_TTL,
            dns_names: vec!["localhost".to_owned()],
            ips: Vec::new(),
            key: KeyKind::Rsa4096,
            with_lock: false,
            overwrite: Overwrite::Ask,
        }
    }

    /// Refuses what could only fail later.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.files.check()?;
        check_address(&self.addr)?;
        if self.dns_names.is_empty() && self.ips.is_empty() {
            return Err(Error::NoNames);
        }
        Ok(())
    }
}

/// Base names: `.crt` and `.key` are put behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNames {
    /// Of the authority that signs both others.
    pub ca: String,
    /// Of Fluentd.
    pub server: String,
    /// Of the handler.
    pub client: String,
}

impl Default for FileNames {
    fn default() -> Self {
        Self { ca: "ca".to_owned(), server: "server".to_owned(), client: "client".to_owned() }
    }
}

impl FileNames {
    fn check(&self) -> Result<(), Error> {
        for (of, name) in [("CA", &self.ca), ("server", &self.server), ("client", &self.client)] {
            let refuse = |what| Err(Error::FileName { of, name: name.clone(), what });
            if name.is_empty() || name.starts_with('.') {
                return refuse("it is empty, or begins with a dot");
            }
            if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
                return refuse("it is a path; the files are written into the one directory");
            }
            if name.chars().any(char::is_control) {
                return refuse("it has control characters");
            }
        }
        for (one, other) in
            [(&self.ca, &self.server), (&self.ca, &self.client), (&self.server, &self.client)]
        {
            if one == other {
                return Err(Error::SameName { name: format!("{one}.crt") });
            }
        }
        Ok(())
    }
}

/// Kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2,048 bits.
    Rsa2048,
    /// RSA of 4,096 bits, as the reference handler makes them unless told otherwise.
    Rsa4096,
    /// ECDSA on the curve P-256: made at once, and faster in every handshake.
    EcdsaP256,
}

impl KeyKind {
    /// RSA by its length in bits.
    ///
    /// # Errors
    ///
    /// [`Error::KeyTooShort`] for the reference handler's 1024, [`Error::KeyLength`] for all else
    /// that is neither 2048 nor 4096.
    pub fn rsa(bits: u32) -> Result<Self, Error> {
        match bits {
            2048 => Ok(Self::Rsa2048),
            4096 => Ok(Self::Rsa4096),
            1024 => Err(Error::KeyTooShort { bits }),
            _ => Err(Error::KeyLength { bits }),
        }
    }
}

/// What becomes of files that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// The operator is asked once, about all of them, before anything is made.
    #[default]
    Ask,
    /// They are overwritten.
    Always,
    /// They are left as they are: when all are there nothing is done, when some are it is an
    /// error.
    Never,
}

/// As strict as the handler that reads it, so that the TOML file is not refused later.
fn check_address(addr: &str) -> Result<(), Error> {
    let refuse = || Err(Error::Address { addr: addr.to_owned() });
    let Some((host, port)) = addr.rsplit_once(':') else { return refuse() };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') || bare.unwrap_or(host).is_empty() {
        return refuse();
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@')) {
        return refuse();
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => refuse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(ca: &str, server: &str, client: &str) -> Result<(), Error> {
        let files =
            FileNames { ca: ca.to_owned(), server: server.to_owned(), client: client.to_owned() };
        files.check()
    }

    #[test]
    fn file_names_are_plain_and_different() {
        assert!(named("ca", "server", "client").is_ok());
        assert!(named("my ca", "сервер", "client").is_ok());
        for name in ["", ".", "..", ".hidden", "a/b", "/a", "a/", "a\nb"] {
            let error = named("ca", name, "client").expect_err(name).to_string();
            assert!(error.starts_with(&format!("`{name}` cannot be the name of the server")));
        }
        assert!(named("x", "x", "client").is_err());
        assert!(named("x", "server", "x").is_err());
        assert!(named("ca", "x", "x").is_err());
    }

    #[test]
    fn addresses_are_those_that_the_handler_takes() {
        for addr in ["localhost:3025", "10.0.0.1:443", "[::1]:3025", "a.example.com:1"] {
            assert!(check_address(addr).is_ok(), "{addr}");
        }
        for addr in [
            "",
            "localhost",
            ":",
            ":3025",
            "host:",
            "host:0",
            "host:65536",
            "::1:3025",
            "[]:1",
            "https://host:443",
            "a b:1",
            "a@b:1",
        ] {
            assert!(check_address(addr).is_err(), "{addr}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_reference_but_for_the_shortest() {
        assert_eq!(KeyKind::rsa(2048).expect("made"), KeyKind::Rsa2048);
        assert_eq!(KeyKind::rsa(4096).expect("made"), KeyKind::Rsa4096);
        let error = KeyKind::rsa(1024).expect_err("refused").to_string();
        assert!(error.contains("rustls") && error.contains("OpenSSL"), "{error}");
        assert!(KeyKind::rsa(3000).is_err());
    }
}
