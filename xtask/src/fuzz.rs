//! `cargo xtask fuzz`: the targets for as long as wanted.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cargo, root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target; `--target list` names them
    #[arg(long)]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first mutation depends on it, and all others
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Guided by coverage, under libFuzzer; needs a C++ compiler
    #[arg(long)]
    guided: bool,
}

/// What the compiler is told so that libFuzzer sees which code an input reaches. All of it is
/// understood by the stable compiler.
const INSTRUMENT: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Longer inputs find little more, and the slow decoder recurses over them.
const MAX_LEN: usize = 4096;

/// Runs the targets; an error when one has a finding.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.target.as_deref() == Some("list") {
        return program(&["list".to_owned()]);
    }
    if args.guided {
        return guided(args);
    }
    let mut line = vec!["run".to_owned()];
    line.extend([format!("--seconds={}", args.seconds), format!("--seed={}", args.seed)]);
    line.extend(args.target.as_ref().map(|target| format!("--target={target}")));
    program(&line)
}

/// The arguments with which cargo runs the fuzzing program. Without `--package`, so that it is
/// built with the same features as for the tests.
pub(crate) fn command(line: &[&str]) -> Vec<String> {
    let run = ["cargo", "run", "--quiet", "--locked", "--bin", "ev-fuzz", "--"];
    run.iter().chain(line).map(|&word| word.to_owned()).collect()
}

fn program(line: &[String]) -> Result<()> {
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let command = command(&line);
    let status = cargo::command().args(&command[1..]).current_dir(root()).status()?;
    ensure!(status.success(), "there is a finding");
    Ok(())
}

fn guided(args: &Args) -> Result<()> {
    let host = host()?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
        .join("guided");
    // With a target of its own the flags are kept from build scripts and macros.
    let status = cargo::command()
        .args(["build", "--quiet", "--release", "--target", &host])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(root().join("fuzz/guided"))
        .env("RUSTFLAGS", INSTRUMENT.join(" "))
        .status()?;
    ensure!(status.success(), "failed to build the instrumented targets");
    let program = target_dir.join(&host).join("release/ev-fuzz-guided");
    let targets = match &args.target {
        Some(target) => vec![target.clone()],
        None => corpora()?,
    };
    for target in targets {
        // What is found goes to a folder of its own; the committed corpus is only read.
        let kept = target_dir.join("corpus").join(&target);
        std::fs::create_dir_all(&kept)?;
        println!("== {target}");
        let status = Command::new(&program)
            .env("EV_FUZZ_TARGET", &target)
            .arg(&kept)
            .arg(root().join("fuzz/corpus").join(&target))
            .arg(format!("-max_total_time={}", args.seconds))
            .arg(format!("-max_len={MAX_LEN}"))
            .arg(format!("-seed={}", args.seed))
            .args(["-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1"])
            .current_dir(&target_dir)
            .status()
            .context("failed to start the instrumented targets")?;
        ensure!(status.success(), "`{target}` has a finding");
    }
    Ok(())
}

fn corpora() -> Result<Vec<String>> {
    let folder: PathBuf = root().join("fuzz/corpus");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name the host")?.to_owned())
}
