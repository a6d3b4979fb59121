//! Pages that are written from tables in the code, or compared with them.

use anyhow::{Context as _, bail};

/// Each page with its text.
fn pages() -> [(&'static str, String); 2] {
    [
        ("docs/configuration.md", ev_config::document()),
        ("docs/metrics.md", ev_diag::metrics::document()),
    ]
}

/// Writes the pages, or with `check` compares them and fails on a difference.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    for (name, page) in pages() {
        let path = crate::root().join(name);
        if !check {
            std::fs::write(&path, page)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
            continue;
        }
        let found = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        if found != page {
            bail!("`{name}` is not what its table says: run `cargo xtask pages`");
        }
    }
    Ok(())
}
