//! `ev-handler schema`: what the events of a version look like, and what a version adds.
//!
//! Only looks, at schemas that are built in, kept in the state, or lying in a file; beside a
//! running handler too.

mod diff;
mod list;
mod show;
mod sources;

use std::io::Write;

use anyhow::Result;
use clap::{ArgMatches, FromArgMatches as _};

use crate::config::Beside;
use crate::exit::Exit;
use crate::printing::print;

/// Tell the fields and types of events, as JSON Schema too, and what a version adds
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// List the versions whose schemas are at hand, or the event types of one
    List(list::Args),
    /// Show the members of an event type with an example, or its JSON Schema
    Show(show::Args),
    /// Show what one version has and another has not
    Diff(diff::Args),
}

/// Runs the command in the process's own terminal.
pub(crate) fn run(matches: &ArgMatches) -> Result<Exit> {
    let command = Command::from_arg_matches(matches)?;
    let beside = Beside::read(matches);
    beside.begin_log();
    print(std::io::stdout().lock(), |out| match &command {
        Command::List(args) => list::run(args, &beside, out),
        Command::Show(args) => show::run(args, &beside, out),
        Command::Diff(args) => diff::run(args, &beside, out),
    })
}

/// Prints rows with columns as wide as they need to be, the last one as it is.
fn print_rows(rows: &[Vec<String>], out: &mut dyn Write) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
