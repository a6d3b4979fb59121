//! What this project is made of and what it gives on: licences, notices, packages.

mod deny;
mod expression;
pub(crate) mod notices;
mod package;
mod texts;

use anyhow::Result;

use crate::steps::Steps;

/// Runs the steps and says whether all passed.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::default();
    add(&mut steps)?;
    steps.report()
}

/// The steps of `ci`.
pub(crate) fn add(steps: &mut Steps) -> Result<()> {
    deny::add(steps)?;
    steps.check("third-party notices", || notices::run(true))?;
    steps.check("packages", package::check)
}
