//! The licence texts that packages bring along: which licence a text is, who holds the copyright,
//! and what is left when that is taken out, which is the same for many.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A licence file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// As SPDX calls them; none when it is none of those that are known here.
    pub(super) licences: Vec<&'static str>,
    /// Whether it is a file of notices that have to go along, whatever the licence.
    pub(super) is_notice: bool,
    /// Lines as `Copyright (c) 2018 Somebody`.
    pub(super) holders: BTreeSet<String>,
    /// The rest, in lines of a fixed length. A file that gives several licences is left as it is,
    /// since only a reader can tell what in it belongs to what.
    pub(super) terms: String,
}

/// How the files are called.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// By which words a text is known. One that gives terms for parts of a package has several.
const MARKS: [(&str, &str); 9] = [
    ("LLVM Exceptions to the Apache 2.0 License", "Apache-2.0 WITH LLVM-exception"),
    ("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION", "Apache-2.0"),
    ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("Permission to use, copy, modify, and", "ISC"),
    ("Neither the name", "BSD-3-Clause"),
    ("Redistribution and use in source and binary forms", "BSD-2-Clause"),
    ("This software is provided 'as-is'", "Zlib"),
    ("UNICODE LICENSE V3", "Unicode-3.0"),
    ("This is free and unencumbered software", "Unlicense"),
];

/// Where the exception begins that follows the whole text of Apache-2.0.
const EXCEPTION: &str = "--- LLVM Exceptions to the Apache 2.0 License ----";

/// The texts of a package, in the order of their files' names.
pub(super) fn of(folder: &Path) -> Result<Vec<Text>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|begin| name.starts_with(begin)) && entry.file_type()?.is_file() {
            names.push(entry.path());
        }
    }
    names.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let mut text = Text::new(&String::from_utf8_lossy(&bytes));
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        text.is_notice = name.starts_with("notice");
        Ok(text)
    };
    names.iter().map(read).collect()
}

/// Where the whole text of Apache-2.0 begins and ends.
const APACHE: (&str, &str) =
    ("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION", "END OF TERMS AND CONDITIONS");

impl Text {
    pub(super) fn new(text: &str) -> Self {
        // What goes before the exception is the text of Apache-2.0, which goes along anyway.
        let text = text.find(EXCEPTION).map_or(text, |at| &text[at..]);
        let text = plain(text);
        let flat = one_line(&text);
        let known = MARKS.iter().filter(|(mark, _)| flat.contains(mark));
        let licences: Vec<&str> = known.map(|(_, name)| *name).collect();
        let (holders, terms) = match licences[..] {
            [_] => split(&text),
            _ => (BTreeSet::new(), without_apache(&text)),
        };
        Self { licences, is_notice: false, holders, terms }
    }
}

/// The lines without what a comment begins with, and without spaces at their ends.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line =
            line.strip_prefix("//").map_or(line, |line| line.strip_prefix(' ').unwrap_or(line));
        line.trim_end()
    });
    lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned() + "\n"
}

/// Takes the holders out and brings the rest into one form.
fn split(text: &str) -> (BTreeSet<String>, String) {
    let (mut holders, mut terms) = (BTreeSet::new(), Vec::new());
    for paragraph in text.split("\n\n") {
        let lines = paragraph.lines().map(str::trim).filter(|line| !line.is_empty());
        let (of_holders, rest): (Vec<&str>, Vec<&str>) = lines.partition(|line| is_holder(line));
        holders.extend(of_holders.into_iter().map(one_line));
        let rest = one_line(&rest.join(" "));
        if !rest.is_empty() && !is_title(&rest) {
            terms.push(wrapped(&rest));
        }
    }
    (holders, terms.join("\n"))
}

fn without_apache(text: &str) -> String {
    let (begin, end) = APACHE;
    let (Some(from), Some(to)) = (text.find(begin), text.find(end)) else { return text.to_owned() };
    let to = to + end.len();
    if from > to {
        return text.to_owned();
    }
    format!("{}[as in LICENSE]{}", &text[..from], &text[to..])
}

/// A paragraph in lines of at most 100 characters.
pub(super) fn wrapped(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let line = lines.last_mut().expect("there is at least one line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Terms speak of copyright too; who holds one is told with a year or a sign.
fn is_holder(line: &str) -> bool {
    let year = line.bytes().any(|byte| byte.is_ascii_digit());
    let sign = line.to_lowercase().contains("(c)") || line.contains('©');
    match line.strip_prefix("Copyright") {
        Some(rest) => year || sign || rest.starts_with(" The "),
        None => (line.to_lowercase().starts_with("(c) ") || line.starts_with('©')) && year,
    }
}

fn is_title(paragraph: &str) -> bool {
    let bare = paragraph.trim_matches(|c: char| !c.is_alphanumeric() && c != ')').to_lowercase();
    ["mit license", "the mit license", "the mit license (mit)", "isc license"].contains(&&*bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: &str = "Permission is hereby granted, free of charge, to any person obtaining\n\
                         a copy of this software …";

    #[test]
    fn who_holds_the_copyright_is_taken_out_of_the_text() {
        let one = Text::new(&format!("MIT License\n\nCopyright (c) 2018 One\n\n{TERMS}\n"));
        let other =
            Text::new(&format!("The MIT License (MIT)\r\n\r\nCopyright 2020 Two\r\n{TERMS}"));
        assert_eq!(one.licences, ["MIT"]);
        assert_eq!(one.holders, BTreeSet::from(["Copyright (c) 2018 One".to_owned()]));
        assert_eq!(other.holders, BTreeSet::from(["Copyright 2020 Two".to_owned()]));
        assert_eq!(one.terms, other.terms);
        assert!(one.terms.starts_with("Permission is"), "{}", one.terms);
    }

    #[test]
    fn a_file_with_several_licences_is_left_as_it_is() {
        let text = Text::new(&format!(
            "Copyright 2018 One\n\n// {TERMS}\n{}\n1. …\n{}\n",
            APACHE.0, APACHE.1
        ));
        assert_eq!(text.licences, ["Apache-2.0", "MIT"]);
        assert!(text.holders.is_empty());
        assert_eq!(text.terms, format!("Copyright 2018 One\n\n{TERMS}\n[as in LICENSE]\n"));
    }

    #[test]
    fn clauses_are_no_holders() {
        assert!(!is_holder("(c) You must retain, in the Source form"));
        assert!(!is_holder("Copyright notices are retained"));
        assert!(is_holder("(C) 2024 Trifecta Tech Foundation"));
        assert!(is_holder("Copyright (c) Tokio Contributors"));
        assert!(is_holder("Copyright 2019 gRPC authors."));
    }

    #[test]
    fn of_an_exception_the_exception_is_kept() {
        let text = Text::new(&format!(
            "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION\n\n{EXCEPTION}\n\nAs an …\n"
        ));
        assert_eq!(text.licences, ["Apache-2.0 WITH LLVM-exception"]);
        assert_eq!(text.terms, format!("{EXCEPTION}\n\nAs an …\n"));
    }
}
