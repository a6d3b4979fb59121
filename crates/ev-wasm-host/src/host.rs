//! The engine, its clock, and the way from bytes to a compiled module.

use std::fmt;
use std::sync::Arc;

use ev_core::DecoderIdentity;
use wasmtime::{Config, Engine, InstancePre, Linker, Module, WasmFeatures};

use crate::admission::{self, Needs};
use crate::decoder::{ModuleDecoder, Options};
use crate::error::HostError;
use crate::instance::State;
use crate::limits::Limits;
use crate::ticker::Ticker;
use crate::usage::{CountedModule, Counts, Usage};
use crate::wasi;

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
    limits: Arc<Limits>,
    /// For modules that import WASI; without them none is admitted.
    wasi: Option<Arc<Limits>>,
    pub(crate) ticker: Ticker,
    pub(crate) counts: Arc<Counts>,
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
        Self::build(limits, None, |engine| engine.increment_epoch())
    }

    /// As [`ModuleHost::new`], and modules that import the functions of WASI preview 1 which a Go
    /// reactor needs are taken too, under limits of their own ([`Limits::wasi`] unless there is
    /// reason for others). The functions deny everything: no file, no network, no real clock, no
    /// chance.
    ///
    /// # Errors
    ///
    /// [`HostError::Engine`] when the machine does not allow it.
    pub fn with_wasi(limits: Limits, wasi: Limits) -> Result<Self, HostError> {
        Self::build(limits, Some(wasi), |engine| engine.increment_epoch())
    }

    fn build(
        limits: Limits,
        wasi: Option<Limits>,
        tick: impl Fn(&Engine) + Send + 'static,
    ) -> Result<Self, HostError> {
        let stack_bytes = wasi.as_ref().map_or(0, |wasi| wasi.stack_bytes).max(limits.stack_bytes);
        let engine =
            Engine::new(&config(stack_bytes)).map_err(|error| HostError::Engine(error.into()))?;
        let ticking = engine.clone();
        let ticker = Ticker::start(move || tick(&ticking))
            .map_err(|error| HostError::Engine(error.into()))?;
        let (limits, wasi) = (Arc::new(limits), wasi.map(Arc::new));
        let counts = Arc::default();
        Ok(Self { shared: Arc::new(Shared { engine, limits, wasi, ticker, counts }) })
    }

    /// What all guests of this host take up now.
    pub fn usage(&self) -> Usage {
        self.shared.counts.read()
    }

    /// Admits and compiles a module. Takes about a second per MiB of module: not for the path of
    /// events.
    ///
    /// # Errors
    ///
    /// A refusal for the first thing that is not as it must be, before anything is compiled; or
    /// [`HostError::Compile`].
    pub fn compile(&self, module: &[u8]) -> Result<CompiledModule, HostError> {
        let Shared { engine, limits, wasi, .. } = &*self.shared;
        let failed = |error: wasmtime::Error| HostError::Compile(error.into());
        let mut linker = Linker::new(engine);
        let limits = match admission::check(module, limits, wasi.as_deref())? {
            Needs::Nothing => limits,
            Needs::Wasi => {
                wasi::add_to(&mut linker).map_err(failed)?;
                wasi.as_ref().unwrap_or(limits)
            }
        };
        self.link(module, &linker, Arc::clone(limits))
    }

    /// Compiles what was admitted.
    fn link(
        &self,
        module: &[u8],
        linker: &Linker<State>,
        limits: Arc<Limits>,
    ) -> Result<CompiledModule, HostError> {
        let failed = |error: wasmtime::Error| HostError::Compile(error.into());
        let module = Module::new(&self.shared.engine, module).map_err(failed)?;
        let instances = linker.instantiate_pre(&module).map_err(failed)?;
        let counted = Arc::new(CountedModule::new(Arc::clone(&self.shared.counts)));
        let shared = Arc::clone(&self.shared);
        Ok(CompiledModule { shared, limits, instances, _counted: counted })
    }
}

