//! What the state says of a handler that does not run.

use anyhow::Result;
use ev_core::{LaneId, SinkId};
use ev_diag::{Auth, Phase, Readiness, Sink, Snapshot, UnixTime};
use serde_json::{Value, json};

use crate::config::Beside;
use crate::place::Place;
use crate::start::status::sums;

/// The same object as that of a running one, as far as the state knows.
pub(super) fn json(place: &Place, beside: &Beside) -> Result<String> {
    let (storage, reader) = place.reader(beside)?;
    let identity = reader.identity()?;
    let mut sinks = Vec::new();
    let mut version = None;
    for facts in reader.sinks()? {
        let trouble = reader.session_trouble(&SinkId(facts.name.clone()))?;
        let given_up = trouble.iter().filter(|row| row.given_up_seconds.is_some()).count();
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
            sessions_given_up: given_up as u64,
            totals: sums(&facts.totals),
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
        phase: Phase::Ended,
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

#[expect(clippy::disallowed_methods, reason = "a command of its own, outside of any engine")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
