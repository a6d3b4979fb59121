//! `ev-handler verify`: does the ledger have exactly what Auth has?
//!
//! Reads a span of Auth's log once more, hour by hour, and holds each against the row that the
//! handler kept while it settled the events. Takes no lock, writes nothing, and prints ids and
//! never contents, so it may run beside the handler whenever somebody wants to know.

mod compare;
mod ids;
mod report;

use std::io::Write;
use std::sync::Arc;

use clap::{ArgMatches, FromArgMatches as _};
use ev_config::Settings;
use ev_core::{
    Credit, Env, LedgerHour, SinkId, Source, SpanPage, SpanQuery, SpanReader, Timestamp,
};
use ev_pipeline::TokioEnv;
use ev_pipeline::ledger::LedgerKey;
use ev_source::TypedSource;
use ev_state::{LedgerFacts, StateReader};
use tracing::{error, warn};

use self::compare::Reading;
use self::ids::Ids;
use self::report::Report;
use crate::chain::Chain;
use crate::exit::Exit;
use crate::start::{Error, SINK, block_on};
use crate::upstream::{self, refused, told};
use crate::{logging, parked};

/// How far windows may reach over their borders, in seconds, with what storages make of times.
const OVERLAP: i64 = 4;

/// Read Auth's log again and compare it with what was settled; works while the handler runs
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Begin of the span, for instance `2026-01-31T00:00:00Z`; the whole hour is compared
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    from: i64,
    /// End of the span; the hour in which it lies is compared as a whole
    #[arg(long, value_name = "TIME", value_parser = ev_config::parse_time)]
    to: i64,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command in the process's own terminal.
#[expect(clippy::print_stderr, reason = "there is no log before the settings are read")]
pub(crate) fn command(matches: &ArgMatches) -> Exit {
    let args = match Args::from_arg_matches(matches) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failure;
        }
    };
    if args.from >= args.to {
        eprintln!("error: `--from` must be before `--to`");
        return Exit::Failure;
    }
    let settings = match upstream::settings(&parked::configs(matches)) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Exit::Config;
        }
    };
    logging::init(settings.log_format, settings.debug);
    let result = block_on(verify(&settings, &args, &mut std::io::stdout()));
    result.unwrap_or_else(|error| {
        error!(error = %Chain(&error), "nothing is known about the span");
        match error {
            Error::Setting { .. } => Exit::Config,
            _ => Exit::Unchecked,
        }
    })
}

/// Compares the span and prints what was found.
///
/// # Errors
///
/// When the state or Auth cannot be read, so that nothing is known.
async fn verify(settings: &Settings, args: &Args, out: &mut dyn Write) -> Result<Exit, Error> {
    let env: Arc<dyn Env> = Arc::new(TokioEnv::new());
    let state = StateReader::open(&settings.storage)?;
    let sink = SinkId(SINK.to_owned());
    // Before Auth is read: what is closed now is closed for ever.
    let Some(facts) = state.ledger_facts(&sink)? else {
        let storage = settings.storage.display();
        return Err(refused(format!("the state in `{storage}` has no ledger; start the handler")));
    };
    let (source, survey) = upstream::connect(settings, &env).await?;
    if survey.cluster != facts.cluster {
        let (theirs, ours) = (&survey.cluster, &facts.cluster);
        return Err(refused(format!("auth is cluster `{theirs}`, the state is of `{ours}`")));
    }
    let ids = Ids::new(settings, &source, env.clone());
    let mut check = Check { key: LedgerKey::new(&facts.key), source, ids };

    let Hours { first, end, before_start } = hours(args, &facts, env.now());
    let mut report = Report::new(args, &survey.cluster, before_start, facts.first_hour);
    for hour in first..end {
        let reading = check.read(hour, facts.start_seconds).await?;
        // Of a closed hour it is the same whenever it is read; of an open one the later the better.
        let rows = state.ledger(&sink, hour..hour.saturating_add(1))?;
        let compared = reading.compare(rows.first(), is_closed(hour, &facts));
        told(report.add(compared, out))?;
    }
    check.ids.end().await?;
    told(report.end(out))?;
    Ok(report.exit())
}

/// What is to be read.
#[derive(Debug, PartialEq, Eq)]
struct Hours {
    first: i64,
    end: i64,
    /// Hours of the span that lie in front of what the handler was ever to read.
    before_start: u64,
}

fn hours(args: &Args, facts: &LedgerFacts, now: Timestamp) -> Hours {
    let hour = |second: i64| second.div_euclid(LedgerHour::SECONDS);
    // Nothing is there yet of hours that have not begun.
    let end = hour(args.to.saturating_sub(1)).min(hour(now.seconds())).saturating_add(1);
    let asked = hour(args.from);
    let first = asked.max(hour(facts.start_seconds));
    let before_start = u64::try_from(first.min(end).saturating_sub(asked)).unwrap_or_default();
    Hours { first, end, before_start }
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
    source: TypedSource,
    ids: Ids,
}

impl Check {
    /// An hour of the log, from second `start` on.
    async fn read(&mut self, hour: i64, start: i64) -> Result<Reading, Error> {
        let mut reading = Reading::new(self.key, hour, start);
        let from = hour.saturating_mul(LedgerHour::SECONDS);
        let to = from.saturating_add(LedgerHour::SECONDS);
        let query = SpanQuery { from: from.max(start), to, types: Vec::new() };
        let mut span = self.source.span(query);
        while let Some(page) = self.page(&mut *span).await? {
            for gap in &page.gaps {
                warn!(second = %Timestamp::new(gap.from, 0), gap.reason, "auth cannot send an event");
                reading.add_gap(gap.from);
            }
            self.ids.add(&page, &mut reading).await?;
        }
        Ok(reading)
    }

    /// The next page. The source has to be asked too, or nobody would connect again.
    async fn page(&mut self, span: &mut dyn SpanReader) -> Result<Option<SpanPage>, Error> {
        loop {
            tokio::select! {
                biased;
                page = span.next() => return Ok(page?),
                event = self.source.next(Credit { pages: 0 }) => drop(event?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(start_seconds: i64, oldest_window: Option<i64>) -> LedgerFacts {
        let (cluster, key) = ("c".to_owned(), [0; 16]);
        LedgerFacts { cluster, key, start_seconds, first_hour: None, oldest_window }
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
            let args = Args { from, to, json: false };
            let Hours { first, end, before_start } =
                hours(&args, &facts(start, None), Timestamp::new(now, 0));
            assert_eq!((first, end, before_start), expected);
        };
        check(3600, 7200, 0, 99_999, (1, 2, 0));
        check(3601, 7201, 0, 99_999, (1, 3, 0));
        check(0, 36_000, 7300, 99_999, (2, 10, 2));
        check(0, 36_000, 0, 7200, (0, 3, 0));
        check(0, 3600, 72_000, 99_999, (20, 1, 1));
        check(72_000, 75_600, 0, 3600, (20, 2, 0));
    }
}
