//! `ev-handler state show`.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use ev_core::{Flavour, LaneId, SessionTrouble, SinkId, Totals};
use ev_source::{ExportPlace, SearchPlace};
use ev_state::{LaneFacts, SinkFacts, StateReader};
use serde::Serialize;

use super::Console;
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;
use crate::text::{harmless, time};

/// Show where everything stands
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Serialize)]
struct Report {
    storage: String,
    /// None in a state in which no sink was opened yet.
    cluster: Option<String>,
    json_flavour: Option<String>,
    sinks: Vec<Sink>,
}

#[derive(Serialize)]
struct Sink {
    name: String,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_version: Option<String>,
    totals: Sums,
    lanes: Vec<Lane>,
    /// Recordings that cannot be read.
    recordings_in_trouble: Vec<Trouble>,
}

#[derive(Serialize)]
struct Sums {
    passed: u64,
    delivered: u64,
    filtered: u64,
    parked: u64,
    resolved: u64,
    dropped: u64,
    given_up: u64,
    recordings: u64,
}

/// A recording that cannot be read.
#[derive(Serialize)]
struct Trouble {
    session: String,
    /// `missing`, or `unreadable` if it is there.
    trouble: &'static str,
    since: String,
    /// How often it was asked for in vain since then.
    attempts: u32,
    /// What was said the last time.
    reason: String,
    /// Left out while it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<String>,
}

/// One lane; what it is not about is left out.
#[derive(Default, Serialize)]
struct Lane {
    lane: String,
    road: &'static str,
    done: bool,
    known_ids: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    /// First second behind it; left out while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    /// Number of the reading, from the second one on.
    #[serde(skip_serializing_if = "Option::is_none")]
    reading: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_key: Option<String>,
    /// Of a recording: the index that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skip: Option<u64>,
    /// Of the bulk export.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    /// Left out for the date itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// Why the resume point cannot be read by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

pub(crate) fn run(args: &Args, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    let (storage, reader) = args.place.reader(beside)?;
    show(&storage, &reader, args.json, console.out)?;
    Ok(Exit::Success)
}

fn show(storage: &Path, reader: &StateReader, json: bool, out: &mut dyn Write) -> Result<()> {
    let with_trouble = |sink: SinkFacts| {
        let trouble = reader.session_trouble(&SinkId(sink.name.clone()))?;
        Ok(Sink::new(sink, trouble))
    };
    let sinks = reader.sinks()?.into_iter().map(with_trouble).collect::<Result<_>>()?;
    let report = Report::new(storage, reader.identity()?, sinks);
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(());
    }
    report.print(out)
}

impl Report {
    fn new(storage: &Path, identity: Option<(String, Flavour)>, sinks: Vec<Sink>) -> Self {
        let (cluster, flavour) = identity.unzip();
        Self {
            storage: storage.display().to_string(),
            cluster,
            json_flavour: flavour.map(|flavour| flavour.to_string()),
            sinks,
        }
    }

    fn print(&self, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "storage       {}", harmless(&self.storage))?;
        let Some(cluster) = &self.cluster else {
            writeln!(out, "nothing was stored yet")?;
            return Ok(());
        };
        writeln!(out, "cluster       {}", harmless(cluster))?;
        writeln!(out, "JSON flavour  {}", self.json_flavour.as_deref().unwrap_or_default())?;
        for sink in &self.sinks {
            sink.print(out)?;
        }
        Ok(())
    }
}

impl Sink {
    fn new(sink: SinkFacts, trouble: Vec<SessionTrouble>) -> Self {
        let Totals {
            passed,
            delivered,
            filtered,
            parked,
            resolved,
            dropped,
            given_up,
            sessions,
            ..
        } = sink.totals;
        Self {
            name: sink.name,
            start_time: sink.start_time.to_string(),
            auth_version: sink.seen_version.map(|version| version.to_string()),
            totals: Sums {
                passed,
                delivered,
                filtered,
                parked,
                resolved,
                dropped,
                given_up,
                recordings: sessions,
            },
            lanes: sink.lanes.iter().map(Lane::new).collect(),
            recordings_in_trouble: trouble.into_iter().map(Trouble::new).collect(),
        }
    }

