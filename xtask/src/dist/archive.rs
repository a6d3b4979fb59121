//! The archive of a program: what somebody without a container unpacks.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::{Built, PACKAGE};
use super::tar::{Access, Tar, gzip};
use crate::root;

/// By which names units, images and charts of the reference handler call the program.
pub(crate) const OTHER_NAMES: [&str; 2] = ["teleport-event-handler", "teleport-plugin"];

/// What is to be read, relative to the root of the workspace.
const PAGES: [&str; 4] = ["CHANGELOG.md", "LICENSE", "README.md", "THIRD-PARTY-NOTICES.md"];

/// The archive's bytes. All of it is in one folder, which is called as the archive.
pub(crate) fn release(built: &Built) -> Result<Vec<u8>> {
    let mut tar = Tar::default();
    let folder = built.name();
    tar.folder(&folder, Access::root(0o755))?;
    tar.file(&format!("{folder}/{PACKAGE}"), Access::root(0o755), &built.bytes)?;
    for name in OTHER_NAMES {
        tar.link(&format!("{folder}/{name}"), PACKAGE)?;
    }
    for page in PAGES {
        let text = fs::read(root().join(page)).with_context(|| page.to_owned())?;
        tar.file(&format!("{folder}/{page}"), Access::root(0o644), &text)?;
    }
    gzip(&tar.finish())
}

/// Unpacks the archives with another program and sees that what comes out is what went in.
pub(crate) fn check(built: &[Built], folder: &Path) -> Result<()> {
    for one in built {
        let into = tempfile::tempdir()?;
        let archive = folder.join(format!("{}.tar.gz", one.name()));
        unpack(&archive, into.path())?;
        let out = into.path().join(one.name());
        for name in [PACKAGE, OTHER_NAMES[0], OTHER_NAMES[1]] {
            ensure!(fs::read(out.join(name))? == one.bytes, "{name} is another program");
        }
        for page in PAGES {
            ensure!(fs::read(out.join(page))? == fs::read(root().join(page))?, "{page} differs");
        }
    }
    Ok(())
}

/// Has `tar` unpack an archive.
pub(crate) fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let status = Command::new("tar")
        .args(["--extract", "--gzip", "--numeric-owner", "--same-permissions", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(into)
        .status()
        .context("failed to start `tar`")?;
    ensure!(status.success(), "`tar` cannot unpack {}", archive.display());
    Ok(())
}
