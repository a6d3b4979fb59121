//! `cargo xtask fuzz` and the long forms of `cargo xtask test --slow`, as a program so that they
//! can be built with optimisation.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a tool for the terminal")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use ev_fuzz::{Limit, differential, guest_against_native, pairs, run, targets, with_stack};

#[derive(Parser)]
#[command(name = "ev-fuzz", about = "Fuzz targets and differential tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the targets
    List,
    /// Run targets over their corpus and mutations of it
    Run {
        /// Only this target
        #[arg(long)]
        target: Option<String>,
        /// For so long each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The first mutation depends on it, and all others
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Compare the transcoder with the oracles on made-up events
    Differential {
        /// Events for each schema
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// The events depend on it
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Compare the module with the native decoder on made-up events
    Guest {
        /// Events for each schema
        #[arg(long, default_value_t = 20_000)]
        events: u64,
        /// The events depend on it
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> Result<()> {
    let command = Cli::parse().command;
    with_stack(|| match command {
        Command::List => {
            for target in targets() {
                println!("{:<10} {}", target.name, target.about);
            }
            Ok(())
        }
        Command::Run { target, seconds, seed } => fuzz(target.as_deref(), seconds, seed),
        Command::Differential { events, seed } => compare(events, seed),
        Command::Guest { events, seed } => guest(events, seed),
    })
}

#[expect(clippy::disallowed_methods, reason = "a tool that runs for a while")]
fn fuzz(only: Option<&str>, seconds: u64, seed: u64) -> Result<()> {
    let chosen: Vec<_> =
        targets().iter().filter(|target| only.is_none_or(|only| only == target.name)).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no target `{}`", only.unwrap_or_default());
    for target in chosen {
        let begun = Instant::now();
        let is_over = || begun.elapsed() >= Duration::from_secs(seconds);
        let report = run(target, seed, &Limit::Until(&is_over))?;
        println!(
            "{:<10} {:>4} of the corpus, {:>10} mutated, {:>8.0} a second, no finding",
            target.name,
            report.corpus,
            report.mutated,
            report.mutated as f64 / begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a tool that times what it does")]
fn compare(events: u64, seed: u64) -> Result<()> {
    for pair in pairs() {
        let begun = Instant::now();
        let counts = differential(pair, seed, 0, events)?;
        println!("{:<8} {:.0} s {counts:?}", pair.label, begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn guest(events: u64, seed: u64) -> Result<()> {
    for pair in pairs() {
        let compared = guest_against_native(pair, seed, 0, events).context(pair.label)?;
        println!("{:<8} {events} events, {compared} comparisons of guest and native", pair.label);
    }
    Ok(())
}
