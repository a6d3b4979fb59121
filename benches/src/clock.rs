//! The one place that reads a clock.

use std::time::{Duration, Instant};

/// How long `work` takes by the wall clock.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
pub fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// How long `work` takes by the wall clock, and what it answers.
pub fn time_of<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let mut answer = None;
    let took = time(|| answer = Some(work()));
    (took, answer.expect("the work has just run"))
}
