//! `ev-handler state`: what is stored, and how to take it to the reference handler.
//!
//! Both commands only read, and take no lock.

mod export;
mod layout;
mod show;

use std::io::Write;

use anyhow::Result;
use clap::{ArgMatches, FromArgMatches as _};

use crate::config::Beside;
use crate::exit::Exit;
use crate::printing::{GoingOn, print};

/// Show what is stored, and export it for the reference handler
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Show where everything stands
    Show(show::Args),
    /// Write the resume points as a directory that the reference handler goes on from; stop this
    /// handler first
    Export(export::Args),
}

/// Where a command writes, so that tests can look at it.
pub(crate) struct Console<'a> {
    pub(crate) out: &'a mut dyn Write,
    /// For people, so that `out` can be piped.
    pub(crate) errors: &'a mut dyn Write,
}

/// Runs the command in the process's own terminal.
pub(crate) fn run(matches: &ArgMatches) -> Result<Exit> {
    let command = Command::from_arg_matches(matches)?;
    let beside = Beside::read(matches);
    beside.begin_log();
    let (out, errors) = (std::io::stdout().lock(), &mut std::io::stderr());
    match &command {
        Command::Show(args) => {
            print(out, |out| show::run(args, &beside, &mut Console { out, errors }))
        }
        Command::Export(args) => {
            export::run(args, &beside, &mut Console { out: &mut GoingOn(out), errors })
        }
    }
}
