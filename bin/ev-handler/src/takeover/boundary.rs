//! Where the reference handler stands in the log, and what it has delivered in front of that.
//!
//! What proves it: the reference handler walks one search from its oldest event to its newest,
//! sends one event after another, and notes an event only when it is sent. So whatever stands in
//! front of the noted event in that search is delivered, whatever its time. A search that begins
//! later has the same events in the same order, as a back end sorts by what it keeps and not by
//! what is asked for. The place may therefore be looked for in any search that reaches over it,
//! and what is behind it in that search is not delivered.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use ev_core::{Date, EventDigest};
use ev_pipeline::Identity;
use tracing::{debug, info};

use crate::start::Error;

use super::plan::{Delivered, Entry, Proven};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Seconds in front of the place whose ids are taken at least. That long after its time a late
/// event is looked for by reading a window again.
const LEAST: i64 = 6 * HOUR;
/// Seconds in front of a window that a search for it reaches to, and a little more.
const REACH: i64 = 4;
/// Seconds by which events may be ahead of our clock.
const AHEAD: i64 = HOUR;
/// Ids that are taken at most: 80 MB of memory while they are, and 32 MB in the state.
const MOST: usize = 2_000_000;
/// Pages behind that of the key in which the noted event is looked for. It is in the first, or, if
/// the handler died between its two notes, in the second; theirs may be smaller than ours are.
const PAGES: usize = 3;

/// A part of the log, oldest event first.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch {
    pub(super) entries: Vec<Entry>,
    /// Seconds that Auth could not send whole.
    pub(super) gaps: Vec<i64>,
}

/// A page by a key from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Key of the next one; empty at the end.
    pub(super) next: String,
}

/// The log of Auth.
pub(super) trait Log {
    /// Begins to read from second `from` up to second `to`, which is not wanted any more.
    fn open(&mut self, from: i64, to: i64);

    /// What comes next of what was begun last; `None` behind the end.
    async fn next(&mut self) -> Result<Option<Stretch>, Error>;

    /// The events of a chunk, all of them or those up to the one with that cursor behind it; or why
    /// they cannot be told.
    async fn chunk(
        &mut self,
        date: Date,
        chunk: &str,
        up_to: Option<&str>,
    ) -> Result<Result<Vec<Entry>, String>, Error>;

    /// The page at `key` of the search that begins at second `start`; or why Auth has none.
    async fn page(&mut self, start: i64, key: &str) -> Result<Result<Page, String>, Error>;
}

/// What is known of the place.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// First second of the search.
    pub(super) start: i64,
    /// Key of the page in which the last event was.
    pub(super) cursor: Option<String>,
    /// What that event may be recognised by; empty if it is not known.
    pub(super) ids: Vec<EventDigest>,
}

/// An event, and whether it is delivered itself: all in front of it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) digest: EventDigest,
    pub(super) second: i64,
    pub(super) is_delivered: bool,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Known(At),
    /// Why it is not known.
    Unknown(String),
}

/// Looks for the place, `now` being the second that it is.
pub(super) async fn locate(log: &mut impl Log, wanted: &Wanted, now: i64) -> Result<Place, Error> {
    let mut why = match (&wanted.cursor, wanted.ids.is_empty()) {
        (None, true) => "neither a page key nor an event is noted".to_owned(),
        _ => String::new(),
    };
    if let Some(key) = &wanted.cursor {
        match by_key(log, wanted, key, now).await? {
            Ok(at) => return Ok(Place::Known(at)),
            Err(reason) => why = reason,
        }
    }
    if !wanted.ids.is_empty() {
        if let Some(at) = backwards(log, &wanted.ids, wanted.start, now).await? {
            return Ok(Place::Known(at));
        }
        let also = if why.is_empty() { String::new() } else { format!(", and {why}") };
        why = format!("the log has no event of the noted id{also}");
    }
    Ok(Place::Unknown(why))
}

/// The place by the page key, or why it is not known by it.
async fn by_key(
    log: &mut impl Log,
    wanted: &Wanted,
    key: &str,
    now: i64,
) -> Result<Result<At, String>, Error> {
    let mut page = match log.page(wanted.start, key).await? {
        Ok(page) => page,
        Err(reason) => return Ok(Err(format!("auth takes no such page key ({reason})"))),
    };
    let Some(first) = page.entries.first().map(|first| at(first, false)) else {
        // Everything that was there is delivered. What was the newest event before that was seen
        // once more is certainly among it.
        let Some(newest) = newest(log, wanted.start, now).await? else {
            return Ok(Err("there is no event".to_owned()));
        };
        return Ok(match log.page(wanted.start, key).await? {
            Ok(Page { entries, .. }) => Ok(match entries.first() {
                Some(first) => at(first, false),
                None => newest,
            }),
            Err(reason) => Err(format!("auth takes no such page key ({reason})")),
        });
    };
    for _ in 1..PAGES {
        if let Some(noted) = find(&page.entries, &wanted.ids) {
            return Ok(Ok(noted));
        }
        if page.next.is_empty() || wanted.ids.is_empty() {
            break;
        }
        let next = std::mem::take(&mut page.next);
        page = match log.page(wanted.start, &next).await? {
            Ok(page) => page,
            Err(reason) => {
                debug!(reason, "the page behind that of the key cannot be read");
                break;
            }
        };
    }
    if let Some(noted) = find(&page.entries, &wanted.ids) {
        return Ok(Ok(noted));
    }
    if !wanted.ids.is_empty() {
        info!("the noted event is not in the noted page, which is sent again from its beginning");
    }
    Ok(Ok(first))
}

