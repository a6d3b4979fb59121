//! Tries what the settings name, without sending or changing anything.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ev_audit::transport::UnixTransport;
use ev_config::{ArtifactPlace, AuditEndpoint, Loaded, Settings};
use ev_core::Env;
use ev_pipeline::TokioEnv;
use rustix::fs::{Access, access};

use super::credentials;
use crate::chain::Chain;
use crate::start::outlet::Outlet;
use crate::start::{Error, block_on, decoders, parts};
use crate::storage;

/// The setting that names the agent.
const AUDIT: &str = "audit.endpoint";
/// An agent on this machine that has not taken a connection by then is none.
const AGENT_PATIENCE: Duration = Duration::from_secs(1);

/// How a thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can be used.
    Good,
    /// It can be used; somebody should look at it.
    Odd,
    /// It cannot be used.
    Bad,
}

/// What is wrong with a certificate or a key, as far as it is known what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its time is over.
    Expired,
    /// It will be soon.
    EndsSoon,
    /// Its time has not begun.
    NotYet,
    /// Key and certificate do not belong together.
    Mismatch,
    /// The key is encrypted and no passphrase is there, or not the right one.
    Passphrase,
    /// Certificates of a chain do not follow each other.
    Chain,
    /// Others may read a secret.
    Open,
    /// Our certificate is of another CA than that of the server.
    OtherCa,
    /// Whatever else.
    Unusable,
}

/// One thing that was tried.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) verdict: Verdict,
    pub(crate) setting: String,
    pub(crate) text: String,
    pub(crate) fault: Option<Fault>,
}

/// What was found, in the order in which it was tried.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
}

impl Report {
    pub(crate) fn add(&mut self, verdict: Verdict, setting: &str, text: impl Into<String>) {
        let (setting, text) = (setting.to_owned(), text.into());
        self.lines.push(Line { verdict, setting, text, fault: None });
    }

    /// As [`Report::add`], with what is to be done about it.
    pub(crate) fn fault(
        &mut self,
        verdict: Verdict,
        setting: &str,
        fault: Fault,
        text: impl Into<String>,
    ) {
        self.add(verdict, setting, text);
        if let Some(line) = self.lines.last_mut() {
            line.fault = Some(fault);
        }
    }

    pub(crate) fn bad(&mut self, setting: &str, error: &(dyn std::error::Error + 'static)) {
        let fault = match error.downcast_ref::<ev_tls::Error>() {
            Some(ev_tls::Error::Expired { .. }) => Fault::Expired,
            Some(ev_tls::Error::NotYetValid { .. }) => Fault::NotYet,
            Some(ev_tls::Error::KeyMismatch { .. }) => Fault::Mismatch,
            Some(
                ev_tls::Error::EncryptedKey { .. }
                | ev_tls::Error::WrongPassphrase { .. }
                | ev_tls::Error::EmptyPassphrase { .. },
            ) => Fault::Passphrase,
            Some(ev_tls::Error::BrokenChain { .. }) => Fault::Chain,
            _ => Fault::Unusable,
        };
        self.fault(Verdict::Bad, setting, fault, Chain(error).to_string());
    }

    /// Whether everything can be used.
    pub(crate) fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.verdict != Verdict::Bad)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { verdict, setting, text, .. } in &self.lines {
            let word = match verdict {
                Verdict::Good => "ok",
                Verdict::Odd => "warning",
                Verdict::Bad => "error",
            };
            writeln!(f, "{word:<8}{setting}: {text}")?;
        }
        let bad = self.lines.iter().filter(|line| line.verdict == Verdict::Bad).count();
        match bad {
            0 => writeln!(f, "the configuration can be used"),
            1 => writeln!(f, "1 thing cannot be used"),
            bad => writeln!(f, "{bad} things cannot be used"),
        }
    }
}

