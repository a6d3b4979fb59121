//! `ev-handler state export`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use ev_reference_state::{directory_name, write};

use super::Console;
use super::layout::{Exported, exported};
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;
use crate::start::SINK;

/// Write the resume points as a directory that the reference handler goes on from; stop this
/// handler first
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Storage directory of the reference handler; `<host>_<port>` is made in it
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Address that the reference handler is given (`host:port`), after which its directory is
    /// named; without it that of the configuration
    #[arg(long, value_name = "ADDR")]
    pub(crate) addr: Option<String>,
}

pub(crate) fn run(args: &Args, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    // With a place and an address nothing of the configuration is needed.
    let settings = beside.settings();
    let addr = match (&args.addr, &settings) {
        (Some(addr), _) => addr,
        (None, Ok(settings)) => &settings.teleport.addr,
        (None, Err(_)) => return settings.map(|_| Exit::Failure),
    };
    let Some(name) = directory_name(addr) else {
        bail!("`{addr}` is no address of the form host:port");
    };
    let (storage, reader) = args.place.reader(beside)?;
    // What a running handler has done since would be missing, and sent twice by who goes on.
    let (_, _held) = args.place.store(beside)?;
    let sinks = reader.sinks()?;
    let Some(sink) = sinks.iter().find(|sink| sink.name == SINK) else {
        bail!("nothing was stored in `{}` yet", storage.display());
    };
    let fixed = settings.ok().and_then(|settings| settings.ingest.start_time_unix_secs);
    let Exported { state, notes } = exported(sink, fixed);
    let directory = args.to.join(name);
    let findings = write(&directory, &state).context(
        "nothing was exported; name another directory, or move what is there away (the reference \
         handler's own files are older than our state)",
    )?;
    for note in notes {
        writeln!(console.errors, "note: {note}")?;
    }
    for finding in findings {
        writeln!(console.errors, "note: {finding}")?;
    }
    writeln!(console.out, "{}", directory.display())?;
    Ok(Exit::Success)
}
