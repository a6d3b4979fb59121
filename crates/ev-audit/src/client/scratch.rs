//! A buffer for each thread that sends, so that a send allocates nothing.

use std::cell::Cell;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a thread keeps at most; one large record should not hold memory for ever.
const KEPT_BYTES: usize = 64 * 1024;

/// A buffer that goes back to its thread when it is dropped.
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    /// Takes the buffer of this thread, or a new one while that is in use.
    pub(super) fn take() -> Self {
        let mut bytes = SCRATCH.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        if bytes.capacity() <= KEPT_BYTES {
            // A thread that is ending keeps nothing.
            SCRATCH.try_with(|kept| kept.set(bytes)).unwrap_or_default();
        }
    }
}
