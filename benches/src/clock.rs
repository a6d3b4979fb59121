//! The one place that reads a clock.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Which time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The processor time of the thread that does the work: what else the machine does meanwhile
    /// does not count. For work of one thread that never waits.
    Thread,
    /// The time that passes. For everything else.
    Wall,
}

impl Clock {
    /// How long `work` takes.
    pub fn time(self, work: impl FnOnce()) -> Duration {
        match self {
            Self::Thread => thread(work),
            Self::Wall => wall(work),
        }
    }
}

fn thread(work: impl FnOnce()) -> Duration {
    let now = || {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
        let part = |number: i64| u64::try_from(number).unwrap_or(0);
        Duration::from_secs(part(tv_sec)) + Duration::from_nanos(part(tv_nsec))
    };
    let begun = now();
    work();
    now().saturating_sub(begun)
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn wall(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn waiting_is_not_the_work_of_a_thread() {
        let other = || {
            let spin = std::thread::spawn(|| (0..30_000_000_u64).fold(0, |a, b| a ^ black_box(b)));
            black_box(spin.join().is_ok());
        };
        let passed = Clock::Wall.time(other);
        let worked = Clock::Thread.time(other);
        assert!(worked < passed, "{worked:?} of {passed:?}");
    }
}
