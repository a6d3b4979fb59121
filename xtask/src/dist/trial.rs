//! Starts the programs, the foreign one in an emulator, and holds their answers against each other
//! and against what Go recorded.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::build::Built;
use super::sums;
use crate::root;

const LABEL: &str = "v18dev";
const VERSION: &str = "18.0.0-dev";

/// A program, and what starts it.
pub(crate) struct Runner<'a> {
    built: &'a Built,
    emulator: Option<&'a Path>,
    folder: &'a Path,
}

/// Recorded events: a line of base64 each, and the lines that have to come out.
pub(crate) struct Recorded {
    pub(crate) events: String,
    pub(crate) json: String,
}

/// Tries all that can be started here.
pub(crate) fn check(built: &[Built], emulator: Option<&Path>) -> Result<()> {
    let recorded = recorded()?;
    let folder = tempfile::tempdir()?;
    let mut digests = Vec::new();
    for one in built.iter().filter(|one| one.target.emulator.is_none() || emulator.is_some()) {
        let folder = folder.path().join(one.target.triple);
        fs::create_dir(&folder)?;
        let emulator = emulator.filter(|_| one.target.emulator.is_some());
        let runner = Runner { built: one, emulator, folder: &folder };
        let version = runner.run(&["version"], "")?;
        let first = format!("ev-handler v{} ", env!("CARGO_PKG_VERSION"));
        ensure!(version.starts_with(&first), "`version` prints {version:?}");
        ensure!(version.contains(VERSION), "`version` does not name the schema {VERSION}");
        let json = runner.run(&["decode", "--schema", LABEL], &recorded.events)?;
        ensure!(json == recorded.json, "{} decodes to other bytes", one.target.triple);
        let digest = runner.artifacts(&recorded)?;
        println!("{}: {} events, module {digest}", one.target.triple, json.lines().count());
        digests.push(digest);
    }
    ensure!(!digests.is_empty(), "no program could be started");
    digests.dedup();
    ensure!(digests.len() == 1, "the modules differ: {digests:?}");
    Ok(())
}

impl Runner<'_> {
    /// Builds a module and a table, signs them and decodes with one of them; the module's digest.
    ///
    /// In an emulator that is the table: a module has 100 ms of real time for a call, which an
    /// emulator does not keep on a machine that has more to do.
    fn artifacts(&self, recorded: &Recorded) -> Result<String> {
        let mut schema = Vec::new();
        let packed = root().join(format!("testdata/schema/{LABEL}/events.binpb.gz"));
        let file = fs::File::open(&packed).with_context(|| packed.display().to_string())?;
        GzDecoder::new(file).read_to_end(&mut schema)?;
        fs::write(self.folder.join("events.binpb"), schema)?;
        self.run(&["decoder", "keygen", "--out", "."], "")?;
        for kind in ["module", "table"] {
            let what = ["decoder", "build", "--kind", kind, "--descriptors", "events.binpb"];
            let to = ["--version", VERSION, "--out", kind];
            self.run(&[&what[..], &to].concat(), "")?;
            self.run(&["decoder", "sign", "--key", "decoder-key.pem", "--artifact", kind], "")?;
        }
        let with =
            if self.emulator.is_some() { ["--table", "table"] } else { ["--module", "module"] };
        let decode = [&["decode", "--trust", "decoder-trust.json"][..], &with].concat();
        let json = self.run(&decode, &recorded.events)?;
        ensure!(json == recorded.json, "`{}` decodes to other bytes", decode.join(" "));
        Ok(sums::hex(&fs::read(self.folder.join("module"))?))
    }

    fn run(&self, args: &[&str], input: &str) -> Result<String> {
        let mut command = match self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&self.built.program);
                command
            }
            None => Command::new(&self.built.program),
        };
        let output = output(command.args(args).current_dir(self.folder), input)?;
        ensure!(
            output.status.success(),
            "`ev-handler {}` of {} failed: {}",
            args.join(" "),
            self.built.target.triple,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Runs a command that is given a text, which lies in a file so that nobody waits for anybody.
pub(crate) fn output(command: &mut Command, input: &str) -> Result<Output> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, input.as_bytes())?;
    std::io::Seek::rewind(&mut file)?;
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::from(file)).output();
    output.with_context(|| format!("failed to start `{}`", program.display()))
}

/// The events of which Go made JSON.
pub(crate) fn recorded() -> Result<Recorded> {
    let path = root().join(format!("testdata/golden/{LABEL}.jsonl.gz"));
    let mut text = String::new();
    let file = fs::File::open(&path).with_context(|| path.display().to_string())?;
    GzDecoder::new(file).read_to_string(&mut text)?;
    let mut recorded = Recorded { events: String::new(), json: String::new() };
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        // What we do not decode, although Go does, has fields that the schema does not know.
        let known = line.get("unknown_wire_path").is_none();
        let (Some(event), Some(json), true) =
            (line["oneof"].as_str(), line["json"].as_str(), known)
        else {
            continue;
        };
        recorded.events.push_str(&format!("{event}\n"));
        recorded.json.push_str(&String::from_utf8(BASE64_STANDARD.decode(json)?)?);
        recorded.json.push('\n');
    }
    ensure!(recorded.json.len() > 1_000_000, "{} has few events", path.display());
    Ok(recorded)
}
