//! The part of WASI preview 1 that modules of other toolchains import, denying everything.
//!
//! A Go reactor (`GOOS=wasip1 -buildmode=c-shared`) imports 15 functions, whatever it does; to
//! start, its runtime asks for arguments, environment, the time, standard streams and a seed. Here
//! there are no arguments and no environment, every file descriptor is bad, nothing can be waited
//! for, the seed is always the same, and the clock counts calls. So such a module learns nothing
//! of the machine it runs on, reaches nothing on it, and two instances of it do the same.
//!
//! Source of names, types and error numbers:
//! <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md>. Written here instead
//! of linking `wasmtime-wasi`, which brings files and sockets only to forbid them.

use std::fmt;

use wasmparser::ValType;
use wasmtime::{Caller, Extern, Linker, Memory};

use crate::instance::State;

/// The only module that anything may be imported from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// No error.
const SUCCESS: i32 = 0;
/// Bad file descriptor.
const EBADF: i32 = 8;
/// Bad address.
const EFAULT: i32 = 21;
/// Invalid argument.
const EINVAL: i32 = 28;
/// Not supported.
const ENOTSUP: i32 = 58;

/// Most random bytes in one call. Runtimes ask for a few; a guest that asks for all its memory
/// again and again would spend its time where the deadline cannot end it.
const MAX_RANDOM: usize = 64 * 1024;

/// Every random byte.
const RANDOM: u8 = 0x5a;

/// What the clock moves on with each call, in nanoseconds.
const CLOCK_STEP: u64 = 1000;

/// A function that is offered.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [ValType],
    pub(crate) results: &'static [ValType],
    pub(crate) text: &'static str,
}

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

const fn function(
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
    text: &'static str,
) -> Function {
    Function { name, params, results, text }
}

/// All of them.
pub(crate) const FUNCTIONS: [Function; 15] = [
    function("args_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("args_sizes_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("clock_time_get", &[I32, I64, I32], &[I32], "(i32, i64, i32) -> i32"),
    function("environ_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("environ_sizes_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("fd_close", &[I32], &[I32], "(i32) -> i32"),
    function("fd_fdstat_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("fd_fdstat_set_flags", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("fd_prestat_dir_name", &[I32, I32, I32], &[I32], "(i32, i32, i32) -> i32"),
    function("fd_prestat_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("fd_write", &[I32, I32, I32, I32], &[I32], "(i32, i32, i32, i32) -> i32"),
    function("poll_oneoff", &[I32, I32, I32, I32], &[I32], "(i32, i32, i32, i32) -> i32"),
    function("proc_exit", &[I32], &[], "(i32) -> ()"),
    function("random_get", &[I32, I32], &[I32], "(i32, i32) -> i32"),
    function("sched_yield", &[], &[I32], "() -> i32"),
];

/// The guest ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(i32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest called `proc_exit` with {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// Makes the functions importable. Only what [`crate::admission`] let pass is ever linked.
pub(crate) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let none = |caller: Caller<'_, State>, count: i32, size: i32| two_zeros(caller, count, size);
    linker
        .func_wrap(MODULE, "args_sizes_get", none)?
        .func_wrap(MODULE, "environ_sizes_get", none)?
        .func_wrap(MODULE, "args_get", |_: i32, _: i32| SUCCESS)?
        .func_wrap(MODULE, "environ_get", |_: i32, _: i32| SUCCESS)?
        .func_wrap(MODULE, "clock_time_get", clock)?
        .func_wrap(MODULE, "random_get", random)?
        .func_wrap(MODULE, "sched_yield", || SUCCESS)?
        .func_wrap(MODULE, "fd_close", |_: i32| EBADF)?
        .func_wrap(MODULE, "fd_fdstat_get", |_: i32, _: i32| EBADF)?
        .func_wrap(MODULE, "fd_fdstat_set_flags", |_: i32, _: i32| EBADF)?
        .func_wrap(MODULE, "fd_prestat_dir_name", |_: i32, _: i32, _: i32| EBADF)?
        .func_wrap(MODULE, "fd_prestat_get", |_: i32, _: i32| EBADF)?
        .func_wrap(MODULE, "fd_write", |_: i32, _: i32, _: i32, _: i32| EBADF)?
        .func_wrap(MODULE, "poll_oneoff", |_: i32, _: i32, _: i32, _: i32| ENOTSUP)?
        .func_wrap(MODULE, "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(wasmtime::Error::new(Exit(code)))
        })?;
    Ok(())
}

/// No arguments, or no environment: their number and the size of their texts.
fn two_zeros(mut caller: Caller<'_, State>, count: i32, size: i32) -> i32 {
    let written = [count, size].map(|at| write(&mut caller, at, &0u32.to_le_bytes()));
    if written == [true; 2] { SUCCESS } else { EFAULT }
}

fn clock(mut caller: Caller<'_, State>, _clock: i32, _precision: i64, at: i32) -> i32 {
    let clock = &mut caller.data_mut().clock;
    *clock = clock.saturating_add(CLOCK_STEP);
    let now = clock.to_le_bytes();
    if write(&mut caller, at, &now) { SUCCESS } else { EFAULT }
}

fn random(mut caller: Caller<'_, State>, at: i32, len: i32) -> i32 {
    let len = len.cast_unsigned() as usize;
    if len > MAX_RANDOM {
        return EINVAL;
    }
    if write(&mut caller, at, &vec![RANDOM; len]) { SUCCESS } else { EFAULT }
}

/// Writes into the guest's memory; false if that is not all inside.
fn write(caller: &mut Caller<'_, State>, at: i32, bytes: &[u8]) -> bool {
    let Some(memory) = memory(caller) else { return false };
    memory.write(caller, at.cast_unsigned() as usize, bytes).is_ok()
}

fn memory(caller: &mut Caller<'_, State>) -> Option<Memory> {
    caller.get_export(ev_core::abi::EXPORT_MEMORY).and_then(Extern::into_memory)
}
