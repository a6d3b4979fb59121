//! How long it takes until a decoder that was just received has decoded its first event.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use ev_core::{
    ArtifactKind, AuthVersion, Decoder, DecoderIdentity, Flavour, Mode, Outcome, Output, RawEvent,
    SignedArtifact, Timestamp,
};
use ev_decode::{NativeDecoder, Options, Table};
use ev_modules::{Expectation, Manifest, SigningKey, SizeLimits, Trust, Verified, sha256};
use ev_wasm_host::{
    CompiledModule, Limits, ModuleDecoder, ModuleHost, self_test, self_test_events,
};

use super::guest::{identity, module};
use super::{newest, newest_embedded};
use crate::bars::Unit;
use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::{self, Case, Effort};
use crate::stats::Figure;

/// A moment at which the signatures count.
const NOW: Timestamp = Timestamp::new(1_790_000_000, 0);

/// Loads again and again, each time from the bytes that were received.
pub(super) fn run(sets: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let received = Received::new()?;
    let event = first_event(sets)?;
    let fresh = Fresh::new()?;
    // Each way once outside the clock: what fails must not count as fast.
    received.load_module(&event)?;
    received.load_table(&event)?;
    fresh.decode(&event)?;
    let newest_embedded = newest_embedded();
    let cases = vec![
        Case::new("cold-load", || {
            assert!(received.load_module(&event).is_ok(), "it loaded before");
        }),
        Case::new("table-load", || {
            assert!(received.load_table(&event).is_ok(), "it loaded before");
        }),
        Case::new("fresh-instance", || {
            assert!(fresh.decode(&event).is_ok(), "a fresh instance decodes");
        }),
        Case::new("instance", || {
            assert!(black_box(fresh.instance()).is_ok(), "an instance was made before");
        }),
        Case::new("table-parse", || {
            assert!(black_box(Table::parse(newest_embedded.bytes)).is_ok(), "it was read before");
        }),
        Case::new("verify", || {
            let verified = received.verify(ArtifactKind::Module);
            assert!(black_box(verified).is_ok(), "it was verified before");
        }),
    ];
    let times = rounds::run(cases, effort.turns(3).wall());
    let figure = |name, per_second| Figure::least_of(times.of(name)).scaled(per_second);
    report.held("cold-load", "", figure("cold-load", 1e3));
    report.held("table-load", "", figure("table-load", 1e3));
    report.held("fresh-instance", "", figure("fresh-instance", 1e6));
    let mut told = |id, what: &str| {
        report.told(id, what, "", Unit::Microseconds, figure(id, 1e6));
    };
    told("instance", "fresh instance without an event");
    told("table-parse", "reading the table natively");
    told("verify", "envelope and digest of our module");
    Ok(())
}

/// Signed artifacts as they were received, and what the handler has ready for them.
#[derive(Debug)]
pub struct Received {
    module: SignedArtifact,
    table: SignedArtifact,
    trust: Trust,
    version: AuthVersion,
    reference: NativeDecoder,
    events: Vec<RawEvent>,
}

impl Received {
    /// A module and a table of the newest embedded schema, signed by a trusted key.
    ///
    /// # Errors
    ///
    /// When the module cannot be built or the system gives no key.
    pub fn new() -> Result<Self> {
        let key = SigningKey::generate()?;
        let table = newest();
        let sign = |kind, abi, payload: Vec<u8>| SignedArtifact {
            envelope: key
                .sign(&Manifest {
                    kind,
                    abi,
                    auth_version: table.auth_version().clone(),
                    schema_sha256: table.schema_sha256(),
                    sha256: sha256(&payload),
                    size: payload.len() as u64,
                    created: NOW,
                    key_id: key.key_id(),
                })
                .into(),
            payload: payload.into(),
        };
        Ok(Self {
            module: sign(ArtifactKind::Module, ev_core::abi::ABI_VERSION, module()?),
            table: sign(ArtifactKind::Table, Table::FORMAT, newest_embedded().bytes.to_vec()),
            trust: Trust::key(key.public_key()),
            version: table.auth_version().clone(),
            reference: NativeDecoder::native(newest(), Flavour::Go, Options::default()),
            events: self_test_events(),
        })
    }

