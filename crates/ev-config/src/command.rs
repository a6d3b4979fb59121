//! The command line, made from the table.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use crate::options::{Kind, OptionSpec, options};

/// Id of the hidden argument that takes words nobody asked for, so that [`crate::load`] can say
/// what to do about them.
pub(crate) const STRAY: &str = "stray";

/// Names of the options that every command has, and that may stand before the command word too.
pub(crate) const GLOBAL: [&str; 2] = ["config", "debug"];

/// The command `start` with all its flags.
///
/// Values stay text here: whatever is wrong with one is told by [`crate::load`], in the same words
/// for a flag, a variable and a line of the file.
pub fn start_command() -> Command {
    let about = "Forward audit events and session recordings until told to stop";
    with_settings(Command::new("start").about(about))
}

/// A command that takes every setting as `start` does, for instance to look at them.
pub fn with_settings(command: Command) -> Command {
    let stray =
        Arg::new(STRAY).num_args(0..).hide(true).value_parser(clap::value_parser!(OsString));
    command.args(options().iter().map(argument)).arg(stray)
}

/// `--config` and `--debug`, for the root command: they may stand before the command word too.
pub fn global_args() -> Vec<Arg> {
    let is_global = |option: &&OptionSpec| GLOBAL.contains(&option.name);
    options().iter().filter(is_global).map(argument).collect()
}

fn argument(option: &'static OptionSpec) -> Arg {
    let argument = Arg::new(option.name)
        .long(option.name)
        .help(help(option))
        .help_heading(option.group.title())
        .global(GLOBAL.contains(&option.name))
        // One that is obsolete is taken, so that it can be told what to do instead.
        .hide(!option.has_flag())
        .value_parser(clap::value_parser!(OsString))
        .value_name(value_name(option.kind))
        // The last one counts, except in lists.
        .action(ArgAction::Append);
    let argument = match option.short {
        Some(short) => argument.short(short),
        None => argument,
    };
    match option.kind {
        // `--flag`, `--flag=true`, `--flag=false`.
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        // So that a negative one is refused by its range and not taken for a flag.
        Kind::Number => argument.allow_negative_numbers(true),
        _ => argument,
    }
}

pub(crate) fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "BOOL",
        Kind::Number => "NUMBER",
        Kind::Text | Kind::Secret => "TEXT",
        Kind::Url => "URL",
        Kind::Duration => "DURATION",
        Kind::Time => "TIME",
        Kind::List => "LIST",
        Kind::Headers => "HEADERS",
        Kind::Path | Kind::File => "PATH",
        Kind::PathOrDash => "PATH|-",
        Kind::DirectoryOrUrl => "DIR|URL",
        Kind::Choice(_) => "WORD",
    }
}

fn help(option: &OptionSpec) -> String {
    let mut text = option.help.to_owned();
    if let Kind::Choice(words) = option.kind {
        text.push_str(&format!(" [values: {}]", words.join(", ")));
    }
    if let Some(default) = option.default {
        text.push_str(&format!(" [default: {default}]"));
    }
    if let Some(name) = option.env.first() {
        text.push_str(&format!(" [env: {name}]"));
    }
    text
}
