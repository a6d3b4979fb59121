//! The page about configuration, made from the table.

use crate::command::value_name;
use crate::options::{Group, Kind, OptionSpec, Owner, Toml, options, table_and_key};

const GROUPS: [Group; 9] = [
    Group::General,
    Group::Teleport,
    Group::Fluentd,
    Group::Forward,
    Group::File,
    Group::Ingest,
    Group::Decoder,
    Group::Lock,
    Group::Audit,
];

/// `docs/configuration.md`: every setting with all its names, and how values are written.
pub fn document() -> String {
    let mut page = String::from(include_str!("document/head.md"));
    for group in GROUPS {
        push(&mut page, format_args!("\n## {}\n", group.title()));
        let head = "| setting | flag | variable | value | default | meaning |";
        push(&mut page, format_args!("{head}\n|---|---|---|---|---|---|"));
        for option in options().iter().filter(|option| option.group == group) {
            row(&mut page, option);
        }
    }
    page.push_str(include_str!("document/tail.md"));
    page
}

fn row(page: &mut String, option: &OptionSpec) {
    let mark = if option.owner == Owner::Reference { "" } else { " ⁺" };
    let setting = match option.toml {
        Toml::No => "(not in the file)".to_owned(),
        _ => code(&where_in_file(option)),
    };
    let flag = match (option.has_flag(), option.short) {
        (false, _) => String::new(),
        (true, Some(short)) => format!("`--{}`, `-{short}`", option.name),
        (true, None) => code(&format!("--{}", option.name)),
    };
    let variables: Vec<_> = option.env.iter().map(|name| code(name)).collect();
    let value = match option.kind {
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| code(word)).collect();
            words.join(", ")
        }
        kind => value_name(kind).to_lowercase(),
    };
    let default = option.default.map(code).unwrap_or_default();
    let help = if option.has_flag() {
        option.help.to_owned()
    } else {
        format!("Obsolete: {}.", option.help)
    };
    let cells =
        [format!("{setting}{mark}"), flag, variables.join(", "), value, default, help].map(escaped);
    push(page, format_args!("| {} |", cells.join(" | ")));
}

/// `[table] key`, or the key at the root.
fn where_in_file(option: &OptionSpec) -> String {
    let path = option.setting();
    match table_and_key(&path) {
        ("", key) => key.to_owned(),
        (table, key) => format!("[{table}] {key}"),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Text inside a cell.
fn escaped(text: String) -> String {
    text.replace('|', "\\|")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.push_str(&format!("{text}\n"));
}
