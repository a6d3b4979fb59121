//! `ev-handler verify`: does the ledger have exactly what Auth has?
//!
//! Reads a span of Auth's log once more, hour by hour, and holds each against the row that the
//! handler kept while it settled the events. Takes no lock, writes nothing, and prints ids and
//! never contents, so it may run beside the handler whenever somebody wants to know. With
//! `--repair` it has the state for itself, sends what is missing and brings the rows up to date.

mod compare;
mod ids;
mod picking;
mod recordings;
mod repair;
mod report;
mod verdict;

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use clap::ArgMatches;
use clap::builder::PossibleValuesParser;
use ev_config::Settings;
use ev_core::{
    Credit, Env, LedgerHour, SessionId, SinkId, Source, SpanPage, SpanQuery, SpanReader, Timestamp,
};
use ev_pipeline::TokioEnv;
use ev_pipeline::ledger::LedgerKey;
use ev_source::SearchSource;
use ev_state::{LedgerFacts, StateReader};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::compare::Reading;
use self::ids::Ids;
use self::recordings::Announced;
use self::repair::Repair;
use self::report::Report;
use crate::chain::Chain;
use crate::exit::Exit;
use crate::logging;
use crate::progress::{Progress, meanwhile};
use crate::start::{Error, outlet, parts};
use crate::upstream::{self, Span, refused, span_command, told};

/// How far windows may reach over their borders, in seconds, with what storages make of times.
const OVERLAP: i64 = 4;

/// Read Auth's log again and compare it with what was settled; works while the handler runs
///
/// Exit status: 0 when all closed hours are equal, with `--repair` also those that are now; 1 when
/// one is not; 2 when nothing is known, as the state or Auth cannot be read; 3 when all hours are
/// still open, so that nothing is proved yet; 78 when the configuration is wrong.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Begin of the span, for instance `2026-01-31T00:00:00Z`; the whole hour is compared
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    from: i64,
    /// End of the span; the hour in which it lies is compared as a whole
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    to: i64,
    /// Send what is missing in closed hours, and bring the ledger up to date; the handler must be
    /// stopped. Of an hour that differs in more than can be named, all is sent
    #[arg(long)]
    repair: bool,
    /// Compare the log alone, and not the recordings that it announces
    #[arg(long)]
    no_recordings: bool,
    /// What was sent to which receiver, of those that are set; the first of these names without it
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(outlet::NAMES))]
    sink: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command in the process's own terminal.
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    span_command(matches, async |settings: &Settings, args: &Args| {
        run(settings, args).await.unwrap_or_else(|error| {
            error!(error = %Chain(&error), "nothing is known about the span, or not about all of it");
            match error {
                Error::Setting { .. } => Exit::Config,
                _ => Exit::Unchecked,
            }
        })
    })
}

impl Span for Args {
    fn seconds(&self) -> Range<i64> {
        self.from..self.to
    }
}

async fn run(settings: &Settings, args: &Args) -> Result<Exit, Error> {
    let mut out = logging::stdout();
    if !args.repair {
        // Nothing has to be brought to an end in order.
        return verify(settings, args, &CancellationToken::new(), &mut out).await;
    }
    upstream::until_signal(async |stop: &_| verify(settings, args, stop, &mut out).await).await
}

