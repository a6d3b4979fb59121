//! `ev-handler parked show`.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_core::ParkedId;

use super::Console;
use super::record::Record;
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;

/// Show everything about one parked event, or its raw bytes
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Number of the event, as `list` shows it
    #[arg(value_name = "ID")]
    pub(crate) id: i64,
    /// Write the raw bytes to stdout and nothing else. They hold what people typed in terminals.
    /// As base64 they are what `ev-handler decode` reads
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true,
          default_missing_value = "base64", conflicts_with = "json")]
    pub(crate) raw: Option<Raw>,
    /// The facts as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How raw bytes are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Base64,
    Hex,
}

pub(crate) fn run(args: &Args, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    let (storage, reader) = args.place.reader(beside)?;
    let Some((facts, bytes)) = reader.parked_event(ParkedId(args.id))? else {
        bail!(
            "there is no parked event {} in `{}` (`ev-handler parked list` shows those there are)",
            args.id,
            storage.display()
        );
    };
    let record = || Record::new(&facts).with_event(facts.form, &bytes);
    let text = match args.raw {
        Some(Raw::Base64) => format!("{}\n", STANDARD.encode(&bytes)),
        Some(Raw::Hex) => {
            let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push('\n');
            text
        }
        None if args.json => format!("{}\n", serde_json::to_string(&record())?),
        None => record().lines(),
    };
    console.out.write_all(text.as_bytes())?;
    Ok(Exit::Success)
}
