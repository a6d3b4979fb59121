//! `ev-handler config`: the settings that `start` would have, printed or tried.

pub(crate) mod check;
pub(crate) mod credentials;
mod reading;

use clap::{Arg, ArgAction, ArgMatches, Command};

pub(crate) use self::reading::{
    Beside, Unusable, begin_audited_log, begin_log, load, load_beside, load_to_judge, read,
};
use crate::cli::say;
use crate::exit::Exit;

/// The command, with every setting that `start` takes.
pub(crate) fn define() -> Command {
    let config = Command::new("config")
        .about("Print the settings that are in force and where each comes from, or try them")
        .long_about(
            "Print the settings that are in force, as a TOML file with the origin of each behind \
             it; or with `--check` try what they name. Takes the flags, the file and the \
             environment of `start`.",
        )
        .arg(
            Arg::new("check").long("check").action(ArgAction::SetTrue).help(
                "Try files, certificates, keys, directories and addresses; ends with 0 or 78",
            ),
        )
        .arg(
            Arg::new("offline")
                .long("offline")
                .action(ArgAction::SetTrue)
                .requires("check")
                .help("Do not ask for the addresses of names"),
        );
    ev_config::with_settings(config)
}

/// Runs it.
#[expect(clippy::print_stderr, reason = "what is odd must not stand in the printed file")]
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let loaded = match load_to_judge(matches) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    for finding in &loaded.warnings {
        eprintln!("warning: {finding}");
    }
    if !matches.get_flag("check") {
        return say(&loaded.to_toml());
    }
    let report = check::check(&loaded, matches.get_flag("offline"));
    match say(&report.to_string()) {
        Exit::Success if report.is_good() => Exit::Success,
        Exit::Success => Exit::Config,
        failure => failure,
    }
}
