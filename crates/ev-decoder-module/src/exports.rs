//! The exported names, and the one place where the table's bytes come from.
//!
//! JUSTIFICATION of `unsafe` in this module, the only one that has it: an export keeps its name
//! only by `no_mangle`, and the table is put into the memory by the builder of the module, behind
//! the compiler's back, so that it can only be reached by its address. All logic is in safe code
//! next door.

#![expect(unsafe_code, reason = "exported names, and memory that the module's builder fills")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::guest::Guest;

/// Address and length of the schema table, zero in the template. The builder of a module writes
/// over it with a data segment.
// SAFETY: no other item of this name exists; the prefix is ours.
#[unsafe(no_mangle)]
static EV_TABLE: [u32; 2] = [0; 2];

/// A guest has one thread, so the lock is never contended; it is what makes a static that changes
/// safe to use.
static GUEST: Mutex<Option<Guest>> = Mutex::new(None);

/// The version of the ABI.
// SAFETY: no other item of this name exists; the prefix is ours. So for all functions below.
#[unsafe(no_mangle)]
extern "C" fn ev_abi_version() -> u32 {
    ev_core::abi::ABI_VERSION
}

/// A buffer of at least `len` bytes for a batch, or 0.
#[unsafe(no_mangle)]
extern "C" fn ev_alloc(len: u32) -> u32 {
    with(|guest| guest.alloc(len))
}

/// Decodes the batch in the buffer; the packed pointer of the answer, or 0.
#[unsafe(no_mangle)]
extern "C" fn ev_decode_batch(address: u32, len: u32, flags: u32) -> i64 {
    with(|guest| guest.decode_batch(address, len, flags))
}

/// What this module is, as JSON.
#[unsafe(no_mangle)]
extern "C" fn ev_describe() -> i64 {
    with(Guest::describe)
}

/// Why the last call was refused.
#[unsafe(no_mangle)]
extern "C" fn ev_error() -> i64 {
    with(Guest::error)
}

fn with<T>(f: impl FnOnce(&mut Guest) -> T) -> T {
    let mut guest: MutexGuard<'_, Option<Guest>> =
        GUEST.lock().unwrap_or_else(PoisonError::into_inner);
    f(guest.get_or_insert_with(|| Guest::new(table())))
}

/// The schema table; empty in the template.
fn table() -> &'static [u8] {
    // The builder changes the static in the finished module, so the compiler must not assume that
    // it holds what stands here.
    // SAFETY: the pointer comes from a static of the type that is read.
    let [address, len] = unsafe { std::ptr::read_volatile(&raw const EV_TABLE) };
    if address == 0 || len == 0 {
        return &[];
    }
    let first = std::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: the builder writes an address that is not 0 only together with the table: `len`
    // bytes, initialised by a data segment, behind everything that the linker placed and below the
    // pages that the allocator grows for itself. Nobody writes there, and memory never shrinks.
    unsafe { std::slice::from_raw_parts(first, len as usize) }
}
