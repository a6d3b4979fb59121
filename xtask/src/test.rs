//! `cargo xtask test`: everything that is tested, in one command.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::steps::Steps;
use crate::tools::{CHROMIUM, FLUENT_SERVER};
use crate::{dist, fuzz, tidy};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The long forms as well: millions of made-up events, minutes of fuzzing
    #[arg(long)]
    slow: bool,
}

/// Runs the tests and says whether all passed.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let mut steps = Steps::default();
    add(&mut steps)?;
    if args.slow {
        add_slow(&mut steps)?;
    }
    steps.report()
}

/// The long forms; each prints what it counted.
#[expect(clippy::disallowed_methods, reason = "a seed that nobody chose; it is printed")]
fn add_slow(steps: &mut Steps) -> Result<()> {
    let mut program = |name: &str, line: &[&str]| {
        let command = fuzz::command(line);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        steps.run(name, &command, &[])
    };
    program("transcoder against the oracles", &["differential", "--events=500000", "--seed=2"])?;
    program("guest against native", &["guest", "--events=50000", "--seed=2"])?;
    program("fuzz targets", &["run", "--seconds=120", "--seed=2"])?;
    let seeds = ["cargo", "test", "--locked", "-p", "ev-pipeline", "--test", "sim", "--"];
    let seeds = [&seeds[..], &["--ignored", "many_seeds", "--nocapture"]].concat();
    steps.run("seeds of the simulation", &seeds, &[("EV_SIM_SEEDS", "5000")])?;
    let properties = ["cargo", "test", "--locked", "-p", "ev-core", "-p", "ev-unstructured"];
    let of_state =
        ["-p", "ev-config", "-p", "ev-reference-state", "-p", "ev-state", "-p", "ev-shadow"];
    let of_peers = ["-p", "ev-locking", "-p", "ev-pipeline", "-p", "ev-source", "-p", "ev-tls"];
    let of_sinks = ["-p", "ev-sink-forward"];
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    println!("seed of the properties: {seed}");
    let environment = [("PROPTEST_RNG_SEED", seed.as_str()), ("PROPTEST_CASES", "5000")];
    steps.run(
        "properties, other cases",
        &[&properties[..], &of_state, &of_peers, &of_sinks].concat(),
        &environment,
    )?;
    // Alone, since it looks at the memory of its whole process.
    let bombs = ["cargo", "test", "--locked", "-p", "ev-wasm-host", "--test", "it", "--"];
    steps.run("memory bombs", &[&bombs[..], &["--ignored", "bombs"]].concat(), &[])?;
    dist::add_slow(steps)
}

/// The steps of the test command; the long way of `ci` contains them.
pub(crate) fn add(steps: &mut Steps) -> Result<()> {
    steps.check("the project's own rules", tidy::run)?;
    let mut found = Vec::new();
    for (variable, tool) in [("EV_FLUENT_SERVER", &FLUENT_SERVER), ("EV_CHROMIUM", &CHROMIUM)] {
        found.extend(steps.tool(tool).map(|path| (variable, path.to_string_lossy().into_owned())));
    }
    let found: Vec<_> = found.iter().map(|(variable, path)| (*variable, path.as_str())).collect();
    steps.run("tests", &["cargo", "test", "--no-fail-fast", "--locked"], &found)
}
