//! Where schemas are found.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ev_modules::{compare_versions, table_of_module};
use ev_schema::Schema;
use ev_state::StateReader;
use tracing::debug;

use crate::chain::Chain;
use crate::config::Beside;
use crate::novelty::named;
use crate::place::Place;

/// Largest file that is read as an artifact, in bytes: more than the largest module that is taken.
const MAX_FILE_BYTES: u64 = 128 << 20;

/// Which schemas are looked at besides the embedded ones.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct From {
    #[command(flatten)]
    place: Place,
    /// A schema table or decoder module, signed or not; may be given again
    #[arg(long, value_name = "FILE")]
    artifact: Vec<PathBuf>,
}

/// A schema and where it was found.
pub(super) struct Source {
    pub(super) schema: Schema,
    pub(super) from: String,
}

/// All that are at hand, the oldest version first.
pub(super) struct Sources(pub(super) Vec<Source>);

impl From {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When what was named cannot be read. A configuration is not needed, so one that cannot be
    /// used, or that has no state yet, is not missed.
    pub(super) fn read(&self, beside: &Beside) -> Result<Sources> {
        let mut found = Vec::new();
        for table in ev_decode::embedded() {
            let schema = Schema::read(table.bytes)?;
            found.push(Source { schema, from: format!("built in ({})", table.label) });
        }
        match self.state(beside) {
            Ok(kept) => found.extend(kept),
            Err(error) if self.place.storage.is_some() => return Err(error),
            Err(error) => debug!(error = %Chain(&*error), "no schemas are taken from a state"),
        }
        for file in &self.artifact {
            let bytes = read(file)?;
            let schema = schema_of(&bytes)
                .with_context(|| format!("`{}` tells no schema", file.display()))?;
            found.push(Source { schema, from: format!("`{}`", file.display()) });
        }
        found.sort_by(|a, b| compare_versions(a.schema.auth_version(), b.schema.auth_version()));
        Ok(Sources(found))
    }

    fn state(&self, beside: &Beside) -> Result<Vec<Source>> {
        let storage = self.place.storage(beside)?;
        let reader = StateReader::open(&storage)?;
        let mut found = Vec::new();
        for (version, artifact) in reader.artifacts()? {
            match schema_of(&artifact.payload) {
                Ok(schema) => {
                    let schema = schema.for_version(version);
                    found.push(Source { schema, from: "kept in the state".to_owned() });
                }
                Err(error) => {
                    debug!(%version, error = %Chain(&*error), "an artifact tells no schema");
                }
            }
        }
        Ok(found)
    }
}

impl Sources {
    /// The schema of a version or with a label (`v13`); the newest without one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn find(&self, version: Option<&str>) -> Result<&Source> {
        let Some(version) = version else {
            return self.0.last().context("there is no schema");
        };
        let label = format!("built in ({version})");
        // What was named or fetched goes before what is built in.
        let is_it = |source: &&Source| {
            source.schema.auth_version().as_str() == version || source.from == label
        };
        if let Some(found) = self.0.iter().rev().find(is_it) {
            return Ok(found);
        }
        let mut known: Vec<String> =
            self.0.iter().map(|source| format!("`{}`", source.schema.auth_version())).collect();
        known.dedup();
        bail!(
            "there is no schema of version `{version}` at hand; there are {}. One that the handler \
             has fetched is found with `--config FILE` or `--storage DIR`, one in a file with \
             `--artifact FILE`",
            known.join(", ")
        );
    }
}

/// The schema of a table, or of a module that carries one.
fn schema_of(bytes: &[u8]) -> Result<Schema> {
    if !bytes.starts_with(b"\0asm") {
        return Ok(named(Schema::read(bytes)?));
    }
    let table = table_of_module(bytes).context(
        "it is a module of another toolchain, and a program does not tell what it writes",
    )?;
    Ok(named(Schema::read(table)?))
}

/// Reads a plain file. A pipe or a device might never come to its end.
fn read(file: &Path) -> Result<Vec<u8>> {
    let name = || format!("failed to read `{}`", file.display());
    if !std::fs::metadata(file).with_context(name)?.is_file() {
        bail!("`{}` is not a plain file", file.display());
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).with_context(name)?;
    opened.take(MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(name)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_by_number_and_label_the_newest_without() {
        let sources = From::default().read(&Beside::nothing()).expect("embedded ones need nothing");
        let version = |wanted: Option<&str>| {
            sources.find(wanted).map(|found| found.schema.auth_version().to_string())
        };
        assert_eq!(version(None).expect("one"), "18.0.0-dev");
        assert_eq!(version(Some("v13")).expect("one"), "13.3.8");
        assert_eq!(version(Some("15.0.0-dev")).expect("one"), "15.0.0-dev");
        let error = version(Some("19.1.0")).expect_err("there is none").to_string();
        assert!(error.contains("`13.3.8`, `15.0.0-dev`, `18.0.0-dev`"), "{error}");
    }
}