/// Tries everything. With `offline` no name is looked up.
pub(crate) fn check(loaded: &Loaded, offline: bool) -> Report {
    let settings = &loaded.settings;
    let mut report = Report::default();
    directory(&settings.storage, &mut report);
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let now = env.now().seconds();
    credentials::teleport(&settings.teleport.credentials, now, &mut report);
    if let Some(fluentd) = &settings.fluentd {
        credentials::fluentd(fluentd, now, &mut report);
    }
    if let Some(forward) = &settings.forward {
        credentials::forward(forward, now, &mut report);
    }
    if let Some(file) = &settings.file {
        for (setting, path) in
            [("forward.file.path", &file.path), ("forward.file.session-path", &file.session_path)]
        {
            output(setting, path, &mut report);
        }
    }
    if let Some(ArtifactPlace::Https { ca, client, .. }) = &settings.decoder.artifacts {
        let setting = "decoder.artifacts";
        credentials::files(setting, ca.as_deref(), client.as_ref(), None, now, &mut report);
    }
    made(settings, &env, &mut report);
    audit(settings, &env, &mut report);
    if offline {
        report.add(Verdict::Good, "addresses", "names are not looked up, as `--offline` is set");
    } else {
        addresses(settings, &mut report);
    }
    report
}

/// The directory need not be there: it is made at the first start.
fn directory(path: &Path, report: &mut Report) {
    let shown = path.display();
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    let (verdict, text) = if let Err(what) = storage::check(path) {
        (Verdict::Bad, what)
    } else if let Err(error) = access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        let error = io::Error::from(error);
        (Verdict::Bad, format!("`{}` cannot be written to: {error}", existing.display()))
    } else if existing == path {
        (Verdict::Good, format!("`{shown}` can be written to"))
    } else {
        (Verdict::Good, format!("`{shown}` is not there and can be made"))
    };
    report.add(verdict, "storage", text);
    if let Some(why) = storage::fleeting(path) {
        report.add(Verdict::Odd, "storage", why);
    }
}

/// A file that events are added to. It need not be there, nor its directories.
fn output(setting: &str, path: &Path, report: &mut Report) {
    let shown = path.display();
    if path.as_os_str() == "-" {
        return report.add(Verdict::Good, setting, "stdout");
    }
    // The name of a directory may have the session's id in it.
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    let is_there = existing == path;
    let needed = if is_there { Access::WRITE_OK } else { Access::WRITE_OK | Access::EXEC_OK };
    let (verdict, text) = if is_there && path.is_dir() {
        (Verdict::Bad, format!("`{shown}` is a directory"))
    } else if !is_there && !existing.is_dir() {
        (Verdict::Bad, format!("`{}` is no directory", existing.display()))
    } else if let Err(error) = access(existing, needed) {
        let error = io::Error::from(error);
        (Verdict::Bad, format!("`{}` cannot be written to: {error}", existing.display()))
    } else if is_there {
        (Verdict::Good, format!("`{shown}` can be written to"))
    } else {
        (Verdict::Good, format!("`{shown}` is not there and can be made"))
    };
    report.add(verdict, setting, text);
}

/// What a start makes before it reaches for any peer; each is an error there too.
fn made(settings: &Settings, env: &Arc<dyn Env>, report: &mut Report) {
    let parts = block_on(async {
        let trust = decoders::trust(&settings.decoder).map(drop);
        let place = decoders::place(&settings.decoder, Arc::clone(env)).map(drop);
        let sink = Outlet::all(settings, env).map(drop);
        let source = parts::source(settings, Arc::clone(env)).map(drop);
        Ok([trust, place, sink, source])
    });
    let parts: Vec<Result<(), Error>> = match parts {
        Ok(parts) => parts.into(),
        Err(error) => vec![Err(error)],
    };
    let is_trusted = parts.first().is_some_and(Result::is_ok);
    for error in parts.into_iter().filter_map(Result::err) {
        let text = Chain(&error).to_string();
        // What is wrong with a certificate was found above, where it is told more of it.
        let is_known = report
            .lines
            .iter()
            .any(|line| line.verdict == Verdict::Bad && text.ends_with(line.text.as_str()));
        if !is_known {
            report.add(Verdict::Bad, "start", text);
        }
    }
    if let Some(trust) = &settings.decoder.trust
        && is_trusted
    {
        report.add(Verdict::Good, "decoder.trust", format!("`{}` can be read", trust.display()));
    }
}