    /// Envelope, digest, engine, compiling, self-test, first event.
    ///
    /// # Errors
    ///
    /// When any of it fails.
    pub fn load_module(&self, event: &RawEvent) -> Result<()> {
        let verified = self.verify(ArtifactKind::Module)?;
        let manifest = verified.manifest();
        let identity = DecoderIdentity {
            artifact_sha256: Some(manifest.sha256),
            ..identity(self.reference.transcoder().table())
        };
        let host = ModuleHost::new(Limits::default())?;
        let options = ev_wasm_host::Options::default();
        let decoder = host.compile(verified.payload())?.decoder(identity, options)?;
        self_test(&decoder, &self.reference, &self.events, true)?;
        first(&decoder, event)
    }

    /// Envelope, digest, reading the table, self-test, first event.
    ///
    /// # Errors
    ///
    /// When any of it fails.
    pub fn load_table(&self, event: &RawEvent) -> Result<()> {
        let verified = self.verify(ArtifactKind::Table)?;
        let manifest = verified.manifest();
        let table = Arc::new(Table::parse(verified.payload())?);
        ensure!(table.schema_sha256() == manifest.schema_sha256, "another schema");
        let decoder =
            NativeDecoder::from_artifact(table, Flavour::Go, Options::default(), manifest.sha256);
        self_test(&decoder, &self.reference, &self.events, true)?;
        first(&decoder, event)
    }

    fn verify(&self, kind: ArtifactKind) -> Result<Verified> {
        let artifact = match kind {
            ArtifactKind::Module => &self.module,
            ArtifactKind::Table => &self.table,
        };
        let expectation = Expectation {
            auth_version: &self.version,
            kinds: &[kind],
            module_abis: &[ev_core::abi::ABI_VERSION],
            table_formats: &[Table::FORMAT],
            limits: SizeLimits::default(),
            now: NOW,
        };
        Ok(ev_modules::verify(artifact, &self.trust, &expectation)?)
    }
}

/// A module that is compiled already, and of which instances are made.
#[derive(Debug)]
pub struct Fresh {
    compiled: CompiledModule,
    identity: DecoderIdentity,
}

impl Fresh {
    /// Compiles our module.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn new() -> Result<Self> {
        let compiled = ModuleHost::new(Limits::default())?.compile(&module()?)?;
        Ok(Self { compiled, identity: identity(&newest()) })
    }

    /// Makes an instance, decodes one event, and ends the instance.
    ///
    /// # Errors
    ///
    /// When any of it fails.
    pub fn decode(&self, event: &RawEvent) -> Result<()> {
        first(&self.instance()?, event)
    }

    /// Makes an instance.
    ///
    /// # Errors
    ///
    /// When the machine does not allow it.
    pub fn instance(&self) -> Result<ModuleDecoder> {
        let options = ev_wasm_host::Options::default();
        Ok(self.compiled.clone().decoder(self.identity.clone(), options)?)
    }
}

/// An ordinary event.
///
/// # Errors
///
/// When there is none.
pub fn first_event(sets: &[EventSet]) -> Result<RawEvent> {
    let events = sets.iter().find(|set| set.name == "mixed").map(EventSet::raw);
    let event = events.unwrap_or_default().into_iter().next();
    event.ok_or_else(|| anyhow::anyhow!("there is no event"))
}

fn first(decoder: &dyn Decoder, event: &RawEvent) -> Result<()> {
    let mut out = Output::with_buffer(Vec::with_capacity(2 * Bytes::len(&event.bytes)));
    decoder.decode(std::slice::from_ref(event), Mode::Strict, &mut out)?;
    ensure!(matches!(out.outcomes(), [Outcome::Decoded { .. }]), "the event is not decoded");
    black_box(out);
    Ok(())
}
