//! Shell completion and the man page, both made from the command line itself.

use std::io;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use ev_config::{Kind, options};

/// `completion <SHELL>`.
pub(crate) fn completion_command() -> Command {
    Command::new("completion")
        .about("Print a script that completes commands and flags in a shell")
        .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell)))
}

/// `man`.
pub(crate) fn man_command() -> Command {
    Command::new("man").about("Print the manual page, for instance for `man -l -`")
}

/// The script for a shell.
pub(crate) fn completion(shell: Shell, root: Command, name: &str) -> Vec<u8> {
    let mut root = with_words(root);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut root, name, &mut script);
    script
}

/// Values are judged where all settings are, so that the words of a choice are told here only.
fn with_words(mut root: Command) -> Command {
    for command in ["start", "config", "shadow"] {
        for option in options() {
            let Kind::Choice(words) = option.kind else { continue };
            root = root.mut_subcommand(command, |command| {
                command.mut_arg(option.name, |arg| {
                    arg.value_parser(PossibleValuesParser::new(words.iter().copied()))
                })
            });
        }
    }
    root
}

/// The manual page: the program, its commands, and all settings of `start`.
///
/// # Errors
///
/// None in practice; the page is written to memory.
pub(crate) fn man(root: Command) -> io::Result<Vec<u8>> {
    let mut root = root;
    root.build();
    let start = root.find_subcommand("start").cloned().unwrap_or_else(|| Command::new("start"));
    let man = Man::new(root.clone()).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    commands(&mut page, &root)?;
    section(
        &mut page,
        "SETTINGS",
        &["The command start takes the settings below as flags, from a TOML file (--config) and \
           from the environment. A flag wins over the file, the file over the environment. The \
           command config prints those that are in force, and where each comes from."],
    )?;
    Man::new(start.disable_help_flag(true)).render_options_section(&mut page)?;
    let mut variables = Roff::new();
    variables.control("SH", ["ENVIRONMENT"]);
    for option in options().iter().filter(|option| option.has_flag()) {
        for name in option.env {
            variables.control("TP", []);
            variables.text([bold(*name)]);
            variables.text([roman(format!("--{}", option.name))]);
        }
    }
    variables.to_writer(&mut page)?;
    section(
        &mut page,
        "EXIT STATUS",
        &[
            "0: it did what it was asked, or was told to stop.",
            "1: something failed, or the command line is wrong.",
            "2: what was to be checked could not be reached.",
            "78: the configuration cannot be used.",
            "255: configure has failed.",
        ],
    )?;
    Ok(page)
}

fn commands(page: &mut Vec<u8>, root: &Command) -> io::Result<()> {
    let mut text = Roff::new();
    text.control("SH", ["COMMANDS"]);
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        text.control("TP", []);
        text.text([bold(command.get_name())]);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.text([roman(about)]);
    }
    text.control("PP", []);
    text.text([roman("Each tells its arguments with --help.")]);
    text.to_writer(page)
}

fn section(page: &mut Vec<u8>, title: &str, paragraphs: &[&str]) -> io::Result<()> {
    let mut text = Roff::new();
    text.control("SH", [title]);
    for paragraph in paragraphs {
        text.control("PP", []);
        text.text([roman(*paragraph)]);
    }
    text.to_writer(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    /// As it is read: without the escapes that keep dashes dashes.
    fn page() -> String {
        String::from_utf8(man(command("ev-handler")).expect("in memory"))
            .expect("text")
            .replace('\\', "")
    }

    #[test]
    fn the_man_page_has_every_flag_variable_and_command() {
        let page = page();
        for option in options() {
            let flag = format!("--{}", option.name);
            assert_eq!(page.contains(&flag), option.has_flag(), "{flag}");
            for variable in option.env.iter().filter(|_| option.has_flag()) {
                assert!(page.contains(variable), "{variable}");
            }
        }
        for command in command("ev-handler").get_subcommands() {
            assert!(page.contains(&format!("fB{}fR", command.get_name())), "{page}");
        }
    }

    #[test]
    fn every_shell_completes_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let script =
                completion(shell, command("teleport-event-handler"), "teleport-event-handler");
            let script = String::from_utf8(script).expect("text");
            for option in options().iter().filter(|option| option.has_flag()) {
                assert!(script.contains(option.name), "{shell}: {}", option.name);
            }
            assert!(script.contains("teleport-event-handler"), "{shell}");
        }
    }

    #[test]
    fn the_words_of_a_choice_are_completed() {
        let script = completion(Shell::Bash, command("ev-handler"), "ev-handler");
        let script = String::from_utf8(script).expect("text");
        for option in options() {
            if let Kind::Choice(words) = option.kind {
                // Of each command that takes all settings.
                let count = script.matches(&format!("\"{}\"", words.join(" "))).count();
                assert!(count >= 3, "{}: {count} times", option.name);
            }
        }
    }
}
