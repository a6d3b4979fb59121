//! One recorded event, changed in its bytes and in its JSON alike.
//!
//! Field 1 of every event is its `Metadata`: index 1, type 2, id 3, code 4, time 5. A session id is
//! field 1 of the event's `SessionMetadata`, whose place differs from event to event.

use bytes::Bytes;

use super::json;
use super::vector::{Vector, is_uuid};
use super::wire::{self, Field, Kind};
use crate::Error;
use crate::auth::{Event, Unstructured, struct_json};
use crate::time::UtcTime;

/// What is to be different; everything else stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Another id, of the shape of a UUID, for an event that has such a one.
    pub uid: Option<&'a str>,
    /// Another time. The seconds are taken as they are; the fraction is taken as near as its
    /// printed digits and its length on the wire allow.
    pub time: Option<UtcTime>,
    /// Another index. This is the one change that may change lengths.
    pub index: Option<i64>,
    /// Another session id, of the shape of a UUID, for an event that has such a one.
    pub session: Option<&'a str>,
}

impl Change<'_> {
    /// Another time and nothing else.
    pub fn at(time: UtcTime) -> Self {
        Self { time: Some(time), ..Self::default() }
    }
}

/// An event made of a recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The serialised `events.OneOf`.
    pub oneof: Bytes,
    /// The JSON that Go would write.
    pub json: Bytes,
    /// The event's type.
    pub kind: String,
    /// Its id; empty when it has none.
    pub uid: String,
    /// Its time.
    pub time: UtcTime,
    /// Its index.
    pub index: i64,
    /// Its session; empty when it has none.
    pub session: String,
}

impl Made {
    /// What an Auth server serves.
    pub fn event(&self) -> Event {
        Event {
            oneof: self.oneof.clone(),
            time: self.time,
            kind: self.kind.clone(),
            index: self.index,
            unstructured: Unstructured::Of(self.json.clone()),
        }
    }

    /// The JSON of the unstructured forms: keys sorted at every level, numbers as doubles, and
    /// what a terminal printed as one more key `data`.
    ///
    /// # Panics
    ///
    /// Never: what Go printed is an object.
    pub fn struct_json(&self) -> Bytes {
        struct_json(&self.json, &self.oneof).expect("go prints objects").into()
    }
}

/// Makes an event.
///
/// # Errors
///
/// When the vector's encoding is not a plain one (parts of it occur more than once), or lacks what
/// is to be changed.
pub fn rewrite(vector: &Vector, change: &Change<'_>) -> Result<Made, Error> {
    attempt(vector, change).map_err(|message| Error::Vector {
        vector: format!("{} {}", vector.type_name, vector.case),
        message: message.to_owned(),
    })
}

type Step<T> = Result<T, &'static str>;

fn attempt(vector: &Vector, change: &Change<'_>) -> Step<Made> {
    let mut made = Made {
        oneof: vector.oneof.clone(),
        json: vector.json.clone(),
        kind: vector.kind.clone(),
        uid: vector.uid.clone(),
        time: vector.time,
        index: vector.index,
        session: vector.session.clone(),
    };
    if let Some(session) = change.session {
        set_session(&mut made, session)?;
    }
    if let Some(uid) = change.uid {
        set_uid(&mut made, uid)?;
    }
    if let Some(time) = change.time {
        set_time(&mut made, time)?;
    }
    if made.oneof.len() != vector.oneof.len() || made.json.len() != vector.json.len() {
        return Err("a length has changed");
    }
    if let Some(index) = change.index {
        set_index(&mut made, index)?;
    }
    check(&made)?;
    Ok(made)
}

fn set_uid(made: &mut Made, uid: &str) -> Step<()> {
    if !is_uuid(&made.uid) || !is_uuid(uid) {
        return Err("the id is no uuid");
    }
    let old = made.uid.clone();
    made.edit_metadata(|metadata, fields| {
        let field = wire::only(fields, 3).ok_or("there is not one id")?;
        if &metadata[field.value.clone()] != old.as_bytes() {
            return Err("the id is another one");
        }
        Ok(wire::replace(metadata, field, uid.as_bytes()))
    })?;
    made.edit_json("uid", &quoted(&old), &quoted(uid))?;
    uid.clone_into(&mut made.uid);
    Ok(())
}