/// Whether somebody takes the handler's own security events now; nobody need be there at the start.
fn audit(settings: &Settings, env: &Arc<dyn Env>, report: &mut Report) {
    let path = match settings.audit.as_ref().map(|audit| &audit.endpoint) {
        Some(AuditEndpoint::Socket(path)) => path.clone(),
        Some(AuditEndpoint::UsualSockets) => UnixTransport::new().path().to_owned(),
        // The name is looked up with the others.
        Some(AuditEndpoint::Tcp(_)) | None => return,
    };
    let connecting = block_on(async {
        // Nothing is sent.
        let connecting = tokio::net::UnixStream::connect(&path);
        Ok(ev_core::within(&**env, AGENT_PATIENCE, connecting).await)
    });
    let shown = path.display();
    let why = match connecting {
        Ok(Some(Ok(_))) => {
            return report.add(Verdict::Good, AUDIT, format!("an agent listens at `{shown}`"));
        }
        Ok(Some(Err(error))) => error.to_string(),
        Ok(None) => format!("it does not answer within {AGENT_PATIENCE:?}"),
        Err(error) => Chain(&error).to_string(),
    };
    let text = format!("no agent listens at `{shown}` now, so its records would wait: {why}");
    report.add(Verdict::Odd, AUDIT, text);
}

/// Looks every name up once.
fn addresses(settings: &Settings, report: &mut Report) {
    let artifacts = match &settings.decoder.artifacts {
        Some(ArtifactPlace::Https { url, .. }) => Some(("decoder.artifacts", authority(url))),
        _ => None,
    };
    let fluentd = settings.fluentd.as_ref();
    let named = [
        ("teleport.addr", Some(settings.teleport.addr.clone())),
        ("forward.fluentd.url", fluentd.and_then(|set| authority(&set.url))),
        ("forward.fluentd.session-url", fluentd.and_then(|set| authority(&set.session_url))),
        ("forward.forward.url", settings.forward.as_ref().and_then(|set| authority(&set.url))),
    ];
    let agent = match settings.audit.as_ref().map(|audit| &audit.endpoint) {
        Some(AuditEndpoint::Tcp(address)) => Some((AUDIT, Some(address.clone()))),
        _ => None,
    };
    let named = named.into_iter().chain(artifacts).chain(agent);
    let mut seen = BTreeSet::new();
    for (setting, address) in named {
        let Some(address) = address else { continue };
        if !seen.insert(address.clone()) {
            continue;
        }
        match address.to_socket_addrs() {
            Ok(found) => {
                let found: BTreeSet<String> = found.map(|addr| addr.ip().to_string()).collect();
                let found: Vec<String> = found.into_iter().collect();
                report.add(Verdict::Good, setting, format!("`{address}` is {}", found.join(", ")));
            }
            Err(error) => {
                report.add(Verdict::Bad, setting, format!("`{address}` is not found: {error}"));
            }
        }
    }
}

/// `host:port` of an address that has been judged already.
pub(crate) fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    Some(match (has_port, scheme) {
        (true, _) => host.to_owned(),
        (false, "https") => format!("{host}:443"),
        (false, "tls" | "tcp") => format!("{host}:24224"),
        (false, _) => format!("{host}:80"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_port_of_their_scheme() {
        let check = |url, expected: &str| assert_eq!(authority(url).as_deref(), Some(expected));
        check("https://host/test.log", "host:443");
        check("http://host?a", "host:80");
        check("https://user:s3cret@host:8888/a@b", "host:8888");
        check("https://[::1]", "[::1]:443");
        check("https://[::1]:1/x", "[::1]:1");
        check("tls://host", "host:24224");
        check("tcp://[::1]", "[::1]:24224");
    }
}
