//! What people and programs are told in the end.

use std::io::Write;

use ev_core::Timestamp;
use ev_pipeline::Summary;
use ev_shadow::{News, ReceiverStats, Sides, Tally};
use serde::Serialize;

use crate::exit::Exit;

/// How it ended.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    from: String,
    /// `None` when nobody had said when to end.
    to: Option<String>,
    ended: String,
    compared: u64,
    findings: u64,
    #[serde(flatten)]
    tally: Tally,
    newest_ours: Option<String>,
    newest_theirs: Option<String>,
    /// Events that we read and could not decode: they are missing among ours.
    ours_undecoded: u64,
    receiver: ReceiverStats,
    /// Whether our side was read to the end.
    complete: bool,
}

/// What it is made of.
pub(super) struct Ended {
    pub(super) from: i64,
    pub(super) to: Option<i64>,
    pub(super) at: Timestamp,
    pub(super) news: News,
    pub(super) untold: u64,
    /// `None` when our side could not be read to the end.
    pub(super) ours: Option<Summary>,
    pub(super) receiver: ReceiverStats,
}

impl Report {
    pub(super) fn new(ended: Ended) -> Self {
        let Ended { from, to, at, news, untold, ours, receiver } = ended;
        let text = |time: Timestamp| time.to_string();
        let mut tally = news.tally;
        tally.untold += untold;
        Self {
            from: text(Timestamp::new(from, 0)),
            to: to.map(|to| text(Timestamp::new(to, 0))),
            ended: text(Timestamp::new(at.seconds(), 0)),
            compared: tally.compared(),
            findings: tally.findings(),
            newest_ours: news.newest_ours.map(text),
            newest_theirs: news.newest_theirs.map(text),
            ours_undecoded: ours.as_ref().map_or(0, |ours| ours.totals.parked),
            complete: ours.is_some(),
            receiver,
            tally,
        }
    }

    pub(super) fn print(&self, json: bool, out: &mut dyn Write) -> std::io::Result<()> {
        if json {
            #[derive(Serialize)]
            struct Line<'a> {
                report: &'a Report,
            }
            serde_json::to_writer(&mut *out, &Line { report: self })?;
            writeln!(out)?;
            return out.flush();
        }
        let Tally { equal, identical, spelling, differs, only, duplicates, .. } = self.tally;
        let Self { from, to, ended, compared, findings, .. } = self;
        let until = to.as_deref().unwrap_or(ended);
        writeln!(out, "from {from} to {until}: {compared} events on both sides, {equal} equal")?;
        writeln!(out, "{identical} of them byte for byte; spelt otherwise, which is harmless:")?;
        let words = [
            (spelling.blanks, "blanks"),
            (spelling.key_order, "order of keys"),
            (spelling.numbers, "spelling of numbers"),
            (spelling.escapes, "escapes in strings"),
        ];
        for (count, what) in words {
            writeln!(out, "    {count} {what}")?;
        }
        writeln!(out, "{findings} findings")?;
        let found = [
            (differs, "differ"),
            (only.ours, "only ours: the other handler did not send them"),
            (only.theirs, "only theirs: we do not have them"),
            (duplicates.ours, "twice in ours"),
            (self.tally.unreadable.sum(), "no JSON objects"),
            (self.tally.untold, "of them not told one by one, as there were too many"),
        ];
        for (count, what) in found.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(out, "    {count} {what}")?;
        }
        self.print_rest(out)?;
        out.flush()
    }

    fn print_rest(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let tally = &self.tally;
        let both = |Sides { ours, theirs }| format!("ours {ours}, theirs {theirs}");
        let overdue = format!(
            "of them overdue; the newest of ours is of {}, of theirs of {}",
            self.newest_ours.as_deref().unwrap_or("never"),
            self.newest_theirs.as_deref().unwrap_or("never"),
        );
        let sides = [
            (tally.open, "open: they may still have come"),
            (tally.overdue, &overdue),
            (tally.unjudged, "let go unjudged, as there was no room"),
            (tally.before, "from before the comparison"),
            (tally.after, "from behind its end"),
            (tally.left_out, "left out by settings"),
        ];
        for (sides, what) in sides.into_iter().filter(|(sides, _)| sides.sum() > 0) {
            writeln!(out, "{}: {what}", both(sides))?;
        }
        let ReceiverStats { handshakes_failed, strays, refused, not_taken, .. } = self.receiver;
        let counts = [
            (
                tally.duplicates.theirs,
                "sent more than once by the other handler, which is harmless",
            ),
            (tally.late, "came later than the patience, and are counted by what they say"),
            (self.ours_undecoded, "could not be decoded by us"),
            (not_taken, "requests that Fluentd did not take"),
            (refused, "requests refused here"),
            (strays, "requests without events"),
            (handshakes_failed, "connections without a TLS handshake"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(out, "{count} {what}")?;
        }
        if !self.complete {
            writeln!(out, "our side could not be read to the end; the log says why")?;
        }
        Ok(())
    }

    /// How the process is to end.
    pub(super) fn exit(&self) -> Exit {
        let tally = &self.tally;
        let owed = tally.overdue.sum() + tally.unjudged.sum();
        match (self.compared, self.findings + owed) {
            (0, 0) => Exit::Unchecked,
            _ if !self.complete => Exit::Unchecked,
            (_, 0) => Exit::Success,
            _ => Exit::Failure,
        }
    }
}
