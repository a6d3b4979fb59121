//! From our resume points to those of the reference handler. Whatever it has no place for is sent
//! again rather than left out.

use ev_core::{Date, LaneId, Road, Timestamp};
use ev_reference_state::{Chunks, State};
use ev_source::{ExportPlace, SearchPlace};
use ev_state::SinkFacts;

/// What is exported, and what an operator has to know about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    pub(super) state: State,
    pub(super) notes: Vec<String>,
}

/// `fixed`: the start time that the configuration sets, in seconds since 1970-01-01T00:00:00Z. The
/// reference handler refuses to start where its own notes have another one.
pub(super) fn exported(sink: &SinkFacts, fixed: Option<i64>) -> Exported {
    let mut exported = Exported::default();
    let begin = sink.start_time.seconds();
    exported.state.start_time = Some(begin);
    dates(sink, &mut exported);
    match first_unread(sink) {
        Some(Unread { second, key }) => {
            // Newer releases begin a search here, and the others where they began at all. With the
            // key the search is the very one that we made.
            exported.state.window_time = Some(second);
            exported.state.cursor = key;
            let moved = second.max(begin);
            // The export goes by its dates, and forgets those in front of the start time.
            if fixed.is_none() && !exported.state.is_bulk() {
                exported.state.start_time = Some(moved);
            } else if moved > begin {
                exported.notes.push(format!(
                    "`start_time` stays at {}, as `start-time` is set or the bulk export was used: \
                     releases that know neither `window_time` nor the export (up to 15) may send \
                     what lies between there and {} again",
                    time(begin),
                    time(second)
                ));
            }
        }
        None if exported.state.is_bulk() => {}
        None => exported.notes.push("nothing of the log was read yet".to_owned()),
    }
    recordings(sink, &mut exported);
    let parked = sink.totals.parked;
    if parked > 0 {
        exported.notes.push(format!(
            "{parked} parked events stay in our state, the reference handler has no place for \
             them: see `ev-handler parked`"
        ));
    }
    exported
}

fn time(second: i64) -> Timestamp {
    Timestamp::new(second, 0)
}

/// Where the oldest window stands that is not read to its end: all in front of it is delivered.
struct Unread {
    /// First second that it asks for.
    second: i64,
    key: Option<String>,
}

fn first_unread(sink: &SinkFacts) -> Option<Unread> {
    let mut first: Option<Unread> = None;
    // Where windows that are read end, should there be none behind them.
    let mut end = None;
    for facts in &sink.lanes {
        // A re-scan looks for events that came late, which the reference handler never does.
        let LaneId::Window { start, pass: 0 } = facts.lane else { continue };
        let place = SearchPlace::of(&facts.lane, &facts.token).ok();
        let (second, key, to) = match place {
            Some(SearchPlace::Window { asked_from, key, end, .. }) => {
                (asked_from, Some(key).filter(|key| !key.is_empty()), end)
            }
            _ => (start, None, None),
        };
        if facts.done {
            end = end.max(to.map(SearchPlace::reaching_to));
        } else if first.as_ref().is_none_or(|first| second < first.second) {
            first = Some(Unread { second, key });
        }
    }
    first.or_else(|| end.map(|second| Unread { second, key: None }))
}

fn recordings(sink: &SinkFacts, exported: &mut Exported) {
    for facts in sink.lanes.iter().filter(|facts| !facts.done) {
        let LaneId::Session(session) = &facts.lane else { continue };
        let index = match SearchPlace::of(&facts.lane, &facts.token) {
            Ok(SearchPlace::Recording { index, .. }) => u64::try_from(index).unwrap_or_default(),
            _ => 0,
        };
        exported.state.sessions.insert(session.clone(), index);
    }
}

/// The bulk export's dates and chunks. Where searches had not passed yet when they gave way to the
/// export, the dates are looked at again: what the export has of them is known by its chunks.
fn dates(sink: &SinkFacts, exported: &mut Exported) {
    for facts in sink.lanes.iter().filter(|facts| facts.token.road == Road::Export) {
        let LaneId::Chunk { date, chunk } = &facts.lane else { continue };
        let Some(date) = Date::parse(date) else { continue };
        let chunks = exported.state.dates.entry(date).or_default();
        if chunk.is_empty() {
            continue;
        }
        if facts.done {
            chunks.completed.insert(chunk.clone());
        } else if let Ok(ExportPlace::Chunk { cursor, .. }) =
            ExportPlace::of(&facts.lane, &facts.token)
            && !cursor.is_empty()
        {
            chunks.partial.insert(chunk.clone(), cursor);
        }
    }
    let (Some(first), Some(unread)) =
        (exported.state.dates.keys().next().copied(), first_unread(sink))
    else {
        return;
    };
    let mut date = Date::of(unread.second);
    while date < first {
        exported.state.dates.insert(date, Chunks::default());
        date = date.plus(1);
    }
}

#[cfg(test)]
mod tests;
