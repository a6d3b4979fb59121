//! `ev-handler schema show`.

use std::io::Write;

use anyhow::{Context, Result, bail};
use ev_core::Flavour;
use ev_schema::{Event, Schema, write_json};

use super::print_rows;
use super::sources::From;
use crate::config::Beside;
use crate::exit::Exit;
use crate::text::harmless;

/// Show the members of an event type with an example, or its JSON Schema
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Event type: `user.login`, `UserLogin`, or `#1` for the number; with `--json` all of them when
    /// left out
    #[arg(value_name = "TYPE", required_unless_present = "json")]
    event: Option<String>,
    /// Auth version; the newest one at hand when left out
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Shape of the JSON: `go` as Go's encoding/json writes it, `struct` as the unstructured APIs
    /// carry it
    #[arg(long, value_name = "go|struct", default_value = "go")]
    flavour: Flavour,
    #[command(flatten)]
    from: From,
    /// JSON Schema (draft 2020-12) instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, beside: &Beside, out: &mut dyn Write) -> Result<Exit> {
    let sources = args.from.read(beside)?;
    let schema = &sources.find(args.version.as_deref())?.schema;
    let Some(name) = &args.event else {
        write_json(&schema.bundle(args.flavour), out)?;
        return Ok(Exit::Success);
    };
    let Some(event) = schema.find(name) else {
        let version = schema.auth_version();
        bail!(
            "version {version} has no event type `{name}`; `ev-handler schema list {version}` \
             lists those it has"
        );
    };
    if args.json {
        write_json(&schema.json_schema(event, args.flavour), out)?;
    } else {
        print(schema, event, args.flavour, out)?;
    }
    Ok(Exit::Success)
}

fn print(schema: &Schema, event: &Event, flavour: Flavour, out: &mut dyn Write) -> Result<()> {
    let (name, version) = (harmless(event.name()), schema.auth_version());
    writeln!(out, "{name} of Teleport {version}, flavour `{flavour}`, number {}", event.number())?;
    if !event.types().is_empty() {
        writeln!(out, "event: {}", event.types().join(", "))?;
    }
    writeln!(out)?;
    let mut rows = vec![["MEMBER", "THERE", "TYPE"].map(str::to_owned).to_vec()];
    rows.extend(schema.members(event, flavour).into_iter().map(|member| {
        vec![harmless(&member.path), member.presence.to_string(), harmless(&member.kind)]
    }));
    print_rows(&rows, out)?;
    let example: serde_json::Value =
        serde_json::from_str(&schema.example(event, flavour)).context("the example is no JSON")?;
    writeln!(out, "\nexample, its keys in alphabetical order:")?;
    Ok(write_json(&example, out)?)
}
