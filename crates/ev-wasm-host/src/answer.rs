//! Reads a guest's answer to one batch, believing nothing of it. The layout is in [`ev_core::abi`].

use ev_core::abi::{self, CallFlags, Header, Status};
use ev_core::peek::{self, Peeked};
use ev_core::{Facts, Flavour, Mode, Outcome, Output, RawEvent, Span, Timestamp};

use sha2::{Digest as _, Sha256};

use crate::error::{Fact, HostError, Lie};
use crate::identity;

/// Most JSON that may stand in one output, in bytes: a page of 1,000 events of the size that Auth
/// allows has less. Each call has a limit of its own, but a page takes many.
const MAX_OUTPUT: usize = 256 << 20;

/// Appends one outcome per event to `out`. Without `scan`, the JSON is not read; see
/// [`crate::Limits::json_scan`].
///
/// # Errors
///
/// [`HostError::Lie`] or [`HostError::TooManyRecords`]; what was appended until then is still in
/// `out`, and the caller takes it back.
pub(crate) fn read(
    mut answer: &[u8],
    events: &[RawEvent],
    flags: CallFlags,
    scan: bool,
    out: &mut Output,
) -> Result<(), HostError> {
    for (index, event) in events.iter().enumerate() {
        answer = record(answer, &event.bytes, flags, scan, out)
            .map_err(|lie| HostError::Lie { event: index, lie })?;
    }
    if answer.is_empty() { Ok(()) } else { Err(HostError::TooManyRecords) }
}

/// Reads the first record and returns what stands behind it.
fn record<'a>(
    answer: &'a [u8],
    event: &[u8],
    flags: CallFlags,
    scan: bool,
    out: &mut Output,
) -> Result<&'a [u8], Lie> {
    let head = answer.first_chunk::<{ abi::HEADER_LEN }>().ok_or(Lie::Truncated)?;
    let header = Header::from_bytes(head).ok_or(Lie::Outside(Fact::Kind))?;
    let len = usize::try_from(header.record_len).map_err(|_| Lie::Truncated)?;
    let (record, behind) = answer.split_at_checked(len).ok_or(Lie::Truncated)?;
    let mut rest = record.get(abi::HEADER_LEN..).ok_or(Lie::RecordLength)?;
    let status = Status::from_number(header.status).ok_or(Lie::Status(header.status))?;
    inside(header.kind, event, Fact::Kind)?;
    inside(header.uid, event, Fact::Uid)?;
    inside(header.session, event, Fact::Session)?;
    if u64::from(header.at) > event.len() as u64 {
        return Err(Lie::Outside(Fact::Trouble));
    }

    let mut facts = Facts {
        case: header.case,
        kind: header.kind,
        uid: header.uid,
        session: header.session,
        time: Timestamp::new(header.seconds, header.nanos),
        index: header.index,
        digest: None,
        login: None,
    };
    if header.uid.is_empty() {
        let (digest, tail) =
            rest.split_first_chunk::<{ abi::DIGEST_LEN }>().ok_or(Lie::RecordLength)?;
        facts.digest = Some(*digest).filter(|digest| *digest != [0; abi::DIGEST_LEN]);
        rest = tail;
    }
    if flags.login {
        let (login, tail) =
            rest.split_first_chunk::<{ abi::LOGIN_LEN }>().ok_or(Lie::RecordLength)?;
        let login = abi::read_login(login).ok_or(Lie::Outside(Fact::Login))?;
        for span in [login.user, login.login, login.cluster] {
            inside(span, event, Fact::Login)?;
        }
        facts.login = Some(login);
        rest = tail;
    }

    match status {
        Status::Decoded => {
            let peeked = verify(&facts, header.nanos, event, peek::metadata(event))?;
            let scan = scan.then_some((&peeked, flags.flavour));
            let start = json(rest, event, &facts, flags.flavour, scan, out)?;
            out.decoded(start, facts);
        }
        Status::Unknown => unknown(rest, event, header, facts, flags, scan, out)?,
        Status::Malformed => {
            let what = text(rest)?;
            let at = header.at;
            abandon(out, Outcome::Malformed { at, what });
        }
        Status::Unprintable => {
            let what = text(rest)?;
            let facts = understood(facts, header.nanos, event)?;
            let (at, path) = (header.at, path(event, header.at));
            abandon(out, Outcome::Unprintable { at, path, what, facts });
        }
    }
    Ok(behind)
}

