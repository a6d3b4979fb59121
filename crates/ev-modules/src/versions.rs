//! The list of versions that stands beside the folders of artifacts, for those who read them over
//! HTTPS and cannot look into a directory.
//!
//! JSON: `{"versions": ["18.1.0", "18.2.0"]}`. It is not signed and proves nothing: it says which
//! folders are worth a question. Names that are no plain versions are passed over, and so are
//! members that are not known here.

use ev_core::AuthVersion;
use serde::{Deserialize, Serialize};

use crate::layout;

/// Name of the list in the base directory.
pub const VERSIONS_FILE: &str = "versions.json";

/// Largest list that is read, in bytes: room for some 5,000 versions.
pub const MAX_VERSIONS_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Wire {
    versions: Vec<String>,
}

/// The list as JSON, with a line feed at its end.
#[cfg(feature = "cli")]
pub(crate) fn write_versions<'a>(versions: impl IntoIterator<Item = &'a AuthVersion>) -> Vec<u8> {
    let versions = versions.into_iter().map(ToString::to_string).collect();
    let mut json = serde_json::to_vec(&Wire { versions }).expect("strings always serialise");
    json.push(b'\n');
    json
}

/// Reads a list.
///
/// # Errors
///
/// What is wrong with it, lower case.
pub fn read_versions(json: &[u8]) -> Result<Vec<AuthVersion>, String> {
    if json.len() > MAX_VERSIONS_BYTES {
        return Err(format!("it is larger than {MAX_VERSIONS_BYTES} bytes"));
    }
    let wire: Wire = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let plain = wire.versions.into_iter().filter(|name| layout::is_safe_component(name));
    Ok(plain.map(AuthVersion::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_passed_over() {
        let json = br#"{"versions":["18.1.0","../x","","a/b","18.2.0-rc.1"],"later":1}"#;
        let versions = read_versions(json).unwrap();
        assert_eq!(versions, ["18.1.0", "18.2.0-rc.1"].map(AuthVersion::new));
    }

    #[test]
    fn what_is_no_list_is_told() {
        let check = |json: &[u8], what: &str| {
            let error = read_versions(json).unwrap_err();
            assert!(error.contains(what), "{error}");
        };
        check(b"", "EOF");
        check(b"<html>", "expected value");
        check(b"{}", "missing field `versions`");
        check(br#"{"versions":"18.1.0"}"#, "invalid type");
        check(&vec![b' '; MAX_VERSIONS_BYTES + 1], "larger than 65536 bytes");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn what_is_written_is_read() {
        let versions = ["18.1.0", "18.2.0"].map(AuthVersion::new);
        let json = write_versions(&versions);
        assert_eq!(json, b"{\"versions\":[\"18.1.0\",\"18.2.0\"]}\n");
        assert_eq!(read_versions(&json).unwrap(), versions);
    }
}
