//! `ev-handler status`: what a handler is doing, asked at its address for diagnostics, or, when it
//! does not run, read from its state.

pub(crate) mod ask;
mod at_rest;
mod print;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{ArgMatches, FromArgMatches as _};
use ev_diag::Readiness;

use crate::cli::{fail, say};
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;

/// Say what a handler is doing, asked at `diag-addr`, or read from its state when it does not run;
/// ends with 0 when events can flow, with 1 when not
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Where to ask, instead of the `diag-addr` of the configuration
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    #[command(flatten)]
    place: Place,
    /// One JSON object instead of text: that of `/status.json`
    #[arg(long)]
    json: bool,
}

/// Runs the command in the process's own terminal.
pub(crate) fn run(matches: &ArgMatches) -> Result<Exit> {
    let args = Args::from_arg_matches(matches)?;
    let beside = Beside::read(matches);
    beside.begin_log();
    let address = args.address.or_else(|| beside.diag_addr());
    let (body, note) = match address.map(ask::ask) {
        Some(Ok(body)) => (body, None),
        Some(Err(error)) => {
            // Whoever names an address asks for nothing else.
            if args.address.is_some() && args.place.storage.is_none() {
                return Err(error);
            }
            (at_rest::json(&args.place, &beside)?, Some(format!("{error:#}")))
        }
        None => {
            let note = "`diag-addr` is not set, so a handler that runs cannot be asked".to_owned();
            (at_rest::json(&args.place, &beside)?, Some(note))
        }
    };
    if let Some(note) = note {
        tracing::info!(reason = note, "this is what the state says");
    }
    let snapshot = ask::read(&body)
        .map_err(|error| anyhow::anyhow!("what came is no status of ev-handler: {error}"))?;
    let readiness = Readiness::of(&snapshot);
    let said = match args.json {
        true => say(&body),
        false => say(&print::text(&snapshot, &readiness)),
    };
    Ok(match said {
        Exit::Success if !readiness.ready => Exit::Failure,
        said => said,
    })
}

/// As the others.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    run(matches).unwrap_or_else(|error| fail(&format_args!("{error:#}")))
}
