//! What people and programs are told of a span that was sent.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use ev_core::{ParkReason, StateError};
use serde::Serialize;

use super::Args;
use super::send::{Sent, name_of};
use crate::exit::Exit;
use crate::text::{shown_id, time};

/// Events that are named, at most.
const NAMED: usize = 20;

/// How it ended.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(skip)]
    json: bool,
    from: String,
    to: String,
    cluster: String,
    types: Vec<String>,
    /// Events of the span that were read, each once.
    read: u64,
    /// Acknowledged by the receiver.
    sent: u64,
    /// Left out by `skip-event-types`.
    filtered: u64,
    /// Events whose outcome nobody knew, so that they were sent again.
    possible_duplicates: u64,
    /// Those that could not be sent.
    unsent: u64,
    unsent_by_reason: BTreeMap<&'static str, u64>,
    unsent_ids: Vec<String>,
    /// Whether all of the span was read and settled.
    complete: bool,
    /// Everything in front of this was sent, but for those that could not be.
    reached: String,
}

impl Report {
    pub(super) fn new(
        args: &Args,
        span: Range<i64>,
        cluster: String,
        sent: &Sent,
    ) -> Result<Self, StateError> {
        let (mut unsent_by_reason, mut unsent_ids) = (BTreeMap::new(), Vec::new());
        sent.parked.for_each(|parked| {
            let event = parked.event;
            *unsent_by_reason.entry(event.reason.as_str()).or_default() += 1;
            if unsent_ids.len() < NAMED {
                unsent_ids.push(match event.reason {
                    ParkReason::Gap => event.detail,
                    _ => name_of(event.form, &event.bytes, &event.digest),
                });
            }
            Ok(())
        })?;
        let summary = &sent.summary;
        let totals = &summary.totals;
        Ok(Self {
            json: args.json,
            from: time(span.start),
            to: time(span.end),
            cluster,
            types: args.types.clone(),
            read: summary.read.saturating_sub(summary.repeated),
            sent: totals.delivered + totals.resolved,
            filtered: totals.filtered,
            possible_duplicates: sent.possible_duplicates,
            unsent: totals.parked,
            unsent_by_reason,
            unsent_ids: unsent_ids.iter().map(|id| shown_id(id)).collect(),
            complete: sent.complete,
            reached: time(sent.reached),
        })
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut *out, self)?;
            writeln!(out)?;
            return out.flush();
        }
        let Self { from, to, read, sent, filtered, possible_duplicates, .. } = self;
        writeln!(out, "from {from} to {to}: {read} events read, {sent} sent")?;
        if *filtered > 0 {
            writeln!(out, "{filtered} left out, as `skip-event-types` says")?;
        }
        if *possible_duplicates > 0 {
            writeln!(
                out,
                "{possible_duplicates} possible duplicates: sent again without an answer"
            )?;
        }
        for (reason, count) in &self.unsent_by_reason {
            writeln!(out, "{count} could not be sent: {reason}")?;
        }
        for id in &self.unsent_ids {
            writeln!(out, "    {id}")?;
        }
        if self.unsent > self.unsent_ids.len() as u64 {
            writeln!(out, "    {} more", self.unsent - self.unsent_ids.len() as u64)?;
        }
        if !self.complete {
            let reached = &self.reached;
            writeln!(out, "stopped: go on with `--from {reached}`; all in front of it is done")?;
        }
        out.flush()
    }

    /// How the process is to end.
    pub(super) fn exit(&self) -> Exit {
        if self.complete && self.unsent == 0 { Exit::Success } else { Exit::Failure }
    }
}