fn set_time(made: &mut Made, wanted: UtcTime) -> Step<()> {
    let old = made.time;
    let time = UtcTime { seconds: wanted.seconds, nanos: fit(old.nanos, wanted.nanos) };
    made.edit_metadata(|metadata, fields| {
        let field = wire::only(fields, 5).ok_or("there is not one time")?;
        let stamp = &metadata[field.value.clone()];
        Ok(wire::replace(metadata, field, &retimed(stamp, old, time)?))
    })?;
    made.edit_json("time", &quoted(&old.to_string()), &quoted(&time.to_string()))?;
    made.time = time;
    Ok(())
}

/// A `google.protobuf.Timestamp` with other numbers of the same lengths.
fn retimed(stamp: &[u8], old: UtcTime, new: UtcTime) -> Step<Vec<u8>> {
    let fields = wire::fields(stamp).ok_or("the time is no message")?;
    let mut stamp = stamp.to_vec();
    let parts = [(1, old.seconds, new.seconds), (2, old.nanos.into(), new.nanos.into())];
    for (number, old, new) in parts {
        let (old, new) = (old.cast_unsigned(), new.cast_unsigned());
        match fields.iter().filter(|field| field.number == number).collect::<Vec<_>>()[..] {
            [] if old == 0 && new == 0 => {}
            [field] if field.kind == Kind::Varint(old) => {
                if field.value.len() != wire::varint_len(new) {
                    return Err("the time needs another number of bytes");
                }
                let mut value = Vec::new();
                wire::put_varint(&mut value, new);
                stamp[field.value.clone()].copy_from_slice(&value);
            }
            _ => return Err("the time is not a plain one"),
        }
    }
    Ok(stamp)
}

/// The nanoseconds nearest below `wanted` that print as many digits and take as many bytes as
/// `like`; `like` itself if there are none.
fn fit(like: u32, wanted: u32) -> u32 {
    if like == 0 {
        return 0;
    }
    let zeros = (1..=9).take_while(|n| like.is_multiple_of(10_u32.pow(*n))).count();
    let unit = 10_u32.pow(u32::try_from(zeros).expect("at most nine"));
    let mut digits = wanted / unit;
    if digits.is_multiple_of(10) {
        digits += 1;
    }
    let nanos = digits * unit;
    let same_length = wire::varint_len(nanos.into()) == wire::varint_len(like.into());
    if nanos < 1_000_000_000 && same_length { nanos } else { like }
}

fn set_index(made: &mut Made, index: i64) -> Step<()> {
    let old = made.index;
    made.edit_metadata(|metadata, fields| {
        let mut value = Vec::new();
        if index != 0 {
            wire::put_varint(&mut value, 1 << 3);
            wire::put_varint(&mut value, index.cast_unsigned());
        }
        match fields.iter().filter(|field| field.number == 1).collect::<Vec<_>>()[..] {
            [] => Ok([&value, metadata].concat()),
            [field] => Ok(wire::splice(metadata, field.whole.clone(), &value)),
            _ => Err("there is more than one index"),
        }
    })?;
    made.edit_json("ei", &old.to_string(), &index.to_string())?;
    made.index = index;
    Ok(())
}

