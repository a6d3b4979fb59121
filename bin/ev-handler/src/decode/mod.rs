//! `ev-handler decode`: base64 `OneOf` messages, or parked unstructured events, one a line, into
//! JSON.
//!
//! The operator's tool for parked events (it reads what `ev-handler parked export` writes), and the way to compare a module with the native decoder
//! on one's own data.

mod choose;
mod input;
mod lines;
mod report;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use ev_core::{Decoder, Flavour, Form, Mode, Outcome, Output};
use ev_unstructured::UnstructuredDecoder;

use self::report::Report;
use crate::exit::Exit;
use crate::printing::print;

/// Longest line that is read, in bytes: an event of 48 MiB, when the largest that Auth sends have
/// some 4 MiB. What has no line feeds, as a device or a wrong file, must not fill the memory.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Decode events given as base64, one a line
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// File with base64 `OneOf` messages, one a line, or with what `parked export` wrote; `-` or
    /// nothing reads stdin
    file: Option<PathBuf>,
    /// Embedded schema: a label (`v13`) or the Auth version it is of (`13.3.8`). With an artifact:
    /// the Auth version it must be for. Default: the newest embedded one, or the artifact's own
    #[arg(long, value_name = "VERSION")]
    schema: Option<String>,
    /// Shape of the JSON: `go` as Go's encoding/json writes it, `struct` as the unstructured APIs
    /// carry it
    #[arg(long, value_name = "go|struct", default_value = "go")]
    flavour: Flavour,
    /// For an event that the schema does not fully know, write the part that is known
    #[arg(long)]
    known_part: bool,
    /// Decode with this signed module; its envelope is read from FILE.dsse.json
    #[arg(long, value_name = "FILE", conflicts_with = "table", requires = "trust")]
    module: Option<PathBuf>,
    /// Decode with this signed table; its envelope is read from FILE.dsse.json
    #[arg(long, value_name = "FILE", requires = "trust")]
    table: Option<PathBuf>,
    /// Trust file with the public keys whose artifacts may be used
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Take a module that needs WASI, as those of Go do
    #[arg(long, requires = "module")]
    allow_wasi_modules: bool,
    /// Write a JSON object about each line instead of the event's JSON
    #[arg(long)]
    report: bool,
}

/// Decodes everything and says whether all lines were decoded.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let decoder = choose::decoder(args)?;
    let input: Box<dyn Read> = match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(file) => Box::new(
            File::open(file).with_context(|| format!("failed to open `{}`", file.display()))?,
        ),
        None => Box::new(std::io::stdin().lock()),
    };
    let mode = if args.known_part { Mode::KnownPart } else { Mode::Strict };
    let work = Work { decoder: &*decoder, mode, report: args.report };
    print(std::io::stdout().lock(), |out| {
        let failed =
            work.all(BufReader::new(input), BufWriter::new(out), std::io::stderr().lock())?;
        Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
    })
}

/// What is done with each line.
pub(crate) struct Work<'a> {
    pub(crate) decoder: &'a dyn Decoder,
    pub(crate) mode: Mode,
    pub(crate) report: bool,
}

impl Work<'_> {
    /// Returns the number of lines that gave no JSON.
    pub(crate) fn all(
        &self,
        input: impl std::io::BufRead,
        mut out: impl Write,
        mut errors: impl Write,
    ) -> Result<u64> {
        let mut failed = 0;
        for (number, line) in (1..).zip(lines::Lines::new(input, MAX_LINE_BYTES)) {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    // What was decoded before comes out before the complaint about this one.
                    out.flush()?;
                    return Err(error).with_context(|| format!("failed to read line {number}"));
                }
            };
            let report = self.one(number, &line);
            if self.report {
                serde_json::to_writer(&mut out, &report)?;
                out.write_all(b"\n")?;
            } else if let Some(json) = &report.json {
                out.write_all(json.as_bytes())?;
                out.write_all(b"\n")?;
            }
            if report.json.is_none() {
                failed += 1;
                if !self.report {
                    // What was decoded before comes out before the complaint about this one.
                    out.flush()?;
                    writeln!(errors, "line {number}: {report}")?;
                }
            }
        }
        out.flush()?;
        Ok(failed)
    }

    fn one(&self, number: u64, line: &[u8]) -> Report {
        let event = match input::event(line) {
            Ok(event) => event,
            Err(what) => return Report::unreadable(number, self.decoder.identity().kind, what),
        };
        let unstructured = UnstructuredDecoder::new();
        let decoder = match event.form {
            Form::OneOf => self.decoder,
            Form::Unstructured => &unstructured,
        };
        let by = decoder.identity().kind;
        let mut output = Output::default();
        let events = std::slice::from_ref(&event);
        if let Err(error) = decoder.decode(events, self.mode, &mut output) {
            return Report::failed(number, by, error.to_string());
        }
        let (json, outcomes) = output.into_parts();
        match outcomes.into_iter().next() {
            Some(outcome) => Report::new(number, by, &event, &json, outcome),
            None => Report::failed(number, by, "the decoder gave no answer".to_owned()),
        }
    }
}

/// The JSON of an outcome, if it has some.
fn json_span(outcome: &Outcome) -> Option<ev_core::Span> {
    match outcome {
        Outcome::Decoded { json, .. } => Some(*json),
        Outcome::Unknown { known, .. } => *known,
        Outcome::Malformed { .. } | Outcome::Unprintable { .. } => None,
    }
}

#[cfg(test)]
mod tests;
