//! `ev-handler configure`: certificates, keys and configurations for Fluentd and the handler.
//!
//! The work is `ev-configure`'s; here are the arguments, the terminal and the exit code.

mod args;
mod terminal;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use ev_configure::{Passphrase, configure};

use self::args::Args;
use self::terminal::Terminal;
use crate::exit::Exit;
use crate::printing::GoingOn;

/// The command, with the reference handler's arguments and ours.
pub(crate) fn define() -> Command {
    Args::augment_args(Command::new("configure"))
}

/// Runs the command, and says how the process is to end: the reference handler's exit code for all
/// that goes wrong behind the arguments is 255.
#[allow(clippy::print_stderr, reason = "commands talk to the terminal")]
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let result = Args::from_arg_matches(matches).map_err(Into::into).and_then(|args| run(&args));
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            eprintln!("error: {error:#}");
            Exit::Configure
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, outside of any engine")]
fn run(args: &Args) -> Result<()> {
    // As the reference handler, which says who it is before it works for seconds.
    say(&format!("Teleport event handler {}\n\n", env!("CARGO_PKG_VERSION")))?;
    let config = args.config()?;
    let passphrase = match &args.passphrase_file {
        Some(path) => Some(from_file(path)?),
        None => from_stdin()?,
    };
    let now = std::time::SystemTime::now();
    let report = configure(&config, passphrase, &mut Terminal, now)?;
    let cwd = std::env::current_dir().and_then(std::fs::canonicalize);
    say(&report.to_text(&cwd.unwrap_or_default()))
}

fn from_file(path: &Path) -> Result<Passphrase> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("failed to open `{shown}`"))?;
    match Passphrase::read(file, &format!("`{shown}`"))? {
        Some(passphrase) => Ok(passphrase),
        None => bail!("there is no passphrase in `{shown}`"),
    }
}

/// All of standard input, unless it is a terminal or another device such as `/dev/null`, as in the
/// reference handler. When nothing is in it, nobody gave a passphrase.
fn from_stdin() -> Result<Option<Passphrase>> {
    let stdin = io::stdin();
    let is_device = || -> io::Result<bool> {
        let file = File::from(stdin.as_fd().try_clone_to_owned()?);
        Ok(file.metadata()?.file_type().is_char_device())
    };
    if is_device().context("failed to look at standard input")? {
        return Ok(None);
    }
    Ok(Passphrase::read(stdin.lock(), "standard input")?)
}

fn say(text: &str) -> Result<()> {
    // A reader that has enough of it changes nothing of what is written.
    let mut stdout = GoingOn(io::stdout());
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("failed to print")
}
