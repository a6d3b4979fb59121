//! A schema twice: as a table for the transcoder, as descriptors for the oracles.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, Result, bail, ensure};
use ev_core::{Facts, Flavour, Mode};
use ev_decode::{Answer, CompileOptions, Options, Scratch, Table, Transcoder};
use ev_oracle::{Event, Generator, Refused, Schema, Verdict};
use protox::Compiler;
use protox::file::{ChainFileResolver, GoogleFileResolver, IncludeFileResolver};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It has JSON.
    Decoded,
    /// The schema lacks something of it.
    Unknown,
    /// Go would not print it.
    Unprintable,
    /// Nobody reads it.
    Malformed,
}

/// A table and the oracles of the same schema.
#[derive(Debug)]
pub struct Pair {
    /// What the schema is called.
    pub label: &'static str,
    /// The table's bytes.
    pub table_bytes: Vec<u8>,
    /// The table.
    pub table: Arc<Table>,
    /// Makes events of it.
    pub generator: Generator,
    schema: Schema,
    go: Transcoder,
    form: Transcoder,
}

/// The recorded schemas, and the made-up one with every form of field.
pub fn pairs() -> &'static [Pair] {
    static PAIRS: LazyLock<Vec<Pair>> =
        LazyLock::new(|| load().expect("the schemas of the repository are good"));
    &PAIRS
}

fn load() -> Result<Vec<Pair>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pairs = Vec::new();
    for embedded in ev_decode::embedded() {
        let path = root.join(format!("testdata/schema/{}/events.binpb.gz", embedded.label));
        let set = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let mut schema = Schema::new(&set)?;
        if embedded.label == "v15dev" {
            schema = schema.cutting_equal_keys();
        }
        pairs.push(Pair::new(embedded.label, embedded.bytes.to_vec(), schema)?);
    }
    let set = made_up(&root)?;
    let compiled = ev_decode::compile_descriptor_set(&set, &CompileOptions::new("0.0.1"))?;
    ensure!(compiled.notes.is_empty(), "{:?}", compiled.notes);
    pairs.push(Pair::new("made-up", compiled.table, Schema::new(&set)?)?);
    Ok(pairs)
}

