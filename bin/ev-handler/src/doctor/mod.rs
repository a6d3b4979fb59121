//! `ev-handler doctor`: walks the whole road once and says of each part whether it works, what is
//! wrong with it, and what to do.
//!
//! ```text
//! configuration ─▶ storage ─▶ credentials ─▶ Auth: name, connection, version, clock, calls
//!                                              └▶ role: event, session, lock ─▶ decoder
//!              └▶ Fluentd: credentials, name, connection, answers, marked event
//! ```
//!
//! | module | part |
//! |---|---|
//! | `storage` | the directory, room on the disk, the lock, the database |
//! | `diag` | the address of metrics and health |
//! | `credentials` | certificates, keys and passphrases of both sides |
//! | `auth` | from the name of Auth to what it says of itself |
//! | `role` | what the role lets us do |
//! | `decoder` | whether the events of Auth's version can be decoded exactly |
//! | `sink` | whether the receiver stores what it is sent |
//!
//! It works beside a running handler and changes nothing: nothing is written but a small file in the
//! storage directory, which is deleted again. What would leave something behind elsewhere (an event
//! at the receiver, a lock at Auth) is tried with `--probe` alone. Each part has a time limit.

mod auth;
mod credentials;
mod decoder;
mod diag;
mod finding;
mod outlet;
mod role;
mod sink;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use ev_config::{ConfigError, Loaded, Settings};
use ev_core::Env;
use ev_pipeline::TokioEnv;

use self::finding::{Findings, Severity, Step};
use crate::chain::Chain;
use crate::cli::say;
use crate::config::{self, Unusable};
use crate::exit::Exit;
use crate::start::block_on;

/// Longest time for one part of the road that has no limit of its own.
const LIMIT: Duration = Duration::from_secs(30);

/// The command, with every setting that `start` takes.
pub(crate) fn define() -> Command {
    let doctor = Command::new("doctor")
        .about("Try the whole road from Auth to Fluentd, and say what is wrong and what to do")
        .long_about(
            "Try the whole road from Auth to Fluentd, and say what is wrong and what to do. Takes \
             the flags, the file and the environment of `start`, and works beside a running \
             handler: run it as the same user. Ends with 0 when everything works, 1 when there is \
             a problem, 2 when there are warnings alone.",
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("One JSON object instead of text"),
        )
        .arg(Arg::new("probe").long("probe").action(ArgAction::SetTrue).help(
            "Also send one event of the type `ev.probe` to Fluentd, and with `lock.enabled` set a \
             lock on nobody that is over",
        ));
    ev_config::with_settings(doctor)
}

/// Runs it.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let mut findings = Findings::default();
    match config::read(matches) {
        Ok(loaded) => {
            tell_loaded(&loaded, &mut findings);
            let settings = loaded.settings;
            let road = Road { settings: &settings, probe: matches.get_flag("probe") };
            let walked = block_on(async {
                road.walk(&mut findings).await;
                Ok(())
            });
            // The runtime is the only thing that can fail here.
            if let Err(error) = walked {
                let cure = "give the process more threads, memory or file descriptors";
                findings.problem(Step::Configuration, Chain(&error).to_string(), cure);
            }
        }
        Err(error) => tell_unusable(&error, &mut findings),
    }
    let text = match matches.get_flag("json") {
        true => findings.to_json().unwrap_or_default(),
        false => findings.to_string(),
    };
    match say(&text) {
        Exit::Success => findings.exit(),
        failure => failure,
    }
}

fn tell_loaded(loaded: &Loaded, findings: &mut Findings) {
    for warning in &loaded.warnings {
        if warning.is_mistake() {
            let cure = "correct the setting; `ev-handler config` prints those that are in force";
            findings.warning(Step::Configuration, warning.to_string(), cure);
        } else {
            findings.note(Step::Configuration, warning.to_string());
        }
    }
    if !loaded.warnings.iter().any(ev_config::Finding::is_mistake) {
        findings.ok(Step::Configuration, "all settings can be used");
    }
}

fn tell_unusable(error: &Unusable, findings: &mut Findings) {
    const CURE: &str = "correct it where it says; docs/configuration.md lists all settings";
    const AWAITED: &str = "have it written: `tctl auth sign --format=file \
                           --user=teleport-event-handler --out=identity --ttl=8760h`, or `tbot`";
    match error {
        Unusable::Config(error) if error.may_pass() => {
            findings.problem(Step::Configuration, error.to_string(), AWAITED);
        }
        Unusable::Config(ConfigError::Invalid { problems }) => {
            for problem in problems {
                findings.problem(Step::Configuration, problem.to_string(), CURE);
            }
        }
        other => findings.problem(Step::Configuration, Chain(other).to_string(), CURE),
    }
    let rest = [Step::Storage, Step::AuthConnection, Step::FluentdConnection];
    findings.not_tried(&rest, "there are no settings");
}

/// The road as the settings describe it.
struct Road<'a> {
    settings: &'a Settings,
    /// Whether something may be left behind at the peers.
    probe: bool,
}

impl Road<'_> {
    async fn walk(&self, findings: &mut Findings) {
        let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
        let now = env.now().seconds();
        let state = storage::examine(&self.settings.storage, findings);
        diag::examine(self.settings, findings);
        // One peer that does not answer is not waited for in front of the others.
        let mut sides: [Findings; 4] = Default::default();
        let [auth, fluentd, forward, file] = &mut sides;
        let usable = credentials::teleport(&self.settings.teleport, now, auth);
        let auth_side = auth::examine(self, &env, usable, state.as_ref(), auth);
        let fluentd_side = async {
            if let Some(settings) = &self.settings.fluentd {
                let usable = credentials::fluentd(settings, now, fluentd);
                sink::examine(self, settings, &env, usable, fluentd).await;
            }
        };
        let forward_side = async {
            if let Some(settings) = &self.settings.forward {
                outlet::forward(self, settings, &env, forward).await;
            }
        };
        let file_side = async {
            if self.settings.file.is_some() {
                outlet::file(self, &env, file).await;
            }
        };
        tokio::join!(auth_side, fluentd_side, forward_side, file_side);
        sides.iter_mut().for_each(|side| findings.0.append(&mut side.0));
    }
}

/// The addresses of a name; tells what came of it and whether there are any. A part of its own
/// because nobody believes that it is DNS.
async fn resolve(
    step: Step,
    setting: &str,
    authority: &str,
    env: &dyn Env,
    findings: &mut Findings,
) -> bool {
    let looked_up = ev_core::within(env, LIMIT, tokio::net::lookup_host(authority.to_owned()));
    let cure = format!(
        "correct the host in `{setting}`, or see to it that this machine's resolver knows it"
    );
    match looked_up.await {
        Some(Ok(found)) => {
            let found: std::collections::BTreeSet<String> =
                found.map(|address| address.ip().to_string()).collect();
            let found: Vec<String> = found.into_iter().collect();
            findings.ok(step, format!("`{authority}` is {}", found.join(", ")));
            return true;
        }
        Some(Err(error)) => {
            findings.problem(step, format!("`{authority}` is not found: {error}"), cure);
        }
        None => {
            let what = format!("nobody said within {} s where `{authority}` is", LIMIT.as_secs());
            findings.problem(step, what, cure);
        }
    }
    false
}

/// Severity of a line of `config --check`.
fn severity(verdict: config::check::Verdict) -> Severity {
    match verdict {
        config::check::Verdict::Good => Severity::Ok,
        config::check::Verdict::Odd => Severity::Warning,
        config::check::Verdict::Bad => Severity::Problem,
    }
}
