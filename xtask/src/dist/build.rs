//! Builds the program for a target.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::target::Target;
use crate::{cargo, root};

pub(crate) const PACKAGE: &str = "ev-handler";

/// Anything that would change the code from outside of the sources.
const FOREIGN_FLAGS: &[&str] =
    &["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WRAPPER", "CFLAGS"];

/// How it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is shipped.
    Dist,
    /// What is only looked at.
    Quick,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dist => "dist",
            Profile::Quick => "quick",
        }
    }
}

/// A program for a target.
pub(crate) struct Built {
    pub(crate) target: &'static Target,
    pub(crate) program: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

impl Built {
    /// What its files are called, without an ending.
    pub(crate) fn name(&self) -> String {
        format!("{PACKAGE}-{}-{}", env!("CARGO_PKG_VERSION"), self.target.triple)
    }
}

/// Builds it, given what the target needs.
///
/// # Errors
///
/// The build fails, or the bytes tell where they were built.
pub(crate) fn program(
    target: &'static Target,
    tools: Vec<PathBuf>,
    profile: Profile,
) -> Result<Built> {
    println!("building {} for {} …", PACKAGE, target.triple);
    let mut command = cargo::command();
    command
        .current_dir(root())
        .args(["build", "--quiet", "--locked", "--package", PACKAGE])
        .args(["--profile", profile.name(), "--target", target.triple])
        .envs(target.environment(&tools)?);
    for name in FOREIGN_FLAGS {
        command.env_remove(name);
    }
    let mut flags: Vec<String> =
        prefixes().iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    // What a program that may lie anywhere has to adjust when it starts takes a megabyte less.
    // A linker that does not know this for its target leaves it.
    flags.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
    // One that knows separators, as a path may hold a space.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    if let (Profile::Dist, Some(revision)) = (profile, revision()) {
        command.env("EV_GIT_REF", revision);
    }
    let status = command.status().context("failed to start cargo")?;
    ensure!(status.success(), "{PACKAGE} does not build for {}", target.triple);
    let program = target_folder().join(target.triple).join(profile.name()).join(PACKAGE);
    let bytes = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    for (folder, _) in prefixes() {
        let found = bytes.windows(folder.len()).any(|at| at == folder.as_bytes());
        ensure!(!found, "{} holds the path {folder} of this machine", program.display());
    }
    Ok(Built { target, program, bytes })
}

/// The commit, for `ev-handler version`; one that somebody else has set is taken.
fn revision() -> Option<String> {
    if let Ok(given) = env::var("EV_GIT_REF") {
        return Some(given);
    }
    let describe = ["describe", "--always", "--dirty", "--abbrev=12"];
    let output = Command::new("git").args(describe).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Folders of this machine, and what they are called in the program. The last that fits counts, so
/// what lies in another comes after it.
pub(crate) fn prefixes() -> Vec<(String, &'static str)> {
    let home = env::home_dir().unwrap_or_default();
    let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    [(root(), "/src"), (cargo, "/cargo"), (target_folder(), "/target")]
        .into_iter()
        .map(|(folder, name)| (folder.display().to_string(), name))
        .collect()
}

/// Where cargo builds.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}