/// The descriptor set of `fuzz/schema`.
fn made_up(root: &Path) -> Result<Vec<u8>> {
    let include = |path: &str| -> PathBuf { root.join(path) };
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(include("fuzz/schema")));
    resolver.add(IncludeFileResolver::new(include("proto/teleport/v18dev")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file("teleport/legacy/types/events/events.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

impl Pair {
    fn new(label: &'static str, table_bytes: Vec<u8>, schema: Schema) -> Result<Self> {
        let table = Arc::new(Table::parse(&table_bytes)?);
        let transcoder = |flavour| Transcoder::new(table.clone(), flavour, Options::default());
        Ok(Self {
            label,
            generator: Generator::new(&schema),
            go: transcoder(Flavour::Go),
            form: transcoder(Flavour::Struct),
            table,
            table_bytes,
            schema,
        })
    }

    /// Decodes the event in all flavours and modes and compares with the slow decoder.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn check(&self, scratch: &mut Scratch, event: &[u8]) -> Result<Class> {
        let verdict = self.schema.slow(event);
        let mut class = None;
        for (transcoder, mode) in [
            (&self.go, Mode::Strict),
            (&self.go, Mode::KnownPart),
            (&self.form, Mode::Strict),
            (&self.form, Mode::KnownPart),
        ] {
            let flavour = transcoder.flavour();
            let mut out = b"before".to_vec();
            let answer = transcoder.decode_one(scratch, event, mode, &mut out);
            let json = out.strip_prefix(b"before").context("the bytes in front changed")?;
            let found = compare(transcoder, mode, event, &verdict, &answer, json)
                .with_context(|| format!("{} {flavour:?} {mode:?}: {answer:?}", self.label))?;
            class = class.or(Some(found));
        }
        class.context("no mode was tried")
    }

    /// Compares with prost-reflect and its writer, for events as gogo encodes them; says whether
    /// prost took the event.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn check_reflect(&self, scratch: &mut Scratch, event: &[u8]) -> Result<bool> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let answer = self.go.decode_one(scratch, event, Mode::Strict, &mut ours);
        match (self.schema.reflect(event, &mut theirs), answer) {
            (Err(Refused::Decode { .. }), _) => return Ok(false),
            (Ok(()), Answer::Decoded(_)) => {
                ensure!(ours == theirs, "reflect: {}\nours: {}", shown(&theirs), shown(&ours));
            }
            (Err(Refused::Unprintable { .. }), Answer::Unprintable { .. })
            | (Err(Refused::Time | Refused::NoCase), Answer::Malformed { .. }) => {}
            // A time is looked at only after an unprintable value in front of it.
            (Err(Refused::Unprintable { .. }), Answer::Malformed { .. }) => {}
            (refused, answer) => bail!("{}: reflect {refused:?}, ours {answer:?}", self.label),
        }
        Ok(true)
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn compare(
    transcoder: &Transcoder,
    mode: Mode,
    event: &[u8],
    verdict: &Verdict,
    answer: &Answer,
    json: &[u8],
) -> Result<Class> {
    let expected = |known: &Event| match transcoder.flavour() {
        Flavour::Go => known.go.clone(),
        Flavour::Struct => known.structured.clone(),
    };
    let class = match (verdict, answer) {
        (Verdict::Malformed, Answer::Malformed { at, .. }) => {
            ensure!(*at as usize <= event.len(), "the trouble lies outside of the event");
            ensure!(json.is_empty(), "something was written");
            Class::Malformed
        }
        (
            Verdict::Unknown { at, path, event: known },
            Answer::Unknown { at: ours, facts, known: printed },
        ) => {
            ensure!(*at == *ours as usize, "unknown at {at}, ours at {ours}");
            let our_path = transcoder.path(event, *ours);
            let same = *path == our_path || our_path.ends_with('…');
            ensure!(same, "{path}, ours {our_path}");
            ensure!(known.is_some() == facts.is_some(), "one knows the type: {known:?}");
            let known_json = known.as_ref().and_then(expected);
            let known_json = known_json.filter(|_| mode == Mode::KnownPart);
            ensure!(*printed == known_json.is_some(), "one wrote the known part");
            same_json(known_json.as_deref().unwrap_or_default(), json)?;
            if let (Some(known), Some(facts)) = (known, facts) {
                same_facts(known, facts, event, *printed)?;
            }
            Class::Unknown
        }
        (Verdict::Known(known), Answer::Decoded(facts)) => {
            let known_json = expected(known).context("the oracle does not print this")?;
            same_json(&known_json, json)?;
            same_facts(known, facts, event, true)?;
            Class::Decoded
        }
        (Verdict::Known(known), Answer::Unprintable { at, facts, .. }) => {
            ensure!(*at as usize <= event.len(), "the trouble lies outside of the event");
            if let Some(known_json) = expected(known) {
                bail!("the oracle prints this: {}", shown(&known_json));
            }
            ensure!(json.is_empty(), "something was written");
            same_facts(known, facts.as_ref().context("no facts")?, event, false)?;
            Class::Unprintable
        }
        _ => bail!("the oracle says {verdict:?}"),
    };
    if !json.is_empty() {
        is_json(json)?;
    }
    Ok(class)
}

fn same_json(theirs: &[u8], ours: &[u8]) -> Result<()> {
    ensure!(theirs == ours, "the JSON differs\noracle: {}\nours:   {}", shown(theirs), shown(ours));
    Ok(())
}

/// Valid UTF-8 and one JSON object. What nests deeper than the reader goes is left to the
/// comparison of bytes.
pub(crate) fn is_json(json: &[u8]) -> Result<()> {
    std::str::from_utf8(json)?;
    ensure!(json.starts_with(b"{") && json.ends_with(b"}"), "no object: {}", shown(json));
    match serde_json::from_slice::<serde_json::Value>(json) {
        Err(error) if !error.to_string().starts_with("recursion limit exceeded") => {
            bail!("{error}: {}", shown(json))
        }
        _ => Ok(()),
    }
}

fn same_facts(known: &Event, facts: &Facts, event: &[u8], printed: bool) -> Result<()> {
    ensure!(known.case == facts.case, "case {}", known.case);
    ensure!(known.kind == facts.kind.of(event), "type {}", shown(&known.kind));
    ensure!(known.uid == facts.uid.of(event), "uid {}", shown(&known.uid));
    ensure!(known.session == facts.session.of(event), "session {}", shown(&known.session));
    ensure!(known.index == facts.index, "index {}", known.index);
    let time = ev_core::Timestamp::new(known.time.0, known.time.1);
    ensure!(time == facts.time, "time {time}");
    let digest = known.go.as_ref().filter(|_| printed && known.uid.is_empty());
    let digest = digest.map(|go| ev_modules::sha256(go));
    ensure!(digest == facts.digest, "digest {digest:?}");
    Ok(())
}
