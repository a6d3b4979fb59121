//! What an answer means.

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, LOCATION};

use crate::address::{File, printable};
use crate::connection::{Answer, Unread};

/// The file; `None` when it is not there. An error is for people: the address, what the server
/// said, and what can be done.
pub(crate) fn content(answer: Answer, file: &File, max: usize) -> Result<Option<Bytes>, String> {
    let shown = &file.shown;
    match answer.status {
        StatusCode::OK => match answer.body {
            Ok(body) => Ok(Some(body)),
            Err(Unread::TooLarge) => {
                Err(format!("`{shown}` is larger than the limit of {max} bytes"))
            }
            Err(Unread::Encoded(encoding)) => Err(format!(
                "`{shown}` came in the encoding `{encoding}`, which was not asked for: let the \
                 server send it as it is"
            )),
            Err(Unread::Broken(what)) => Err(format!("`{shown}` did not come whole: {what}")),
        },
        StatusCode::NOT_FOUND => Ok(None),
        status => {
            Err(format!("`{shown}` answered {}{}", name(status), advice(status, &answer.headers)))
        }
    }
}

fn name(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn advice(status: StatusCode, headers: &HeaderMap) -> String {
    match status.as_u16() {
        300..=399 => {
            let to =
                headers.get(LOCATION).map(|to| printable(&String::from_utf8_lossy(to.as_bytes())));
            let to = to.map(|to| format!(" to `{to}`")).unwrap_or_default();
            format!(
                ", a redirect{to}, which is not followed: set the address where the artifacts are"
            )
        }
        401 | 403 | 407 => "; let this client read it, by its certificate if need be, and let the \
                            server answer 404 for what is not there"
            .to_owned(),
        408 | 425 | 429 | 500..=599 => "; it is tried again".to_owned(),
        _ => "; see whether the address is that of the artifacts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(status: u16, location: Option<&'static str>, expected: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(LOCATION, HeaderValue::from_static(location));
        }
        let answer = Answer { status, headers, body: Ok(Bytes::new()) };
        let file = File { path: "/x?sig=s3cret".parse().unwrap(), shown: "https://h/x".into() };
        assert_eq!(content(answer, &file, 10), Err(format!("`https://h/x` answered {expected}")));
    }

    #[test]
    fn everything_but_200_and_404_is_told_with_what_to_do() {
        check(
            302,
            Some("https://u:s3cret@other/x?sig=s3cret"),
            "302 Found, a redirect to `https://…@other/x`, which is not followed: set the address \
             where the artifacts are",
        );
        check(
            304,
            None,
            "304 Not Modified, a redirect, which is not followed: set the address where the \
             artifacts are",
        );
        let read = "let this client read it, by its certificate if need be, and let the server \
                    answer 404 for what is not there";
        check(401, None, &format!("401 Unauthorized; {read}"));
        check(403, None, &format!("403 Forbidden; {read}"));
        check(429, None, "429 Too Many Requests; it is tried again");
        check(503, None, "503 Service Unavailable; it is tried again");
        check(599, None, "599; it is tried again");
        for odd in [204, 206, 400, 410] {
            let status = name(StatusCode::from_u16(odd).unwrap());
            check(
                odd,
                None,
                &format!("{status}; see whether the address is that of the artifacts"),
            );
        }
    }

    #[test]
    fn what_is_not_there_is_an_absence() {
        let answer = Answer {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            body: Ok(Bytes::new()),
        };
        let file = File { path: "/x".parse().unwrap(), shown: "https://h/x".into() };
        assert_eq!(content(answer, &file, 10), Ok(None));
    }
}
