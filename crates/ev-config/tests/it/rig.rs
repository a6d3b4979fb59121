//! A directory with files, an environment that is a map, and a command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ev_config::{ConfigError, Loaded, load, start_command};
use tempfile::TempDir;

/// What a test hands in. Begins with everything that is required, by environment, so that file
/// and flags are free.
pub(crate) struct Rig {
    directory: TempDir,
    env: BTreeMap<String, OsString>,
    flags: Vec<OsString>,
}

impl Rig {
    /// The required settings.
    pub(crate) fn new() -> Self {
        Self::empty()
            .env("FDFWD_STORAGE", "/var/lib/ev")
            .env("FDFWD_FLUENTD_URL", "https://fluentd:8888/test.log")
            .env("FDFWD_FLUENTD_SESSION_URL", "https://fluentd:8888/session")
            .env("FDFWD_TELEPORT_IDENTITY", "identity")
    }

    /// Nothing but the files `identity`, `cert`, `key`, `ca`, `other` and the directory `dir`.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        for name in ["identity", "cert", "key", "ca", "other"] {
            fs::write(directory.path().join(name), "").expect("can be written");
        }
        fs::create_dir(directory.path().join("dir")).expect("can be made");
        Self { directory, env: BTreeMap::new(), flags: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.env.remove(name).expect("was set");
        self
    }

    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Writes `ev.toml` and names it by the variable.
    pub(crate) fn toml(self, text: &str) -> Self {
        fs::write(self.path("ev.toml"), text).expect("can be written");
        self.env("FDFWD_CONFIG", "ev.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.cwd().join(name)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.env.get(name).cloned()
    }

    fn cwd(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn try_load(&self) -> Result<Loaded, ConfigError> {
        let arguments = [OsString::from("start")].into_iter().chain(self.flags.iter().cloned());
        let matches =
            start_command().try_get_matches_from(arguments).expect("known flags, well formed");
        load(&matches, &|name: &str| self.variable(name), self.cwd())
    }

    #[track_caller]
    pub(crate) fn load(&self) -> Loaded {
        self.try_load().unwrap_or_else(|error| panic!("refused: {error}"))
    }

    /// The refusal's text, with the directory as `DIR`.
    #[track_caller]
    pub(crate) fn refusal(&self) -> String {
        let error = self.try_load().expect_err("refused");
        self.shorten(&error.to_string())
    }

    /// The warnings' texts, one a line, with the directory as `DIR`.
    #[track_caller]
    pub(crate) fn warnings(&self) -> String {
        let lines: Vec<_> =
            self.load().warnings.iter().map(|warning| self.shorten(&warning.to_string())).collect();
        lines.join("\n")
    }

    fn shorten(&self, text: &str) -> String {
        text.replace(&self.cwd().display().to_string(), "DIR")
    }
}
