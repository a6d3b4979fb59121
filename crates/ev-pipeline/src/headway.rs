//! How fast the end of long work comes nearer.

use std::time::Duration;

/// How far work had come at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When that was, on a clock that never goes back.
    pub at: Duration,
    /// Seconds of the log that lay between there and the end, which may itself move on; `None` if
    /// nobody knew.
    pub left_seconds: Option<i64>,
    /// Events that were done, since whenever.
    pub events: u64,
}

/// What two marks say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headway {
    /// Events done in a second between them.
    pub per_second: f64,
    /// How long the rest takes if it goes on like that; `None` if the end comes no nearer.
    pub remaining: Option<Duration>,
}

impl Headway {
    /// From one mark to a later one; nothing was done in no time.
    pub fn between(before: &Mark, now: &Mark) -> Self {
        let passed = now.at.saturating_sub(before.at).as_secs_f64();
        if passed <= 0.0 {
            return Self { per_second: 0.0, remaining: None };
        }
        let per_second = now.events.saturating_sub(before.events) as f64 / passed;
        let lefts = before.left_seconds.zip(now.left_seconds);
        let remaining = lefts.and_then(|(before, now)| {
            let nearer = before.checked_sub(now).filter(|nearer| *nearer > 0)?;
            let seconds = now.max(0) as f64 * passed / nearer as f64;
            Duration::try_from_secs_f64(seconds).ok()
        });
        Self { per_second, remaining }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_told_where_the_end_comes_nearer() {
        let check = |before: i64, now: i64, expected: Option<u64>| {
            let mark = |at, left| Mark {
                at: Duration::from_secs(at),
                left_seconds: Some(left),
                events: at * 50,
            };
            let headway = Headway::between(&mark(10, before), &mark(70, now));
            let remaining = headway.remaining.map(|remaining| remaining.as_secs());
            assert_eq!((headway.per_second, remaining), (50.0, expected));
        };
        // A day behind, and each minute brings an hour: the end comes 59 minutes nearer.
        check(86_400 + 3_540, 86_400, Some(86_400 * 60 / 3_540));
        check(86_400, 86_400, None);
        check(86_400, 86_460, None);
        check(60, 0, Some(0));
        check(60, -5, Some(0));
        check(i64::MAX, 1, Some(0));
        check(i64::MIN, i64::MAX, None);
    }

    #[test]
    fn nothing_is_known_of_no_time_and_of_no_end() {
        let mark = |at, events| Mark { at: Duration::from_secs(at), left_seconds: None, events };
        let unknown = |per_second| Headway { per_second, remaining: None };
        assert_eq!(Headway::between(&mark(5, 1), &mark(5, 9)), unknown(0.0));
        assert_eq!(Headway::between(&mark(5, 1), &mark(7, 9)), unknown(4.0));
        assert_eq!(Headway::between(&mark(5, 9), &mark(7, 1)), unknown(0.0), "counted anew");
    }
}
