//! Frames of records, heartbeats and diagnostic messages.

use super::layout::{
    BODY, ENTRY, HEAD_CONTROL, HEAD_DATA, HEAD_DIAGNOSTIC, HEAD_HEARTBEAT, HEARTBEAT, IDENTITY,
    MAX_DEPTH, NO_ADDRESS, ONE, RECORD_CONSTANTS, TARGET, TRAILER, record as keys,
};
use super::message::{Heartbeat, Message, Plane};
use super::write::{
    NIL, array, count_len, key, kind, kind_len, map, text, text_len, value, value_len,
};
use crate::model::{CallerIp, Identity, List, Map, OperationCategory, Record, ServiceId, Target};

/// Lists of at most so many entries are sorted on the stack.
const SMALL: usize = 32;

/// Appends a frame with one record.
///
/// It neither allocates, when `out` has room, nor fails. Lists are sorted and their duplicates
/// left out on the wire, not in the record. Of a record that [`Record::validate`] refuses for the
/// depth of its custom data, what is deeper than [`MAX_DEPTH`] is nil.
pub fn encode_record(
    out: &mut Vec<u8>,
    plane: Plane,
    record: &Record,
    service: &ServiceId,
    seconds: i64,
) {
    out.reserve(record_len(record));
    head(out, plane);
    out.push(ONE);
    entry(out, seconds);
    body(out, record, service);
    out.extend_from_slice(TRAILER);
}

/// Appends a frame with several records, each with its time: the format allows that, but the
/// client that it comes from always sends one. Without records nothing is appended.
pub fn encode_records(
    out: &mut Vec<u8>,
    plane: Plane,
    records: &[(&Record, i64)],
    service: &ServiceId,
) {
    if records.is_empty() {
        return;
    }
    head(out, plane);
    array(out, records.len());
    for (record, seconds) in records {
        out.reserve(record_len(record));
        entry(out, *seconds);
        body(out, record, service);
    }
    out.extend_from_slice(TRAILER);
}

/// Appends the frame of a heartbeat.
pub fn encode_heartbeat(out: &mut Vec<u8>, heartbeat: &Heartbeat, seconds: i64) {
    let Heartbeat { service, audit_version, os_version, language, destination } = heartbeat;
    out.extend_from_slice(HEAD_HEARTBEAT);
    out.push(ONE);
    entry(out, seconds);
    map(out, HEARTBEAT.len());
    key(out, HEARTBEAT[0]);
    service_id(out, service);
    for (name, it) in HEARTBEAT[1..].iter().zip([audit_version, os_version, language]) {
        key(out, name);
        text(out, it);
    }
    key(out, HEARTBEAT[4]);
    kind(out, *destination);
    out.extend_from_slice(TRAILER);
}

/// Appends the frame of a diagnostic message.
pub fn encode_diagnostic(out: &mut Vec<u8>, seconds: i64) {
    out.extend_from_slice(HEAD_DIAGNOSTIC);
    out.push(ONE);
    entry(out, seconds);
    map(out, 0);
    out.extend_from_slice(TRAILER);
}

/// Appends the frame of a message.
pub fn encode(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Record { plane, service, seconds, record } => {
            encode_record(out, *plane, record, service, *seconds);
        }
        Message::Heartbeat { seconds, heartbeat } => encode_heartbeat(out, heartbeat, *seconds),
        Message::Diagnostic { seconds } => encode_diagnostic(out, *seconds),
    }
}

fn head(out: &mut Vec<u8>, plane: Plane) {
    out.extend_from_slice(match plane {
        Plane::Data => HEAD_DATA,
        Plane::Control => HEAD_CONTROL,
    });
}

fn entry(out: &mut Vec<u8>, seconds: i64) {
    out.extend_from_slice(ENTRY);
    out.extend_from_slice(&seconds.to_be_bytes());
}

