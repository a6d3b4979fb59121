//! Which decoder the arguments ask for.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use ev_core::{ArtifactKind, AuthVersion, Decoder, Env as _, SignedArtifact, abi};
use ev_decode::{EmbeddedTable, NativeDecoder, Options};
use ev_modules::{Claims, Expectation, Load as _, Trust, verify};
use ev_pipeline::TokioEnv;

use super::Args;
use crate::loading::{Loader, TABLE_FORMATS};

pub(super) fn decoder(args: &Args) -> Result<Arc<dyn Decoder>> {
    let embedded = ev_decode::embedded();
    let (kind, file) = match (&args.module, &args.table) {
        (Some(file), _) => (ArtifactKind::Module, file),
        (None, Some(file)) => (ArtifactKind::Table, file),
        (None, None) => {
            let table = match &args.schema {
                Some(version) => find(&embedded, version)?,
                None => embedded.last().context("no schema is embedded")?,
            };
            let decoder =
                NativeDecoder::native(table.table.clone(), args.flavour, Options::default());
            return Ok(Arc::new(decoder));
        }
    };
    // clap asks for it; this is for whoever calls the library.
    let trust = args.trust.as_deref().context("an artifact needs `--trust FILE`")?;
    // A label stands for its version; any other version is taken as it is.
    let wanted = args.schema.as_deref().map(|text| match find(&embedded, text) {
        Ok(table) => table.table.auth_version().clone(),
        Err(_) => AuthVersion::new(text),
    });
    artifact(kind, file, trust, wanted, args, &embedded)
}

fn find<'a>(embedded: &'a [EmbeddedTable], version: &str) -> Result<&'a EmbeddedTable> {
    let is_it = |table: &&EmbeddedTable| {
        table.label == version || table.table.auth_version().as_str() == version
    };
    embedded.iter().find(is_it).ok_or_else(|| {
        let known: Vec<String> = embedded
            .iter()
            .map(|table| format!("`{}` ({})", table.label, table.table.auth_version()))
            .collect();
        anyhow!("there is no embedded schema `{version}`; there are {}", known.join(", "))
    })
}

/// The same checks as in the running handler: signature, digest, self-test.
fn artifact(
    kind: ArtifactKind,
    file: &Path,
    trust: &Path,
    wanted: Option<AuthVersion>,
    args: &Args,
    embedded: &[EmbeddedTable],
) -> Result<Arc<dyn Decoder>> {
    let trust = Trust::read(trust)?;
    let limits = Loader::size_limits(args.allow_wasi_modules);
    let artifact = SignedArtifact {
        payload: read(file, limits.of(kind))?,
        envelope: read(&beside(file), ev_modules::MAX_ENVELOPE_BYTES)?,
    };
    let version = match wanted {
        Some(version) => version,
        // Not verified yet: `verify` refuses it if it is not what was signed.
        None => {
            Claims::read(&artifact.envelope)
                .with_context(|| format!("`{}` is no envelope", beside(file).display()))?
                .manifest
                .auth_version
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let now = runtime.block_on(async { TokioEnv::new().now() });
    let expectation = Expectation {
        auth_version: &version,
        kinds: &[kind],
        module_abis: &[abi::ABI_VERSION],
        table_formats: &TABLE_FORMATS,
        limits,
        now,
    };
    let refused = || format!("artifact `{}` is refused", file.display());
    let verified = verify(&artifact, &trust, &expectation).with_context(refused)?;
    let reference = embedded.first().context("no schema is embedded")?;
    let options = Options::default();
    let reference = NativeDecoder::native(reference.table.clone(), args.flavour, options);
    let reference = Arc::new(reference);
    let loader = Loader::new(args.flavour, options, reference, args.allow_wasi_modules)?;
    loader.load(verified).with_context(refused)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".dsse.json");
    name.into()
}

/// Reads a plain file. A pipe or a device might never come to its end.
fn read(file: &Path, max: usize) -> Result<Bytes> {
    let name = || format!("failed to read `{}`", file.display());
    let metadata = std::fs::metadata(file).with_context(name)?;
    if !metadata.is_file() {
        bail!("`{}` is not a plain file", file.display());
    }
    let size = metadata.len();
    if size > max as u64 {
        bail!("`{}` has {size} bytes, at most {max} are taken", file.display());
    }
    // It may grow while it is read.
    let mut bytes = Vec::new();
    let opened = File::open(file).with_context(name)?;
    opened.take(max as u64 + 1).read_to_end(&mut bytes).with_context(name)?;
    if bytes.len() > max {
        bail!("`{}` has more than {max} bytes, at most so many are taken", file.display());
    }
    Ok(bytes.into())
}
