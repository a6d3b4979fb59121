//! The line itself.

use std::time::Duration;

use ev_pipeline::Headway;

use crate::text::{harmless, time};

/// What stands in it.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    /// What is done.
    pub(crate) what: &'a str,
    /// For whom, where there are several.
    pub(crate) of: Option<&'a str>,
    /// The second of the log where it stands.
    pub(crate) position: Option<i64>,
    /// How far that is behind now.
    pub(crate) behind_seconds: Option<i64>,
    pub(crate) headway: Option<Headway>,
    pub(crate) more: Option<String>,
}

/// One line, the most important in front: a terminal may be narrow.
pub(crate) fn words(words: &Words<'_>) -> String {
    let Words { what, of, position, behind_seconds, headway, more } = words;
    let mut parts = Vec::new();
    parts.extend(position.map(|position| format!("at {}", time(position))));
    parts.extend(behind_seconds.map(|behind| {
        format!("{} behind", span(Duration::from_secs(behind.max(0).unsigned_abs())))
    }));
    if let Some(Headway { per_second, remaining }) = headway {
        parts.push(format!("{per_second:.0} events/s"));
        parts.push(match remaining {
            Some(remaining) => format!("{} left", span(*remaining)),
            None => "time left unknown".to_owned(),
        });
    }
    parts.extend(more.clone());
    let of = of.map(|of| format!(" ({of})")).unwrap_or_default();
    harmless(&format!("{what}{of}: {}", parts.join(", ")))
}

/// A span of time with as much of it as people want to know.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if seconds < 90 => format!("{seconds} s"),
        () if minutes < 90 => format!("{minutes} min"),
        () if hours < 48 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let check = |seconds, expected| assert_eq!(span(Duration::from_secs(seconds)), expected);
        check(0, "0 s");
        check(89, "89 s");
        check(90, "1 min");
        check(5_399, "89 min");
        check(5_400, "1 h 30 min");
        check(172_799, "47 h 59 min");
        check(266_400, "3 d 2 h");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let all = Words {
            what: "catching up",
            of: Some("fluentd"),
            position: Some(1_770_000_000),
            behind_seconds: Some(266_400),
            headway: Some(Headway {
                per_second: 1234.4,
                remaining: Some(Duration::from_secs(240)),
            }),
            more: Some("3 chunks".to_owned()),
        };
        let expected = "catching up (fluentd): at 2026-02-02T02:40:00Z, 3 d 2 h behind, \
                        1234 events/s, 4 min left, 3 chunks";
        assert_eq!(words(&all), expected);
        let headway = Some(Headway { per_second: 0.0, remaining: None });
        let some = Words {
            of: None,
            behind_seconds: None,
            headway,
            more: Some("a\nb".to_owned()),
            ..all.clone()
        };
        let expected = "catching up: at 2026-02-02T02:40:00Z, 0 events/s, time left unknown, \
                        a\\u{a}b";
        assert_eq!(words(&some), expected);
        let none = Words { position: None, headway: None, more: None, ..some };
        assert_eq!(words(&none), "catching up: ");
    }
}
