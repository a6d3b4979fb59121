//! The command line: which command, and how it ends.

#![allow(clippy::print_stderr, reason = "commands talk to the terminal")]

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};

use clap::{Args as _, Command, FromArgMatches as _, Subcommand as _};
use ev_modules::cli as decoder;

use crate::chain::Chain;
use crate::exit::Exit;
use crate::printing::GoingOn;
use crate::{
    config, configure, decode, doctor, logging, pages, parked, program, replay, schema, shadow,
    signals, start, state, status, verify,
};

/// Runs the command that the arguments name and says how the process is to end.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let exit = command_line(args);
    logging::end();
    exit
}

fn command_line(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.iter().skip(1).any(|arg| arg == "start") {
        signals::survive();
    }
    let name = program::name(args.first().map(OsString::as_os_str));
    let matches = match command(name).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version were asked for; all else is wrong use, which ends with 1 as in the
            // reference handler.
            let asked = !error.use_stderr();
            let is_printed = match error.print() {
                Ok(()) => true,
                Err(error) => error.kind() == ErrorKind::BrokenPipe,
            };
            return if asked && is_printed { Exit::Success } else { Exit::Failure };
        }
    };
    match matches.subcommand() {
        Some(("start", matches)) => start::command(matches),
        Some(("config", matches)) => config::command(matches),
        Some(("configure", matches)) => configure::command(matches),
        Some(("doctor", matches)) => doctor::command(matches),
        Some(("completion", matches)) => match matches.get_one::<clap_complete::Shell>("shell") {
            Some(shell) => write_out(&pages::completion(*shell, command(name), name)),
            None => fail(&"no shell was given"),
        },
        Some(("man", _)) => match pages::man(command(name)) {
            Ok(page) => write_out(&page),
            Err(error) => fail(&error),
        },
        Some(("decode", matches)) => {
            let args = match decode::Args::from_arg_matches(matches) {
                Ok(args) => args,
                Err(error) => return fail(&error),
            };
            decode::run(&args).unwrap_or_else(|error| fail(&format_args!("{error:#}")))
        }
        Some(("decoder", matches)) => match decoder::Command::from_arg_matches(matches) {
            Ok(command) => run_decoder(&command),
            Err(error) => fail(&error),
        },
        Some(("parked", matches)) => {
            parked::run(matches).unwrap_or_else(|error| fail(&format_args!("{error:#}")))
        }
        Some(("state", matches)) => {
            state::run(matches).unwrap_or_else(|error| fail(&format_args!("{error:#}")))
        }
        Some(("schema", matches)) => {
            schema::run(matches).unwrap_or_else(|error| fail(&format_args!("{error:#}")))
        }
        Some(("replay", matches)) => replay::command(matches),
        Some(("shadow", matches)) => shadow::command(matches),
        Some(("status", matches)) => status::command(matches),
        Some(("verify", matches)) => verify::command(matches),
        Some(("version", _)) => {
            let mut text = format!("{}\n", program::version(name));
            for table in ev_decode::embedded() {
                text.push_str(&format!(
                    "schema {} ({})\n",
                    table.table.auth_version(),
                    table.label
                ));
            }
            say(&text)
        }
        _ => fail(&format_args!("no command was given; try `{name} --help`")),
    }
}

/// The whole command line, for the name by which the program was called.
pub(crate) fn command(name: &'static str) -> Command {
    let decode = Command::new("decode").about("Decode events given as base64, one a line");
    let decoder = Command::new("decoder").about("Build, sign, verify and list decoder artifacts");
    let parked = Command::new("parked");
    let schema = Command::new("schema");
    let state = Command::new("state");
    let status = Command::new("status");
    let replay = Command::new("replay");
    let verify = Command::new("verify");
    Command::new(name)
        .bin_name(name)
        .about("Forwards Teleport's audit log, every event of it, to Fluentd")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(ev_config::global_args())
        .subcommand(ev_config::start_command())
        .subcommand(config::define())
        .subcommand(configure::define())
        .subcommand(doctor::define())
        .subcommand(decode::Args::augment_args(decode))
        .subcommand(decoder::Command::augment_subcommands(decoder).subcommand_required(true))
        .subcommand(parked::Command::augment_subcommands(parked).subcommand_required(true))
        .subcommand(state::Command::augment_subcommands(state).subcommand_required(true))
        .subcommand(replay::Args::augment_args(replay))
        .subcommand(schema::Command::augment_subcommands(schema).subcommand_required(true))
        .subcommand(shadow::define())
        .subcommand(status::Args::augment_args(status))
        .subcommand(verify::Args::augment_args(verify))
        .subcommand(pages::completion_command())
        .subcommand(pages::man_command())
        .subcommand(Command::new("version").about("Print the version and the embedded schemas"))
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, outside of any engine")]
fn run_decoder(command: &decoder::Command) -> Exit {
    match decoder::run(command, std::time::SystemTime::now()) {
        Ok(report) => say(&report),
        Err(error) => fail(&Chain(&error)),
    }
}

/// Prints to stdout. A reader that has enough (`| head`) is no failure.
pub(crate) fn say(text: &str) -> Exit {
    write_out(text.as_bytes())
}

fn write_out(bytes: &[u8]) -> Exit {
    let mut out = GoingOn(std::io::stdout());
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Exit::Success,
        Err(error) => fail(&format_args!("failed to print: {error}")),
    }
}

pub(crate) fn fail(error: &dyn std::fmt::Display) -> Exit {
    eprintln!("error: {error}");
    Exit::Failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command("ev-handler").debug_assert();
    }
}
