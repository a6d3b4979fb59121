//! `docs/configuration.md`: written from the table of options, or compared with it.

use anyhow::{Context as _, bail};

/// Writes the page, or with `check` compares it and fails on a difference.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let path = crate::root().join("docs/configuration.md");
    let page = ev_config::document();
    if !check {
        return std::fs::write(&path, page)
            .with_context(|| format!("failed to write `{}`", path.display()));
    }
    let found = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    if found != page {
        bail!("`{}` is not what the options say: run `cargo xtask configuration`", path.display());
    }
    Ok(())
}
