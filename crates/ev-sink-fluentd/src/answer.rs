//! What an answer means.

use std::time::Duration;

use ev_core::{Date, Timestamp, Verdict};
use http::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::Form;
use crate::connection::Answer;
use crate::reasons::{denies, is_never, named, oversized_record};
use crate::table::{Class, class_of};

/// Most characters of an answer's body in a message.
const SNIPPET_CHARS: usize = 200;
/// Longest wait that a receiver can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The verdict on an answer to a request for `url` with `events` events, compressed or not.
pub(crate) fn verdict(
    answer: &Answer,
    url: &str,
    events: usize,
    compressed: bool,
    form: Form,
    now: Timestamp,
) -> Verdict {
    let Answer { status, headers, body, .. } = answer;
    let mut detail = describe(answer, url);
    let busy = |suspect, mut detail: String| {
        let asked = asked_pause(headers, now);
        let after = asked.map(|asked| asked.min(MAX_RETRY_AFTER));
        if asked > after {
            let (asked, kept) = (asked.unwrap_or_default().as_secs(), MAX_RETRY_AFTER.as_secs());
            detail
                .push_str(&format!(" (asks for a pause of {asked} s, of which {kept} s are kept)"));
        }
        Verdict::Busy { after, suspect, detail }
    };
    match class_of(status.as_u16()) {
        Class::Delivered if denies(form, body) => busy(true, detail),
        Class::Delivered if answer.after_whole_request => Verdict::Delivered,
        Class::Delivered | Class::Unknown => {
            Verdict::Unknown { detail: format!("{detail}, before the whole request had been sent") }
        }
        Class::Guilty if is_never(form, body) => Verdict::Never { detail },
        Class::Guilty => {
            if compressed {
                detail.push_str(" (the request was compressed: does the receiver take gzip?)");
            }
            Verdict::Guilty { index: named(form, body, events), detail }
        }
        Class::Suspect => match oversized_record(body, events) {
            Some(index) => Verdict::Guilty { index: Some(index), detail },
            None => busy(true, detail),
        },
        Class::Busy => busy(false, detail),
        // The last cannot come from a status.
        Class::Refused | Class::Redirected | Class::Unreachable => Verdict::Refused { detail },
    }
}

/// Address, status, and what of the words may be logged.
pub(crate) fn describe(answer: &Answer, url: &str) -> String {
    let status = match answer.status.canonical_reason() {
        Some(reason) => format!("{} {reason}", answer.status.as_u16()),
        None => answer.status.as_u16().to_string(),
    };
    let mut text = format!("`{url}` answered {status}");
    if let Some(location) = answer.headers.get(LOCATION)
        && answer.status.is_redirection()
    {
        let location = ev_dial::without_secrets(&printable(location.as_bytes()));
        text = format!("{text}, a redirect to `{location}`, which is not followed");
    }
    format!("{text}{}", answer.said)
}

