//! The trust file, and the list of versions in a directory.

use std::path::Path;

use ev_modules::{KeyId, Trust, read_versions};
use ev_oracle::Choices;

use super::with_words;

pub(super) fn run(input: &[u8]) {
    match Trust::from_json(input, Path::new("trust.json")) {
        Ok(trust) => {
            assert!(!trust.keys().is_empty(), "a trust file without keys is refused");
            for key in trust.keys() {
                assert_eq!(key.key_id, KeyId::of_public_key(&key.public_key));
                if let (Some(from), Some(to)) = (key.not_before, key.not_after) {
                    assert!(from <= to, "a key that never counts is refused");
                }
            }
        }
        Err(error) => assert!(error.to_string().contains("`trust.json`"), "{error}"),
    }
    if let Ok(versions) = read_versions(input) {
        for version in versions {
            let name = version.as_str();
            assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']), "{name:?}");
            assert!(name != "." && name != "..", "{name:?}");
        }
    }
}

pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: [&str; 22] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\ud800",
        "null",
        "\"keys\":[",
        "\"public_key\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",",
        "\"key_id\":\"0000000000000000\",",
        "\"not_before\":\"2025-01-01T00:00:00Z\",",
        "\"not_after\":\"0001-01-01T00:00:00Z\",",
        "\"revoked\":[\"00\"],",
        "\"min_created\":\"9999-12-31T23:59:59.999999999Z\",",
        "\"comment\":\"\",",
        "\"versions\":[\"18.1.0\",\"..\"],",
        "..",
        "/",
        "2025-02-30T24:00:00Z",
        "=",
    ];
    with_words(inputs, &WORDS, choices)
}
