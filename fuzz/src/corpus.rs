//! The committed inputs that mutation starts from.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::targets::Target;

/// Where a target's inputs lie.
pub(crate) fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// A target's inputs in the order of their names, those of its code first.
pub(crate) fn read(target: &Target) -> Result<Vec<Vec<u8>>> {
    let mut inputs = (target.seeds)();
    let folder = folder(target);
    let told = || folder.display().to_string();
    let entries = fs::read_dir(&folder).with_context(told)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().with_context(told)?;
    paths.sort();
    for path in paths {
        inputs.push(fs::read(&path).with_context(|| path.display().to_string())?);
    }
    Ok(inputs)
}