/// The first characters of a text from outside, without anything that could forge a log line.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|w| !w.is_empty())
        .collect();
    let text = words.join(" ");
    match text.char_indices().nth(SNIPPET_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `Retry-After` in either form (RFC 9110, section 10.2.3); `None` without one or when it is not
/// understood.
fn asked_pause(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean "very long".
        value.parse().unwrap_or(u64::MAX)
    } else {
        let seconds = http_date(value)?.saturating_sub(now.seconds());
        u64::try_from(seconds).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may be
/// sent (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?, 1..=31)?;
    let name = words.next()?;
    let month = 1 + i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()?;
    let year = number(words.next()?, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0..=23)?;
    let minute = number(clock.next()?, 0..=59)?;
    let second = number(clock.next()?, 0..=60)?;
    if words.next()? != "GMT" || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let date = Date::from_ymd(year, month, day)?;
    Some(date.start() + hour * 3600 + minute * 60 + second)
}

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;
    use crate::heard::Said;

    const NOW: Timestamp = Timestamp::new(784_111_777, 0); // Sun, 06 Nov 1994 08:49:37 GMT

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.into(),
            said: if body.is_empty() { Said::Nothing } else { Said::Words(body.to_owned()) },
            after_whole_request: true,
            reusable: true,
        }
    }

    #[test]
    fn classes_become_verdicts() {
        for status in 100..1000 {
            let verdict = verdict(&answer(status, ""), "u", 3, false, Form::Json, NOW);
            let fits = match class_of(status) {
                Class::Delivered => verdict == Verdict::Delivered,
                Class::Guilty => matches!(verdict, Verdict::Guilty { index: None, .. }),
                Class::Refused | Class::Redirected => matches!(verdict, Verdict::Refused { .. }),
                Class::Busy => {
                    matches!(verdict, Verdict::Busy { after: None, suspect: false, .. })
                }
                Class::Suspect => {
                    matches!(verdict, Verdict::Busy { after: None, suspect: true, .. })
                }
                Class::Unknown | Class::Unreachable => false,
            };
            assert!(fits, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn a_refused_compressed_body_is_said_to_be_one() {
        let detail = |status, compressed| match verdict(
            &answer(status, "no"),
            "u",
            1,
            compressed,
            Form::Json,
            NOW,
        ) {
            Verdict::Guilty { detail, .. } | Verdict::Busy { detail, .. } => detail,
            other => panic!("{other:?}"),
        };
        assert!(
            detail(415, true)
                .ends_with(": no (the request was compressed: does the receiver take gzip?)")
        );
        assert!(!detail(415, false).contains("gzip"));
        assert!(!detail(503, true).contains("gzip"));
    }

    #[test]
    fn an_answer_before_the_whole_request_delivers_nothing() {
        let early = Answer { after_whole_request: false, ..answer(200, "") };
        assert!(matches!(verdict(&early, "u", 1, false, Form::Json, NOW), Verdict::Unknown { .. }));
    }

    #[test]
    fn retry_after_has_two_forms() {
        let check = |value: &str, expected: Option<u64>| {
            let mut answer = answer(503, "");
            answer.headers.insert(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
            let Verdict::Busy { after, detail, .. } =
                verdict(&answer, "u", 1, false, Form::Json, NOW)
            else {
                panic!("busy expected")
            };
            assert_eq!(after, expected.map(Duration::from_secs), "{value}");
            // What is cut is told.
            let is_cut = detail.ends_with(" s, of which 86400 s are kept)");
            assert_eq!(is_cut, expected == Some(86_400) && value != "86400", "{value}: {detail}");
        };
        check("0", Some(0));
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("86400", Some(86_400));
        check("86401", Some(86_400));
        check("99999999999999999999999", Some(86_400));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("Tue, 29 Feb 2028 00:00:00 GMT", Some(86_400));
        for bad in ["", "soon", "-1", "1.5", "Sun, 06 Foo 1994 08:49:47 GMT", "Sun, 06 Nov 1994"] {
            check(bad, None);
        }
        for none in ["31 Feb 2027", "29 Feb 2027", "31 Apr 2027", "00 Jan 2027"] {
            assert_eq!(http_date(&format!("Sun, {none} 00:00:00 GMT")), None, "{none}");
        }
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(NOW.seconds()));
        assert_eq!(http_date("Tue, 29 Feb 2028 23:59:59 GMT"), Some(1_835_481_599));
    }

    #[test]
    fn a_record_too_large_for_a_chunk_is_guilty() {
        let text = "500 Internal Server Error\na 9000 bytes record (nth: 1) is larger than buffer \
                    chunk limit size (8000)\n";
        let check = |events, expected| {
            let Verdict::Guilty { index, .. } =
                verdict(&answer(500, text), "u", events, false, Form::Json, NOW)
            else {
                return assert_eq!(None, expected);
            };
            assert_eq!(index, expected);
        };
        check(3, Some(1));
        check(1, None);
        let full = "500 Internal Server Error\nbuffer space has too many data\n";
        let verdict = verdict(&answer(500, full), "u", 3, false, Form::Json, NOW);
        assert!(matches!(verdict, Verdict::Busy { suspect: true, .. }), "{verdict:?}");
    }

    #[test]
    fn a_receiver_of_another_form_says_more_in_the_body() {
        let of = |status, body, events, form| {
            verdict(&answer(status, body), "u", events, false, form, NOW)
        };
        let busy = of(200, r#"{"text":"Server is busy","code":9}"#, 3, Form::SplunkHec);
        assert!(matches!(busy, Verdict::Busy { suspect: true, .. }), "{busy:?}");
        let taken = of(200, r#"{"text":"Success","code":0}"#, 3, Form::SplunkHec);
        assert_eq!(taken, Verdict::Delivered);
        let named = of(400, r#"{"code":6,"invalid-event-number":1}"#, 3, Form::SplunkHec);
        assert!(matches!(named, Verdict::Guilty { index: Some(1), .. }), "{named:?}");
        let old = of(400, "entry has timestamp too old", 1, Form::Loki);
        assert!(matches!(old, Verdict::Never { .. }), "{old:?}");
        let wrong = of(400, "no labels", 1, Form::Loki);
        assert!(matches!(wrong, Verdict::Guilty { index: None, .. }), "{wrong:?}");
    }

    #[test]
    fn details_are_bounded_and_printable() {
        assert_eq!(printable(b"400 Bad\r\n\x1b[31mRequest \x07\n"), "400 Bad [31mRequest");
        let long = printable("é".repeat(300).as_bytes());
        assert_eq!(long.chars().filter(|c| *c == 'é').count(), SNIPPET_CHARS);
        let text = describe(&answer(400, "400 Bad"), "https://f/t");
        assert_eq!(text, "`https://f/t` answered 400 Bad Request: 400 Bad");
        let mut echo = answer(400, "bob");
        echo.said = Said::Echo;
        let text = describe(&echo, "u");
        assert!(
            text.ends_with("with words that repeat the request, which are not shown"),
            "{text}"
        );
        let mut moved = answer(302, "");
        moved.headers.insert(LOCATION, HeaderValue::from_static("https://other/?token=s3cret"));
        assert_eq!(
            describe(&moved, "u"),
            "`u` answered 302 Found, a redirect to `https://other/?…`, which is not followed"
        );
    }
}
