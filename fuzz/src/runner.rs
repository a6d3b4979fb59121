//! Runs a target over its corpus and mutations of it.

use std::panic::{self, AssertUnwindSafe};

use anyhow::{Result, bail};
use ev_oracle::{Choices, minimise};

use crate::corpus;
use crate::differential::hex;
use crate::targets::Target;

/// When to stop.
pub enum Limit<'a> {
    /// After so many mutations; the same seed then always runs the same inputs.
    Executions(u64),
    /// When this says so; it is asked every few hundred executions.
    Until(&'a dyn Fn() -> bool),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inputs of the corpus.
    pub corpus: u64,
    /// Mutated inputs.
    pub mutated: u64,
}

/// Feeds the corpus to the target, then mutations of it.
///
/// # Errors
///
/// The corpus cannot be read, or the target panicked: with the smallest input found that does
/// that, in hex.
pub fn run(target: &Target, seed: u64, limit: &Limit<'_>) -> Result<Report> {
    let inputs = corpus::read(target)?;
    let mut report = Report::default();
    for input in &inputs {
        one(target, input)?;
        report.corpus += 1;
    }
    loop {
        match limit {
            Limit::Executions(most) if report.mutated >= *most => return Ok(report),
            Limit::Until(is_over) if report.mutated % 256 == 0 && is_over() => return Ok(report),
            _ => {}
        }
        let mut choices =
            Choices::seeded(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(report.mutated));
        let input = (target.make)(&inputs, &mut choices);
        one(target, &input)?;
        report.mutated += 1;
    }
}

fn one(target: &Target, input: &[u8]) -> Result<()> {
    let Err(message) = caught(target, input) else { return Ok(()) };
    // One report of a panic is enough: the search for a smaller input makes hundreds.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let smallest = minimise(input, |input| caught(target, input).is_err());
    panic::set_hook(hook);
    bail!("target `{}`: {message}\nsmallest input: {}", target.name, hex(&smallest))
}

/// The message of a panic.
fn caught(target: &Target, input: &[u8]) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}
