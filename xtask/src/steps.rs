//! Runs commands one after the other, shows their output as it comes, and remembers how long each
//! took and how many tests it ran.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cargo;
use crate::tools::{self, State, Tool};

/// Tests as counted by the runners' own closing lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// How often something was left out for want of a tool.
    pub(crate) skipped: u64,
    /// The tools that were missing.
    pub(crate) missing: BTreeSet<String>,
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

    /// Finds a tool or brings it here. When it cannot be had, this prints `skipped: <tool>` with
    /// the reason and counts it; the caller leaves its step out, and the run fails at the end unless
    /// `docs/coverage.md` lists the tool.
    pub(crate) fn tool(&mut self, tool: &Tool) -> Option<PathBuf> {
        match tools::ensure(tool) {
            State::Found(path) => Some(path),
            State::Missing(reason) => {
                println!("\nskipped: {} ({reason})", tool.name);
                self.totals.skip(tool.name);
                None
            }
        }
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

    /// Prints the table and says whether all is well: each step passed, and no tool was missing
    /// but those that are known not to be had.
    pub(crate) fn report(&self) -> Result<bool> {
        println!("\n{:<34} {:>8}", "step", "seconds");
        for Step { name, took, passed } in &self.done {
            let verdict = if *passed { "" } else { "  FAILED" };
            println!("{name:<34} {:>8.1}{verdict}", took.as_secs_f64());
        }
        let all: Duration = self.done.iter().map(|step| step.took).sum();
        println!("{:<34} {:>8.1}", "all", all.as_secs_f64());
        let Totals { passed, failed, ignored, skipped, missing } = &self.totals;
        println!("\n{passed} passed, {failed} failed, {} skipped", ignored + skipped);
        let listed = if missing.is_empty() { Vec::new() } else { tools::cannot_be_had()? };
        let mut well = self.done.iter().all(|step| step.passed);
        for tool in missing {
            if listed.contains(tool) {
                println!("skipped: {tool}, as listed in docs/coverage.md");
            } else {
                println!("skipped: {tool}, which is not on the list of what cannot be had: FAILED");
                well = false;
            }
        }
        Ok(well)
    }
}

impl Totals {
    fn skip(&mut self, tool: &str) {
        self.skipped += 1;
        self.missing.insert(tool.to_owned());
    }

    /// Counts a line like `test result: ok. 8 passed; 0 failed; 0 ignored; …` of a Rust program, or
    /// `--- PASS: TestName (0.00s)` of a Go program, whose subtests are indented and belong to it.
    ///
    /// A test that cannot run for want of a tool writes `skipped: <tool>` as a line of its own,
    /// past the capturing of its runner, which takes it for passed.
    fn count(&mut self, line: &str) {
        if let Some(tool) = line.strip_prefix("skipped: ") {
            return self.skip(tool.split(' ').next().unwrap_or(tool));
        }
        match line.split_once(": Test").map(|(verdict, _)| verdict) {
            Some("--- PASS") => self.passed += 1,
            Some("--- FAIL") => self.failed += 1,
            Some("--- SKIP") => self.ignored += 1,
            _ => {}
        }
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
        assert_eq!(totals, Totals { passed: 10, failed: 3, ignored: 1, ..Totals::default() });
    }

    #[test]
    fn counts_what_go_says() {
        let mut totals = Totals::default();
        totals.count("=== RUN   TestConfigMap");
        totals.count("    --- PASS: TestConfigMap/snapshot (0.10s)");
        totals.count("--- PASS: TestConfigMap (0.10s)");
        totals.count("--- FAIL: TestIssuer (0.10s)");
        totals.count("--- SKIP: TestRules (0.00s)");
        totals.count("ok  \texample.org/tests\t1.2s");
        assert_eq!(totals, Totals { passed: 1, failed: 1, ignored: 1, ..Totals::default() });
    }

    #[test]
    fn counts_what_was_left_out_for_want_of_a_tool() {
        let mut totals = Totals::default();
        totals.count("skipped: chromium");
        totals.count("skipped: chromium (no such package)");
        totals.count("test page ... ok");
        assert_eq!(totals.skipped, 2);
        assert_eq!(totals.missing.into_iter().collect::<Vec<_>>(), ["chromium"]);
    }

    #[test]
    fn a_tool_that_is_missing_fails_the_run_unless_it_is_listed() {
        let none = Tool {
            name: "a tool that nobody lists",
            program: "no such program",
            how: tools::How::Made(|_| anyhow::bail!("there is none")),
        };
        let mut steps = Steps::default();
        assert!(steps.report().unwrap());
        assert_eq!(steps.tool(&none), None);
        assert!(!steps.report().unwrap());
    }
}
