//! What the state says of a handler that does not run, or that cannot be asked.

use std::collections::BTreeMap;

use anyhow::Result;
use ev_core::{LaneId, SessionTrouble, SinkId};
use ev_diag::{Auth, Phase, Readiness, Sink, Snapshot, UnixTime};
use ev_state::StateReader;
use serde_json::{Value, json};

use crate::config::Beside;
use crate::place::Place;
use crate::start::status::sums;

/// Parked events that are read at one time.
const PAGE: usize = 1_000;

/// The same object as that of a running one, as far as the state knows.
pub(super) fn json(place: &Place, beside: &Beside) -> Result<String> {
    let storage = match &place.storage {
        Some(storage) => storage.clone(),
        None => beside.storage()?,
    };
    let reader = StateReader::open(&storage)?;
    let phase = match StateReader::is_in_use(&storage)? {
        true => Phase::Unasked,
        false => Phase::Ended,
    };
    let identity = reader.identity()?;
    let mut parked = parked(&reader)?;
    let mut sinks = Vec::new();
    let mut version = None;
    for facts in reader.sinks()? {
        let trouble = reader.session_trouble(&SinkId(facts.name.clone()))?;
        let given_up = trouble.iter().filter(|row| row.given_up_seconds.is_some()).count();
        let is_unreadable = |row: &&SessionTrouble| row.given_up_seconds.is_none() && !row.missing;
        let unreadable = trouble.iter().filter(is_unreadable).count();
        let open = |is: fn(&LaneId) -> bool| {
            facts.lanes.iter().filter(|lane| !lane.done && is(&lane.lane)).count() as u64
        };
        version = facts.seen_version.as_ref().map(ToString::to_string).or(version);
        sinks.push(Sink {
            start_time: Some(UnixTime(facts.start_time.seconds())),
            windows: open(|lane| matches!(lane, LaneId::Window { .. })),
            chunks: open(|lane| matches!(lane, LaneId::Chunk { .. })),
            sessions: open(|lane| matches!(lane, LaneId::Session(_))),
            sessions_stopped: (trouble.len() - given_up) as u64,
            sessions_unreadable: unreadable as u64,
            sessions_given_up: given_up as u64,
            totals: sums(&facts.totals),
            parked: parked.remove(&facts.name).unwrap_or_default(),
            name: facts.name,
            ..Sink::default()
        });
    }
    let address = match beside.settings() {
        Ok(settings) => settings.teleport.addr.clone(),
        Err(_) => "Auth".to_owned(),
    };
    let snapshot = Snapshot {
        time: UnixTime(now()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase,
        auth: Auth { address, version, cluster: identity.map(|(name, _)| name), ..Auth::default() },
        sinks,
        storage: storage.display().to_string(),
        ..Snapshot::default()
    };
    let mut value = json!({ "readiness": Readiness::of(&snapshot) });
    if let (Value::Object(all), Value::Object(more)) =
        (&mut value, serde_json::to_value(&snapshot)?)
    {
        all.extend(more);
    }
    Ok(format!("{value:#}\n"))
}

/// How many events are parked for each sink, by reason.
fn parked(reader: &StateReader) -> Result<BTreeMap<String, BTreeMap<String, u64>>> {
    let mut counts = BTreeMap::<String, BTreeMap<String, u64>>::new();
    let mut after = None;
    loop {
        let page = reader.parked(after, PAGE)?;
        for event in &page {
            let of = counts.entry(event.sink.0.clone()).or_default();
            *of.entry(event.reason.as_str().to_owned()).or_default() += 1;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.id),
            _ => return Ok(counts),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a command of its own, outside of any engine")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