/// Compares the span and prints what was found; repairs it if that is asked for.
///
/// # Errors
///
/// When the state or Auth cannot be read, so that nothing is known, or a repair cannot go on.
async fn verify(
    settings: &Settings,
    args: &Args,
    stop: &CancellationToken,
    out: &mut dyn Write,
) -> Result<Exit, Error> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let store = args.repair.then(|| repair::store(&settings.storage)).transpose()?;
    let state = StateReader::open(&settings.storage)?;
    let sink = SinkId(outlet::chosen(settings, args.sink.as_deref())?.to_owned());
    // Before Auth is read: what is closed now is closed for ever.
    let Some(facts) = state.ledger_facts(&sink)? else {
        let storage = settings.storage.display();
        return Err(refused(format!("the state in `{storage}` has no ledger; start the handler")));
    };
    let (source, survey) = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(refused("stopped before auth was reached".to_owned())),
        reached = upstream::connect(settings, &env) => reached?,
    };
    if survey.cluster != facts.cluster {
        let (theirs, ours) = (&survey.cluster, &facts.cluster);
        return Err(refused(format!("auth is cluster `{theirs}`, the state is of `{ours}`")));
    }
    let ids = Arc::new(Mutex::new(Ids::new(settings, &source, env.clone())));
    let source = Arc::new(Mutex::new(source));
    let check = Check { key: LedgerKey::new(&facts.key), source, ids };

    let hours = hours(args, &facts, env.now());
    let Hours { first, end, .. } = hours;
    let mut report = Report::new(args, &survey.cluster, &hours, facts.first_hour);
    let mut repair = match store {
        None => None,
        Some(store) => {
            Some(Repair::start(settings, sink.clone(), store, &facts, &check, survey, &env).await?)
        }
    };
    let mut announced = reads_recordings(settings, args).then(Announced::default);
    let mut progress = Progress::begin("comparing with auth's log", &env);
    for hour in first..end {
        let seconds = seconds_of(hour, facts.start_seconds);
        progress.facts.position = Some(seconds.start);
        progress.facts.left_seconds =
            Some(end.saturating_sub(hour).saturating_mul(LedgerHour::SECONDS));
        let reading = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            reading = check.read(hour, seconds.clone(), announced.as_mut(), &mut progress) => {
                reading?
            }
        };
        let is_closed = is_closed(hour, &facts);
        // Of a closed hour it is the same whenever it is read; of an open one the later the better.
        let rows = state.ledger(&sink, hour..hour.saturating_add(1))?;
        let compared = reading.compare(rows.first(), is_closed);
        let repaired = match &mut repair {
            None => None,
            Some(repair) => {
                repair.hour(&compared, rows.first(), seconds, stop, &mut progress).await?
            }
        };
        told(report.add(compared, repaired, out))?;
        for (session, second) in announced.as_mut().map(Announced::take).unwrap_or_default() {
            // Whoever stood behind its announcement has cared for it, and kept no row.
            if facts.taken_over_seconds.is_some_and(|place| second <= place)
                && state.session_ledger(&sink, &session)?.is_none()
            {
                report.add_recording_before_takeover();
                continue;
            }
            let reading = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                reading = meanwhile(&mut progress, check.recording(&session)) => reading?,
            };
            // In this order: it may come to its end meanwhile.
            let is_read = state.reads_session(&sink, &session)?;
            let row = state.session_ledger(&sink, &session)?;
            let compared = reading.compare(row.as_ref(), is_closed, is_read);
            let again = match &mut repair {
                None => None,
                Some(repair) => repair.recording(hour, &compared).await?,
            };
            told(report.add_recording(compared, again, out))?;
        }
    }
    drop(progress);
    if let Some(repair) = repair {
        repair.end().await?;
    }
    check.ids.lock().await.end().await?;
    if stop.is_cancelled() {
        report.stopped();
    }
    told(report.end(out))?;
    Ok(report.exit())
}

/// Whether recordings are compared: a handler with these settings has read them.
fn reads_recordings(settings: &Settings, args: &Args) -> bool {
    !args.no_recordings && parts::engine(settings).reads_recordings()
}

/// Those seconds of an hour that the handler was ever to read.
fn seconds_of(hour: i64, start: i64) -> Range<i64> {
    let from = hour.saturating_mul(LedgerHour::SECONDS);
    from.max(start)..from.saturating_add(LedgerHour::SECONDS)
}

/// What is to be read.
#[derive(Debug, PartialEq, Eq)]
struct Hours {
    first: i64,
    end: i64,
    /// Hours of the span that lie in front of what the handler was ever to read.
    before_start: u64,
    /// Hours that lie behind that and in front of what is known since the handler was taken over
    /// from another one.
    before_takeover: u64,
}

fn hours(args: &Args, facts: &LedgerFacts, now: Timestamp) -> Hours {
    let hour = |second: i64| second.div_euclid(LedgerHour::SECONDS);
    // Nothing is there yet of hours that have not begun.
    let end = hour(args.to.saturating_sub(1)).min(hour(now.seconds())).saturating_add(1);
    let asked = hour(args.from);
    let started = asked.max(hour(facts.start_seconds));
    // An hour that is known in part cannot be compared; that of the start is read from there on.
    let known = match facts.known_from_seconds > facts.start_seconds {
        true => hour(facts.known_from_seconds.saturating_add(LedgerHour::SECONDS - 1)),
        false => started,
    };
    let first = started.max(known);
    let count = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or_default();
    let before_start = count(asked, started.min(end));
    let before_takeover = count(started, first.min(end));
    Hours { first, end, before_start, before_takeover }
}

/// Whether nothing is added to an hour any more: each window that may bring events of it has been
/// read for the last time, as have its neighbours.
fn is_closed(hour: i64, facts: &LedgerFacts) -> bool {
    let end = hour.saturating_add(1).saturating_mul(LedgerHour::SECONDS);
    facts.oldest_window.is_some_and(|oldest| end.saturating_add(OVERLAP) <= oldest)
}

/// What reads Auth's log.
struct Check {
    key: LedgerKey,
    source: Arc<Mutex<SearchSource>>,
    ids: Arc<Mutex<Ids>>,
}

