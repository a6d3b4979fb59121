//! Looking for ids among those that windows have settled.
//!
//! Nothing is indexed by id: that would cost more disk than the ids themselves. The packed rows are
//! scanned instead. A re-scan meets its window's ids in about the order in which they were settled,
//! so the scan begins at the page where it left off and stops when everything is found; the whole
//! window is scanned only for what it does not have, which is rare.

use std::collections::BTreeSet;

use ev_core::{EventDigest, Known, KnownQuery, LaneId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::read::word;
use crate::words;

/// Pages that a re-scan may be cut differently from the first reading.
const SLACK: u64 = 2;

/// Finds what the query asks for.
pub(crate) fn known(
    connection: &Connection,
    sink: &str,
    query: &KnownQuery,
) -> rusqlite::Result<Known> {
    let mut search = Search::new(&query.digests);
    let mut page = None;
    let from = i64::try_from(query.page.saturating_sub(SLACK)).unwrap_or(i64::MAX);
    let (mut first, mut near) = (None, Vec::new());
    let mut whole: Vec<i64> = Vec::new();
    for lane in &query.others {
        whole.extend(lane_id(connection, sink, lane)?);
    }
    for start in query.window.iter().chain(&query.neighbours) {
        for (lane, id) in lanes(connection, sink, *start)? {
            match lane {
                LaneId::Window { start, pass: 0 } if query.window == Some(start) => {
                    first = Some(id);
                }
                LaneId::Window { start, .. } if query.window == Some(start) => whole.push(id),
                _ => near.push(id),
            }
        }
    }
    if let Some(id) = first {
        let rows = "SELECT page, inner, border FROM known_ids
                    WHERE lane = ?1 AND page >= ?2 ORDER BY page, id";
        page = search.scan(connection, rows, [id, from])?;
    }
    for id in whole {
        let rows = "SELECT page, inner, border FROM known_ids WHERE lane = ?1 AND page >= ?2";
        search.scan(connection, rows, [id, i64::MIN])?;
    }
    for id in near {
        let rows = "SELECT page, x'', border FROM known_ids WHERE lane = ?1 AND page >= ?2";
        search.scan(connection, rows, [id, i64::MIN])?;
    }
    if let Some(id) = first {
        let rows = "SELECT page, inner, border FROM known_ids WHERE lane = ?1 AND page < ?2";
        page = search.scan(connection, rows, [id, from])?.or(page);
    }
    let known = query.digests.iter().map(|digest| !search.left.contains(digest)).collect();
    Ok(Known { known, page: page.unwrap_or(query.page) })
}

fn lane_id(connection: &Connection, sink: &str, lane: &LaneId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT lane.id FROM lane JOIN sink ON sink.id = lane.sink
             WHERE sink.name = ?1 AND lane.name = ?2",
        )?
        .query_row([sink, &lane.to_string()], |row| row.get(0))
        .optional()
}

/// The lanes of a window, in all passes.
fn lanes(connection: &Connection, sink: &str, start: i64) -> rusqlite::Result<Vec<(LaneId, i64)>> {
    // Names are compared byte by byte, and `0` is what follows `/`.
    let (from, to) = (format!("window/{start}/"), format!("window/{start}0"));
    connection
        .prepare_cached(
            "SELECT lane.name, lane.id FROM lane JOIN sink ON sink.id = lane.sink
             WHERE sink.name = ?1 AND lane.name >= ?2 AND lane.name < ?3",
        )?
        .query_map([sink, &from, &to], |row| Ok((word(row, 0, words::lane)?, row.get(1)?)))?
        .collect()
}

/// What is still looked for.
struct Search {
    left: BTreeSet<EventDigest>,
    /// Whether any of them begins with these two bytes: digests are as good as random, so this
    /// settles nearly every comparison without a look into `left`.
    begins: Box<[bool]>,
}

impl Search {
    fn new(digests: &[EventDigest]) -> Self {
        let mut begins = vec![false; 1 << 16].into_boxed_slice();
        for digest in digests {
            begins[prefix(&digest.0)] = true;
        }
        Self { left: digests.iter().copied().collect(), begins }
    }

    /// Looks through rows until everything is found; the lowest page in which something was.
    fn scan(
        &mut self,
        connection: &Connection,
        sql: &str,
        values: [i64; 2],
    ) -> rusqlite::Result<Option<u64>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut first: Option<u64> = None;
        while let Some(row) = rows.next()? {
            let before = self.left.len();
            self.strike(row, 1)?;
            self.strike(row, 2)?;
            if self.left.len() < before {
                let page = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
                first = Some(first.map_or(page, |first| first.min(page)));
            }
            if self.left.is_empty() {
                break;
            }
        }
        Ok(first)
    }

    /// Crosses out what a blob of digests has.
    fn strike(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<()> {
        word(row, column, |value: ValueRef<'_>| {
            words::each(value, |digest| {
                if self.begins[prefix(digest)] {
                    self.left.remove(&EventDigest(*digest));
                }
            })
        })
    }
}

fn prefix(digest: &[u8; 16]) -> usize {
    usize::from(u16::from_be_bytes([digest[0], digest[1]]))
}
