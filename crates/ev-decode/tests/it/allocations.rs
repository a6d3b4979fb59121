//! In steady state no event allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ev_core::{Flavour, Mode};
use ev_decode::{Options, Scratch, Transcoder};

use crate::data::{table, vectors};

/// Counts the allocations of the thread that asks for it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator unchanged; counting touches a constant
// thread-local cell only, which neither allocates nor has a destructor.
#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
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
