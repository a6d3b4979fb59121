//! In steady state no event allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ev_core::{Flavour, Mode};
use ev_decode::{Options, Scratch, Transcoder};

use crate::data::{table, vectors};

/// Counts the allocations and the bytes of the thread that asks for it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated, less those of other threads that this one has freed.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn add(bytes: usize) {
    let live = LIVE.with(Cell::get) + bytes.cast_signed();
    LIVE.with(|cell| cell.set(live));
    PEAK.with(|peak| peak.set(peak.get().max(live)));
}

fn remove(bytes: usize) {
    LIVE.with(|live| live.set(live.get() - bytes.cast_signed()));
}

/// The bytes by which `work` exceeds at its peak what was allocated before. A block that grows is
/// there twice for a moment, as it is in the worst case.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.with(Cell::get);
    PEAK.with(|peak| peak.set(before));
    work();
    (PEAK.with(Cell::get) - before).cast_unsigned()
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator unchanged; counting touches constant
// thread-local cells only, which neither allocate nor have a destructor.
#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        add(size);
        remove(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[test]
fn no_event_allocates_once_the_buffers_have_grown() {
    let events: Vec<_> = vectors("v18dev").iter().map(|vector| vector.event()).collect();
    for flavour in [Flavour::Go, Flavour::Struct] {
        let transcoder = Transcoder::new(table("v18dev"), flavour, Options::default());
        let mut scratch = Scratch::new();
        let mut out = Vec::new();
        let mut pass = || {
            let before = COUNT.with(Cell::get);
            for event in &events {
                out.clear();
                transcoder.decode_one(&mut scratch, event, Mode::KnownPart, &mut out);
            }
            COUNT.with(Cell::get) - before
        };
        assert_ne!(pass(), 0, "the first pass grows the buffers");
        assert_eq!(pass(), 0, "{flavour}");
    }
}
