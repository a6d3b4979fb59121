//! `cargo xtask test`: everything that is tested, in one command.

use anyhow::Result;

use crate::steps::Steps;
use crate::tidy;

#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the tests and says whether all passed.
pub(crate) fn run(_: &Args) -> Result<bool> {
    let mut steps = Steps::default();
    add(&mut steps)?;
    Ok(steps.report())
}

/// The steps of the test command; the long way of `ci` contains them.
pub(crate) fn add(steps: &mut Steps) -> Result<()> {
    steps.check("the project's own rules", tidy::run)?;
    steps.run("tests", &["cargo", "test", "--no-fail-fast", "--locked"], &[])
}
