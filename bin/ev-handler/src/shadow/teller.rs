//! Tells findings as they come, and how it stands each minute.

use std::io::Write;
use std::time::Duration;

use ev_shadow::{Comparison, Difference, DifferenceKind, Finding};
use tracing::{info, warn};

use crate::parked::record::harmless;

/// How often it is told how it stands.
const PROGRESS: Duration = Duration::from_secs(60);
/// Findings that are told one by one in that time.
const LINES: usize = 200;

pub(super) struct Teller<W> {
    out: W,
    json: bool,
    /// Lines that may still be written before the next progress.
    left: usize,
    /// Findings that were not told, all in all.
    pub(super) untold: u64,
    next_progress: Duration,
    is_deaf: bool,
}

impl<W: Write> Teller<W> {
    pub(super) fn new(out: W, json: bool, now: Duration) -> Self {
        let next_progress = now.saturating_add(PROGRESS);
        Self { out, json, left: LINES, untold: 0, next_progress, is_deaf: false }
    }

    /// Tells what is new.
    pub(super) fn tell(&mut self, comparison: &Comparison, now: Duration) {
        for finding in comparison.findings() {
            if self.left == 0 {
                self.untold += 1;
                continue;
            }
            self.left -= 1;
            let written = match self.json {
                true => serde_json::to_string(&finding).map_err(Into::into),
                false => Ok(line(&finding)),
            };
            let written = written.and_then(|line| writeln!(self.out, "{line}"));
            self.note(written);
        }
        let flushed = self.out.flush();
        self.note(flushed);
        if now >= self.next_progress {
            self.next_progress = now.saturating_add(PROGRESS);
            self.left = LINES;
            self.progress(comparison);
        }
    }

    fn progress(&self, comparison: &Comparison) {
        let news = comparison.news();
        let tally = &news.tally;
        let time = |time: Option<ev_core::Timestamp>| {
            time.map_or_else(|| "nothing".to_owned(), |time| time.to_string())
        };
        info!(
            compared = tally.compared(),
            equal = tally.equal,
            open_ours = tally.open.ours,
            open_theirs = tally.open.theirs,
            findings = tally.findings(),
            duplicates = tally.duplicates.theirs,
            untold = self.untold + tally.untold,
            newest_ours = time(news.newest_ours),
            newest_theirs = time(news.newest_theirs),
            "comparing"
        );
    }

    /// A reader that has gone away stops nothing: requests still have to be passed on.
    fn note(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.is_deaf, true)
        {
            warn!(%error, "findings cannot be told any more");
        }
    }
}

/// One finding as a line of text.
fn line(finding: &Finding) -> String {
    let mut line = finding.kind.as_str().to_owned();
    let mut add = |word: &str| {
        line.push(' ');
        line.push_str(&harmless(word));
    };
    if !finding.id.is_empty() {
        add(&finding.id);
        add(if finding.event.is_empty() { "(no type)" } else { &finding.event });
    }
    if let Some(time) = finding.time {
        add(&time.to_string());
    }
    if let Some(session) = &finding.session {
        add(&format!("session={session}"));
    }
    if finding.by_digest_only {
        add("(the bodies are not there any more to say where)");
    }
    for difference in &finding.differences {
        add(&place(difference));
    }
    if finding.more_differences > 0 {
        add(&format!("and {} more", finding.more_differences));
    }
    line
}

fn place(difference: &Difference) -> String {
    let path = match difference.path.is_empty() {
        true => "(all of it)",
        false => &difference.path,
    };
    let what = match difference.what {
        DifferenceKind::Value => "value",
        DifferenceKind::Kind => "kind",
        DifferenceKind::MissingInTheirs => "missing-in-theirs",
        DifferenceKind::MissingInOurs => "missing-in-ours",
    };
    let mut text = format!("{path}={what}");
    for (whose, value) in [("ours", &difference.ours), ("theirs", &difference.theirs)] {
        if let Some(value) = value {
            text.push_str(&format!(" {whose}:{value}"));
        }
    }
    text
}
