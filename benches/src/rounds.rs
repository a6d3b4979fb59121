//! Alternating rounds: what is compared runs in turn, so that whatever else the machine does
//! falls on all of it, as far as it counts at all: see [`Clock`].

use std::fmt;
use std::time::Duration;

use crate::clock::Clock;
use crate::stats::median;

/// One thing that is timed: one call of `pass` does the whole work once.
pub struct Case<'a> {
    name: &'static str,
    pass: Box<dyn FnMut() + 'a>,
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Case<'a> {
    /// A case; its name is unique within its contest.
    pub fn new(name: &'static str, pass: impl FnMut() + 'a) -> Self {
        Self { name, pass: Box::new(pass) }
    }
}

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds; ratios are of their medians.
    pub rounds: usize,
    /// Turns that each case has in a round; a round's figure is the median of them, so that a
    /// turn during which the machine did something else does not count.
    pub turns: usize,
    /// Least length of a turn: a case shorter than this runs several times in it.
    pub turn: Duration,
    /// Which time counts.
    pub clock: Clock,
}

impl Effort {
    /// Five rounds of nine turns: what the bars are held against.
    pub const FULL: Self =
        Self { rounds: 5, turns: 9, turn: Duration::from_millis(8), clock: Clock::Thread };
    /// As many rounds, but short ones: to see whether everything runs.
    pub const QUICK: Self =
        Self { rounds: 5, turns: 1, turn: Duration::from_millis(2), clock: Clock::Thread };

    /// With fewer turns, for cases that take long.
    #[must_use]
    pub fn turns(self, most: usize) -> Self {
        Self { turns: self.turns.min(most), ..self }
    }

    /// By the wall clock, for work that waits or has several threads, and for bars in seconds.
    #[must_use]
    pub fn wall(self) -> Self {
        Self { clock: Clock::Wall, ..self }
    }
}

/// Seconds that one pass took, for each case and round.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<(&'static str, Vec<f64>)>);

impl Times {
    /// The rounds of a case.
    ///
    /// # Panics
    ///
    /// If no case has that name: names are literals of this package.
    pub fn of(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|(case, _)| *case == name);
        &found.unwrap_or_else(|| panic!("there is no case `{name}`")).1
    }

    /// All cases with their rounds.
    pub fn cases(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        self.0.iter().map(|(name, rounds)| (*name, &rounds[..]))
    }
}

/// Runs all cases in turn.
pub fn run(mut cases: Vec<Case<'_>>, effort: Effort) -> Times {
    // The first pass grows buffers and warms caches; the second says how many fit a turn.
    let passes: Vec<u32> = cases
        .iter_mut()
        .map(|case| {
            (case.pass)();
            passes_in(effort.turn, effort.clock.time(&mut case.pass))
        })
        .collect();
    let mut times = Times(cases.iter().map(|case| (case.name, Vec::new())).collect());
    for _ in 0..effort.rounds {
        let mut turns = vec![Vec::new(); cases.len()];
        for _ in 0..effort.turns {
            for ((case, turns), passes) in cases.iter_mut().zip(&mut turns).zip(&passes) {
                let took = effort.clock.time(|| (0..*passes).for_each(|_| (case.pass)()));
                turns.push(took.as_secs_f64() / f64::from(*passes));
            }
        }
        for ((_, rounds), turns) in times.0.iter_mut().zip(&turns) {
            rounds.push(median(turns));
        }
    }
    times
}

/// How many passes fit a turn; at least one.
fn passes_in(turn: Duration, once: Duration) -> u32 {
    let fitting = turn.as_nanos() / once.as_nanos().max(1);
    u32::try_from(fitting).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn cases_alternate_within_each_round() {
        let log = RefCell::new(Vec::new());
        let effort = Effort { rounds: 2, turns: 2, turn: Duration::ZERO, clock: Clock::Wall };
        let times = run(
            vec![
                Case::new("a", || log.borrow_mut().push('a')),
                Case::new("b", || log.borrow_mut().push('b')),
            ],
            effort,
        );
        let log: String = log.into_inner().iter().collect();
        assert_eq!(log, "aabb".to_owned() + &"ab".repeat(4), "warm up twice, then take turns");
        assert_eq!(times.of("a").len(), 2);
        assert_eq!(times.cases().map(|(name, _)| name).collect::<String>(), "ab");
    }

    #[test]
    fn a_short_case_runs_several_times_in_a_turn() {
        let check = |turn, once, passes| {
            let micros = Duration::from_micros;
            assert_eq!(passes_in(micros(turn), micros(once)), passes);
        };
        check(8000, 100, 80);
        check(8000, 7999, 1);
        check(8000, 50_000, 1);
        check(1, 0, 1000);
    }
}