    fn print(&self, out: &mut dyn Write) -> Result<()> {
        let version = self.auth_version.as_deref().unwrap_or("not known");
        writeln!(out, "\nsink {}", harmless(&self.name))?;
        writeln!(out, "  start time    {}", self.start_time)?;
        writeln!(out, "  Auth          {}", harmless(version))?;
        let Sums { passed, delivered, filtered, parked, resolved, dropped, given_up, recordings } =
            self.totals;
        writeln!(
            out,
            "  events        {passed} passed: {delivered} delivered, {filtered} filtered, {parked} \
             parked, {resolved} delivered after parking, {dropped} dropped, {given_up} given up"
        )?;
        writeln!(out, "  recordings    {recordings} read to their end")?;
        for lane in &self.lanes {
            writeln!(out, "  {}", lane.line())?;
        }
        for trouble in &self.recordings_in_trouble {
            writeln!(out, "  {}", trouble.line())?;
        }
        Ok(())
    }
}

impl Trouble {
    fn new(row: SessionTrouble) -> Self {
        Self {
            session: row.session.to_string(),
            trouble: if row.missing { "missing" } else { "unreadable" },
            since: time(row.since_seconds),
            attempts: row.attempts,
            reason: row.reason,
            given_up: row.given_up_seconds.map(time),
        }
    }

    fn line(&self) -> String {
        let Self { session, trouble, since, attempts, reason, given_up } = self;
        let (session, reason) = (harmless(session), harmless(reason));
        let end = match given_up {
            Some(at) => format!("given up at {at}"),
            None => "still tried".to_owned(),
        };
        format!(
            "in trouble    {session} {trouble} since {since}, asked for {attempts} times, {end}: {reason}"
        )
    }
}

impl Lane {
    fn new(facts: &LaneFacts) -> Self {
        let LaneFacts { lane, token, done, known } = facts;
        let mut shown = Self {
            lane: lane.to_string(),
            road: token.road.as_str(),
            done: *done,
            known_ids: *known,
            ..Self::default()
        };
        if let LaneId::Window { start, pass } = lane {
            shown.start = Some(time(*start));
            shown.reading = (*pass > 0).then_some(pass.saturating_add(1));
        }
        if let LaneId::Chunk { date, chunk } = lane {
            shown.date = Some(date.clone());
            shown.chunk = Some(chunk.clone()).filter(|chunk| !chunk.is_empty());
            match ExportPlace::of(lane, token) {
                Ok(ExportPlace::Chunk { cursor, .. }) => {
                    shown.cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
                }
                Ok(ExportPlace::Date { .. }) => {}
                Err(error) => shown.unreadable = Some(error.to_string()),
            }
            return shown;
        }
        match SearchPlace::of(lane, token) {
            Ok(SearchPlace::Window { end, key, .. }) => {
                shown.end = end.map(time);
                shown.page_key = Some(key).filter(|key| !key.is_empty());
            }
            Ok(SearchPlace::Recording { index, skip, .. }) => {
                shown.index = Some(index);
                shown.skip = Some(skip);
            }
            Err(error) => shown.unreadable = Some(error.to_string()),
        }
        shown
    }

