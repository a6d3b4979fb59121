//! Turns artifacts that passed all checks of trust into decoders.

use std::sync::Arc;

use ev_core::{ArtifactKind, Decoder, DecoderIdentity, DecoderKind, Flavour, RawEvent};
use ev_decode::{NativeDecoder, Options, Table};
use ev_modules::{Load, LoadError, SizeLimits, Verified};
use ev_wasm_host::{Limits, ModuleHost, self_test, self_test_events};

use crate::novelty::Novelties;

/// Table formats that the native decoder reads.
pub(crate) const TABLE_FORMATS: [u32; 1] = [Table::FORMAT];

/// Makes decoders: tables run natively, modules confined. Both have to agree with a decoder that
/// is known to be right before they are used.
pub(crate) struct Loader {
    host: ModuleHost,
    flavour: Flavour,
    options: Options,
    reference: Arc<dyn Decoder>,
    events: Vec<RawEvent>,
    novelties: Novelties,
}

impl Loader {
    /// `reference` is the decoder that others are compared with; any embedded table does, because
    /// the built-in events are known to all of them. `allow_wasi` takes modules of other
    /// toolchains too.
    pub(crate) fn new(
        flavour: Flavour,
        options: Options,
        reference: Arc<dyn Decoder>,
        allow_wasi: bool,
    ) -> anyhow::Result<Self> {
        let host = if allow_wasi {
            ModuleHost::with_wasi(Limits::default(), Limits::wasi())?
        } else {
            ModuleHost::new(Limits::default())?
        };
        Ok(Self {
            host,
            flavour,
            options,
            reference,
            events: self_test_events(),
            novelties: Novelties::default(),
        })
    }

    /// What may be received, before it is known what it is.
    pub(crate) fn size_limits(allow_wasi: bool) -> SizeLimits {
        if allow_wasi { SizeLimits::default().with_wasi() } else { SizeLimits::default() }
    }

    fn decoder(&self, verified: &Verified) -> Result<Arc<dyn Decoder>, LoadError> {
        let manifest = verified.manifest();
        match manifest.kind {
            ArtifactKind::Table => {
                let table = Table::parse(verified.payload())
                    .map_err(|error| failed("the table cannot be read", error))?;
                if table.schema_sha256() != manifest.schema_sha256 {
                    return Err(LoadError::new("the table is not the schema its manifest names"));
                }
                if *table.auth_version() != manifest.auth_version {
                    let message = format!("the table is of version {}", table.auth_version());
                    return Err(LoadError::new(message));
                }
                Ok(Arc::new(NativeDecoder::from_artifact(
                    Arc::new(table),
                    self.flavour,
                    self.options,
                    manifest.sha256,
                )))
            }
            ArtifactKind::Module => {
                let identity = DecoderIdentity {
                    kind: DecoderKind::Module,
                    auth_version: manifest.auth_version.clone(),
                    schema_sha256: manifest.schema_sha256,
                    artifact_sha256: Some(manifest.sha256),
                    flavour: self.flavour,
                };
                let options = ev_wasm_host::Options { login: self.options.login };
                let decoder = self
                    .host
                    .compile(verified.payload())
                    .and_then(|module| module.decoder(identity, options))
                    .map_err(|error| failed("the module cannot be used", error))?;
                Ok(Arc::new(decoder))
            }
        }
    }
}

impl Load for Loader {
    fn load(&self, verified: Verified) -> Result<Arc<dyn Decoder>, LoadError> {
        let decoder = self.decoder(&verified)?;
        let reference = self.reference.identity();
        let same_schema = verified.manifest().schema_sha256 == reference.schema_sha256;
        self_test(&*decoder, &*self.reference, &self.events, same_schema)
            .map_err(|error| failed("the self-test failed", error))?;
        self.novelties.tell(&verified);
        Ok(decoder)
    }
}

fn failed(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> LoadError {
    LoadError { message: what.to_owned(), source: Some(Box::new(error)) }
}
