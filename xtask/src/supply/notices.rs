//! `THIRD-PARTY-NOTICES.md`: what the programs are made of, and the terms it is given under. Written
//! from what cargo resolves and from the texts that the packages bring along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::expression;
use super::texts::{self, Text};
use crate::dist::packages::{self, Package};
use crate::dist::target::TARGETS;
use crate::root;

/// Relative to the root of the workspace.
const PAGE: &str = "THIRD-PARTY-NOTICES.md";

const HEAD: &str = "\
# Third-party notices

The programs of this project contain the packages below; their versions stand in the bill of
materials of each program. Where a package leaves the choice between licences, it is taken under the
one it is listed with. Written by `cargo xtask notices`.

The standard library of Rust, which is also linked, is taken under Apache-2.0; `musl` is the C library.
SQLite, which `libsqlite3-sys` brings along, is in the public domain. The container image also holds
the CA certificates of Mozilla's list, which are under the Mozilla Public License 2.0
(<https://mozilla.org/MPL/2.0/>).
";

/// Writes the page, or with `check` compares it and fails on a difference.
pub(crate) fn run(check: bool) -> Result<()> {
    let path = root().join(PAGE);
    let page = page()?;
    if !check {
        return fs::write(&path, page).with_context(|| path.display().to_string());
    }
    let found = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    if found != page {
        bail!("{PAGE} is not what the packages say: run `cargo xtask notices`");
    }
    Ok(())
}

/// What is said of packages with the same terms.
#[derive(Default)]
struct Group {
    /// Names, and who holds the copyright.
    packages: BTreeMap<String, BTreeSet<String>>,
}

fn page() -> Result<String> {
    let mut all: BTreeMap<_, Package> = BTreeMap::new();
    for target in TARGETS {
        all.extend(packages::packages(target.triple)?);
    }
    let theirs: Vec<&Package> = all.values().filter(|package| !package.is_ours()).collect();
    let mut apache = BTreeSet::new();
    let mut groups: BTreeMap<(&str, String), Group> = BTreeMap::new();
    let mut add = |licence: &'static str, name: &str, text: &Text| {
        let group = groups.entry((licence, text.terms.clone())).or_default();
        group.packages.entry(name.to_owned()).or_default().extend(text.holders.iter().cloned());
    };
    add("MIT", "musl", &Text::new(include_str!("musl.txt")));
    for package in &theirs {
        let name = package.id.0.as_str();
        for text in texts::of(&package.folder)?.iter().filter(|text| text.is_notice) {
            add("Notices", name, text);
        }
        for licence in expression::chosen(&package.licence)? {
            if licence == "Apache-2.0" {
                apache.insert(name);
                continue;
            }
            for text in terms(package, licence, &theirs)? {
                add(licence, name, &text);
            }
        }
    }
    let mut page = HEAD.to_owned();
    page.push_str("\n## Apache-2.0\n\nThe text is that of [LICENSE](LICENSE).\n\n");
    let apache: Vec<String> = apache.into_iter().map(|name| format!("`{name}`")).collect();
    page.push_str(&texts::wrapped(&apache.join(", ")));
    for ((licence, terms), group) in &groups {
        page.push_str(&format!("\n## {licence}\n\n"));
        for (name, holders) in &group.packages {
            let holders: Vec<&str> = holders.iter().map(String::as_str).collect();
            let line = if holders.is_empty() {
                format!("- `{name}`")
            } else {
                format!("- `{name}`: {}", holders.join("; "))
            };
            page.push_str(&format!("{line}\n"));
        }
        page.push_str("\n```text\n");
        page.push_str(terms);
        page.push_str("```\n");
    }
    Ok(page)
}

/// The texts of a licence that a package brings along. One that has forgotten them is of a project
/// whose other packages have them; an exception names nobody, so that any package's text is its.
fn terms(package: &Package, licence: &str, all: &[&Package]) -> Result<Vec<Text>> {
    let named = licence.contains(" WITH ");
    let project_of =
        |package: &Package| package.repository.as_deref().map(project).map(str::to_owned);
    let is_sister = |other: &&&Package| {
        other.licence == package.licence && (named || project_of(other) == project_of(package))
    };
    for one in [package].into_iter().chain(all.iter().filter(is_sister).copied()) {
        let texts = of_licence(&one.folder, licence)?;
        if !texts.is_empty() {
            return Ok(texts);
        }
    }
    bail!("{:?} has no text of {licence}", package.id)
}

/// The address of a repository, without a folder in it.
fn project(address: &str) -> &str {
    let address = address.trim_end_matches('/').trim_end_matches(".git");
    address.split_once("/tree/").map_or(address, |(project, _)| project)
}

fn of_licence(folder: &Path, licence: &str) -> Result<Vec<Text>> {
    let mut texts = texts::of(folder)?;
    texts.retain(|text| text.licences.contains(&licence));
    Ok(texts)
}
