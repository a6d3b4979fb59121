//! `ev-handler shadow`: reads the log beside the reference handler, takes what that one posts, and
//! tells where the two differ. The way to trust a rewrite before switching to it.
//!
//! It has a state of its own for as long as it runs, sends nothing of its own, sets no locks, and
//! touches neither the handler's state nor the reference handler's.

mod ours;
mod receiving;
mod report;
mod run;
mod teller;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use tracing::error;

use crate::chain::Chain;
use crate::exit::Exit;
use crate::start::{Error, block_on};
use crate::{config, upstream};

/// Compare with what the reference handler sends, for as long as wanted, before switching to this one
///
/// Reads the log as `start` would, with the same settings, and sends nothing. What the reference
/// handler sends it receives at `--listen`: there the reference handler is pointed, with the paths
/// of `url` and `session-url` as they are. With `--forward` each request is passed on to the Fluentd
/// of the settings and its answer given back, so nothing is lost by looking; without it, requests
/// are answered with 200 and kept nowhere.
///
/// One line for each finding goes to stdout, and a report at the end: at the end of `--for` or
/// `--to`, or at SIGINT or SIGTERM. With `--forward` it goes on passing requests on behind the
/// report until it is stopped.
///
/// Exit status: 0 when events were compared and all are equal; 1 with findings, or with events that
/// one side still owes; 2 when nothing could be compared; 78 when the configuration is wrong.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Where to receive what the reference handler sends
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The receiver's certificate and its chain, in PEM
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    key: Option<PathBuf>,
    /// The passphrase of the key, if it is encrypted
    #[arg(long, value_name = "FILE", requires = "key")]
    passphrase_file: Option<PathBuf>,
    /// The CA that signed the reference handler's client certificate, in PEM
    #[arg(long, value_name = "FILE", required_unless_present = "plain")]
    client_ca: Option<PathBuf>,
    /// Receive without TLS; only at an address of this machine, such as 127.0.0.1
    #[arg(long, conflicts_with_all = ["cert", "key", "client_ca"])]
    plain: bool,
    /// Pass each request on to Fluentd, and its answer back
    #[arg(long)]
    forward: bool,
    /// First second that is compared, for instance `2026-01-31T00:00:00Z`; now if it is not given
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    from: Option<i64>,
    /// First second that is not compared any more; without an end it runs until it is stopped
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time, conflicts_with = "length")]
    to: Option<i64>,
    /// How long to compare from now on, for instance `24h`
    #[arg(long = "for", id = "length", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
    /// How long an event may be missing on one side, once that side has sent newer ones
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    patience: Duration,
    /// The same for events of recordings
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
    session_patience: Duration,
    /// Tell the values that differ, and not only where: they may be secret
    #[arg(long)]
    show_values: bool,
    /// JSON instead of text: an object a line, the last one is the report
    #[arg(long)]
    json: bool,
}

/// The command, with every setting that `start` takes.
pub(crate) fn define() -> Command {
    ev_config::with_settings(Args::augment_args(Command::new("shadow")))
}

/// Runs it in the process's own terminal and on a runtime of its own.
#[expect(clippy::print_stderr, reason = "there is no log before the settings are read")]
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let args = match Args::from_arg_matches(matches) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failure;
        }
    };
    let loaded = match config::load(matches) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    config::begin_log(&loaded);
    let settings = loaded.settings;
    let work = async |stop: &_| run::run(&settings, &args, stop).await;
    block_on(upstream::until_signal(work)).unwrap_or_else(|error| {
        error!(error = %Chain(&error), "the comparison could not be made, or not to its end");
        match error {
            Error::Setting { .. } => Exit::Config,
            Error::Engine(_) | Error::Task(_) => Exit::Failure,
            _ => Exit::Unchecked,
        }
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let nanos = ev_config::parse_duration(text).map_err(|error| format!("`{text}` {error}"))?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| format!("`{text}` is negative"))
}
