//! Stack for oracles that recurse.

use std::thread;

/// Virtual memory; touched only as deep as an input goes.
const STACK_LEN: usize = 256 << 20;

/// Runs `work` on a thread with so much stack that what recurses over an input of some hundred
/// kilobytes has enough. A panic goes through.
///
/// # Panics
///
/// If `work` does, or no thread can be made.
pub fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_LEN).spawn_scoped(scope, work);
        match thread.expect("a thread").join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
