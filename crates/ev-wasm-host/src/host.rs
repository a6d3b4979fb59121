//! The engine, its clock, and the way from bytes to a compiled module.

use std::fmt;
use std::sync::Arc;

use ev_core::DecoderIdentity;
use wasmtime::{Config, Engine, InstancePre, Linker, Module, WasmFeatures};

use crate::admission;
use crate::decoder::{ModuleDecoder, Options};
use crate::error::HostError;
use crate::instance::State;
use crate::limits::Limits;
use crate::ticker::Ticker;

/// Compiles modules and keeps the clock of their deadlines. One per process is enough; clones
/// share it, and the clock's thread ends with the last of them and of the decoders.
///
/// ```no_run
/// use ev_core::{AuthVersion, Decoder, DecoderIdentity, DecoderKind, Flavour, Mode, Output};
/// use ev_wasm_host::{Limits, ModuleHost, Options, self_test, self_test_events};
///
/// # fn load(native: &dyn Decoder) -> Result<(), Box<dyn std::error::Error>> {
/// let verified = std::fs::read("module-abi1.wasm")?; // after its envelope was checked
/// let identity = DecoderIdentity {
///     kind: DecoderKind::Module,
///     auth_version: AuthVersion::new("18.1.0"),
///     schema_sha256: [0; 32],   // from the envelope
///     artifact_sha256: None,
///     flavour: Flavour::Go,
/// };
/// let host = ModuleHost::new(Limits::default())?;
/// let decoder = host.compile(&verified)?.decoder(identity, Options::default())?;
/// self_test(&decoder, native, &self_test_events(), false)?;
///
/// let mut out = Output::default();
/// decoder.decode(&self_test_events(), Mode::Strict, &mut out)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ModuleHost {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) ticker: Ticker,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl ModuleHost {
    /// Starts the engine and its clock.
    ///
    /// # Errors
    ///
    /// [`HostError::Engine`] when the machine does not allow it.
    pub fn new(limits: Limits) -> Result<Self, HostError> {
        let engine =
            Engine::new(&config(&limits)).map_err(|error| HostError::Engine(error.into()))?;
        let ticking = engine.clone();
        let ticker = Ticker::start(move || ticking.increment_epoch())
            .map_err(|error| HostError::Engine(error.into()))?;
        Ok(Self { shared: Arc::new(Shared { engine, limits, ticker }) })
    }

    /// Admits and compiles a module. Takes about a second per MiB of module: not for the path of
    /// events.
    ///
    /// # Errors
    ///
    /// A refusal for the first thing that is not as it must be, before anything is compiled; or
    /// [`HostError::Compile`].
    pub fn compile(&self, module: &[u8]) -> Result<CompiledModule, HostError> {
        admission::check(module, &self.shared.limits)?;
        let failed = |error: wasmtime::Error| HostError::Compile(error.into());
        let module = Module::new(&self.shared.engine, module).map_err(failed)?;
        let instances =
            Linker::new(&self.shared.engine).instantiate_pre(&module).map_err(failed)?;
        Ok(CompiledModule { shared: Arc::clone(&self.shared), instances })
    }
}

/// A module that was admitted and compiled, and has not run yet.
#[derive(Clone)]
pub struct CompiledModule {
    pub(crate) shared: Arc<Shared>,
    pub(crate) instances: InstancePre<State>,
}

impl fmt::Debug for CompiledModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledModule").finish_non_exhaustive()
    }
}

impl CompiledModule {
    /// A decoder backed by this module. A first instance is made, to see whether it can be and
    /// speaks our ABI.
    ///
    /// `identity` is what the signed manifest says; its flavour is the one asked of the module.
    ///
    /// # Errors
    ///
    /// [`HostError::Instantiate`], [`HostError::AbiVersion`], or those of a guest that fails.
    pub fn decoder(
        self,
        identity: DecoderIdentity,
        options: Options,
    ) -> Result<ModuleDecoder, HostError> {
        ModuleDecoder::new(self, identity, options)
    }
}

/// Everything off that our modules do not need: what is not enabled has no bugs.
fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all().difference(admission::FEATURES), false)
        .wasm_features(admission::FEATURES, true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes);
    config
}
