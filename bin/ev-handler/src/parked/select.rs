//! Which parked events are meant.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use ev_core::{ParkReason, ParkedId, StateError};
use ev_state::{ParkedFacts, SqliteStore, StateReader};

/// Rows read in one go: short enough not to hold up a handler that is at work.
const CHUNK: usize = 1000;

/// Only some of all.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only events parked for this reason; may be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = reasons())]
    pub(crate) reasons: Vec<ParkReason>,
    /// Only events that this version of Auth served; may be given several times
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) versions: Vec<String>,
}

fn reasons() -> impl clap::builder::TypedValueParser<Value = ParkReason> {
    let all = PossibleValuesParser::new(ParkReason::ALL.map(ParkReason::as_str));
    all.try_map(|text| ParkReason::ALL.into_iter().find(|r| r.as_str() == text).ok_or("no reason"))
}

impl Filter {
    pub(crate) fn takes(&self, facts: &ParkedFacts) -> bool {
        (self.reasons.is_empty() || self.reasons.contains(&facts.reason))
            && (self.versions.is_empty()
                || self.versions.iter().any(|version| version == facts.version.as_str()))
    }

    fn is_empty(&self) -> bool {
        self.reasons.is_empty() && self.versions.is_empty()
    }
}

/// Events by their numbers, or all of them.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Numbers of parked events, as `list` shows them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<i64>,
    /// All of them, or all that the filters take
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Whoever tells about parked events.
pub(crate) trait Parked {
    fn facts(&self, after: Option<ParkedId>, limit: usize) -> Result<Vec<ParkedFacts>, StateError>;
}

impl Parked for StateReader {
    fn facts(&self, after: Option<ParkedId>, limit: usize) -> Result<Vec<ParkedFacts>, StateError> {
        self.parked(after, limit)
    }
}

impl Parked for SqliteStore {
    fn facts(&self, after: Option<ParkedId>, limit: usize) -> Result<Vec<ParkedFacts>, StateError> {
        self.parked_facts(after, limit)
    }
}

/// Calls `each` with every event that the filter takes, in the order of their numbers.
pub(crate) fn for_each(
    parked: &dyn Parked,
    filter: &Filter,
    mut each: impl FnMut(ParkedFacts) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let facts = parked.facts(after, CHUNK)?;
        let Some(last) = facts.last() else { return Ok(()) };
        after = Some(last.id);
        for one in facts {
            if filter.takes(&one) {
                each(one)?;
            }
        }
    }
}

impl Selection {
    /// The numbers of the events that are meant.
    ///
    /// `all_by_default`: whether nothing said means all.
    ///
    /// # Errors
    ///
    /// When one of them is not there: all such are named, and nothing was done.
    pub(crate) fn ids(
        &self,
        parked: &dyn Parked,
        storage: &Path,
        all_by_default: bool,
    ) -> Result<Vec<ParkedId>> {
        let by_number = !self.ids.is_empty();
        if !by_number && !self.all && !all_by_default {
            bail!(
                "which events? name their numbers, as `ev-handler parked list` shows them, or say \
                 `--all`"
            );
        }
        if by_number && !self.filter.is_empty() {
            bail!("numbers say which events are meant; `--reason` and `--version` go with `--all`");
        }
        let mut missing: BTreeSet<i64> = self.ids.iter().copied().collect();
        let mut found = Vec::new();
        for_each(parked, &self.filter, |facts| {
            if missing.remove(&facts.id.0) || !by_number {
                found.push(facts.id);
            }
            Ok(())
        })?;
        if !missing.is_empty() {
            let ids: Vec<String> = missing.iter().map(ToString::to_string).collect();
            bail!(
                "there is no parked event {} in `{}`; nothing was done (`ev-handler parked list` \
                 shows those there are)",
                ids.join(", "),
                storage.display()
            );
        }
        Ok(found)
    }
}
