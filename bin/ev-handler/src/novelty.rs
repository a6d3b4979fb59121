//! What a decoder artifact brings that was not there before, in one line of the log: who maps
//! events in a log system wants to hear of it before the first such event comes.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use ev_core::{ArtifactKind, AuthVersion};
use ev_modules::{Verified, compare_versions, table_of_module};
use ev_schema::{Difference, Schema};
use tracing::info;

/// Names in one line; how many more there are is said too.
const MAX_NAMES: usize = 5;

/// Remembers which schema came last.
#[derive(Debug, Default)]
pub(crate) struct Novelties {
    last: Mutex<Option<Schema>>,
}

impl Novelties {
    /// Tells what the artifact has and the schema before it had not. A module of another toolchain
    /// has no table to look into, so nothing is told of it.
    pub(crate) fn tell(&self, verified: &Verified) {
        let table = match verified.manifest().kind {
            ArtifactKind::Table => Some(&verified.payload()[..]),
            ArtifactKind::Module => table_of_module(verified.payload()),
        };
        let Some(Ok(arrived)) = table.map(Schema::read) else { return };
        let version = &verified.manifest().auth_version;
        let arrived = named(arrived).for_version(version.clone());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().or_else(|| nearest(version));
        if let Some(before) = before
            && before.schema_sha256() != arrived.schema_sha256()
        {
            let news = News::of(&before, &arrived);
            info!(
                %version,
                before = %before.auth_version(),
                new_types = news.types,
                new_fields = news.fields,
                gone = news.gone,
                names = news.names,
                "the schema of events changes; `ev-handler schema diff` tells all of it"
            );
        }
        *last = Some(arrived);
    }
}

/// Modules carry no names; the numbers of event types are those of all versions.
pub(crate) fn named(schema: Schema) -> Schema {
    let tables = ev_decode::embedded();
    let known = tables.iter().rev().filter_map(|table| Schema::read(table.bytes).ok());
    known.fold(schema, |schema, known| schema.with_names_of(&known))
}

/// The embedded schema that would have been taken: the newest one that is not newer, or the oldest.
fn nearest(version: &AuthVersion) -> Option<Schema> {
    let tables = ev_decode::embedded();
    let is_not_newer = |table: &&ev_decode::EmbeddedTable| {
        compare_versions(table.table.auth_version(), version) != Ordering::Greater
    };
    let table = tables.iter().rev().find(is_not_newer).or(tables.first())?;
    Schema::read(table.bytes).ok()
}

/// What one line tells of a difference.
struct News {
    types: usize,
    fields: usize,
    /// Event types and fields that are there no more.
    gone: usize,
    names: String,
}

impl News {
    fn of(before: &Schema, after: &Schema) -> Self {
        let Difference { added, removed, changed, .. } = Difference::between(before, after);
        let fields = changed.iter().flat_map(|changed| {
            changed.added.iter().map(|member| format!("{}.{}", changed.event, member.path))
        });
        let all: Vec<String> = added.iter().cloned().chain(fields).collect();
        let mut names = all.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
        if let Some(more) = all.len().checked_sub(MAX_NAMES).filter(|more| *more > 0) {
            names.push_str(&format!(" and {more} more"));
        }
        let gone_fields: usize = changed.iter().map(|changed| changed.removed.len()).sum();
        Self {
            types: added.len(),
            fields: all.len() - added.len(),
            gone: removed.len() + gone_fields,
            names,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(index: usize) -> Schema {
        Schema::read(ev_decode::embedded()[index].bytes).expect("an embedded table is read")
    }

    #[test]
    fn a_line_has_counts_and_the_first_few_names() {
        let news = News::of(&embedded(1), &embedded(2));
        assert_eq!((news.types, news.gone), (54, 0));
        assert!(news.fields > 0);
        assert!(news.names.starts_with("BotCreate, BotDelete,"), "{}", news.names);
        let more = news.types + news.fields - MAX_NAMES;
        assert!(news.names.ends_with(&format!(" and {more} more")), "{}", news.names);
        let back = News::of(&embedded(2), &embedded(1));
        assert_eq!((back.types, back.fields, back.names.as_str()), (0, 0, ""));
        assert_eq!(back.gone, 54 + news.fields);
    }

    #[test]
    fn the_first_is_compared_with_the_embedded_one_below_it() {
        let check = |version: &str, expected: &str| {
            let found = nearest(&AuthVersion::new(version)).expect("there is always one");
            assert_eq!(found.auth_version().as_str(), expected, "{version}");
        };
        check("18.1.0", "18.0.0-dev");
        check("16.4.2", "15.0.0-dev");
        check("12.0.0", "13.3.8");
    }
}
