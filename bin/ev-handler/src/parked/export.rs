//! `ev-handler parked export`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ev_core::ParkedId;
use ev_state::StateReader;

use super::Console;
use super::list::Sum;
use super::record::Record;
use super::select::{Filter, Selection};
use crate::config::Beside;
use crate::exit::Exit;
use crate::place::Place;

/// Events hold what people typed in terminals.
const FILE_MODE: u32 = 0o600;

/// Write parked events with their raw bytes to a file that `ev-handler decode` reads
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// File to write, for its owner only; `-` for stdout. One JSON object a line, with the raw
    /// bytes as base64. They hold what people typed in terminals
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Numbers of parked events, as `list` shows them; without any, all that the filters take
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<i64>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

pub(crate) fn run(args: &Args, beside: &Beside, console: &mut Console<'_>) -> Result<Exit> {
    let (storage, reader) = args.place.reader(beside)?;
    let selection = Selection { ids: args.ids.clone(), all: false, filter: args.filter.clone() };
    let ids = selection.ids(&reader, &storage, true)?;
    let (sum, to) = if args.file.as_os_str() == "-" {
        (write(&reader, &ids, &mut *console.out)?, "stdout".to_owned())
    } else {
        (to_file(args, &reader, &ids)?, format!("`{}`", args.file.display()))
    };
    writeln!(console.errors, "exported {sum}, to {to}")?;
    Ok(Exit::Success)
}

fn write(reader: &StateReader, ids: &[ParkedId], out: &mut dyn Write) -> Result<Sum> {
    let mut sum = Sum::default();
    for id in ids {
        // One that a running handler has delivered meanwhile is parked no more.
        let Some((facts, bytes)) = reader.parked_event(*id)? else { continue };
        let record =
            Record::new(&facts).with_event(facts.form, &bytes).with_bytes(facts.form, &bytes);
        serde_json::to_writer(&mut *out, &record)?;
        out.write_all(b"\n")?;
        sum.add(facts.size);
    }
    out.flush()?;
    Ok(sum)
}

/// Written beside its place and moved there when it is complete and on the disk, so that no half
/// file is ever taken for an export.
fn to_file(args: &Args, reader: &StateReader, ids: &[ParkedId]) -> Result<Sum> {
    let file = &args.file;
    let exists = || match file.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to examine `{}`", file.display())),
    };
    if !args.force && exists()? {
        bail!("`{}` is there already; `--force` writes over it", file.display());
    }
    if file.is_dir() {
        bail!("`{}` is a directory", file.display());
    }
    let part = part(file)?;
    let sum = fill(&part, reader, ids).and_then(|sum| {
        let moved = if args.force {
            std::fs::rename(&part, file)
        } else {
            // Fails if somebody has made it meanwhile, where a renaming would not.
            std::fs::hard_link(&part, file).and_then(|()| std::fs::remove_file(&part))
        };
        moved.with_context(|| format!("failed to put `{}` in its place", file.display()))?;
        Ok(sum)
    });
    if sum.is_err() {
        // Best effort: what is left of it is of no use to anybody.
        drop(std::fs::remove_file(&part));
    }
    sum
}

fn part(file: &Path) -> Result<PathBuf> {
    let Some(name) = file.file_name() else { bail!("`{}` is no file name", file.display()) };
    let mut name = name.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    Ok(file.with_file_name(name))
}

fn fill(part: &Path, reader: &StateReader, ids: &[ParkedId]) -> Result<Sum> {
    let failed = || format!("failed to write `{}`", part.display());
    let open = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(part);
    let mut out = BufWriter::new(open.with_context(failed)?);
    let sum = write(reader, ids, &mut out).with_context(failed)?;
    let file: File = out.into_inner().map_err(|error| error.into_error()).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    Ok(sum)
}
