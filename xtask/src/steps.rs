//! Runs commands one after the other, shows their output as it comes, and remembers how long each
//! took and how many tests it ran.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo;

/// Tests as counted by the runners' own closing lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

struct Step {
    name: String,
    took: Duration,
    passed: bool,
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
    totals: Totals,
}

impl Steps {
    /// Runs a command from the root of the workspace. A step that fails does not stop the others:
    /// whoever waits for a long run wants to know everything that is wrong.
    pub(crate) fn run(&mut self, name: &str, command: &[&str], env: &[(&str, &str)]) -> Result<()> {
        println!("\n== {name}: {}", command.join(" "));
        self.timed(name, |totals| {
            let mut child = cargo::clean(Command::new(command[0]))
                .args(&command[1..])
                .envs(env.iter().copied())
                .current_dir(crate::root())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("failed to start `{}`", command[0]))?;
            let output = child.stdout.take().context("the child's output is piped")?;
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&line)?;
                stdout.write_all(b"\n")?;
                totals.count(&String::from_utf8_lossy(&line));
            }
            Ok(child.wait()?.success())
        })
    }

    /// Runs a check that is part of this program.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        self.timed(name, |_| match check() {
            Ok(()) => Ok(true),
            Err(error) => {
                println!("{error:#}");
                Ok(false)
            }
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a tool that times real commands")]
    fn timed(&mut self, name: &str, work: impl FnOnce(&mut Totals) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        let passed = work(&mut self.totals)?;
        self.done.push(Step { name: name.to_owned(), took: begun.elapsed(), passed });
        Ok(())
    }

    /// Prints the table and says whether all is well.
    pub(crate) fn report(&self) -> bool {
        println!("\n{:<34} {:>8}", "step", "seconds");
        for Step { name, took, passed } in &self.done {
            let verdict = if *passed { "" } else { "  FAILED" };
            println!("{name:<34} {:>8.1}{verdict}", took.as_secs_f64());
        }
        let all: Duration = self.done.iter().map(|step| step.took).sum();
        println!("{:<34} {:>8.1}", "all", all.as_secs_f64());
        let Totals { passed, failed, ignored } = self.totals;
        println!("\n{passed} passed, {failed} failed, {ignored} skipped");
        self.done.iter().all(|step| step.passed)
    }
}

impl Totals {
    /// Counts a line like `test result: ok. 8 passed; 0 failed; 0 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        let counts = rest.split_once(". ").map_or("", |(_, counts)| counts);
        for part in counts.split("; ") {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_runner_says() {
        let mut totals = Totals::default();
        totals.count("test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        totals.count("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured");
        totals.count("running 8 tests");
        assert_eq!(totals, Totals { passed: 10, failed: 3, ignored: 1 });
    }
}