fn unknown(
    payload: &[u8],
    event: &[u8],
    header: Header,
    facts: Facts,
    flags: CallFlags,
    scan: bool,
    out: &mut Output,
) -> Result<(), Lie> {
    let at = header.at;
    let path = path(event, at);
    if path.is_empty() {
        // Not the place of any field: then it is no field that could be unknown.
        return Err(Lie::NotInEvent(Fact::Trouble));
    }
    let facts = understood(facts, header.nanos, event)?;
    match facts {
        _ if payload.is_empty() => {
            abandon(out, Outcome::Unknown { at, path, facts, known: None });
        }
        Some(facts) if flags.mode == Mode::KnownPart => {
            let peeked = peek::metadata_of(event, facts.case).ok_or(Lie::NotInEvent(Fact::Case))?;
            let scan = scan.then_some((&peeked, flags.flavour));
            let start = json(payload, event, &facts, flags.flavour, scan, out)?;
            out.known_part(start, at, path, facts);
        }
        _ => return Err(Lie::UnexpectedPayload),
    }
    Ok(())
}

/// The facts of an event whose type is known; `None` when the guest says that it is not.
fn understood(facts: Facts, nanos: u32, event: &[u8]) -> Result<Option<Facts>, Lie> {
    if facts.case == 0 {
        return Ok(None);
    }
    // An older schema takes the last case that it knows: the one that it named.
    verify(&facts, nanos, event, peek::metadata_of(event, facts.case))?;
    Ok(Some(facts))
}

/// Holds the facts against what the event's bytes say without a schema.
fn verify(facts: &Facts, nanos: u32, event: &[u8], peeked: Option<Peeked>) -> Result<Peeked, Lie> {
    let peeked = peeked.ok_or(Lie::NotInEvent(Fact::Case))?;
    let checks = [
        (Fact::Case, facts.case == peeked.case),
        (Fact::Kind, same(facts.kind, peeked.kind, event)),
        (Fact::Uid, same(facts.uid, peeked.uid, event)),
        (Fact::Time, facts.time == peeked.time && nanos <= 999_999_999),
        (Fact::Index, facts.index == peeked.index),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        None => Ok(peeked),
        Some((fact, _)) => Err(Lie::NotInEvent(*fact)),
    }
}

/// Spans that name the same text; where an empty text stands says nothing.
fn same(ours: Span, theirs: Span, event: &[u8]) -> bool {
    ours.of(event) == theirs.of(event)
}

/// Checks the JSON, with `scan` by reading it, and appends it; returns where it starts.
fn json(
    payload: &[u8],
    event: &[u8],
    facts: &Facts,
    flavour: Flavour,
    scan: Option<(&Peeked, Flavour)>,
    out: &mut Output,
) -> Result<usize, Lie> {
    if facts.uid.is_empty() {
        // The digest is the event's id. It is that of the `go` bytes, so where they are at hand it
        // is not the guest's word.
        let digest = facts.digest.ok_or(Lie::Missing(Fact::Digest))?;
        if flavour == Flavour::Go && digest[..] != Sha256::digest(payload)[..] {
            return Err(Lie::NotInEvent(Fact::Digest));
        }
    }
    match scan {
        Some((peeked, flavour)) => identity::check(payload, event, peeked, flavour)?,
        None if simdutf8::basic::from_utf8(payload).is_err() => return Err(Lie::NotUtf8),
        None if payload.starts_with(b"{") && payload.ends_with(b"}") => {}
        None => return Err(Lie::NotAnObject { at: 0 }),
    }
    let start = out.json().len();
    if start + payload.len() > MAX_OUTPUT {
        return Err(Lie::OutputTooLong);
    }
    out.buffer().extend_from_slice(payload);
    Ok(start)
}

fn abandon(out: &mut Output, outcome: Outcome) {
    let start = out.json().len();
    out.abandon(start, outcome);
}

fn inside(span: Span, event: &[u8], fact: Fact) -> Result<(), Lie> {
    // A span's end is not before its start by construction, so the end is enough.
    if u64::from(span.end) <= event.len() as u64 { Ok(()) } else { Err(Lie::Outside(fact)) }
}

/// A text for people from a guest: short UTF-8, its control characters replaced, so that it can
/// stand in a log line.
fn text(payload: &[u8]) -> Result<String, Lie> {
    if payload.is_empty() || payload.len() > abi::MAX_TEXT_LEN {
        return Err(Lie::Text);
    }
    let text = std::str::from_utf8(payload).map_err(|_| Lie::Text)?;
    Ok(printable(text))
}

/// `text` without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn path(event: &[u8], at: u32) -> String {
    peek::number_path(event, at)
}
