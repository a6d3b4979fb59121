//! `ev-handler schema diff`.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use ev_schema::{Changed, Difference, Member, write_json};
use serde::Serialize;

use super::sources::From;
use crate::config::Beside;
use crate::exit::Exit;
use crate::text::harmless;

/// Show what one version has and another has not
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The version before: `15.0.0-dev`, or the label of an embedded one (`v15dev`)
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The version after
    #[arg(value_name = "AFTER")]
    after: String,
    #[command(flatten)]
    from: From,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    before: &'a str,
    after: &'a str,
    #[serde(flatten)]
    difference: &'a Difference,
}

pub(super) fn run(args: &Args, beside: &Beside, out: &mut dyn Write) -> Result<Exit> {
    let sources = args.from.read(beside)?;
    let before = &sources.find(Some(&args.before))?.schema;
    let after = &sources.find(Some(&args.after))?.schema;
    let difference = &Difference::between(before, after);
    let (before, after) = (before.auth_version().as_str(), after.auth_version().as_str());
    if args.json {
        write_json(&Report { before, after, difference }, out)?;
    } else {
        print(before, after, difference, out)?;
    }
    Ok(Exit::Success)
}

fn print(before: &str, after: &str, difference: &Difference, out: &mut dyn Write) -> Result<()> {
    if difference.is_empty() {
        writeln!(out, "{before} and {after}: the JSON of all events is the same")?;
        return Ok(());
    }
    let Difference { added, removed, changed, .. } = difference;
    writeln!(
        out,
        "{before} to {after}: {} event types more, {} less, {} changed, which gain {} members",
        added.len(),
        removed.len(),
        changed.len(),
        difference.added_members()
    )?;
    names("new event types", '+', added, out)?;
    names("event types that are gone", '-', removed, out)?;
    let common = common(changed);
    if !common.is_empty() {
        writeln!(out, "\nin many event types:")?;
        for ((sign, member), count) in &common {
            writeln!(out, "  {sign} {}, in {count}", words(member))?;
        }
    }
    for changed in changed {
        print_changed(changed, &common, out)?;
    }
    Ok(())
}

/// What this many event types gain or lose is told once.
const MANY: usize = 5;

type Common<'a> = BTreeMap<(char, &'a Member), usize>;

fn common(changed: &[Changed]) -> Common<'_> {
    let mut counts = Common::new();
    for (sign, member) in changed.iter().flat_map(members) {
        *counts.entry((sign, member)).or_default() += 1;
    }
    counts.retain(|_, count| *count >= MANY);
    counts
}

fn members(changed: &Changed) -> impl Iterator<Item = (char, &Member)> {
    let added = changed.added.iter().map(|member| ('+', member));
    added.chain(changed.removed.iter().map(|member| ('-', member)))
}

fn words(member: &Member) -> String {
    format!("{}: {}, {}", harmless(&member.path), harmless(&member.kind), member.presence)
}

fn names(title: &str, sign: char, names: &[String], out: &mut dyn Write) -> Result<()> {
    if !names.is_empty() {
        writeln!(out, "\n{title}:")?;
        for name in names {
            writeln!(out, "  {sign} {}", harmless(name))?;
        }
    }
    Ok(())
}

fn print_changed(changed: &Changed, common: &Common<'_>, out: &mut dyn Write) -> Result<()> {
    let own: Vec<_> = members(changed).filter(|member| !common.contains_key(member)).collect();
    if own.is_empty() && changed.changed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}:", harmless(&changed.event))?;
    for (sign, member) in own {
        writeln!(out, "  {sign} {}", words(member))?;
    }
    for change in &changed.changed {
        writeln!(
            out,
            "  ~ {}: {}, {}; before {}, {}",
            harmless(&change.path),
            harmless(&change.kind),
            change.presence,
            harmless(&change.kind_before),
            change.presence_before
        )?;
    }
    Ok(())
}
