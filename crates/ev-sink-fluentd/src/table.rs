//! The one table of what an answer means, for the code and for the documentation.

use std::fmt::Write;

/// What an attempt turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Acknowledged.
    Delivered,
    /// The content of an event is refused.
    Guilty,
    /// We are refused, whatever we send.
    Refused,
    /// As [`Class::Refused`], and the receiver names another address.
    Redirected,
    /// Not now.
    Busy,
    /// Not now, or never for one event of this batch.
    Suspect,
    /// Nobody knows whether it was stored.
    Unknown,
    /// Certainly not stored.
    Unreachable,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    /// Ranges of status codes, both ends included; none for a case that is no status alone.
    statuses: &'static [(u16, u16)],
    /// What else must hold, or the case in words.
    case: &'static str,
    class: Class,
    /// What is done.
    then: &'static str,
}

/// Every status stands in exactly one row; rows without a status are decided before.
const TABLE: &[Row] = &[
    Row { statuses: &[(200, 299)], case: "", class: Class::Delivered, then: "acknowledged" },
    Row {
        statuses: &[],
        case: "200–299 before the whole request had gone out",
        class: Class::Unknown,
        then: "sent again and counted as possible duplicates",
    },
    Row {
        statuses: &[],
        case: "200–299 with a `code` that is not 0 (Splunk)",
        class: Class::Suspect,
        then: "as 500",
    },
    Row {
        statuses: &[(400, 400), (413, 413), (415, 415), (422, 422)],
        case: "",
        class: Class::Guilty,
        then: "the batch is split; the guilty event is parked alone, once a neighbour or a recent \
               event was accepted",
    },
    Row {
        statuses: &[],
        case: "500 that names a record larger than a chunk of the buffer (Fluentd 1.16 and later), \
               400 with `invalid-event-number` (Splunk)",
        class: Class::Guilty,
        then: "as above, with the event that was named",
    },
    Row {
        statuses: &[],
        case: "400 that says of lines that they are too old, too new or too long (Loki)",
        class: Class::Guilty,
        then: "as above, and an event alone is parked at once",
    },
    Row {
        statuses: &[(500, 500)],
        case: "",
        class: Class::Suspect,
        then: "tried again with full jitter; if it repeats for the same batch, the batch is split, \
               because Fluentd answers 500 for a full buffer and for a record it never takes alike",
    },
    Row {
        statuses: &[(408, 408), (425, 425), (429, 429), (501, 599)],
        case: "",
        class: Class::Busy,
        then: "tried again with full jitter, not before the time in `Retry-After`, of which a day at most is kept",
    },
    Row {
        statuses: &[(300, 399)],
        case: "",
        class: Class::Redirected,
        then: "not followed; the stream stops with one alarm that names the address given, and \
               asks slowly",
    },
    Row {
        statuses: &[
            (401, 407),
            (409, 412),
            (414, 414),
            (416, 421),
            (423, 424),
            (426, 428),
            (430, 499),
            (100, 199),
            (600, 999),
        ],
        case: "",
        class: Class::Refused,
        then: "the stream stops with one alarm and asks slowly; nothing is parked",
    },
    Row {
        statuses: &[],
        case: "no connection, no TLS handshake, or our certificate refused",
        class: Class::Unreachable,
        then: "tried again with full jitter",
    },
    Row {
        statuses: &[],
        case: "no answer in time, or a broken connection, after the first byte had gone out",
        class: Class::Unknown,
        then: "sent again and counted as possible duplicates",
    },
];

/// What a status alone means.
pub(crate) fn class_of(status: u16) -> Class {
    TABLE
        .iter()
        .find(|row| row.statuses.iter().any(|&(first, last)| (first..=last).contains(&status)))
        // A status outside the table cannot be read as one; were it, it acknowledges nothing.
        .map_or(Class::Refused, |row| row.class)
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Guilty => "guilty event",
            Self::Refused => "refused",
            Self::Redirected => "refused (redirect)",
            Self::Busy => "busy",
            Self::Suspect => "busy, the batch suspect",
            Self::Unknown => "unknown outcome",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The table of answers as Markdown: the very one that decides, so that documentation cannot
/// differ from it.
///
/// ```
/// let table = ev_sink_fluentd::answer_table();
/// assert!(table.starts_with("| Answer | Class | What follows |\n"));
/// ```
pub fn answer_table() -> String {
    let mut text = "| Answer | Class | What follows |\n| --- | --- | --- |\n".to_owned();
    for Row { statuses, case, class, then } in TABLE {
        let mut statuses = statuses.to_vec();
        statuses.sort_unstable();
        let mut answer: Vec<String> = statuses
            .iter()
            .map(|(first, last)| match last - first {
                0 => first.to_string(),
                1 => format!("{first}, {last}"),
                _ => format!("{first}–{last}"),
            })
            .collect();
        answer.extend((!case.is_empty()).then(|| (*case).to_owned()));
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "| {} | {} | {then} |", answer.join(", "), class.name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status codes of HTTP have three digits (RFC 9110, section 15).
    const FIRST: u16 = 100;
    const LAST: u16 = 999;

    #[test]
    fn every_status_stands_in_exactly_one_row() {
        for status in FIRST..=LAST {
            let ranges = TABLE.iter().flat_map(|row| row.statuses);
            let count = ranges.filter(|(first, last)| (*first..=*last).contains(&status)).count();
            assert_eq!(count, 1, "{status}");
        }
        for (first, last) in TABLE.iter().flat_map(|row| row.statuses) {
            assert!(FIRST <= *first && first <= last && *last <= LAST, "{first}-{last}");
        }
    }

    #[test]
    fn the_promised_statuses_have_the_promised_class() {
        let check = |statuses: &[u16], class| {
            for status in statuses {
                assert_eq!(class_of(*status), class, "{status}");
            }
        };
        check(&[200, 201, 202, 204, 206, 299], Class::Delivered);
        check(&[400, 413, 415, 422], Class::Guilty);
        check(&[401, 403, 404, 405, 407, 402, 409, 410, 414, 431, 451, 499], Class::Refused);
        check(&[100, 101, 199, 600, 999], Class::Refused);
        check(&[300, 301, 302, 304, 307, 308], Class::Redirected);
        check(&[408, 425, 429, 501, 502, 503, 504, 507, 599], Class::Busy);
        check(&[500], Class::Suspect);
    }

    #[test]
    fn the_printed_table_has_a_line_for_every_row() {
        let text = answer_table();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), TABLE.len() + 2);
        assert!(lines.iter().all(|line| line.matches('|').count() == 4), "{text}");
        assert_eq!(lines[2], "| 200–299 | delivered | acknowledged |");
        assert!(lines[5].starts_with("| 400, 413, 415, 422 | guilty event | the batch is split"));
        assert!(lines[9].starts_with("| 408, 425, 429, 501–599 | busy | "), "{}", lines[9]);
        assert!(
            lines[11].starts_with(
                "| 100–199, 401–407, 409–412, 414, 416–421, 423, 424, 426–428, 430–499, 600–999 |"
            ),
            "{}",
            lines[11]
        );
    }
}
