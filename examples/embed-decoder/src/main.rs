//! Decodes audit events inside another program: bytes in, JSON out.
//!
//! Reads base64 `events.OneOf` messages from stdin when its argument is `-`, one a line; without
//! an argument it decodes a recorded event. JSON goes to stdout, one object a line; an event that
//! has none is told on stderr.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ev_core::{Decoder, Flavour, Form, Mode, Outcome, Output, RawEvent};
use ev_decode::{NativeDecoder, Options, embedded};

/// A login as Auth 18.0.0-dev stored it, in base64.
const SAMPLE: &str = include_str!("../sample/user-login.b64");

fn main() -> io::Result<ExitCode> {
    let (stdout, stderr) = (io::stdout().lock(), io::stderr().lock());
    let read_stdin = std::env::args_os().nth(1).is_some_and(|argument| argument == "-");
    let failed = if read_stdin {
        run(&newest(), io::stdin().lock(), stdout, stderr)?
    } else {
        run(&newest(), SAMPLE.as_bytes(), stdout, stderr)?
    };
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A decoder for the newest schema that is compiled in. The one that fits is that of the Auth
/// version which stored the event: look for it by [`ev_decode::Table::auth_version`].
fn newest() -> NativeDecoder {
    let newest = embedded().pop().expect("there are three tables");
    NativeDecoder::native(newest.table, Flavour::Go, Options::default())
}

/// Decodes all lines and returns how many gave no JSON.
fn run(
    decoder: &dyn Decoder,
    input: impl BufRead,
    mut out: impl Write,
    mut errors: impl Write,
) -> io::Result<usize> {
    let mut failed = 0;
    let mut events = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        match BASE64_STANDARD.decode(line?.trim()) {
            Ok(bytes) => events.push(RawEvent { form: Form::OneOf, bytes: bytes.into() }),
            Err(error) => {
                writeln!(errors, "line {number} is not base64: {error}")?;
                failed += 1;
            }
        }
    }

    // All events in one call: the JSON of all stands in one buffer, and there is exactly one
    // outcome for each.
    let mut output = Output::default();
    decoder.decode(&events, Mode::Strict, &mut output).map_err(io::Error::other)?;

    for (event, outcome) in events.iter().zip(output.outcomes()) {
        match outcome {
            Outcome::Decoded { json, facts } => {
                out.write_all(json.of(output.json()))?;
                out.write_all(b"\n")?;
                let kind = String::from_utf8_lossy(facts.kind.of(&event.bytes)).into_owned();
                writeln!(errors, "{kind} of {} with id {}", facts.time, facts.id(&event.bytes))?;
                continue;
            }
            Outcome::Unknown { at, path, .. } => {
                writeln!(errors, "unknown field {path} at byte {at}")?;
            }
            Outcome::Malformed { at, what } => writeln!(errors, "{what} at byte {at}")?,
            Outcome::Unprintable { at, path, what, .. } => {
                writeln!(errors, "{what} in {path} at byte {at}")?;
            }
        }
        failed += 1;
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Teleport's own Go code made of the sample.
    const RECORDED: &str = include_str!("../sample/user-login.json");
    const TOLD: &str =
        "user.login of 2026-11-18T12:05:02.4Z with id 9a74bee8-c4c8-4d67-95c1-9c060c6b6caf\n";

    fn check(decoder: &dyn Decoder, input: &str, expected: &str, told: &str) {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        run(decoder, input.as_bytes(), &mut out, &mut errors).expect("memory does not fail");
        assert_eq!(String::from_utf8_lossy(&out), expected);
        assert_eq!(String::from_utf8_lossy(&errors), told);
    }

    #[test]
    fn the_sample_has_the_recorded_json() {
        check(&newest(), SAMPLE, RECORDED, TOLD);
        check(&newest(), &SAMPLE.repeat(2), &RECORDED.repeat(2), &TOLD.repeat(2));
    }

    #[test]
    fn an_older_schema_says_what_it_does_not_know() {
        let oldest = embedded().swap_remove(0);
        let oldest = NativeDecoder::native(oldest.table, Flavour::Go, Options::default());
        check(&oldest, SAMPLE, "", "unknown field UserLogin.User.10 at byte 230\n");
    }

    #[test]
    fn what_is_no_event_is_told_and_the_rest_decoded() {
        // Field 1 announces five bytes, and there is one.
        let input = format!("CgUA\n{SAMPLE}");
        let told = format!("unexpected end of input at byte 0\n{TOLD}");
        check(&newest(), &input, RECORDED, &told);
    }
}
