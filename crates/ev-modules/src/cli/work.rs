//! What the commands do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ev_core::{ArtifactKind, AuthVersion, SignedArtifact, Timestamp, abi};
use ev_decode::{CompileOptions, Table, compile_descriptor_set, compile_path};

use super::{Build, Command, DuplicateKeys, Keygen, Sign, Verify};
use crate::verify::{Expectation, SizeLimits};
use crate::{
    Claims, Error, MAX_ENVELOPE_BYTES, Manifest, SigningKey, TABLE_FORMAT, Trust, build_module,
    envelope_name, file, hex, layout, rfc3339, sha256, table_of_module, verify,
};

/// First bytes of a WebAssembly file.
const WASM_MAGIC: &[u8] = b"\0asm";
/// First bytes of a table.
const TABLE_MAGIC: &[u8] = b"ev-table";
/// Most that is read of one file: artifacts and descriptor sets have a few MiB.
const MAX_INPUT_BYTES: usize = 64 * 1024 * 1024;

/// Runs a command at a given time of the wall clock. Returns what to print.
///
/// # Errors
///
/// Whatever stands in the way; for `verify` the first check that was not passed.
pub fn run(command: &Command, now: SystemTime) -> Result<String, Error> {
    // A clock before 1970 is taken for 1970: keys that count from a later day on are then refused.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let now = Timestamp::new(seconds, since.subsec_nanos());
    match command {
        Command::Build(arguments) => build(arguments),
        Command::Keygen(arguments) => keygen(arguments),
        Command::Sign(arguments) => sign(arguments, now),
        Command::Verify(arguments) => verify_files(arguments, now),
        Command::Index(arguments) => super::index::index(arguments),
    }
}

fn build(arguments: &Build) -> Result<String, Error> {
    let schema = &arguments.schema;
    let (table, notes) =
        match (schema.proto.as_ref().or(schema.descriptors.as_ref()), &schema.table) {
            (Some(path), _) => {
                let version = arguments.version.as_deref().ok_or_else(|| {
                    invalid("`--version` is needed: the Auth version whose schema this is")
                })?;
                compile(path, &checked_version(version)?, arguments.duplicate_keys)?
            }
            (None, Some(path)) => (file::read_named(path, MAX_INPUT_BYTES)?, Vec::new()),
            (None, None) => return Err(invalid("no schema was given")),
        };
    let facts = TableFacts::of(&table)?;
    let artifact = make_artifact(arguments.kind.into(), table, arguments.template.as_deref())?;
    file::write(&arguments.out, &artifact, 0o644, arguments.force)?;
    let mut report = Report::default();
    report.line("wrote", arguments.out.display());
    report.line("kind", ArtifactKind::from(arguments.kind).as_str());
    report.line("size", artifact.len());
    report.line("sha256", hex::encode(&sha256(&artifact)));
    report.line("auth version", &facts.auth_version);
    report.line("schema sha256", hex::encode(&facts.schema_sha256));
    for note in notes {
        report.line("note", note);
    }
    Ok(report.text)
}

fn keygen(arguments: &Keygen) -> Result<String, Error> {
    let dir = &arguments.out;
    fs::create_dir_all(dir).map_err(|source| Error::Write { path: dir.clone(), source })?;
    let (key_path, trust_path) = (dir.join("decoder-key.pem"), dir.join("decoder-trust.json"));
    // Looked at before anything is written, so that no key is left without its trust file.
    for path in [&key_path, &trust_path] {
        if !arguments.force && path.exists() {
            return Err(Error::Exists { path: path.clone() });
        }
    }
    let key = SigningKey::generate()?;
    key.write(&key_path, arguments.force)?;
    let trust = key.trust_json(&arguments.comment);
    file::write(&trust_path, trust.as_bytes(), 0o644, arguments.force)?;
    let mut report = Report::default();
    report.line("key", key_path.display());
    report.line("trust file", trust_path.display());
    report.line("key id", key.key_id());
    Ok(report.text)
}

