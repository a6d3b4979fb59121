//! Tells findings as they come, and how it stands: all the time on a terminal, else each minute.

use std::io::{self, Write};
use std::time::Duration;

use ev_core::Timestamp;
use ev_shadow::{Comparison, Difference, DifferenceKind, Finding, News};
use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use crate::logging::Foot;
use crate::text::harmless;

/// How often it is told how it stands.
const PROGRESS: Duration = Duration::from_secs(60);
/// Findings that are told one by one in that time.
const LINES: usize = 200;

/// Whoever reads may be slow: what is told is written on a thread of its own, and nothing here waits
/// for it before the end.
pub(super) struct Teller<W> {
    /// None while something is being written.
    out: Option<W>,
    writing: JoinSet<(W, io::Result<()>)>,
    /// What is to be written next; bounded, as it is made of `left`.
    pending: Vec<u8>,
    json: bool,
    /// Lines that may still be told before the next progress.
    left: usize,
    /// Findings that were not told, all in all.
    pub(super) untold: u64,
    next_progress: Duration,
    foot: Option<Foot>,
    /// Why nothing can be told any more.
    deaf: Option<io::Error>,
}

impl<W: Write + Send + 'static> Teller<W> {
    pub(super) fn new(out: W, json: bool, now: Duration, foot: Option<Foot>) -> Self {
        Self {
            out: Some(out),
            writing: JoinSet::new(),
            pending: Vec::new(),
            json,
            left: LINES,
            untold: 0,
            next_progress: now.saturating_add(PROGRESS),
            foot,
            deaf: None,
        }
    }

    /// Tells what is new. Needs a running tokio runtime.
    pub(super) fn tell(&mut self, comparison: &Comparison, now: Duration) {
        if let Some(written) = self.writing.try_join_next() {
            self.note(written);
        }
        for finding in comparison.findings() {
            if self.left == 0 || self.deaf.is_some() {
                self.untold += 1;
                continue;
            }
            self.left -= 1;
            match self.json {
                // An object of texts and numbers.
                true => self.pending.extend(serde_json::to_vec(&finding).unwrap_or_default()),
                false => self.pending.extend(line(&finding).into_bytes()),
            }
            self.pending.push(b'\n');
        }
        self.write();
        if now >= self.next_progress {
            self.next_progress = now.saturating_add(PROGRESS);
            // What a slow reader has not taken yet still counts.
            if self.pending.is_empty() {
                self.left = LINES;
            }
            if self.foot.is_none() {
                self.progress(comparison);
            }
        }
        if let Some(foot) = &self.foot {
            foot.show(line_of(&comparison.news()));
        }
    }

    /// Writes what is left and the report behind it.
    ///
    /// # Errors
    ///
    /// Why the report could not be written, or anything before it.
    pub(super) async fn end(mut self, report: Vec<u8>) -> io::Result<()> {
        if let Some(foot) = &self.foot {
            foot.hide();
        }
        self.pending.extend(report);
        loop {
            self.write();
            match self.writing.join_next().await {
                None => break,
                Some(written) => self.note(written),
            }
        }
        self.deaf.map_or(Ok(()), Err)
    }

    /// Begins to write what waits, unless something is being written.
    fn write(&mut self) {
        if self.deaf.is_some() {
            self.pending.clear();
        }
        let Some(mut out) = self.out.take_if(|_| !self.pending.is_empty()) else { return };
        let pending = std::mem::take(&mut self.pending);
        self.writing.spawn_blocking(move || {
            let written = out.write_all(&pending).and_then(|()| out.flush());
            (out, written)
        });
    }

    /// A reader that has gone away stops nothing: requests still have to be passed on.
    fn note(&mut self, written: Result<(W, io::Result<()>), JoinError>) {
        let written = match written {
            Ok((out, written)) => {
                self.out = Some(out);
                written
            }
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = written
            && self.deaf.is_none()
        {
            warn!(%error, "findings cannot be told any more");
            self.deaf = Some(error);
        }
    }

    fn progress(&self, comparison: &Comparison) {
        let news = comparison.news();
        let tally = &news.tally;
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
}

fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "nothing".to_owned(), |time| time.to_string())
}

/// How it stands, for a terminal.
fn line_of(news: &News) -> String {
    let tally = &news.tally;
    format!(
        "comparing: {} compared, {} equal, {} findings, {} and {} open (ours, theirs), at {} and {}",
        tally.compared(),
        tally.equal,
        tally.findings(),
        tally.open.ours,
        tally.open.theirs,
        time(news.newest_ours),
        time(news.newest_theirs),
    )
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use ev_core::{Env, Route};
    use ev_pipeline::TokioEnv;
    use ev_shadow::{Bounds, Rules, Side};

    use super::*;

    /// A reader that takes nothing before it is told to.
    struct Slow {
        go: mpsc::Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(io::Error::other)?;
            self.read.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn comparison() -> Comparison {
        let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
        Comparison::new(Rules::default(), Bounds::default(), env)
    }

    fn found(comparison: &Comparison, numbers: std::ops::Range<usize>) {
        for number in numbers {
            for _ in 0..2 {
                let body = format!(r#"{{"event":"x","uid":"{number}"}}"#);
                comparison.take(Side::Theirs, &Route::Audit, body.into_bytes().into());
            }
        }
    }

    #[tokio::test]
    async fn a_slow_reader_holds_nothing_up_and_misses_no_line() {
        let (comparison, read) = (comparison(), Arc::<Mutex<Vec<u8>>>::default());
        let (release, go) = mpsc::sync_channel(3);
        let out = Slow { go, read: Arc::clone(&read) };
        let mut teller = Teller::new(out, false, Duration::ZERO, None);
        found(&comparison, 0..3);
        teller.tell(&comparison, Duration::ZERO);
        found(&comparison, 3..5);
        teller.tell(&comparison, Duration::ZERO);
        // Not even in a day there are more lines than there may be.
        found(&comparison, 5..LINES);
        for hour in 0..24 {
            teller.tell(&comparison, Duration::from_secs(hour * 3600));
        }
        assert_eq!(teller.untold, 0);
        found(&comparison, LINES..LINES + 7);
        teller.tell(&comparison, Duration::from_secs(86_400));
        assert_eq!(teller.untold, 7);
        assert!(read.lock().unwrap().is_empty(), "nothing is read yet");
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        teller.end(b"the report\n".to_vec()).await.unwrap();
        let text = String::from_utf8(read.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), LINES + 1);
        for (number, line) in lines[..LINES].iter().enumerate() {
            assert!(line.contains(&format!(" {number} x")), "{line}");
        }
        assert_eq!(lines[LINES], "the report");
    }

    #[tokio::test]
    async fn a_full_disk_is_named_as_that() {
        struct Full;

        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let comparison = comparison();
        let mut teller = Teller::new(Full, true, Duration::ZERO, None);
        found(&comparison, 0..1);
        teller.tell(&comparison, Duration::ZERO);
        let error = teller.end(b"the report\n".to_vec()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_away_stops_nothing() {
        let (comparison, (release, go)) = (comparison(), mpsc::sync_channel(3));
        let slow = Slow { go, read: Arc::default() };
        let mut teller = Teller::new(slow, true, Duration::ZERO, None);
        drop(release);
        found(&comparison, 0..1);
        teller.tell(&comparison, Duration::ZERO);
        assert!(teller.end(b"the report\n".to_vec()).await.is_err());
    }
}
