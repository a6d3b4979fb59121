//! The embedded schema tables: compiled from `proto/teleport/`, or compared with what is checked in.

use std::path::Path;

use anyhow::{Context as _, bail};
use ev_decode::{CompileOptions, DuplicateKeys, compile_path};

/// Label, the Auth version that Ping reports, and what that version does with equal keys on its
/// unstructured roads (13 has none).
const VERSIONS: [(&str, &str, DuplicateKeys); 3] = [
    ("v13", "13.3.8", DuplicateKeys::Refuse),
    ("v15dev", "15.0.0-dev", DuplicateKeys::Cut),
    ("v18dev", "18.0.0-dev", DuplicateKeys::Refuse),
];

/// Writes the tables, or with `check` compares them and fails on a difference.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the xtask crate lies inside the workspace")?;
    for (label, version, duplicate_keys) in VERSIONS {
        let schema = root.join("proto/teleport").join(label);
        let mut options = CompileOptions::new(version);
        options.duplicate_keys = duplicate_keys;
        let compiled = compile_path(&schema, &options)
            .with_context(|| format!("failed to compile the schema of {version}"))?;
        if let Some(note) = compiled.notes.first() {
            bail!("the embedded tables must be exact: {note}");
        }
        let path = root.join(format!("crates/ev-decode/tables/{label}.evt"));
        if check {
            compare(&path, &compiled.table)?;
        } else {
            std::fs::write(&path, &compiled.table)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn compare(path: &Path, expected: &[u8]) -> anyhow::Result<()> {
    let found =
        std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    if found != expected {
        bail!("`{}` is not what its schema compiles to: run `cargo xtask tables`", path.display());
    }
    Ok(())
}