fn set_session(made: &mut Made, session: &str) -> Step<()> {
    if !is_uuid(&made.session) || !is_uuid(session) {
        return Err("the session id is no uuid");
    }
    let old = made.session.clone();
    made.edit_event(|event| {
        let all = wire::fields(event).ok_or("the event is not a plain one")?;
        let mut places = all.iter().filter(|field| field.number != 1).filter_map(|outer| {
            let message = &event[outer.value.clone()];
            let fields = (outer.kind == Kind::Len).then(|| wire::fields(message)).flatten()?;
            let inner = wire::only(&fields, 1)?.clone();
            (&message[inner.value.clone()] == old.as_bytes()).then_some((outer, inner))
        });
        let (outer, inner) = places.next().ok_or("there is no session")?;
        if places.next().is_some() {
            return Err("there are several places with the session's id");
        }
        let message = wire::replace(&event[outer.value.clone()], &inner, session.as_bytes());
        Ok(wire::replace(event, outer, &message))
    })?;
    made.edit_json("sid", &quoted(&old), &quoted(session))?;
    session.clone_into(&mut made.session);
    Ok(())
}

impl Made {
    /// Changes the message of the `OneOf`'s case.
    fn edit_event(&mut self, edit: impl FnOnce(&[u8]) -> Step<Vec<u8>>) -> Step<()> {
        let all = wire::fields(&self.oneof).ok_or("the bytes are not a plain message")?;
        let [case] = &all[..] else { return Err("there is not one case") };
        if case.kind != Kind::Len {
            return Err("the case is no message");
        }
        let event = edit(&self.oneof[case.value.clone()])?;
        self.oneof = wire::replace(&self.oneof, case, &event).into();
        Ok(())
    }

    fn edit_metadata(&mut self, edit: impl FnOnce(&[u8], &[Field]) -> Step<Vec<u8>>) -> Step<()> {
        self.edit_event(|event| {
            let all = wire::fields(event).ok_or("the event is not a plain one")?;
            let field = wire::only(&all, 1).filter(|field| field.kind == Kind::Len);
            let field = field.ok_or("there is not one metadata")?;
            let metadata = &event[field.value.clone()];
            let fields = wire::fields(metadata).ok_or("the metadata is not plain")?;
            Ok(wire::replace(event, field, &edit(metadata, &fields)?))
        })
    }

    fn edit_json(&mut self, key: &str, old: &str, new: &str) -> Step<()> {
        let place = json::find(&self.json, key, old).ok_or("the json has another value")?;
        self.json = wire::splice(&self.json, place, new.as_bytes()).into();
        Ok(())
    }
}

/// Reads back what was made.
fn check(made: &Made) -> Step<()> {
    let mut copy = made.clone();
    copy.edit_metadata(|metadata, fields| {
        let id = wire::only(fields, 3).map(|field| &metadata[field.value.clone()]);
        if id.unwrap_or_default() != made.uid.as_bytes() {
            return Err("the id did not arrive");
        }
        let index = match wire::only(fields, 1).map(|field| field.kind) {
            Some(Kind::Varint(index)) => index.cast_signed(),
            None => 0,
            Some(_) => return Err("the index is no number"),
        };
        if index != made.index {
            return Err("the index did not arrive");
        }
        Ok(metadata.to_vec())
    })?;
    if copy.oneof != made.oneof {
        return Err("the lengths do not fit");
    }
    let has = |key, value: &str| json::find(&made.json, key, value).is_some();
    let right = has("time", &quoted(&made.time.to_string()))
        && has("ei", &made.index.to_string())
        && (made.uid.is_empty() || has("uid", &quoted(&made.uid)))
        && (made.session.is_empty() || has("sid", &quoted(&made.session)));
    if right { Ok(()) } else { Err("the json did not change as it should") }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_keep_their_digits() {
        for (like, wanted, expected) in [
            (0, 123_456_789, 0),
            (500_000_000, 123_456_789, 500_000_000), // 5 bytes; 100 ms would need 4
            (345_000_000, 987_654_321, 987_000_000),
            (345_000_000, 980_000_000, 981_000_000),
            (323_456_789, 999_999_999, 999_999_999),
            (123_456_789, 999_999_999, 123_456_789),
            (123_456_789, 0, 123_456_789),
            (100, 300, 100),
            (200, 300, 300),
        ] {
            assert_eq!(fit(like, wanted), expected, "{like} {wanted}");
        }
    }
}
