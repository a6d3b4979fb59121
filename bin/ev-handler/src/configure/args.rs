//! The arguments of `configure`: names and defaults of the reference handler, and a few of ours.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, ValueEnum};
use ev_config::{in_home, parse_duration, split_list};
use ev_configure::{Config, Error, FileNames, KeyKind, Overwrite};

/// Make certificates, keys and configuration files for Fluentd and the handler
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Existing directory to write into
    #[arg(value_parser = directory)]
    out: PathBuf,
    /// Address of Teleport Auth or the Proxy, host:port
    #[arg(default_value = "localhost:3025")]
    addr: String,
    /// Base name of the CA's files
    #[arg(default_value = "ca")]
    ca_name: String,
    /// Base name of the server's files
    #[arg(default_value = "server")]
    server_name: String,
    /// Base name of the client's files
    #[arg(default_value = "client")]
    client_name: String,
    /// Receiver to write for; taken for compatibility, there is only this one
    #[arg(long, value_name = "TEXT", default_value = "fluentd")]
    output: String,
    /// How long the certificates are valid
    #[arg(long, value_name = "DURATION", default_value = "87600h", value_parser = ttl)]
    ttl: Duration,
    /// DNS names in the certificates
    #[arg(long, value_name = "LIST", default_value = "localhost", action = ArgAction::Append)]
    dns_names: Vec<String>,
    /// IP addresses in the certificates [default: those that the DNS names resolve to]
    #[arg(long, value_name = "LIST", action = ArgAction::Append, value_parser = ips)]
    ip: Vec<Ips>,
    /// Length of RSA keys in bits; 1024 is known and refused [default: 4096]
    #[arg(long, value_name = "BITS", value_parser = ["1024", "2048", "4096"])]
    length: Option<String>,
    /// Kind of the keys; `ecdsa` makes P-256 keys, at once
    #[arg(long, value_name = "KIND", value_enum, default_value_t = KeyType::Rsa)]
    key_type: KeyType,
    /// File with the passphrase of the server's key [default: standard input if it is a pipe or a
    /// file, else a random one]
    #[arg(long, value_name = "PATH")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Give the role the rights that `lock.enabled` needs
    #[arg(long)]
    with_lock: bool,
    /// Overwrite files that are there without asking
    #[arg(long, conflicts_with = "no_clobber")]
    force: bool,
    /// Write nothing when all files are there; an error when only some are
    #[arg(long)]
    no_clobber: bool,
}

/// Addresses of one `--ip`.
#[derive(Clone, Debug)]
struct Ips(Vec<IpAddr>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyType {
    Rsa,
    Ecdsa,
}

impl Args {
    pub(super) fn config(&self) -> Result<Config, Error> {
        Ok(Config {
            addr: self.addr.clone(),
            files: FileNames {
                ca: self.ca_name.clone(),
                server: self.server_name.clone(),
                client: self.client_name.clone(),
            },
            ttl: self.ttl,
            dns_names: self.dns_names.iter().flat_map(|list| split_list(list)).collect(),
            ips: self.ip.iter().flat_map(|ips| ips.0.iter().copied()).collect(),
            key: self.key()?,
            with_lock: self.with_lock,
            overwrite: match (self.force, self.no_clobber) {
                (true, _) => Overwrite::Always,
                (_, true) => Overwrite::Never,
                _ => Overwrite::Ask,
            },
            ..Config::new(&self.out)
        })
    }

    fn key(&self) -> Result<KeyKind, Error> {
        let bits = self.length.as_deref().map(|bits| bits.parse().unwrap_or(0));
        match (self.key_type, bits) {
            // A length that is refused is refused whatever else is said.
            (KeyType::Ecdsa, Some(bits)) => KeyKind::rsa(bits).map(|_| KeyKind::EcdsaP256),
            (KeyType::Ecdsa, None) => Ok(KeyKind::EcdsaP256),
            (KeyType::Rsa, bits) => KeyKind::rsa(bits.unwrap_or(4096)),
        }
    }
}

fn directory(text: &str) -> Result<PathBuf, String> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let path = in_home(text, home.as_deref().map(Path::new));
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err("it is no directory".to_owned()),
        Err(error) => Err(format!("it cannot be used: {error}")),
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let nanos = parse_duration(text).map_err(|error| error.to_string())?;
    match u64::try_from(nanos) {
        Ok(nanos @ 1_000_000_000..) => Ok(Duration::from_nanos(nanos)),
        _ => Err("certificates are valid for at least 1s".to_owned()),
    }
}

fn ips(text: &str) -> Result<Ips, String> {
    let one = |ip: String| ip.parse().map_err(|_| format!("`{ip}` is no IP address"));
    split_list(text).into_iter().map(one).collect::<Result<_, _>>().map(Ips)
}
