//! What may be repeated of the words of a receiver.
//!
//! They end up in the log, on the address for diagnostics and beside parked events, and receivers
//! repeat what they were sent: Fluentd quotes the event that it cannot parse, others the request
//! with its headers. So only what is surely their own is taken:
//!
//! - what stands in front of the first character with which values are written or quoted;
//! - nothing, if it has in it a secret of the settings, a login, or something of the request's body:
//!   a whole value of an event, or a run of bytes.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{HeaderMap, LOCATION, SERVER};

use crate::FluentdSink;
use crate::answer::printable;
use crate::body::Parts;
use crate::connection::Answer;
use crate::reasons::known;

/// A value begins or is quoted, or a text is written so that it cannot be compared.
const ENDS: [u8; 9] = *b"{[\"<=&%\\`";
/// A run of so many bytes that is in both comes from the request.
const RUN: usize = 16;
/// Half of it: of such blocks at such distances one lies wholly inside of any run.
const BLOCK: usize = RUN / 2;
/// Shorter secrets occur by chance, and are none.
const LEAST_SECRET: usize = 6;
/// The same of values; names of users are short.
const LEAST_VALUE: usize = 3;

/// What a receiver said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Said {
    #[default]
    Nothing,
    /// Its own words, with `…` where they were cut.
    Words(String),
    /// Something that was sent, or may have been.
    Echo,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Words(words) => write!(f, ": {words}"),
            Self::Echo => f.write_str(" with words that repeat the request, which are not shown"),
        }
    }
}

impl FluentdSink {
    /// Finds out what of an answer to a request with that body, before compression, may be shown.
    /// `shown` is the login that it was sent with.
    pub(crate) fn hear(&self, answer: &mut Answer, sent: &Parts, shown: Option<&HeaderValue>) {
        let hearing = Hearing { secrets: self.secrets(shown), sent };
        answer.said = match known(self.config.form, &answer.body) {
            Some(words) => Said::Words(words),
            None => hearing.of(&answer.body),
        };
        hearing.clean(&mut answer.headers);
    }

    /// Everything in the settings that is nobody's business.
    fn secrets(&self, shown: Option<&HeaderValue>) -> Vec<Vec<u8>> {
        let mut secrets = Vec::new();
        let token = self.token.as_ref().map(|token| token.value());
        let logins = [&self.audit, &self.session].map(|target| target.authorization.as_ref());
        // The token may have been replaced since.
        let values = self.headers.values().chain(&token).chain(shown);
        let values = values.chain(logins.into_iter().flatten());
        for value in values.map(HeaderValue::as_bytes) {
            // Behind the scheme, if there is one.
            let last = value.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            if let Ok(login) = BASE64_STANDARD.decode(last) {
                let password = login.splitn(2, |byte| *byte == b':').nth(1);
                secrets.extend(password.map(<[u8]>::to_vec));
            }
            secrets.extend([value.to_vec(), last.to_vec()]);
        }
        for query in [&self.audit, &self.session].into_iter().filter_map(|target| target.query()) {
            let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)).1);
            secrets.extend(pairs.chain([query]).map(|text| text.as_bytes().to_vec()));
        }
        secrets.retain(|secret| secret.len() >= LEAST_SECRET);
        secrets
    }
}

/// What words are compared with.
struct Hearing<'a> {
    secrets: Vec<Vec<u8>>,
    sent: &'a Parts,
}

