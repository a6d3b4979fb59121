//! `ev-handler state show`.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use ev_core::{Flavour, LaneId, Totals};
use ev_source::{ExportPlace, SearchPlace};
use ev_state::{LaneFacts, SinkFacts};
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
    let report = Report::new(&storage, reader.identity()?, reader.sinks()?);
    if args.json {
        writeln!(console.out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        report.print(console.out)?;
    }
    Ok(Exit::Success)
}

impl Report {
    fn new(storage: &Path, identity: Option<(String, Flavour)>, sinks: Vec<SinkFacts>) -> Self {
        let (cluster, flavour) = identity.unzip();
        Self {
            storage: storage.display().to_string(),
            cluster,
            json_flavour: flavour.map(|flavour| flavour.to_string()),
            sinks: sinks.into_iter().map(Sink::new).collect(),
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
    fn new(sink: SinkFacts) -> Self {
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
        Ok(())
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