fn sign(arguments: &Sign, now: Timestamp) -> Result<String, Error> {
    let key = SigningKey::read(&arguments.key)?;
    let artifact = file::read_named(&arguments.artifact, MAX_INPUT_BYTES)?;
    let kind = kind_of(&artifact)
        .ok_or_else(|| invalid("the artifact is neither a table nor WebAssembly"))?;
    if arguments.kind.is_some_and(|named| ArtifactKind::from(named) != kind) {
        return Err(invalid(&format!("the artifact is a {}", kind.as_str())));
    }
    // The table is the artifact itself, stands in a module of our making, or is given beside it.
    let given = match &arguments.table {
        Some(path) => Some(file::read_named(path, MAX_INPUT_BYTES)?),
        None => None,
    };
    let table = match kind {
        ArtifactKind::Table => Some(&artifact[..]),
        ArtifactKind::Module => table_of_module(&artifact).or(given.as_deref()),
    };
    let facts = table.map(TableFacts::of).transpose()?;
    let schema_sha256 = match (&facts, &arguments.schema_sha256) {
        (Some(facts), None) => facts.schema_sha256,
        (None, Some(digest)) => hex::decode(digest)
            .ok_or_else(|| invalid("`--schema-sha256` is not 64 lower-case hex digits"))?,
        (Some(_), Some(_)) => {
            return Err(invalid("`--schema-sha256` is only for modules of other making"));
        }
        (None, None) => {
            return Err(invalid("a module of other making needs `--table` or `--schema-sha256`"));
        }
    };
    let auth_version = match (&arguments.version, &facts) {
        // Other schemas may look alike: what is signed for a version was built for it.
        (Some(version), Some(facts)) if *version != facts.auth_version.as_str() => {
            return Err(invalid(&format!(
                "the table was built for Auth {}: build it for {version}",
                facts.auth_version
            )));
        }
        (_, Some(facts)) => facts.auth_version.clone(),
        (Some(version), None) => checked_version(version)?,
        (None, None) => return Err(invalid("`--version` is needed")),
    };
    let created = match &arguments.created {
        None => Timestamp::new(now.seconds(), 0),
        Some(text) => {
            rfc3339::parse(text).ok_or_else(|| invalid("`--created` is no RFC 3339 time in UTC"))?
        }
    };
    let own_abi = match kind {
        ArtifactKind::Module => abi::ABI_VERSION,
        ArtifactKind::Table => TABLE_FORMAT,
    };
    let manifest = Manifest {
        kind,
        abi: arguments.abi.unwrap_or(own_abi),
        auth_version,
        schema_sha256,
        sha256: sha256(&artifact),
        size: artifact.len() as u64,
        created,
        key_id: key.key_id(),
    };
    let out = arguments.out.clone().unwrap_or_else(|| beside(&arguments.artifact));
    file::write(&out, &key.sign(&manifest), 0o644, arguments.force)?;
    let mut report = Report::default();
    report.line("wrote", out.display());
    report.manifest(&manifest);
    let name = layout::file_name(kind, manifest.abi);
    report.line("to be served as", format!("{}/{name}", manifest.auth_version));
    Ok(report.text)
}

fn verify_files(arguments: &Verify, now: Timestamp) -> Result<String, Error> {
    let trust = Trust::read(&arguments.trust)?;
    let envelope_path = arguments.envelope.clone().unwrap_or_else(|| beside(&arguments.artifact));
    let envelope = Bytes::from(file::read_named(&envelope_path, MAX_ENVELOPE_BYTES)?);
    let payload = Bytes::from(file::read_named(&arguments.artifact, MAX_INPUT_BYTES)?);
    // Without a version to expect, the one it names, which then proves nothing about it.
    let auth_version = match &arguments.version {
        Some(version) => checked_version(version)?,
        None => Claims::read(&envelope)
            .map_or_else(|| AuthVersion::new(""), |claims| claims.manifest.auth_version),
    };
    let verified = verify(
        &SignedArtifact { envelope, payload },
        &trust,
        &Expectation {
            auth_version: &auth_version,
            kinds: &[ArtifactKind::Table, ArtifactKind::Module],
            module_abis: &[abi::ABI_VERSION],
            table_formats: &[TABLE_FORMAT],
            limits: SizeLimits { module: MAX_INPUT_BYTES, table: MAX_INPUT_BYTES },
            now,
        },
    )?;
    let manifest = verified.manifest();
    // Only now may anything look inside.
    let inside = match manifest.kind {
        ArtifactKind::Table => Some(&verified.payload()[..]),
        ArtifactKind::Module => table_of_module(verified.payload()),
    };
    if let Some(table) = inside
        && TableFacts::of(table)?.schema_sha256 != manifest.schema_sha256
    {
        return Err(invalid("the artifact has another schema than its manifest says"));
    }
    let mut report = Report::default();
    report.line("verified", arguments.artifact.display());
    report.manifest(manifest);
    if let Some(schema) = &arguments.rebuild {
        let table = table_of_schema(arguments, schema, manifest)?;
        let rebuilt = make_artifact(manifest.kind, table, arguments.template.as_deref())?;
        if rebuilt != verified.payload()[..] {
            return Err(Error::NotReproduced {
                rebuilt: hex::encode(&sha256(&rebuilt)),
                signed: hex::encode(&manifest.sha256),
            });
        }
        report.line("rebuilt", "same bytes");
    }
    Ok(report.text)
}

