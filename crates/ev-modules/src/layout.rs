//! Names in a directory of artifacts:
//! `<base>/<auth version>/module-abi<N>.wasm` and `table-v<N>.evt`, each with
//! `<file>.dsse.json` beside it. The same under an HTTPS address.

use ev_core::{ArtifactKind, AuthVersion};

/// Longest Auth version that is taken, in bytes.
pub(crate) const MAX_VERSION_LEN: usize = 128;

/// File name of an artifact; `abi` as in its manifest.
pub fn file_name(kind: ArtifactKind, abi: u32) -> String {
    match kind {
        ArtifactKind::Module => format!("module-abi{abi}.wasm"),
        ArtifactKind::Table => format!("table-v{abi}.evt"),
    }
}

/// File name of the envelope that belongs to an artifact's file.
pub fn envelope_name(file_name: &str) -> String {
    format!("{file_name}.dsse.json")
}

/// Whether a file is named as an artifact is.
#[cfg(feature = "cli")]
pub(crate) fn is_artifact_name(name: &str) -> bool {
    let number =
        |prefix, suffix| name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse::<u32>().ok();
    let module = number("module-abi", ".wasm").map(|abi| (ArtifactKind::Module, abi));
    let table = number("table-v", ".evt").map(|abi| (ArtifactKind::Table, abi));
    // Written in the one way that is asked for: `module-abi01.wasm` is not.
    module.or(table).is_some_and(|(kind, abi)| file_name(kind, abi) == name)
}

/// The folder for an Auth version, or `None` if the version cannot be one: it comes from the
/// network, and must not lead out of the base.
pub fn version_dir(version: &AuthVersion) -> Option<&str> {
    is_safe_component(version.as_str()).then(|| version.as_str())
}

/// Whether the text is one plain path component: `A-Z a-z 0-9 . - + _`, not starting with a dot,
/// 1 to 128 bytes. Every semantic version is.
pub(crate) fn is_safe_component(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
    !text.is_empty()
        && text.len() <= MAX_VERSION_LEN
        && !text.starts_with('.')
        && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cli")]
    #[test]
    fn names_of_artifacts() {
        for good in ["module-abi1.wasm", "table-v1.evt", "table-v12.evt"] {
            assert!(is_artifact_name(good), "{good}");
        }
        for bad in ["table-v1.evt.dsse.json", "table-v01.evt", "table-v+1.evt", "table.evt", ""] {
            assert!(!is_artifact_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_version_cannot_lead_out_of_the_base() {
        for good in ["18.1.0", "15.0.0-dev", "18.0.0-alpha.1+build_5"] {
            assert!(is_safe_component(good), "{good}");
        }
        let long = "1".repeat(129);
        for bad in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a b", "a\0", "é", &long] {
            assert!(!is_safe_component(bad), "{bad}");
        }
    }
}