impl Check {
    /// A recording.
    async fn recording(&self, session: &SessionId) -> Result<recordings::Reading, Error> {
        recordings::Reading::of(session, self.key, &mut *self.source.lock().await).await
    }

    /// These seconds of an hour of the log, and the recordings that are announced there.
    async fn read(
        &self,
        hour: i64,
        seconds: Range<i64>,
        mut announced: Option<&mut Announced>,
        progress: &mut Progress,
    ) -> Result<Reading, Error> {
        let mut source = self.source.lock().await;
        let mut ids = self.ids.lock().await;
        let Range { start: from, end: to } = seconds;
        let mut reading = Reading::new(self.key, hour, from);
        let mut span = source.span(SpanQuery { from, to, types: Vec::new() });
        while let Some(page) = page(&mut source, &mut *span, progress).await? {
            progress.facts.events += page.events.len() as u64;
            for gap in &page.gaps {
                warn!(second = %Timestamp::new(gap.from, 0), gap.reason, "auth cannot send an event");
                reading.add_gap(gap.from);
            }
            ids.add(&page, &mut reading).await?;
            if let Some(announced) = &mut announced {
                for event in &page.events {
                    if let Some(session) = ids.announced(&page.version, event).await? {
                        let second = event.peek().map_or(i64::MAX, |peeked| peeked.time.seconds());
                        announced.add(session, second);
                    }
                }
            }
        }
        Ok(reading)
    }
}

/// The next page. The source has to be asked too, or nobody would connect again.
async fn page(
    source: &mut SearchSource,
    span: &mut dyn SpanReader,
    progress: &mut Progress,
) -> Result<Option<SpanPage>, Error> {
    loop {
        progress.tell();
        tokio::select! {
            biased;
            page = span.next() => return Ok(page?),
            () = progress.due() => {}
            event = Source::next(source, Credit { pages: 0 }) => drop(event?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(start_seconds: i64, oldest_window: Option<i64>) -> LedgerFacts {
        let (cluster, key) = ("c".to_owned(), [0; 16]);
        let known_from_seconds = start_seconds;
        let (first_hour, taken_over_seconds) = (None, None);
        LedgerFacts {
            cluster,
            key,
            start_seconds,
            known_from_seconds,
            taken_over_seconds,
            first_hour,
            oldest_window,
        }
    }

    #[test]
    fn an_hour_is_closed_once_no_window_near_it_is_kept() {
        assert!(!is_closed(0, &facts(0, None)), "nothing was read");
        assert!(!is_closed(0, &facts(0, Some(3600))), "the window reaches over its start");
        assert!(!is_closed(0, &facts(0, Some(3603))));
        assert!(is_closed(0, &facts(0, Some(3604))));
        assert!(!is_closed(1, &facts(0, Some(3604))));
        assert!(!is_closed(i64::MAX, &facts(0, Some(3604))));
    }

    #[test]
    fn whole_hours_are_compared_from_the_start_to_now() {
        let check = |from, to, start, now, expected: (i64, i64, u64)| {
            let (repair, no_recordings, json) = (false, false, false);
            let args = Args { from, to, repair, no_recordings, sink: None, json };
            let Hours { first, end, before_start, before_takeover } =
                hours(&args, &facts(start, None), Timestamp::new(now, 0));
            assert_eq!((first, end, before_start), expected);
            assert_eq!(before_takeover, 0);
        };
        check(3600, 7200, 0, 99_999, (1, 2, 0));
        check(3601, 7201, 0, 99_999, (1, 3, 0));
        check(0, 36_000, 7300, 99_999, (2, 10, 2));
        check(0, 36_000, 0, 7200, (0, 3, 0));
        check(0, 3600, 72_000, 99_999, (20, 1, 1));
        check(72_000, 75_600, 0, 3600, (20, 2, 0));
    }

    #[test]
    fn hours_from_before_a_takeover_are_counted_and_not_compared() {
        let check = |from, known_from, expected: (i64, i64, u64, u64)| {
            let (repair, no_recordings, json) = (false, false, false);
            let args = Args { from, to: 36_000, repair, no_recordings, sink: None, json };
            let facts = LedgerFacts { known_from_seconds: known_from, ..facts(7300, None) };
            let Hours { first, end, before_start, before_takeover } =
                hours(&args, &facts, Timestamp::new(99_999, 0));
            assert_eq!((first, end, before_start, before_takeover), expected);
        };
        check(0, 18_000, (5, 10, 2, 3));
        check(0, 18_001, (6, 10, 2, 4));
        check(14_400, 18_001, (6, 10, 0, 2));
        check(28_800, 18_001, (8, 10, 0, 0));
        check(0, 90_000, (25, 10, 2, 8));
    }
}
