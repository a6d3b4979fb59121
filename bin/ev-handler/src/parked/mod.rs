//! `ev-handler parked`: looking at parked events, and what an operator may do with them.
//!
//! `list`, `show` and `export` take no lock and work beside a running handler. `retry` and `drop`
//! change the state, which a running handler has for itself: it is to be stopped first.

mod by_hand;
mod export;
mod list;
pub(crate) mod record;
mod select;
mod show;

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use clap::{ArgMatches, FromArgMatches as _};

use crate::config::Beside;
use crate::exit::Exit;
use crate::printing::{GoingOn, print};

/// List, show, retry, export and drop events that could not be delivered
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// List parked events, without their contents
    List(list::Args),
    /// Show everything about one parked event, or its raw bytes
    Show(show::Args),
    /// Make parked events due at once, whatever was tried with them before; the handler must be
    /// stopped
    Retry(by_hand::RetryArgs),
    /// Write parked events with their raw bytes to a file that `ev-handler decode` reads
    Export(export::Args),
    /// Destroy parked events for good; the handler must be stopped
    Drop(by_hand::DropArgs),
}

/// Where a command reads and writes, so that tests can look at it.
pub(crate) struct Console<'a> {
    pub(crate) out: &'a mut dyn Write,
    /// For people, so that `out` can be piped.
    pub(crate) errors: &'a mut dyn Write,
    pub(crate) input: &'a mut dyn BufRead,
    /// Whether somebody is there to be asked.
    pub(crate) is_terminal: bool,
}

/// Runs the command in the process's own terminal.
pub(crate) fn run(matches: &ArgMatches) -> Result<Exit> {
    let command = Command::from_arg_matches(matches)?;
    let beside = Beside::read(matches);
    // What is dropped is logged, and so is what is odd about the state's files.
    let _auditor = match &command {
        Command::Drop(_) => beside.begin_audited_log()?,
        _ => {
            beside.begin_log();
            None
        }
    };
    let run = |out: &mut dyn Write| {
        let console = &mut Console {
            out,
            errors: &mut std::io::stderr(),
            input: &mut std::io::stdin().lock(),
            is_terminal: std::io::stdin().is_terminal(),
        };
        match &command {
            Command::List(args) => list::run(args, &beside, console),
            Command::Show(args) => show::run(args, &beside, console),
            Command::Retry(args) => by_hand::retry(args, &beside, console),
            Command::Export(args) => export::run(args, &beside, console),
            Command::Drop(args) => by_hand::drop_events(args, &beside, console),
        }
    };
    let out = std::io::stdout().lock();
    match &command {
        // What is done is done whole, whoever reads of it.
        Command::Retry(_) | Command::Drop(_) => run(&mut GoingOn(out)),
        Command::List(_) | Command::Show(_) | Command::Export(_) => print(out, |out| run(out)),
    }
}

#[cfg(test)]
mod tests;
