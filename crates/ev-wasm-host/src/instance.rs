//! One instance of a module: its memory, its functions, and one guarded call.

use ev_core::abi::{self, CallFlags};
use ev_core::{BoxError, Output, RawEvent};
use wasmtime::{
    InstancePre, Memory, ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc,
    WasmParams, WasmResults,
};

use crate::answer;
use crate::error::HostError;
use crate::limits::Limits;
use crate::ticker::Ticker;
use crate::usage::CountedInstance;
use crate::wasi;

/// Longest text of a refused batch that is looked at, in bytes.
const MAX_REFUSAL: u32 = 512;
/// Longest description of a module, in bytes: about 200 event names of the newest schema are 8 KiB.
const MAX_DESCRIPTION: u32 = 1 << 20;

/// Buffers are asked for in multiples of this many bytes.
const BUFFER_STEP: u32 = 4 << 10;

/// What belongs to one instance inside wasmtime.
#[derive(Debug)]
pub(crate) struct State {
    limits: StoreLimits,
    /// When the clock of deadlines last heard of a call: see [`Ticker::begin`].
    announced: u64,
    /// More memory was asked for than there may be, since the last call.
    memory_refused: bool,
    counted: CountedInstance,
    /// Size of the memory before it was last allowed to grow.
    memory_before: usize,
    /// What a module that imports WASI gets for a clock, in nanoseconds.
    pub(crate) clock: u64,
}

impl State {
    fn new(limits: &Limits, counted: CountedInstance) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .table_elements(limits.table_elements)
            .instances(1)
            .tables(limits.tables)
            .memories(1)
            .build();
        Self { limits, announced: 0, memory_refused: false, counted, memory_before: 0, clock: 0 }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        self.memory_refused |= !granted;
        self.memory_before = self.counted.memory_bytes();
        if granted {
            self.counted.set_memory_bytes(desired);
        }
        Ok(granted)
    }

    /// The system did not give what the limits allowed.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_refused = true;
        self.counted.set_memory_bytes(self.memory_before);
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

/// An instance that has not misbehaved so far. After any error it must not be used again.
pub(crate) struct Instance {
    store: Store<State>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    decode: TypedFunc<(u32, u32, u32), i64>,
    describe: TypedFunc<(), i64>,
    error: TypedFunc<(), i64>,
    /// What `ev_alloc` gave last: it stays valid until the next one, so most calls need none.
    buffer: Buffer,
    events: u64,
}

/// A buffer of the guest's.
#[derive(Clone, Copy, Default)]
struct Buffer {
    address: u32,
    len: u32,
}

impl Instance {
    /// Instantiates, initialises, and asks for the ABI version.
    pub(crate) fn new(
        module: &InstancePre<State>,
        limits: &Limits,
        ticker: &Ticker,
        counted: CountedInstance,
    ) -> Result<Self, HostError> {
        let refused = |error: wasmtime::Error| HostError::Instantiate(error.into());
        let mut store = Store::new(module.module().engine(), State::new(limits, counted));
        store.limiter(|state| state);
        let ticks = Ticker::ticks(limits.call_time);
        store.set_epoch_deadline(ticks);
        ticker.begin(ticks, &mut store.data_mut().announced);
        let instance = module.instantiate(&mut store).map_err(refused)?;
        let memory = instance
            .get_memory(&mut store, abi::EXPORT_MEMORY)
            .ok_or(HostError::MissingExport { name: abi::EXPORT_MEMORY })?;
        // The types were compared before the module was compiled; this finds them again.
        let mut this = Self {
            alloc: instance.get_typed_func(&mut store, abi::EXPORT_ALLOC).map_err(refused)?,
            decode: instance
                .get_typed_func(&mut store, abi::EXPORT_DECODE_BATCH)
                .map_err(refused)?,
            describe: instance.get_typed_func(&mut store, abi::EXPORT_DESCRIBE).map_err(refused)?,
            error: instance.get_typed_func(&mut store, abi::EXPORT_ERROR).map_err(refused)?,
            store,
            memory,
            buffer: Buffer::default(),
            events: 0,
        };
        if instance.get_func(&mut this.store, abi::EXPORT_INITIALIZE).is_some() {
            let initialize: TypedFunc<(), ()> = instance
                .get_typed_func(&mut this.store, abi::EXPORT_INITIALIZE)
                .map_err(refused)?;
            call(&mut this.store, &initialize, (), 0, limits, ticker)?;
        }
        let version: TypedFunc<(), u32> =
            instance.get_typed_func(&mut this.store, abi::EXPORT_ABI_VERSION).map_err(refused)?;
        match call(&mut this.store, &version, (), 0, limits, ticker)? {
            abi::ABI_VERSION => Ok(this),
            found => Err(HostError::AbiVersion { found }),
        }
    }

    /// Whether the instance has served its time.
    pub(crate) fn is_spent(&self, limits: &Limits) -> bool {
        self.events >= limits.recycle_events
            || self.store.data().counted.memory_bytes() > limits.recycle_memory_bytes
    }

