//! The words of `ev-core` as they stand in the database, and back.

use ev_core::{EventDigest, Flavour, Form, LaneId, ParkReason, Road, SessionId};
use rusqlite::types::{FromSqlError, FromSqlResult, ValueRef};

/// Length of a digest, also in a blob of known ids, and of a sum of the ledger.
const DIGEST_LEN: usize = 16;

pub(crate) fn form_name(form: Form) -> &'static str {
    match form {
        Form::OneOf => "oneof",
        Form::Unstructured => "unstructured",
    }
}

pub(crate) fn form(value: ValueRef<'_>) -> FromSqlResult<Form> {
    let all = [Form::OneOf, Form::Unstructured];
    find(value, "form of event", all, form_name)
}

pub(crate) fn road(value: ValueRef<'_>) -> FromSqlResult<Road> {
    find(value, "road", [Road::Typed, Road::Unstructured, Road::Export], Road::as_str)
}

pub(crate) fn reason(value: ValueRef<'_>) -> FromSqlResult<ParkReason> {
    find(value, "reason for parking", ParkReason::ALL, ParkReason::as_str)
}

pub(crate) fn flavour(value: ValueRef<'_>) -> FromSqlResult<Flavour> {
    find(value, "JSON flavour", [Flavour::Go, Flavour::Struct], Flavour::as_str)
}

pub(crate) fn lane(value: ValueRef<'_>) -> FromSqlResult<LaneId> {
    value.as_str()?.parse().map_err(|_| FromSqlError::Other("unknown kind of lane".into()))
}

pub(crate) fn session(value: ValueRef<'_>) -> FromSqlResult<SessionId> {
    let invalid = |_| FromSqlError::Other("no session id".into());
    SessionId::try_new(value.as_str()?.as_bytes()).map_err(invalid)
}

pub(crate) fn digest(value: ValueRef<'_>) -> FromSqlResult<EventDigest> {
    sixteen(value).map(EventDigest)
}

pub(crate) fn sixteen(value: ValueRef<'_>) -> FromSqlResult<[u8; DIGEST_LEN]> {
    let bytes = value.as_blob()?;
    <[u8; DIGEST_LEN]>::try_from(bytes).map_err(|_| FromSqlError::InvalidBlobSize {
        expected_size: DIGEST_LEN,
        blob_size: bytes.len(),
    })
}

/// Digests one behind the other.
pub(crate) fn pack(digests: &[EventDigest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.0).collect()
}

/// Appends the digests of a blob to `into`.
pub(crate) fn unpack(value: ValueRef<'_>, into: &mut Vec<EventDigest>) -> FromSqlResult<()> {
    each(value, |digest| into.push(EventDigest(*digest)))
}

/// Looks at each digest of a blob.
pub(crate) fn each(value: ValueRef<'_>, look: impl FnMut(&[u8; DIGEST_LEN])) -> FromSqlResult<()> {
    let bytes = value.as_blob()?;
    let (digests, rest) = bytes.as_chunks::<DIGEST_LEN>();
    if !rest.is_empty() {
        let expected_size = bytes.len() - rest.len();
        return Err(FromSqlError::InvalidBlobSize { expected_size, blob_size: bytes.len() });
    }
    digests.iter().for_each(look);
    Ok(())
}

fn find<T: Copy, const N: usize>(
    value: ValueRef<'_>,
    what: &str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> FromSqlResult<T> {
    let text = value.as_str()?;
    all.into_iter()
        .find(|word| name(*word) == text)
        // The word itself is not told: in a damaged file it may be anything.
        .ok_or_else(|| FromSqlError::Other(format!("unknown {what}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_round_trip_and_odd_lengths_are_refused() {
        let digests = vec![EventDigest([1; 16]), EventDigest([2; 16])];
        let packed = pack(&digests);
        let mut found = Vec::new();
        unpack(ValueRef::Blob(&packed), &mut found).expect("whole digests");
        assert_eq!(found, digests);
        assert!(unpack(ValueRef::Blob(&packed[..31]), &mut found).is_err());
        assert!(digest(ValueRef::Blob(&packed)).is_err());
    }

    #[test]
    fn unknown_words_are_refused_without_printing_them() {
        let error = road(ValueRef::Text(b"river")).expect_err("no road");
        assert_eq!(error.to_string(), "unknown road");
    }
}
