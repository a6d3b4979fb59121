//! `cargo xtask ci`: what a change has to pass.

use anyhow::Result;

use crate::steps::Steps;
use crate::{api, codegen, deploy, dist, pages, supply, tables, template, test};

/// Runs all steps and says whether all passed.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::default();
    steps.run("format", &["cargo", "fmt", "--all", "--check"], &[])?;
    test::add(&mut steps)?;
    // The benches too, which nothing else here compiles.
    let clippy = ["cargo", "clippy", "--locked", "--workspace", "--exclude", "ev-decoder-module"];
    let clippy = [&clippy[..], &["--all-targets", "--", "-D", "warnings"]].concat();
    steps.run("clippy", &clippy, &[])?;
    // As `cargo install` sees it: without the features that tests ask of shared dependencies.
    steps.run("the program alone", &["cargo", "check", "--locked", "-p", "ev-handler"], &[])?;
    let guest = ["cargo", "clippy", "--locked", "-p", "ev-decoder-module", "--target"];
    let guest = [&guest[..], &["wasm32-unknown-unknown", "--", "-D", "warnings"]].concat();
    steps.run("clippy of the guest", &guest, &[])?;
    let doc = ["cargo", "doc", "--locked", "--no-deps"];
    steps.run("documentation", &doc, &[("RUSTDOCFLAGS", "-D warnings")])?;
    steps.check("generated gRPC code", || codegen::run(true))?;
    steps.check("pages made from tables", || pages::run(true))?;
    steps.check("embedded schema tables", || tables::run(true))?;
    steps.check("guest template", || template::run(true))?;
    deploy::add(&mut steps)?;
    steps.check("public API", || api::run(true))?;
    supply::add(&mut steps)?;
    dist::add(&mut steps)?;
    steps.run("demo", &["cargo", "xtask", "demo"], &[])?;
    steps.report()
}