fn body(out: &mut Vec<u8>, record: &Record, service: &ServiceId) {
    let has_custom = !record.custom_data.is_empty();
    map(out, keys::ALL.len() - usize::from(!has_custom));
    key(out, keys::SERVICE);
    service_id(out, service);
    key(out, keys::ADDRESS);
    match &record.caller_ip {
        Some(it) => address(out, it),
        None => text(out, NO_ADDRESS),
    }
    key(out, keys::IDENTITIES);
    if map_or_nil(out, &record.caller_identities) {
        for (caller, identities) in &record.caller_identities {
            kind(out, *caller);
            each(out, identities, identity);
        }
    }
    key(out, keys::CATEGORIES);
    categories(out, &record.operation_categories);
    if has_custom {
        key(out, keys::CUSTOM);
        map(out, record.custom_data.len());
        for (name, it) in &record.custom_data {
            text(out, name);
            value(out, it, MAX_DEPTH);
        }
    }
    key(out, keys::TARGETS);
    if map_or_nil(out, &record.target_resources) {
        for (resource, targets) in &record.target_resources {
            text(out, resource);
            each(out, targets, target);
        }
    }
    key(out, keys::LEVELS);
    levels(out, &record.caller_access_levels);
    key(out, keys::ACCESS_LEVEL);
    text(out, &record.operation_access_level);
    key(out, keys::NAME);
    text(out, &record.operation_name);
    key(out, keys::RESULT_DESCRIPTION);
    text(out, &record.operation_result_description);
    key(out, keys::AGENT);
    text(out, &record.caller_agent);
    key(out, keys::CATEGORY_DESCRIPTION);
    text(out, &record.operation_category_description);
    key(out, keys::TYPE);
    kind(out, record.operation_type);
    key(out, keys::RESULT);
    kind(out, record.operation_result);
}

fn service_id(out: &mut Vec<u8>, service: &ServiceId) {
    let id = service.bytes();
    match u8::try_from(id.len()) {
        Ok(len @ 32..) => out.extend_from_slice(&[0xd9, len]),
        // An id has 36 characters or is not set.
        _ => out.push(0xa0),
    }
    out.extend_from_slice(id);
}

fn address(out: &mut Vec<u8>, address: &CallerIp) {
    let plain = address.text();
    match address.zone() {
        // The text of an address has up to 39 characters.
        None => match u8::try_from(plain.bytes().len()) {
            Ok(len @ 0..32) => out.push(0xa0 | len),
            Ok(len) => out.extend_from_slice(&[0xd9, len]),
            Err(_) => out.push(NIL),
        },
        Some(_) => return zoned(out, address),
    }
    out.extend_from_slice(plain.bytes());
}

/// Zones are rare: the text is put together and measured.
#[cold]
fn zoned(out: &mut Vec<u8>, address: &CallerIp) {
    text(out, &address.to_string());
}

/// Writes the header of a map, or nil; whether there are entries to write.
fn map_or_nil<K, V>(out: &mut Vec<u8>, entries: &Map<K, V>) -> bool {
    if entries.is_absent() {
        out.push(NIL);
    } else {
        map(out, entries.len());
    }
    !entries.is_empty()
}

fn each<T>(out: &mut Vec<u8>, entries: &List<T>, write: impl Fn(&mut Vec<u8>, &T)) {
    if entries.is_absent() {
        out.push(NIL);
        return;
    }
    array(out, entries.len());
    for it in entries {
        write(out, it);
    }
}

fn identity(out: &mut Vec<u8>, identity: &Identity) {
    map(out, IDENTITY.len());
    key(out, IDENTITY[0]);
    text(out, &identity.identity);
    key(out, IDENTITY[1]);
    text(out, &identity.description);
}

fn target(out: &mut Vec<u8>, target: &Target) {
    map(out, TARGET.len());
    key(out, TARGET[0]);
    text(out, &target.name);
    key(out, TARGET[1]);
    text(out, &target.cluster);
    key(out, TARGET[2]);
    text(out, &target.data_center);
    key(out, TARGET[3]);
    text(out, &target.region);
}

/// By number, each once.
fn categories(out: &mut Vec<u8>, categories: &List<OperationCategory>) {
    sorted(out, categories, OperationCategory::default(), |it| *it, kind);
}

