//! The receivers that the settings name, each with a name of its own in the state.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ev_config::{FileSync, InFlight, SecretText, Settings};
use ev_core::{Env, Sink, SinkId};
use ev_sink_file::{FileSink, Fsync, Rotation};
use ev_sink_fluentd::FluentdSink;
use ev_sink_forward::{ForwardSink, Login, Secret};
use ev_tls::{CredentialFiles, PassphraseSource};

use super::{Error, parts};

/// Names of all receivers that there can be, in the order in which one is chosen where only one is
/// wanted.
pub(crate) const NAMES: [&str; 3] = ["fluentd", "forward", "file"];

/// A receiver that is ready.
#[derive(Clone)]
pub(crate) struct Outlet {
    pub(crate) name: &'static str,
    pub(crate) made: Made,
    pub(crate) pace: Pace,
}

/// What it is.
#[derive(Clone)]
pub(crate) enum Made {
    Fluentd(Arc<FluentdSink>),
    Forward(Arc<ForwardSink>),
    File(Arc<FileSink>),
}

/// What of an engine depends on its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    batch_age: Duration,
    fixed_in_flight: bool,
}

impl Pace {
    pub(crate) fn put_into(self, config: &mut ev_pipeline::Config) {
        config.batch_age = self.batch_age;
        config.fixed_in_flight = self.fixed_in_flight;
    }
}

impl Default for Pace {
    fn default() -> Self {
        let ev_pipeline::Config { batch_age, fixed_in_flight, .. } = ev_pipeline::Config::default();
        Self { batch_age, fixed_in_flight }
    }
}

/// The names of the receivers that are set.
pub(crate) fn names(settings: &Settings) -> Vec<&'static str> {
    let is_set = [settings.fluentd.is_some(), settings.forward.is_some(), settings.file.is_some()];
    NAMES.into_iter().zip(is_set).filter_map(|(name, is_set)| is_set.then_some(name)).collect()
}

/// Which receiver a command works with that works with one: that of the name, or the first.
///
/// # Errors
///
/// [`Error::Setting`] if it is not set.
pub(crate) fn chosen(settings: &Settings, name: Option<&str>) -> Result<&'static str, Error> {
    let set = names(settings);
    let found = set.iter().copied().find(|one| name.is_none_or(|name| name == *one));
    found.ok_or_else(|| {
        let what = format!("no such receiver is set; those that are: {}", set.join(", "));
        Error::setting(format!("forward.{}", name.unwrap_or(NAMES[0])), what)
    })
}

impl Outlet {
    /// All that are set, at least one. Opens no connection and no file; blocks on certificates.
    ///
    /// # Errors
    ///
    /// What is wrong with their settings.
    pub(crate) fn all(settings: &Settings, env: &Arc<dyn Env>) -> Result<Vec<Self>, Error> {
        names(settings).into_iter().map(|name| Self::named(settings, name, env)).collect()
    }

    /// The one of that name.
    ///
    /// # Errors
    ///
    /// What is wrong with its settings, or that there are none.
    pub(crate) fn named(
        settings: &Settings,
        name: &str,
        env: &Arc<dyn Env>,
    ) -> Result<Self, Error> {
        let name = chosen(settings, Some(name))?;
        let env = Arc::clone(env);
        let pace = pace(settings, name);
        let storage = &*settings.storage;
        let not_set = || Error::setting(format!("forward.{name}"), "it is not set");
        let made = match name {
            "fluentd" => {
                let settings = settings.fluentd.as_ref().ok_or_else(not_set)?;
                Made::Fluentd(Arc::new(parts::sink(settings, env)?))
            }
            "forward" => {
                let settings = settings.forward.as_ref().ok_or_else(not_set)?;
                Made::Forward(Arc::new(forward(settings, env)?))
            }
            _ => {
                let settings = settings.file.as_ref().ok_or_else(not_set)?;
                Made::File(Arc::new(file(settings, storage, env)?))
            }
        };
        Ok(Self { name, made, pace })
    }

    /// Its name in the state.
    pub(crate) fn id(&self) -> SinkId {
        SinkId(self.name.to_owned())
    }

    pub(crate) fn sink(&self) -> Arc<dyn Sink> {
        match &self.made {
            Made::Fluentd(sink) => Arc::clone(sink) as _,
            Made::Forward(sink) => Arc::clone(sink) as _,
            Made::File(sink) => Arc::clone(sink) as _,
        }
    }

    /// Events that may be stored twice, of which the engine knows nothing.
    pub(crate) fn possible_duplicate_events(&self) -> u64 {
        match &self.made {
            Made::Fluentd(sink) => sink.stats().possible_duplicate_events,
            // It sends nothing again by itself.
            Made::Forward(_) | Made::File(_) => 0,
        }
    }

    /// Has its certificate files looked at now, if it has any.
    pub(crate) fn reload_soon(&self) {
        match &self.made {
            Made::Fluentd(sink) => sink.reload_soon(),
            Made::Forward(sink) => sink.reload_soon(),
            Made::File(_) => {}
        }
    }
}

/// How an engine in front of a receiver behaves.
pub(crate) fn pace(settings: &Settings, name: &str) -> Pace {
    let of = |batch_age, fixed_in_flight| Pace { batch_age, fixed_in_flight };
    let Settings { fluentd, forward, file, .. } = settings;
    let pace = match name {
        "fluentd" => {
            fluentd.as_ref().map(|set| of(set.batching.max_age, set.in_flight == InFlight::Fixed))
        }
        "forward" => forward.as_ref().map(|set| of(set.max_age, false)),
        // A disk takes one batch at a time, and does not become faster by fewer.
        _ => file.as_ref().map(|set| of(set.max_age, true)),
    };
    pace.unwrap_or_default()
}

