//! The whole road on this machine: an Auth server, the real handler, a receiver, some 20,000
//! events whose JSON Teleport's own code has recorded, a crash, two upgrades and a damaged decoder
//! module. Shows what came of it.

mod build;
mod children;
mod handler;
mod plan;
mod report;
mod story;
mod verdict;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use self::verdict::Verdict;
use self::world::World;

/// Arguments of the demo.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
    /// Leave servers and files for exploring, and print what to do with them
    #[arg(long)]
    keep: bool,
}

/// Longest time for the whole story; a healthy run takes a small part of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the demo. Success means that every check has passed.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let programs = build::programs(args.json)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let mut world = World::new(programs, args.keep)?;
        let done = tokio::select! {
            biased;
            signal = interrupted() => signal.map(|()| None),
            done = tokio::time::timeout(PATIENCE, story::tell(&mut world, args.json)) => {
                done.context("the demo did not come to its end in time").flatten().map(Some)
            }
        };
        let result = conclude(&mut world, &args, done);
        world.clean_up().await;
        result
    })
}

/// Prints what came of it.
fn conclude(world: &mut World, args: &Args, done: Result<Option<Verdict>>) -> Result<ExitCode> {
    let verdict = match done {
        Ok(Some(verdict)) => verdict,
        Ok(None) => return Ok(ExitCode::from(INTERRUPTED)),
        Err(error) => {
            world.explain();
            return Err(error);
        }
    };
    report::print(&verdict, args.json);
    let passed = verdict.passed();
    if !passed {
        world.explain();
    }
    if args.keep {
        world.leave(args.json);
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("failed to catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to catch SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("failed to catch SIGHUP")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