    /// Appends one outcome per event to `out`; after an error, what is in `out` is of no use.
    pub(crate) fn decode(
        &mut self,
        events: &[RawEvent],
        flags: CallFlags,
        limits: &Limits,
        ticker: &Ticker,
        out: &mut Output,
    ) -> Result<(), HostError> {
        let bytes = || events.iter().map(|event| &*event.bytes);
        let too_long = HostError::NoBuffer { bytes: u32::MAX };
        let Some(len) = abi::batch_len(bytes()) else { return Err(too_long) };
        let size = len as usize;

        let address = self.buffer_for(len, limits, ticker)?;
        let buffer = place(self.memory.data_mut(&mut self.store), address, len);
        let written = buffer.is_some_and(|buffer| abi::write_batch(bytes(), buffer));
        if !written {
            return Err(outside(address, len));
        }

        let parameters = (address, len, flags.to_bits());
        let packed = call(&mut self.store, &self.decode, parameters, size, limits, ticker)?;
        if packed == 0 {
            return Err(self.refusal(limits, ticker));
        }
        let answer = self.answer(packed, limits.answer_bytes)?;
        answer::read(answer, events, flags, limits.json_scan, out)?;
        self.events = self.events.saturating_add(events.len() as u64);
        Ok(())
    }

    /// The address of a buffer of at least `len` bytes.
    fn buffer_for(&mut self, len: u32, limits: &Limits, ticker: &Ticker) -> Result<u32, HostError> {
        if self.buffer.len >= len {
            return Ok(self.buffer.address);
        }
        self.buffer = Buffer::default();
        let mut alloc = |len| call(&mut self.store, &self.alloc, len, len as usize, limits, ticker);
        // Somewhat more, so that batches of about the same size share a buffer; or what is needed.
        let more = len.checked_next_multiple_of(BUFFER_STEP).unwrap_or(len);
        let (address, len) = match alloc(more)? {
            0 => (alloc(len)?, len),
            address => (address, more),
        };
        if address == 0 {
            return Err(HostError::NoBuffer { bytes: len });
        }
        self.buffer = Buffer { address, len };
        Ok(address)
    }

    /// What the module says of itself: JSON, unverified.
    pub(crate) fn describe(
        &mut self,
        limits: &Limits,
        ticker: &Ticker,
    ) -> Result<String, HostError> {
        let packed = call(&mut self.store, &self.describe, (), 0, limits, ticker)?;
        let text = self.answer(packed, MAX_DESCRIPTION as usize)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Why the guest refused a batch; or what went wrong in asking.
    fn refusal(&mut self, limits: &Limits, ticker: &Ticker) -> HostError {
        let packed = match call(&mut self.store, &self.error, (), 0, limits, ticker) {
            Ok(packed) => packed,
            Err(error) => return error,
        };
        match self.answer(packed, MAX_REFUSAL as usize) {
            Ok(text) => {
                HostError::Refused { text: answer::printable(&String::from_utf8_lossy(text)) }
            }
            Err(error) => error,
        }
    }

    /// The bytes that a packed pointer names.
    fn answer(&self, packed: i64, limit: usize) -> Result<&[u8], HostError> {
        let (address, len) = abi::unpack(packed);
        if len as usize > limit {
            return Err(HostError::AnswerPlace { address, len, problem: "is too long" });
        }
        let start = address as usize;
        start
            .checked_add(len as usize)
            .and_then(|end| self.memory.data(&self.store).get(start..end))
            .ok_or_else(|| outside(address, len))
    }
}

/// One call under a deadline that fits `bytes` of events.
///
/// Takes the parts of an instance and not the whole: a copy of a function costs as much as a call.
fn call<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    function: &TypedFunc<P, R>,
    parameters: P,
    bytes: usize,
    limits: &Limits,
    ticker: &Ticker,
) -> Result<R, HostError> {
    let allowed = limits.time_for(bytes);
    store.data_mut().memory_refused = false;
    let ticks = Ticker::ticks(allowed);
    store.set_epoch_deadline(ticks);
    ticker.begin(ticks, &mut store.data_mut().announced);
    let result = function.call(&mut *store, parameters);
    result.map_err(|error| match error.downcast_ref() {
        Some(Trap::Interrupt) => HostError::Deadline { allowed_ms: allowed.as_millis() },
        Some(Trap::StackOverflow) => HostError::StackLimit { limit: limits.stack_bytes },
        _ if store.data().memory_refused => HostError::MemoryLimit { limit: limits.memory_bytes },
        // The trap alone, without the guest's stack around it, which fills lines.
        Some(trap) => HostError::Trap(BoxError::from(*trap)),
        None => HostError::Trap(match error.downcast_ref::<wasi::Exit>() {
            Some(exit) => BoxError::from(*exit),
            None => BoxError::from(error),
        }),
    })
}

fn place(memory: &mut [u8], address: u32, len: u32) -> Option<&mut [u8]> {
    let start = address as usize;
    memory.get_mut(start..start.checked_add(len as usize)?)
}

fn outside(address: u32, len: u32) -> HostError {
    HostError::AnswerPlace { address, len, problem: "is outside of its memory" }
}
