//! Each target over its corpus and a number of mutations: the same ones in every run.

use ev_fuzz::{Limit, run, targets, with_stack};

const SEED: u64 = 1;

fn check(name: &str, executions: u64) {
    let target = targets().iter().find(|target| target.name == name).expect("a target");
    let report = with_stack(|| run(target, SEED, &Limit::Executions(executions)));
    let report = report.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.corpus > 1, "{report:?}");
    assert_eq!(report.mutated, executions);
}

#[test]
fn wire() {
    check("wire", 3_000);
}

#[test]
fn table() {
    check("table", 1_500);
}

#[test]
fn answer() {
    check("answer", 20_000);
}

#[test]
fn envelope() {
    check("envelope", 4_000);
}

#[test]
fn trust() {
    check("trust", 20_000);
}

#[test]
fn identity() {
    check("identity", 5_000);
}

#[test]
fn config() {
    check("config", 1_000);
}

#[test]
fn audit() {
    check("audit", 20_000);
}
