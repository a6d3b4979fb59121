//! `ev-handler schema list`.

use std::io::Write;

use anyhow::Result;
use ev_core::Flavour;
use ev_schema::write_json;
use serde::Serialize;

use super::print_rows;
use super::sources::{From, Source};
use crate::config::Beside;
use crate::exit::Exit;
use crate::text::harmless;

/// List the versions whose schemas are at hand, or the event types of one
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// List the event types of this version: `18.0.0-dev`, or the label of an embedded one (`v18dev`)
    #[arg(value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    from: From,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Version {
    version: String,
    from: String,
    event_types: usize,
    schema_sha256: String,
}

#[derive(Serialize)]
struct Type {
    name: String,
    number: u32,
    /// What events carry as `event`, as far as it is known.
    events: &'static [&'static str],
    members: usize,
}

pub(super) fn run(args: &Args, beside: &Beside, out: &mut dyn Write) -> Result<Exit> {
    let sources = args.from.read(beside)?;
    let Some(version) = &args.version else {
        let versions: Vec<Version> = sources.0.iter().map(version_of).collect();
        if args.json {
            write_json(&versions, out)?;
            return Ok(Exit::Success);
        }
        let mut rows = vec![row(["VERSION", "EVENT TYPES", "SCHEMA", "FROM"])];
        rows.extend(versions.iter().map(|version| {
            let digest = version.schema_sha256.get(..12).unwrap_or_default();
            let types = version.event_types.to_string();
            row([&harmless(&version.version), &types, digest, &harmless(&version.from)])
        }));
        print_rows(&rows, out)?;
        return Ok(Exit::Success);
    };
    let source = sources.find(Some(version))?;
    let types = types_of(source);
    if args.json {
        write_json(&types, out)?;
        return Ok(Exit::Success);
    }
    let mut rows = vec![row(["TYPE", "NUMBER", "MEMBERS", "EVENT"])];
    rows.extend(types.iter().map(|event| {
        let (number, members) = (event.number.to_string(), event.members.to_string());
        row([&harmless(&event.name), &number, &members, &event.events.join(", ")])
    }));
    print_rows(&rows, out)?;
    Ok(Exit::Success)
}

fn version_of(source: &Source) -> Version {
    let digest = source.schema.schema_sha256();
    Version {
        version: source.schema.auth_version().to_string(),
        from: source.from.clone(),
        event_types: source.schema.events().len(),
        schema_sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn types_of(source: &Source) -> Vec<Type> {
    let schema = &source.schema;
    let types = schema.events().iter().map(|event| Type {
        name: event.name().to_owned(),
        number: event.number(),
        events: event.types(),
        members: schema.members(event, Flavour::Go).len(),
    });
    types.collect()
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