/// A file that starts like a table is one; all else is for the compiler.
fn table_of_schema(arguments: &Verify, path: &Path, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    if path.is_file() {
        let bytes = file::read_named(path, MAX_INPUT_BYTES)?;
        if bytes.starts_with(TABLE_MAGIC) {
            return Ok(bytes);
        }
    }
    Ok(compile(path, &manifest.auth_version, arguments.duplicate_keys)?.0)
}

fn compile(
    path: &Path,
    version: &AuthVersion,
    duplicate_keys: DuplicateKeys,
) -> Result<(Vec<u8>, Vec<String>), Error> {
    let options = CompileOptions {
        duplicate_keys: duplicate_keys.into(),
        ..CompileOptions::new(version.as_str())
    };
    let compiled = if path.is_dir() {
        compile_path(path, &options)?
    } else {
        // Read here, where a pipe or a device is refused, which might never come to its end.
        compile_descriptor_set(&file::read_named(path, MAX_INPUT_BYTES)?, &options)?
    };
    Ok((compiled.table, compiled.notes))
}

fn make_artifact(
    kind: ArtifactKind,
    table: Vec<u8>,
    template: Option<&Path>,
) -> Result<Vec<u8>, Error> {
    match (kind, template) {
        (ArtifactKind::Table, _) => Ok(table),
        (ArtifactKind::Module, Some(path)) => {
            Ok(build_module(&file::read_named(path, MAX_INPUT_BYTES)?, &table)?)
        }
        (ArtifactKind::Module, None) => Ok(build_module(crate::template(), &table)?),
    }
}

/// What a table says of itself.
struct TableFacts {
    auth_version: AuthVersion,
    schema_sha256: [u8; 32],
}

impl TableFacts {
    fn of(table: &[u8]) -> Result<Self, Error> {
        let table = Table::parse(table)?;
        Ok(Self {
            auth_version: table.auth_version().clone(),
            schema_sha256: table.schema_sha256(),
        })
    }
}

fn kind_of(artifact: &[u8]) -> Option<ArtifactKind> {
    if artifact.starts_with(WASM_MAGIC) {
        Some(ArtifactKind::Module)
    } else if artifact.starts_with(TABLE_MAGIC) {
        Some(ArtifactKind::Table)
    } else {
        None
    }
}

fn checked_version(text: &str) -> Result<AuthVersion, Error> {
    let version = AuthVersion::new(text);
    match layout::version_dir(&version) {
        Some(_) => Ok(version),
        None => Err(invalid(&format!("`{text}` is no Auth version"))),
    }
}

fn beside(artifact: &Path) -> PathBuf {
    let name = artifact.file_name().unwrap_or_default().to_string_lossy();
    artifact.with_file_name(envelope_name(&name))
}

pub(super) fn invalid(message: &str) -> Error {
    Error::Invalid { message: message.to_owned() }
}

/// Lines of `name: value`.
#[derive(Default)]
pub(super) struct Report {
    pub(super) text: String,
}

impl Report {
    pub(super) fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text.push_str(&format!("{:<16} {value}\n", format!("{name}:")));
    }

    fn manifest(&mut self, manifest: &Manifest) {
        self.line("kind", manifest.kind.as_str());
        self.line("abi", manifest.abi);
        self.line("auth version", &manifest.auth_version);
        self.line("schema sha256", hex::encode(&manifest.schema_sha256));
        self.line("sha256", hex::encode(&manifest.sha256));
        self.line("size", manifest.size);
        self.line("created", manifest.created);
        self.line("key id", manifest.key_id);
    }
}