fn forward(settings: &ev_config::Forward, env: Arc<dyn Env>) -> Result<ForwardSink, Error> {
    const TABLE: &str = "forward.forward";
    let ev_config::Forward { url, tag, session_tag, timeouts, .. } = settings;
    let mut config = ev_sink_forward::Config::new(url, tag, session_tag);
    config.tls = forward_files(settings);
    let secret = |key: &str, text: &SecretText| {
        read_secret(text).map_err(|error| Error::setting(format!("{TABLE}.{key}"), error))
    };
    let shared_key = settings.shared_key.as_ref();
    config.shared_key = shared_key.map(|text| secret("shared-key-file", text)).transpose()?;
    if let Some(login) = &settings.login {
        let password = secret("password-file", &login.password)?;
        config.login = Some(Login { user: login.user.clone(), password });
    }
    config.max_connections = settings.max_connections;
    config.max_events = settings.max_events;
    config.max_bytes = settings.max_bytes;
    config.gzip = parts::gzip(settings.gzip);
    config.timeouts = ev_sink_forward::Timeouts {
        connect: timeouts.connect,
        handshake: timeouts.handshake,
        request: timeouts.request,
        ack: timeouts.response,
        ..ev_sink_forward::Timeouts::default()
    };
    ForwardSink::new(config, env).map_err(|error| match error {
        ev_sink_forward::Error::Tls(error @ ev_tls::Error::Expired { .. }) => Error::Expired {
            whose: TABLE,
            advice: "make a new client certificate, signed by the CA that the receiver trusts",
            source: error.into(),
        },
        ev_sink_forward::Error::Tls(error @ ev_tls::Error::EncryptedKey { .. }) => {
            Error::setting(format!("{TABLE}: set `key-passphrase-file`"), error)
        }
        error => Error::setting(TABLE, error),
    })
}

/// Certificates for a receiver of the Forward protocol.
pub(crate) fn forward_files(settings: &ev_config::Forward) -> CredentialFiles {
    let client = settings.client.as_ref();
    CredentialFiles {
        ca: settings.ca.clone(),
        certificate: client.map(|client| client.cert.clone()),
        key: client.map(|client| client.key.clone()),
        passphrase: settings.key_passphrase_file.clone().map(PassphraseSource::File),
    }
}

/// A secret's text; one line end behind it does not belong to it.
fn read_secret(text: &SecretText) -> Result<Secret, ev_core::BoxError> {
    let path = match text {
        SecretText::Known(text) => return Ok(Secret::new(text)),
        SecretText::File(path) => path,
    };
    ev_tls::warn_if_open(path);
    let shown = path.display();
    let bytes =
        ev_tls::read_file(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("`{shown}` holds no text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!("`{shown}` is empty").into());
    }
    Ok(Secret::new(text))
}

fn file(
    settings: &ev_config::FileOutput,
    storage: &Path,
    env: Arc<dyn Env>,
) -> Result<FileSink, Error> {
    let state = storage.join("ev-state");
    for (key, path) in [("path", &settings.path), ("session-path", &settings.session_path)] {
        if is_below(path, &state) {
            let (path, state) = (path.display(), state.display());
            let what = format!("`{path}` lies in `{state}`, where the handler keeps its own state");
            return Err(Error::setting(format!("forward.file.{key}"), what));
        }
    }
    let mut config = ev_sink_file::Config::new(&settings.path);
    config.session_path.clone_from(&settings.session_path);
    config.rotation = Rotation { bytes: settings.rotate_bytes, age: settings.rotate_age };
    config.sync = match settings.sync {
        FileSync::Always => Fsync::Always,
        FileSync::Batch => Fsync::Batch,
        FileSync::Never => Fsync::Never,
    };
    FileSink::new(config, env).map_err(|error| Error::setting("forward.file", error))
}

/// Whether a file lies in a folder, by its name or by where links lead.
fn is_below(path: &Path, folder: &Path) -> bool {
    let is_below = |path: &Path, folder: &Path| path.starts_with(folder);
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = |path: &Path| path.canonicalize().ok();
    let by_links = real(folder).is_some_and(|folder| {
        let mut existing = path.ancestors().filter_map(real);
        existing.next().is_some_and(|path| is_below(&path, &folder))
    });
    by_links || is_below(&absolute(path), &absolute(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_state_is_known_however_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("ev-state");
        let below = |path: &str| is_below(&folder.path().join(path), &state);
        assert!(below("ev-state/state.db"), "before it is there");
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(&state, folder.path().join("link")).unwrap();
        for path in ["ev-state/state.db", "link/new", "x/../ev-state/new", "link"] {
            std::fs::create_dir_all(folder.path().join("x")).unwrap();
            assert!(below(path), "{path}");
        }
        for path in ["events.ndjson", "ev-state.ndjson", "x/ev-state"] {
            assert!(!below(path), "{path}");
        }
    }

    #[test]
    fn a_secret_is_what_is_in_its_file_but_for_a_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = SecretText::File(path.clone());
        for (content, expected) in
            [("word", Some("word")), ("word\n", Some("word")), ("word\r\n", Some("word"))]
                .into_iter()
                .chain([(" two words \n\n", Some(" two words \n")), ("", None), ("\n", None)])
        {
            std::fs::write(&path, content).unwrap();
            let found = read_secret(&file).ok();
            assert_eq!(found, expected.map(Secret::new), "{content:?}");
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read_secret(&file).unwrap_err().to_string().contains("no text"));
        assert_eq!(read_secret(&SecretText::Known("a\n".into())).unwrap(), Secret::new("a\n"));
    }
}