/// Bytewise, each once.
fn levels(out: &mut Vec<u8>, levels: &List<String>) {
    sorted(out, levels, "", |it| it.as_str(), text);
}

/// Writes the entries in their order, each once, without touching them. Only a list that is long
/// and out of order costs an allocation.
fn sorted<'a, T, S: Copy + Ord>(
    out: &mut Vec<u8>,
    entries: &'a List<T>,
    filler: S,
    of: impl Fn(&'a T) -> S,
    write: impl Fn(&mut Vec<u8>, S),
) {
    if entries.is_absent() {
        out.push(NIL);
        return;
    }
    let count = entries.len();
    if entries.iter().is_sorted_by(|before, after| of(before) < of(after)) {
        array(out, count);
        for it in entries {
            write(out, of(it));
        }
        return;
    }
    let mut small = [filler; SMALL];
    let mut large = Vec::new();
    let scratch = if count <= SMALL {
        for (place, it) in small.iter_mut().zip(entries) {
            *place = of(it);
        }
        &mut small[..count]
    } else {
        large.extend(entries.iter().map(of));
        &mut large[..]
    };
    scratch.sort_unstable();
    let distinct = scratch.chunk_by(|before, after| before == after);
    array(out, distinct.clone().count());
    for run in distinct {
        write(out, run[0]);
    }
}

/// The bytes of the frame of the record with a service id, before duplicates in its lists are left
/// out. Custom data is within [`MAX_DEPTH`].
pub(crate) fn record_len(record: &Record) -> usize {
    // Texts of this program are never so long that their sum passes `usize::MAX`; an absent
    // container has one byte, as an empty one.
    let mut bytes = RECORD_CONSTANTS + text_len(36);
    bytes += match &record.caller_ip {
        None => text_len(NO_ADDRESS.len()),
        Some(address) => {
            let zone = address.zone().map_or(0, |zone| 1 + zone.len());
            text_len(address.text().bytes().len() + zone)
        }
    };
    bytes += count_len(record.caller_identities.len());
    for (caller, identities) in &record.caller_identities {
        bytes += kind_len(*caller) + count_len(identities.len());
        for identity in identities {
            bytes += IDENTITY_CONSTANTS
                + text_len(identity.identity.len())
                + text_len(identity.description.len());
        }
    }
    bytes += count_len(record.operation_categories.len());
    for category in &record.operation_categories {
        bytes += kind_len(*category);
    }
    if !record.custom_data.is_empty() {
        bytes += keys::CUSTOM.len() + count_len(record.custom_data.len());
    }
    for (name, it) in &record.custom_data {
        bytes += text_len(name.len()) + value_len(it, MAX_DEPTH);
    }
    bytes += count_len(record.target_resources.len());
    for (resource, targets) in &record.target_resources {
        bytes += text_len(resource.len()) + count_len(targets.len());
        for target in targets {
            bytes += TARGET_CONSTANTS
                + text_len(target.name.len())
                + text_len(target.cluster.len())
                + text_len(target.data_center.len())
                + text_len(target.region.len());
        }
    }
    bytes += count_len(record.caller_access_levels.len());
    for level in &record.caller_access_levels {
        bytes += text_len(level.len());
    }
    bytes
        + text_len(record.operation_access_level.len())
        + text_len(record.operation_name.len())
        + text_len(record.operation_result_description.len())
        + text_len(record.caller_agent.len())
        + text_len(record.operation_category_description.len())
        + kind_len(record.operation_type)
        + kind_len(record.operation_result)
}

/// The header of an identity's map and its keys.
const IDENTITY_CONSTANTS: usize = 1 + IDENTITY[0].len() + IDENTITY[1].len();

/// The header of a target's map and its keys.
const TARGET_CONSTANTS: usize =
    1 + TARGET[0].len() + TARGET[1].len() + TARGET[2].len() + TARGET[3].len();

const _: () = assert!(BODY == HEAD_DATA.len() + 1 + ENTRY.len() + 8, "as the layout says");
