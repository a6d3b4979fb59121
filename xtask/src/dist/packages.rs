//! What is linked into the program for a target, as cargo resolves it: names, versions, licences,
//! checksums, and who depends on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::build::PACKAGE;
use crate::{cargo, root};

/// Name and version.
pub(crate) type Id = (String, String);

/// A package that is linked.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) id: Id,
    /// An SPDX expression.
    pub(crate) licence: String,
    pub(crate) repository: Option<String>,
    pub(crate) description: Option<String>,
    /// SHA-256 of the package in the registry; ours have none.
    pub(crate) checksum: Option<String>,
    /// Where its sources lie.
    pub(crate) folder: PathBuf,
    pub(crate) depends_on: BTreeSet<Id>,
}

impl Package {
    /// Whether it is one of this workspace.
    pub(crate) fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

/// What is linked and is no package of cargo's.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) licence: &'static str,
    pub(crate) website: &'static str,
    /// The package that brings it along.
    pub(crate) below: Option<Id>,
}

/// Everything in a program.
pub(crate) struct Linked {
    pub(crate) packages: BTreeMap<Id, Package>,
    pub(crate) foreign: Vec<Foreign>,
}

/// Asks cargo what the program for a target is made of.
pub(crate) fn linked(triple: &str) -> Result<Linked> {
    let packages = packages(triple)?;
    let foreign = foreign(triple, &packages)?;
    Ok(Linked { packages, foreign })
}

/// The packages alone, which can be told without what it takes to build for the target.
pub(crate) fn packages(triple: &str) -> Result<BTreeMap<Id, Package>> {
    let tree = tree(triple)?;
    let told = told(triple)?;
    let sums = checksums()?;
    let mut packages = BTreeMap::new();
    for (id, depends_on) in tree {
        let about = told.get(&id).with_context(|| format!("cargo tells nothing of {id:?}"))?;
        let package = Package {
            licence: about.license.clone().unwrap_or_default().replace('/', " OR "),
            repository: about.repository.clone(),
            description: about.description.as_deref().map(one_line),
            checksum: sums.get(&id).cloned().flatten(),
            folder: about.manifest_path.parent().unwrap_or(Path::new("")).to_owned(),
            depends_on,
            id: id.clone(),
        };
        ensure!(!package.licence.trim().is_empty(), "{id:?} does not say its licence");
        packages.insert(id, package);
    }
    Ok(packages)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The packages below the program, without what only runs while it is built.
fn tree(triple: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let what = ["tree", "--locked", "--package", PACKAGE, "--target", triple];
    let how = ["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}"];
    let output = run(&[&what[..], &how].concat())?;
    parse(&output)
}

/// Reads lines like `2 bytes v1.10.1` or `0 ev-handler v0.1.0 (/folder)`. What is below a package is
/// printed where it stands first; elsewhere the line ends in `(*)`.
fn parse(text: &str) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let mut found: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    let mut road: Vec<Id> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let mut word = || words.next().with_context(|| format!("cargo tree says `{line}`"));
        let depth: usize = word()?.parse().with_context(|| format!("cargo tree says `{line}`"))?;
        let name = word()?.to_owned();
        let version = word()?.strip_prefix('v').context("a version has a `v`")?.to_owned();
        let id = (name, version);
        road.truncate(depth);
        ensure!(road.len() == depth, "cargo tree leaves out a step before `{line}`");
        found.entry(id.clone()).or_default();
        if let Some(above) = road.last() {
            found.entry(above.clone()).or_default().insert(id.clone());
        }
        road.push(id);
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<About>,
}

#[derive(Deserialize)]
struct About {
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    description: Option<String>,
    manifest_path: PathBuf,
}

