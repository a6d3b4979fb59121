//! Runs all cases in one process and prints one table; `cargo xtask bench` builds and calls it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use ev_bench::events;
use ev_bench::measure::SUBJECTS;
use ev_bench::report::{Report, Setting};
use ev_bench::rounds::Effort;

/// Measure, and print one table of ratios against the bars
#[derive(Parser)]
#[command(name = "ev-bench")]
struct Args {
    /// Write the results as JSON too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 when a bar is missed, naming each
    #[arg(long)]
    bars: bool,
    /// Short rounds, to see whether everything runs; the figures prove nothing
    #[arg(long, conflicts_with = "bars")]
    quick: bool,
    /// Measure these subjects only, separated by commas
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',', value_parser = subjects())]
    only: Vec<String>,
}

fn subjects() -> clap::builder::PossibleValuesParser {
    SUBJECTS.iter().map(|subject| subject.name).collect::<Vec<_>>().into()
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let mut report = Report {
        setting: Setting {
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            optimised: !cfg!(debug_assertions),
            rounds: effort.rounds,
            quick: args.quick,
        },
        ..Report::default()
    };
    let sets = events::sets()?;
    let wanted = |name| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for subject in SUBJECTS.iter().filter(|subject| wanted(subject.name)) {
        eprintln!("measuring {} …", subject.name);
        (subject.run)(&sets, effort, &mut report).with_context(|| subject.name.to_owned())?;
    }
    println!("{}", report.table());
    if let Some(path) = &args.json {
        let mut json = serde_json::to_vec_pretty(&report)?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| path.display().to_string())?;
    }
    Ok(!args.bars || judged(&report, args.only.is_empty()))
}

/// Names every bar that is missed, and in a whole run every one that was not measured.
fn judged(report: &Report, whole: bool) -> bool {
    let mut good = true;
    for line in report.missed() {
        eprintln!(
            "missed: {} {}: {:.3}, bar {}",
            line.id,
            line.set,
            line.figure.value,
            line.bar.unwrap_or(f64::NAN)
        );
        good = false;
    }
    for id in report.unmeasured().filter(|_| whole) {
        eprintln!("not measured: {id}");
        good = false;
    }
    good
}
