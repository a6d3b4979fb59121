//! Chores of the project: `cargo xtask <chore>`. Each has a module of its own; this file only
//! hands over.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod api;
mod bench;
mod cargo;
mod ci;
mod codegen;
mod coverage;
mod decoder;
mod demo;
mod deploy;
mod direction;
mod dist;
mod fuzz;
mod pages;
mod steps;
mod supply;
mod tables;
mod template;
mod test;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the project")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the whole road on this machine and show what came of it
    Demo(demo::Args),
    /// Run all tests
    Test(test::Args),
    /// Measure against baselines and bars, in the release profile
    ///
    /// All cases take turns in one process, and one table of ratios is printed: each of the
    /// medians of five rounds, with their spread, beside its bar. A duration that stands by itself
    /// is the least of its rounds. A run takes some minutes once it is built. What one thread does is timed by that thread's processor time, loading and the
    /// pipeline by the wall clock.
    Bench(bench::Args),
    /// Run everything a change has to pass, and print how long each step took
    Ci,
    /// Feed hostile bytes to everything that reads them
    Fuzz(fuzz::Args),
    /// Check the project's own rules: direction of dependencies, front pages, coverage
    Tidy,
    /// Test what stands in `deploy/`: the chart, the units, the rules, the dashboard
    Deploy(deploy::Args),
    /// Write the generated gRPC code from `proto/`
    Codegen {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Write the pages of `docs/` that are made from tables: of the options, of the metrics
    #[command(alias = "configuration")]
    Pages {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Write what the library crates offer into `docs/api`
    Api {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Write `THIRD-PARTY-NOTICES.md` from what the packages say
    Notices {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Check licences, bans, sources, notices and packages
    Supply,
    /// Compile the embedded schema tables from `proto/`
    Tables {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Build the guest template that decoder modules are made of
    Template {
        /// Compare instead of writing
        #[arg(long)]
        check: bool,
    },
    /// Build what is handed to others: static programs, bills of materials, sums, the image
    Dist(dist::Args),
    /// Build, sign, verify and list decoder artifacts
    #[command(subcommand)]
    Decoder(decoder::Command),
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Demo(args) => demo::run(args),
        Chore::Test(args) => test::run(&args).map(exit_code),
        Chore::Deploy(args) => deploy::run(&args).map(exit_code),
        Chore::Bench(args) => bench::run(&args),
        Chore::Ci => ci::run().map(exit_code),
        Chore::Fuzz(args) => fuzz::run(&args).map(|()| ExitCode::SUCCESS),
        Chore::Tidy => tidy::run().map(|()| ExitCode::SUCCESS),
        Chore::Codegen { check } => codegen::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Pages { check } => pages::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Api { check } => api::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Notices { check } => supply::notices::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Supply => supply::run().map(exit_code),
        Chore::Tables { check } => tables::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Template { check } => template::run(check).map(|()| ExitCode::SUCCESS),
        Chore::Dist(args) => dist::run(&args).map(exit_code),
        Chore::Decoder(command) => decoder::run(command).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn exit_code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