/// A module that was admitted and compiled, and has not run yet.
#[derive(Clone)]
pub struct CompiledModule {
    pub(crate) shared: Arc<Shared>,
    /// Those that hold for this kind of module.
    pub(crate) limits: Arc<Limits>,
    pub(crate) instances: InstancePre<State>,
    _counted: Arc<CountedModule>,
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
fn config(stack_bytes: usize) -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all().difference(admission::FEATURES), false)
        .wasm_features(admission::FEATURES, true)
        .epoch_interruption(true)
        .max_wasm_stack(stack_bytes);
    config
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use ev_core::{AuthVersion, DecoderKind, Flavour, Form, Mode, Output, RawEvent};

    use super::*;

    /// What `OneOf { 3: { 1: { 3: "i" } } }` is, and an honest answer to it.
    const EVENT: &[u8] = &[26, 5, 10, 3, 26, 1, b'i'];
    const JSON: &str = r#"{"event":"","uid":"i","time":"0001-01-01T00:00:00Z","ei":0}"#;

    /// A decoder whose guest moves the clock itself, with each call of `tick`, and nobody else
    /// does. So time is counted in ticks, whatever the machine does meanwhile.
    fn decoder(decode: &str, limits: Limits) -> (ModuleDecoder, Arc<AtomicU64>) {
        let host = ModuleHost::build(limits.clone(), None, |_| ()).expect("an engine");
        let ticks = Arc::new(AtomicU64::new(0));
        let mut linker = Linker::new(&host.shared.engine);
        let (engine, counted) = (host.shared.engine.clone(), Arc::clone(&ticks));
        let tick = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            engine.increment_epoch();
        };
        linker.func_wrap("test", "tick", tick).expect("a new name");

        let header = ev_core::abi::Header {
            record_len: u32::try_from(64 + JSON.len()).expect("short"),
            status: 0,
            case: 3,
            at: 0,
            kind: ev_core::Span::default(),
            uid: ev_core::Span::new(6, 7),
            session: ev_core::Span::default(),
            nanos: 0,
            index: 0,
            seconds: -62_135_596_800,
        };
        let answer = [&header.to_bytes()[..], JSON.as_bytes()].concat();
        let data: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let packed = ev_core::abi::pack(4096, header.record_len);
        let module = wat::parse_str(format!(
            r#"(module (import "test" "tick" (func $tick)) (memory (export "memory") 1)
                (func (export "ev_abi_version") (result i32) i32.const 1)
                (func (export "ev_alloc") (param i32) (result i32) i32.const 1024)
                (func (export "ev_describe") (result i64) i64.const 0)
                (func (export "ev_error") (result i64) i64.const 0)
                (func (export "ev_decode_batch") (param i32 i32 i32) (result i64)
                    (local $n i32) {decode} (i64.const {packed}))
                (data (i32.const 4096) "{data}"))"#
        ))
        .expect("valid text");
        let module = host.link(&module, &linker, Arc::new(limits)).expect("a module");
        let identity = DecoderIdentity {
            kind: DecoderKind::Module,
            auth_version: AuthVersion::new("99.0.0"),
            schema_sha256: [0; 32],
            artifact_sha256: None,
            flavour: Flavour::Go,
        };
        (module.decoder(identity, Options::default()).expect("an instance"), ticks)
    }

    fn decode(decoder: &ModuleDecoder) -> Result<Vec<u8>, HostError> {
        let event = RawEvent { form: Form::OneOf, bytes: Bytes::from_static(EVENT) };
        let mut out = Output::default();
        decoder.try_decode(&[event], Mode::Strict, &mut out)?;
        Ok(out.json().to_vec())
    }

    /// 100 ms and 50 ms for the batch: 15 ticks of 10 ms.
    const ALLOWED_TICKS: u64 = 15;

    #[test]
    fn a_runaway_call_ends_within_its_deadline_and_two_ticks() {
        let (decoder, ticks) = decoder_of("(loop $l (call $tick) (br $l))");
        let error = decode(&decoder).expect_err("it never answers");
        assert!(matches!(error, HostError::Deadline { allowed_ms: 150 }), "{error:?}");
        assert_eq!(ticks.load(Ordering::Relaxed), ALLOWED_TICKS + 2);
        // The next call has all its time again, in an instance of its own.
        decode(&decoder).expect_err("it never answers");
        assert_eq!(ticks.load(Ordering::Relaxed), 2 * (ALLOWED_TICKS + 2));
        assert_eq!(decoder.instances_created(), 2);
    }

    /// Ticks so many times, then answers.
    fn slow(ticks: u64) -> String {
        format!(
            "(loop $l (call $tick) (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $n) (i32.const {ticks}))))"
        )
    }

    #[test]
    fn a_slow_answer_is_an_answer_until_its_time_is_over() {
        // The last tick ends no call that has nothing left to do but to return.
        let (decoder, _) = decoder_of(&slow(ALLOWED_TICKS + 2));
        for _ in 0..3 {
            assert_eq!(decode(&decoder).expect("in time"), format!("{JSON},").as_bytes());
        }
        assert_eq!(decoder.instances_created(), 1);
        let (decoder, _) = decoder_of(&slow(ALLOWED_TICKS + 3));
        assert!(matches!(decode(&decoder), Err(HostError::Deadline { .. })));
    }

    fn decoder_of(decode: &str) -> (ModuleDecoder, Arc<AtomicU64>) {
        decoder(decode, Limits::default())
    }

    #[test]
    fn time_grows_with_the_bytes_of_a_batch() {
        let limits = Limits {
            call_time: Duration::from_millis(30),
            call_time_per_mib: Duration::ZERO,
            ..Limits::default()
        };
        let (decoder, ticks) = decoder("(loop $l (call $tick) (br $l))", limits);
        assert!(matches!(decode(&decoder), Err(HostError::Deadline { allowed_ms: 30 })));
        assert_eq!(ticks.load(Ordering::Relaxed), 3 + 2);
    }
}