fn at(entry: &Entry, is_delivered: bool) -> At {
    let Identity { digest, time, .. } = entry.identity;
    At { digest, second: time.seconds(), is_delivered }
}

fn find(entries: &[Entry], ids: &[EventDigest]) -> Option<At> {
    let found = entries.iter().find(|entry| ids.contains(&entry.identity.digest));
    found.map(|entry| at(entry, true))
}

/// The event of those ids that is met first from the end of the log on, each stretch being read
/// from its beginning. What is read in vain has to be sent anyway, as it stands behind the event;
/// so this costs about as much as that.
pub(super) async fn backwards(
    log: &mut impl Log,
    ids: &[EventDigest],
    start: i64,
    now: i64,
) -> Result<Option<At>, Error> {
    if ids.is_empty() {
        return Ok(None);
    }
    from_the_end(log, start, now, |entries, _| match find(entries, ids) {
        Some(found) => ControlFlow::Break(found),
        None => ControlFlow::Continue(None),
    })
    .await
}

/// The newest event of all.
async fn newest(log: &mut impl Log, start: i64, now: i64) -> Result<Option<At>, Error> {
    from_the_end(log, start, now, |entries, before| {
        ControlFlow::Continue(entries.last().map(|entry| at(entry, true)).or(before))
    })
    .await
}

/// Looks at the log in stretches from its end on, each twice as wide as the one behind it, until
/// one has what is looked for. `look` is given the events of a part, in order, and what an earlier
/// part of the stretch had.
async fn from_the_end(
    log: &mut impl Log,
    start: i64,
    now: i64,
    look: impl Fn(&[Entry], Option<At>) -> ControlFlow<At, Option<At>>,
) -> Result<Option<At>, Error> {
    let (mut from, mut to) = (now, now.saturating_add(AHEAD));
    let mut width = HOUR;
    let mut found = None;
    loop {
        from = from.saturating_sub(width).max(start);
        log.open(from, to);
        while let Some(Stretch { entries, .. }) = log.next().await? {
            match look(&entries, found) {
                ControlFlow::Break(at) => return Ok(Some(at)),
                ControlFlow::Continue(so_far) => found = so_far,
            }
        }
        if found.is_some() || from <= start {
            return Ok(found);
        }
        to = from;
        width = width.saturating_mul(2);
    }
}

/// What stands in front of the place: of the whole UTC day, as the bulk export goes by days, and of
/// some hours at least; nothing in front of second `floor`.
pub(super) async fn delivered(
    log: &mut impl Log,
    at: At,
    floor: i64,
    now: i64,
) -> Result<Proven, Error> {
    let midnight = at.second.div_euclid(DAY).saturating_mul(DAY);
    let from = midnight.min(at.second.saturating_sub(LEAST)).div_euclid(HOUR).saturating_mul(HOUR);
    let from = from.max(floor).min(at.second);
    let end = now.max(at.second).saturating_add(AHEAD);
    log.open(from.saturating_sub(REACH).max(floor), end);
    let mut entries = VecDeque::new();
    let mut seen = BTreeSet::new();
    let mut gaps = BTreeSet::new();
    // First second from which on nothing was left out for want of room.
    let mut whole_from = from;
    let mut is_found = false;
    'reading: while let Some(stretch) = log.next().await? {
        gaps.extend(stretch.gaps);
        for entry in stretch.entries {
            let digest = entry.identity.digest;
            let is_place = digest == at.digest;
            if is_place && !at.is_delivered {
                is_found = true;
                break 'reading;
            }
            if seen.insert(digest) {
                entries.push_back(entry);
            }
            if is_place {
                is_found = true;
                break 'reading;
            }
            if entries.len() > MOST
                && let Some(oldest) = entries.pop_front()
            {
                let oldest: Entry = oldest;
                seen.remove(&oldest.identity.digest);
                let second = oldest.identity.time.seconds();
                whole_from = whole_from.max(second.saturating_add(1)).min(at.second);
            }
        }
    }
    if !is_found {
        let why = "the noted event was there and is not found any more".to_owned();
        return Ok(Proven::Nothing(why));
    }
    // What stands around an event that is too large is read from both sides, so its second has no
    // order in which anything were proved.
    let is_proved = |entry: &Entry| {
        !gaps.contains(&entry.identity.time.seconds()) || entry.identity.digest == at.digest
    };
    let entries: Vec<Entry> = entries.into_iter().filter(is_proved).collect();
    Ok(Proven::Everything(Delivered { from: whole_from, to: at.second, entries }))
}

#[cfg(test)]
mod tests;
