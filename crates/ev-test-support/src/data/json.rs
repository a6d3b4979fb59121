//! The places of the top-level values of a JSON object.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Keys and places of the values of the object `json`, in their order.
pub(super) fn members(json: &[u8]) -> Option<Vec<(String, Range<usize>)>> {
    let members: Members<'_> = serde_json::from_slice(json).ok()?;
    let place = |value: &RawValue| {
        let start = value.get().as_ptr() as usize - json.as_ptr() as usize;
        start..start + value.get().len()
    };
    Some(members.0.into_iter().map(|(key, value)| (key, place(value))).collect())
}

/// The place of the only member `key`, if it has `value`.
pub(super) fn find(json: &[u8], key: &str, value: &str) -> Option<Range<usize>> {
    let members = members(json)?;
    let mut with = members.iter().filter(|(other, _)| other == key);
    let (_, place) = with.next()?;
    (with.next().is_none() && &json[place.clone()] == value.as_bytes()).then(|| place.clone())
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_level_counts() {
        let json = br#"{"a":{"uid":"x"},"uid":"y","b":["uid"]}"#;
        let place = find(json, "uid", "\"y\"").expect("it is there");
        assert_eq!(&json[place], b"\"y\"");
        assert_eq!(find(json, "uid", "\"x\""), None);
        assert_eq!(find(br#"{"k":1,"k":1}"#, "k", "1"), None);
    }
}
