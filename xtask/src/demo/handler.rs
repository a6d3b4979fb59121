//! What the handler says of itself, in its log.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// The sums in the handler's closing line, over the life of its state.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Totals {
    #[serde(rename = "total_passed")]
    pub(super) passed: u64,
    #[serde(rename = "total_delivered")]
    pub(super) delivered: u64,
    #[serde(rename = "total_filtered")]
    pub(super) filtered: u64,
    #[serde(rename = "total_parked")]
    pub(super) parked: u64,
    #[serde(rename = "total_resolved")]
    pub(super) resolved: u64,
    #[serde(rename = "total_native")]
    pub(super) by_native: u64,
    #[serde(rename = "total_module")]
    pub(super) by_module: u64,
    #[serde(rename = "total_inexact")]
    pub(super) inexact: u64,
    #[serde(rename = "total_sessions")]
    pub(super) sessions: u64,
}

/// The lines of a log that are JSON.
pub(super) fn lines(log: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read(log).with_context(|| format!("failed to read `{}`", log.display()))?;
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// How many lines have that message and speak of that version.
pub(super) fn count(log: &Path, message: &str, version: &str) -> Result<usize> {
    let says = |line: &&Value| line["message"] == message && line["version"] == version;
    Ok(lines(log)?.iter().filter(says).count())
}

/// The closing line: the last one that has all sums.
pub(super) fn totals(log: &Path) -> Result<Totals> {
    let lines = lines(log)?;
    let mut found = lines.iter().rev().filter_map(|line| Totals::deserialize(line).ok());
    found.next().context("the handler's log has no closing line with its sums")
}