    fn line(&self) -> String {
        let mut line = match (&self.start, self.index, &self.date, &self.chunk) {
            (Some(start), ..) => {
                let end = self.end.as_deref().unwrap_or("now");
                format!("window        {start} to {end}")
            }
            (_, Some(index), ..) => {
                let session = self.lane.strip_prefix("session/").unwrap_or(&self.lane);
                format!("recording     {} from index {index}", harmless(session))
            }
            (_, _, Some(date), None) => format!("date          {}", harmless(date)),
            (_, _, Some(date), Some(chunk)) => {
                format!("chunk         {} {}", harmless(date), harmless(chunk))
            }
            _ => format!("lane          {}", harmless(&self.lane)),
        };
        line.push_str(&format!(", road {}", self.road));
        if let Some(reading) = self.reading {
            line.push_str(&format!(", reading {reading}"));
        }
        if self.done {
            line.push_str(", read to its end");
        }
        for (what, key) in [("page", &self.page_key), ("cursor", &self.cursor)] {
            if let Some(key) = key {
                let short: String = harmless(key).chars().take(24).collect();
                line.push_str(&format!(", at {what} {short}"));
            }
        }
        if self.known_ids > 0 {
            line.push_str(&format!(", {} known ids", self.known_ids));
        }
        if let Some(why) = &self.unreadable {
            line.push_str(&format!(" ({})", harmless(why)));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use ev_core::{Road, SessionId, Token};

    use super::*;

    fn line(lane: LaneId, token: Token, done: bool, known: u64) -> String {
        Lane::new(&LaneFacts { lane, token, done, known }).line()
    }

    #[test]
    fn recordings_in_trouble_are_shown_whether_or_not_they_are_given_up() {
        use ev_core::{Change, Claim, StateStore, Timestamp};

        let storage = tempfile::tempdir().expect("temporary directories can be made");
        let row = |session: &str, missing, given_up_seconds| SessionTrouble {
            session: SessionId::try_new(session.as_bytes()).expect("a valid id"),
            since_seconds: 1_794_268_800,
            attempts: 212,
            missing,
            reason: "not found\u{1b}[2J".to_owned(),
            given_up_seconds,
        };
        let store = ev_state::SqliteStore::open(storage.path()).expect("a new state opens");
        let sink = SinkId("main".to_owned());
        let claim = Claim {
            sink: sink.clone(),
            cluster: "c".to_owned(),
            flavour: None,
            start_time: Timestamp::EPOCH,
        };
        let epoch = store.open_sink(&claim).expect("opens").epoch;
        let session_trouble = vec![row("s-1", true, Some(1_794_441_600)), row("s-2", false, None)];
        let change = Change { session_trouble, ..Change::default() };
        store.commit(&sink, epoch, &change).expect("commits");
        drop(store);

        let reader = StateReader::open(storage.path()).expect("there is a state");
        let shown = |json| {
            let mut out = Vec::new();
            show(storage.path(), &reader, json, &mut out).expect("it can be read");
            String::from_utf8(out).expect("text")
        };
        let text = shown(false);
        let first = "  in trouble    s-1 missing since 2026-11-10T00:00:00Z, asked for 212 times, \
                     given up at 2026-11-12T00:00:00Z: not found";
        let second = "  in trouble    s-2 unreadable since 2026-11-10T00:00:00Z, asked for 212 \
                      times, still tried: not found";
        assert!(text.contains(first) && text.contains(second), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let json: serde_json::Value = serde_json::from_str(&shown(true)).expect("JSON");
        let rows = &json["sinks"][0]["recordings_in_trouble"];
        assert_eq!(rows[0]["given_up"], "2026-11-12T00:00:00Z");
        assert_eq!((&rows[1]["trouble"], rows[1].get("given_up")), (&"unreadable".into(), None));
    }

    #[test]
    fn every_lane_has_a_line() {
        let window = SearchPlace::Window {
            start: 1_794_268_800,
            end: None,
            asked_from: 1_794_268_800,
            types: Vec::new(),
            key: "a-key-that-is-longer-than-what-is-shown".to_owned(),
            opened: None,
        };
        let (lane, token) = window.to_lane(Road::Typed);
        assert_eq!(
            line(lane.clone(), token.clone(), false, 7),
            "window        2026-11-10T00:00:00Z to now, road typed, at page \
             a-key-that-is-longer-tha, 7 known ids"
        );
        let newer = Token { format: 99, ..token };
        assert!(line(lane, newer, false, 0).contains("its format is 99"));
        let session = SessionId::try_new(b"s-1").expect("a valid id");
        let (lane, token) =
            SearchPlace::Recording { session, index: 25, skip: 1 }.to_lane(Road::Unstructured);
        assert_eq!(
            line(lane, token, false, 0),
            "recording     s-1 from index 25, road unstructured"
        );
        let date = "2026-11-17".to_owned();
        let (lane, token) = ExportPlace::Date { date: date.clone(), from: 0 }.to_lane();
        assert_eq!(line(lane, token, false, 0), "date          2026-11-17, road export");
        let (chunk, cursor) = ("c".to_owned(), "o20".to_owned());
        let (lane, token) = ExportPlace::Chunk { date, chunk, from: 0, cursor }.to_lane();
        assert_eq!(
            line(lane, token, true, 0),
            "chunk         2026-11-17 c, road export, read to its end, at cursor o20"
        );
    }
}