impl Hearing<'_> {
    fn of(&self, text: &[u8]) -> Said {
        let end = text.iter().position(|byte| ENDS.contains(byte));
        let own = &text[..end.unwrap_or(text.len())];
        let words = printable(own);
        match words.is_empty() {
            true => Said::Nothing,
            false if self.repeats(own) || self.repeats(words.as_bytes()) => Said::Echo,
            false if end.is_some() => Said::Words(format!("{}…", words.trim_end_matches('…'))),
            false => Said::Words(words),
        }
    }

    fn repeats(&self, text: &[u8]) -> bool {
        let lower = text.to_ascii_lowercase();
        has(&lower, b"basic ")
            || has(&lower, b"bearer ")
            || self.secrets.iter().any(|secret| has(text, &secret[..secret.len().min(RUN)]))
            || self.sent.iter().any(|part| shares_run(text, part) || has_value(text, part))
    }

    /// Of these headers something is shown.
    fn clean(&self, headers: &mut HeaderMap) {
        for name in [LOCATION, SERVER] {
            let Some(value) = headers.get(&name) else { continue };
            if self.repeats(value.as_bytes()) {
                headers.insert(name, HeaderValue::from_static("(repeats the request)"));
            }
        }
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether a run of [`RUN`] bytes is in both.
fn shares_run(text: &[u8], sent: &Bytes) -> bool {
    let blocks: HashSet<&[u8]> = text.windows(BLOCK).collect();
    let is_run = |at: usize| {
        let around = &sent[at.saturating_sub(BLOCK)..sent.len().min(at + RUN)];
        around.windows(RUN).any(|run| has(text, run))
    };
    let mut places = sent.chunks_exact(BLOCK).enumerate();
    places.any(|(index, block)| blocks.contains(block) && is_run(index * BLOCK))
}

/// Whether a value of JSON that was sent is in it, as a word or as words.
fn has_value(text: &[u8], sent: &Bytes) -> bool {
    let starts: HashSet<&[u8]> = text.windows(LEAST_VALUE).collect();
    let mut from = 0;
    // Between any two quotes; those that enclose nothing but punctuation do no harm. A string in a
    // string has its quotes escaped.
    for piece in sent.split(|byte| *byte == b'"') {
        let behind = sent.get(from + piece.len() + 1);
        from += piece.len() + 1;
        let value = piece.strip_suffix(b"\\").unwrap_or(piece);
        let may_be = value.get(..LEAST_VALUE).is_some_and(|start| starts.contains(start));
        if may_be && behind != Some(&b':') && has_words(text, value) {
            return true;
        }
    }
    false
}

fn has_words(text: &[u8], words: &[u8]) -> bool {
    let is_edge = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = |(at, window): (usize, &[u8])| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        window == words && is_edge(before) && is_edge(text.get(at + words.len()))
    };
    text.windows(words.len()).enumerate().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, sent: &str) -> Said {
        let sent = Parts::object(sent.to_owned().into());
        let secrets = vec![b"s3cret".to_vec(), b"a-token-that-is-quite-long".to_vec()];
        Hearing { secrets, sent: &sent }.of(text.as_bytes())
    }

    const EVENT: &str = r#"{"event":"user.login","user":"bob","addr":{"remote":"10.1.2.3:4"},"message":"the quick brown fox jumps over it","roles":["access","web admin"]}"#;

    #[test]
    fn words_of_fluentd_are_its_own() {
        for (text, expected) in [
            ("", None),
            (
                "400 Bad Request\n'json' or 'msgpack' parameter is required\n",
                Some("400 Bad Request 'json' or 'msgpack' parameter is required"),
            ),
            (
                "500 Internal Server Error\na 9000 bytes record (nth: 1) is larger than buffer \
                 chunk limit size (8000)\n",
                Some(
                    "500 Internal Server Error a 9000 bytes record (nth: 1) is larger than buffer \
                     chunk limit size (8000)",
                ),
            ),
            // Of Ruby's parser of JSON.
            (
                "400 Bad Request\nunexpected token at '{\"event\":\"user.login\"'\n",
                Some("400 Bad Request unexpected token at '…"),
            ),
        ] {
            let expected = expected.map_or(Said::Nothing, |words| Said::Words(words.to_owned()));
            assert_eq!(said(text, EVENT), expected, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_cut() {
        for text in [
            "no {\"user\":\"bob\"}",
            "no [1]",
            "no \"x\"",
            "no <p>",
            "no =x",
            "no &#34;",
            "no %7B",
            "no \\x",
            "no `x`",
        ] {
            assert_eq!(said(text, EVENT), Said::Words("no…".to_owned()), "{text}");
        }
        assert_eq!(said("{\"text\":\"Success\"}", EVENT), Said::Nothing);
    }

    #[test]
    fn what_was_sent_is_never_repeated() {
        for text in [
            "bad key s3cret",
            "bad key a-token-that-is-quite-l",
            "you sent Basic dXNyOnB3",
            "got bearer x",
            "no such user: bob",
            "unknown user bob.",
            "event user.login is not known",
            "roles access, web admin",
            "address 10.1.2.3:4 is wrong",
            "message: ick brown fox jum",
            "message: the quick\nbrown fox\njumps",
        ] {
            assert_eq!(said(text, EVENT), Said::Echo, "{text}");
        }
        // Names of members, and parts of words.
        for text in ["field user has no type", "roles accessible", "message is too long", "bobcat"]
        {
            assert_eq!(said(text, EVENT), Said::Words(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_string_in_a_string_is_seen() {
        let line = r#"{"values":[["1","{\"user\":\"bob\",\"code\":\"T1000I\"}"]]}"#;
        assert_eq!(said("user bob is not known", line), Said::Echo);
        assert_eq!(said("code T1000I is not known", line), Said::Echo);
        assert_eq!(said("user is not known", line), Said::Words("user is not known".to_owned()));
    }

    #[test]
    fn a_run_is_found_wherever_it_begins() {
        let run = "0123456789abcdef";
        for before in 0..2 * RUN {
            let sent: Bytes = format!("{}{run}{}", "-".repeat(before), "+".repeat(5)).into();
            assert!(shares_run(format!("xx{run}yy").as_bytes(), &sent), "{before}");
            assert!(!shares_run(format!("xx{}yy", &run[1..]).as_bytes(), &sent), "{before}");
        }
    }
}
