//! `ev-handler parked list`.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use ev_core::{AuthVersion, ParkReason};
use ev_state::ParkedFacts;
use serde::Serialize;

use super::Console;
use super::record::Record;
use super::select::{Filter, Parked, for_each};
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;
use crate::text::harmless;

/// List parked events, without their contents
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// One JSON object with the events, their number and bytes, and both by reason and version
    #[arg(long)]
    pub(crate) json: bool,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sum {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.events += 1;
        self.bytes += bytes;
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", counted(self.events, "event"), counted(self.bytes, "byte"))
    }
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[derive(Serialize)]
struct Group<'a> {
    reason: &'static str,
    version: &'a str,
    #[serde(flatten)]
    sum: Sum,
}

pub(crate) fn run(args: &Args, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    let (storage, reader) = args.place.reader(beside)?;
    let out = &mut *console.out;
    if args.json {
        json(args, &reader, out)?;
        return Ok(Exit::Success);
    }
    let total = table(args, &reader, out)?;
    if total.events == 0 {
        let which = if args.filter.reasons.is_empty() && args.filter.versions.is_empty() {
            ""
        } else {
            " that the filters take"
        };
        writeln!(out, "nothing is parked in `{}`{which}", storage.display())?;
    }
    Ok(Exit::Success)
}

type Groups = BTreeMap<(ParkReason, AuthVersion), Sum>;

fn count(total: &mut Sum, groups: &mut Groups, facts: &ParkedFacts) {
    total.add(facts.size);
    groups.entry((facts.reason, facts.version.clone())).or_default().add(facts.size);
}

fn table(args: &Args, parked: &dyn Parked, out: &mut dyn Write) -> Result<Sum> {
    let (mut total, mut groups) = (Sum::default(), Groups::new());
    for_each(parked, &args.filter, |facts| {
        if total.events == 0 {
            let heads = ["ID", "PARKED", "TRIES", "REASON", "VERSION", "BYTES", "DETAIL"];
            row(out, heads.map(str::to_owned))?;
        }
        count(&mut total, &mut groups, &facts);
        let cells = [
            facts.id.0.to_string(),
            // To the second: the rest is in `show`.
            ev_core::Timestamp::new(facts.first.seconds(), 0).to_string(),
            facts.attempts.to_string(),
            facts.reason.as_str().to_owned(),
            facts.version.as_str().to_owned(),
            facts.size.to_string(),
            facts.detail,
        ];
        row(out, cells)
    })?;
    if total.events > 0 {
        writeln!(out, "\n{total}")?;
        for ((reason, version), sum) in &groups {
            let (reason, version) = (reason.as_str(), harmless(version.as_str()));
            writeln!(out, "  {reason:<14}  {version:<14}  {sum}")?;
        }
    }
    Ok(total)
}

/// Columns as wide as what is usual: a rare long one moves the rest of its line.
fn row(out: &mut dyn Write, cells: [String; 7]) -> Result<()> {
    let [id, parked, tries, reason, version, bytes, detail] = cells.map(|cell| harmless(&cell));
    writeln!(
        out,
        "{id:>6}  {parked:<20}  {tries:>5}  {reason:<14}  {version:<14}  {bytes:>8}  {detail}"
    )?;
    Ok(())
}

/// Written as it is read, so that a long list needs no memory.
fn json(args: &Args, parked: &dyn Parked, out: &mut dyn Write) -> Result<()> {
    let (mut total, mut groups) = (Sum::default(), Groups::new());
    write!(out, "{{\"parked\":[")?;
    for_each(parked, &args.filter, |facts| {
        let separator = if total.events == 0 { "\n" } else { ",\n" };
        count(&mut total, &mut groups, &facts);
        write!(out, "{separator}{}", serde_json::to_string(&Record::new(&facts))?)?;
        Ok(())
    })?;
    let groups: Vec<_> = groups
        .iter()
        .map(|((reason, version), sum)| Group {
            reason: reason.as_str(),
            version: version.as_str(),
            sum: *sum,
        })
        .collect();
    let Sum { events, bytes } = total;
    let groups = serde_json::to_string(&groups)?;
    writeln!(out, "\n],\"events\":{events},\"bytes\":{bytes},\"groups\":{groups}}}")?;
    Ok(())
}