fn told(triple: &str) -> Result<BTreeMap<Id, About>> {
    let output =
        run(&["metadata", "--locked", "--format-version", "1", "--filter-platform", triple])?;
    let metadata: Metadata = serde_json::from_str(&output).context("failed to read metadata")?;
    let ids = metadata.packages.into_iter();
    Ok(ids.map(|about| ((about.name.clone(), about.version.clone()), about)).collect())
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

fn checksums() -> Result<BTreeMap<Id, Option<String>>> {
    let path = root().join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lock: Lock = toml::from_str(&text).context("failed to read Cargo.lock")?;
    Ok(lock.package.into_iter().map(|one| ((one.name, one.version), one.checksum)).collect())
}

/// The compiler's library, the libc that it brings along, and C that packages bring along.
fn foreign(triple: &str, packages: &BTreeMap<Id, Package>) -> Result<Vec<Foreign>> {
    let sqlite = packages.values().find(|package| package.id.0 == "libsqlite3-sys");
    let sqlite = sqlite.context("SQLite is linked no more")?;
    Ok(vec![
        Foreign {
            name: "rust-std",
            version: rustc(&["--version"])?
                .split(' ')
                .nth(1)
                .context("the compiler has a version")?
                .to_owned(),
            licence: "MIT OR Apache-2.0",
            website: "https://www.rust-lang.org",
            below: None,
        },
        Foreign {
            name: "musl",
            version: musl(triple)?,
            licence: "MIT",
            website: "https://musl.libc.org",
            below: None,
        },
        Foreign {
            name: "sqlite",
            version: sqlite_version(&sqlite.folder.join("sqlite3/sqlite3.h"))?,
            licence: "blessing",
            website: "https://www.sqlite.org",
            below: Some(sqlite.id.clone()),
        },
    ])
}

fn sqlite_version(header: &Path) -> Result<String> {
    let text = fs::read_to_string(header).with_context(|| header.display().to_string())?;
    let line = text.lines().find(|line| line.starts_with("#define SQLITE_VERSION "));
    let version = line.and_then(|line| line.split('"').nth(1));
    Ok(version.context("SQLite's header tells no version")?.to_owned())
}

/// The libc says its version in the one text of that form that it holds.
fn musl(triple: &str) -> Result<String> {
    let folder = rustc(&["--print", "target-libdir", "--target", triple])?;
    let archive = Path::new(folder.trim()).join("self-contained/libc.a");
    let bytes = fs::read(&archive).with_context(|| archive.display().to_string())?;
    let is_version = |text: &&[u8]| {
        let parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
        let number = |part: &&[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        parts.len() == 3 && text.len() < 12 && parts.iter().all(number)
    };
    let texts: BTreeSet<&[u8]> = bytes.split(|byte| *byte == 0).filter(is_version).collect();
    match texts.into_iter().collect::<Vec<_>>()[..] {
        [version] => Ok(String::from_utf8_lossy(version).into_owned()),
        _ => bail!("`{}` does not tell its version", archive.display()),
    }
}

fn rustc(args: &[&str]) -> Result<String> {
    let output = Command::new("rustc").args(args).current_dir(root()).output();
    let output = output.context("failed to start `rustc`")?;
    ensure!(output.status.success(), "`rustc {}` failed", args.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

fn run(args: &[&str]) -> Result<String> {
    let output = cargo::command().args(args).current_dir(root()).output()?;
    ensure!(
        output.status.success(),
        "`cargo {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn the_tree_is_read_with_its_edges() {
        let text = "0 top v0.1.0 (/folder with space)\n1 a v1.0.0\n2 b v2.0.0\n1 b v2.0.0\n\
                    1 c v3.0.0-rc.1\n2 a v1.0.0 (*)\n";
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 4);
        let below = |name, version| found[&id(name, version)].iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            below("top", "0.1.0"),
            [id("a", "1.0.0"), id("b", "2.0.0"), id("c", "3.0.0-rc.1")]
        );
        assert_eq!(below("a", "1.0.0"), [id("b", "2.0.0")]);
        assert_eq!(below("c", "3.0.0-rc.1"), [id("a", "1.0.0")]);
        assert!(below("b", "2.0.0").is_empty());
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        assert!(parse("top v0.1.0\n").is_err());
        assert!(parse("1 top v0.1.0\n").is_err());
    }
}
