//! `ev-handler parked retry` and `drop`: what changes the state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use ev_core::{ParkReason, ParkedId, unstructured};
use ev_state::SqliteStore;
use tracing::warn;

use super::Console;
use super::list::{Sum, counted};
use super::select::{Filter, Selection, for_each};
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;
use crate::text::{harmless, is_yes};

/// Make parked events due at once, whatever was tried with them before
#[derive(clap::Args, Debug, Default)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Destroy parked events for good
#[derive(clap::Args, Debug, Default)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

pub(crate) fn retry(args: &RetryArgs, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    let (storage, store) = args.place.store(beside)?;
    let mut ids = args.selection.ids(&store, &storage, false)?;
    let gaps = Filter { reasons: vec![ParkReason::Gap], ..Filter::default() };
    let mut untried = BTreeSet::new();
    for_each(&store, &gaps, |gap| {
        untried.insert(gap.id);
        Ok(())
    })?;
    let before = ids.len();
    ids.retain(|id| !untried.contains(id));
    let left_out = before - ids.len();
    if left_out > 0 {
        let gaps = counted(left_out as u64, "gap");
        writeln!(
            console.errors,
            "left out: {gaps}; Auth does not send what is missing there, so nothing can be tried"
        )?;
    }
    store.retry_parked(&ids)?;
    let count = counted(ids.len() as u64, "event");
    writeln!(console.out, "to be tried again when the handler is started: {count}")?;
    Ok(Exit::Success)
}

/// What is about to be destroyed, by reason and type.
type Doomed = BTreeMap<(ParkReason, String), Sum>;

pub(crate) fn drop_events(
    args: &DropArgs,
    beside: &Beside,
    console: &mut Console<'_>,
) -> Result<Exit> {
    let (storage, store) = args.place.store(beside)?;
    let ids = args.selection.ids(&store, &storage, false)?;
    if ids.is_empty() {
        writeln!(
            console.out,
            "nothing is parked in `{}` that could be dropped",
            storage.display()
        )?;
        return Ok(Exit::Success);
    }
    let doomed = look_at(&store, &ids)?;
    tell(&doomed, &storage, console)?;
    if !args.yes && !confirmed(console)? {
        writeln!(console.out, "nothing was dropped")?;
        return Ok(Exit::Failure);
    }
    let dropped = store.drop_parked(&ids)?;
    let ids = ranges(&ids);
    for ((reason, kind), sum) in &doomed {
        let Sum { events, bytes } = sum;
        warn!(reason = reason.as_str(), kind, events, bytes, "parked events dropped by hand");
    }
    warn!(
        audit = "parked.dropped",
        storage = %storage.display(),
        ids,
        events = dropped.events,
        bytes = dropped.bytes,
        "parked events dropped by hand, all in all"
    );
    let sum = Sum { events: dropped.events, bytes: dropped.bytes };
    writeln!(console.out, "dropped {sum}")?;
    Ok(Exit::Success)
}

fn look_at(store: &SqliteStore, ids: &[ParkedId]) -> Result<Doomed> {
    let mut doomed = Doomed::new();
    for id in ids {
        let Some((facts, bytes)) = store.parked_event(*id)? else { continue };
        let found = unstructured::metadata(facts.form, &bytes);
        let kind = found.map_or(String::new(), |found| {
            String::from_utf8_lossy(found.kind.of(&bytes)).into_owned()
        });
        let kind = if kind.is_empty() { "of no known type".to_owned() } else { harmless(&kind) };
        doomed.entry((facts.reason, kind)).or_default().add(facts.size);
    }
    Ok(doomed)
}

fn tell(doomed: &Doomed, storage: &Path, console: &mut Console<'_>) -> Result<()> {
    let mut total = Sum::default();
    for sum in doomed.values() {
        total.events += sum.events;
        total.bytes += sum.bytes;
    }
    writeln!(
        console.errors,
        "This destroys what is parked in `{}` and was never delivered: {total}. The handler does \
         not ask for it again.",
        storage.display()
    )?;
    for ((reason, kind), sum) in doomed {
        let reason = reason.as_str();
        writeln!(console.errors, "  {reason:<14}  {kind:<24}  {sum}")?;
    }
    writeln!(console.errors, "`ev-handler parked export FILE` keeps a copy.")?;
    Ok(())
}

fn confirmed(console: &mut Console<'_>) -> Result<bool> {
    if !console.is_terminal {
        bail!("nothing was dropped, as there is nobody to ask: say `--yes` if this is meant");
    }
    write!(console.errors, "Drop them? [y/N] ")?;
    console.errors.flush()?;
    let mut answer = String::new();
    console.input.read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

/// Most runs of ids in a line of the log.
const MAX_RUNS: usize = 200;

/// Numbers as `1-3, 7`.
fn ranges(ids: &[ParkedId]) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id.0 => *last = id.0,
            _ => runs.push((id.0, id.0)),
        }
    }
    let text = |(first, last): &(i64, i64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let mut shown: Vec<String> = runs.iter().take(MAX_RUNS).map(text).collect();
    if runs.len() > MAX_RUNS {
        shown.push(format!("and {} more runs", runs.len() - MAX_RUNS));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_a_range() {
        let check = |ids: &[i64], expected: &str| {
            let ids: Vec<_> = ids.iter().copied().map(ParkedId).collect();
            assert_eq!(ranges(&ids), expected);
        };
        check(&[], "");
        check(&[5], "5");
        check(&[1, 2, 3, 7, 9, 10], "1-3, 7, 9-10");
    }
}
