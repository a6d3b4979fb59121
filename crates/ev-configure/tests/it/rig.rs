//! A directory, and an operator who answers as the test says.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ev_configure::{Answer, Config, Error, Host, KeyKind, Passphrase, Report, configure};
use tempfile::TempDir;

/// When all of it happens, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const PASSPHRASE: &str = r#"a "pass" \ #{phrase}"#;

/// The ten files, in the order of names.
pub(crate) const FILES: [&str; 10] = [
    "ca.crt",
    "ca.key",
    "client.crt",
    "client.key",
    "fluent.conf",
    "server.crt",
    "server.key",
    "teleport-event-handler-role.yaml",
    "teleport-event-handler.toml",
    "teleport-plugin-event-handler-values.yaml",
];

pub(crate) struct Rig {
    pub(crate) directory: TempDir,
    /// What the operator says when asked.
    pub(crate) answer: Answer,
    /// What the operator was asked about.
    pub(crate) asked: Vec<Vec<PathBuf>>,
    /// What the operator was shown, and whether all files were there by then.
    pub(crate) shown: Vec<(String, bool)>,
    /// Names whose addresses were asked for.
    pub(crate) resolved: Vec<String>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            answer: Answer::CannotAsk,
            asked: Vec::new(),
            shown: Vec::new(),
            resolved: Vec::new(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The defaults, but for keys that are made at once.
    pub(crate) fn config(&self) -> Config {
        Config { key: KeyKind::EcdsaP256, ..Config::new(self.directory.path()) }
    }

    pub(crate) fn run(&mut self, config: &Config) -> Result<Report, Error> {
        let passphrase = Passphrase::new(PASSPHRASE).unwrap();
        configure(config, Some(passphrase), self, now())
    }

    /// All files with what they hold, folders too.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        content(self.directory.path())
    }
}

pub(crate) fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

impl Host for Rig {
    fn resolve(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.resolved.push(name.to_owned());
        match name {
            "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            _ => Err(io::Error::other("no such host")),
        }
    }

    fn may_overwrite(&mut self, files: &[PathBuf]) -> Answer {
        self.asked.push(files.to_vec());
        self.answer
    }

    fn show_passphrase(&mut self, passphrase: &Passphrase) {
        let are_there = FILES.iter().all(|name| self.path(name).exists());
        self.shown.push((passphrase.reveal().to_owned(), are_there));
    }
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A set with ECDSA keys, made once for all tests that only read it.
pub(crate) fn ecdsa() -> &'static Rig {
    static SET: OnceLock<Rig> = OnceLock::new();
    SET.get_or_init(|| {
        let mut rig = Rig::new();
        rig.run(&rig.config()).unwrap();
        rig
    })
}

/// The same with RSA keys.
pub(crate) fn rsa() -> &'static Rig {
    static SET: OnceLock<Rig> = OnceLock::new();
    SET.get_or_init(|| {
        let mut rig = Rig::new();
        let config = Config { key: KeyKind::Rsa2048, ..rig.config() };
        rig.run(&config).unwrap();
        rig
    })
}
