//! A request as it comes, held against the rules of the interface.

use ev_core::{ArtifactKind, ArtifactRequest, AuthVersion};
use tonic::Status;

use crate::generated::ev::decoder::v1::{ArtifactKind as WireKind, GetArtifactRequest};
use crate::layout::MAX_VERSION_LEN;

/// Most kinds in a request. There are two; the rest is room for later ones.
const MAX_KINDS: usize = 8;
/// Most ABI or format versions in a request: each is a file that is looked for.
const MAX_ABIS: usize = 16;

/// A request that keeps the rules.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) request: ArtifactRequest,
    pub(super) envelope_only: bool,
}

/// Checks a request. A kind that is not known here, of a later client, is passed over.
pub(super) fn read(request: GetArtifactRequest) -> Result<Wanted, Status> {
    let GetArtifactRequest {
        auth_version,
        kinds,
        module_abis,
        table_formats,
        held_sha256,
        envelope_only,
    } = request;
    if !(1..=MAX_VERSION_LEN).contains(&auth_version.len()) {
        return Err(broken(format!("`auth_version` must have 1 to {MAX_VERSION_LEN} bytes")));
    }
    if !(1..=MAX_KINDS).contains(&kinds.len()) {
        return Err(broken(format!("`kinds` must name 1 to {MAX_KINDS}")));
    }
    for (name, list) in [("module_abis", &module_abis), ("table_formats", &table_formats)] {
        if list.len() > MAX_ABIS {
            return Err(broken(format!("`{name}` must name at most {MAX_ABIS}")));
        }
    }
    let held_sha256 = match held_sha256.len() {
        0 => None,
        _ => Some(
            <[u8; 32]>::try_from(&held_sha256[..])
                .map_err(|_| broken("`held_sha256` must be empty or have 32 bytes".to_owned()))?,
        ),
    };
    let mut known = Vec::new();
    for kind in kinds {
        match WireKind::try_from(kind) {
            Ok(WireKind::Unspecified) => {
                return Err(broken("`kinds` holds the one that is never sent".to_owned()));
            }
            Ok(WireKind::Module) => known.push(ArtifactKind::Module),
            Ok(WireKind::Table) => known.push(ArtifactKind::Table),
            Err(_) => {}
        }
    }
    let request = ArtifactRequest {
        auth_version: AuthVersion::new(auth_version),
        kinds: known,
        module_abis,
        table_formats,
        held_sha256,
        // The client knows its own limit and refuses by the header; the directory has ours.
        max_bytes: usize::MAX,
    };
    Ok(Wanted { request, envelope_only })
}

fn broken(message: String) -> Status {
    Status::invalid_argument(message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tonic::Code;

    use super::*;

    fn good() -> GetArtifactRequest {
        GetArtifactRequest {
            auth_version: "18.1.0".into(),
            kinds: vec![WireKind::Table.into(), WireKind::Module.into()],
            module_abis: vec![1],
            table_formats: vec![1, 2],
            held_sha256: Bytes::new(),
            envelope_only: false,
        }
    }

    #[test]
    fn a_good_request_is_taken_as_it_is() {
        let Wanted { request, envelope_only } = read(good()).unwrap();
        assert_eq!(request.auth_version.as_str(), "18.1.0");
        assert_eq!(request.kinds, [ArtifactKind::Table, ArtifactKind::Module]);
        assert_eq!((request.module_abis, request.table_formats), (vec![1], vec![1, 2]));
        assert_eq!((request.held_sha256, envelope_only), (None, false));
        let held = GetArtifactRequest { held_sha256: vec![7; 32].into(), ..good() };
        assert_eq!(read(held).unwrap().request.held_sha256, Some([7; 32]));
        let later = GetArtifactRequest { kinds: vec![9, WireKind::Table.into()], ..good() };
        assert_eq!(read(later).unwrap().request.kinds, [ArtifactKind::Table]);
    }

    #[test]
    fn every_rule_is_kept() {
        let check = |request: GetArtifactRequest, name: &str| {
            let status = read(request).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{name}");
            assert!(status.message().contains(name), "{}", status.message());
        };
        check(GetArtifactRequest { auth_version: String::new(), ..good() }, "auth_version");
        check(GetArtifactRequest { auth_version: "1".repeat(129), ..good() }, "auth_version");
        assert!(read(GetArtifactRequest { auth_version: "1".repeat(128), ..good() }).is_ok());
        check(GetArtifactRequest { kinds: Vec::new(), ..good() }, "kinds");
        check(GetArtifactRequest { kinds: vec![1; 9], ..good() }, "kinds");
        check(GetArtifactRequest { kinds: vec![1, 0], ..good() }, "kinds");
        check(GetArtifactRequest { module_abis: vec![1; 17], ..good() }, "module_abis");
        check(GetArtifactRequest { table_formats: vec![1; 17], ..good() }, "table_formats");
        check(GetArtifactRequest { held_sha256: vec![7; 31].into(), ..good() }, "held_sha256");
        check(GetArtifactRequest { held_sha256: vec![7; 33].into(), ..good() }, "held_sha256");
    }

    #[test]
    fn the_largest_request_that_keeps_the_rules_is_read() {
        use prost::Message as _;
        let largest = GetArtifactRequest {
            auth_version: "1".repeat(MAX_VERSION_LEN),
            kinds: vec![i32::MAX; MAX_KINDS],
            module_abis: vec![u32::MAX; MAX_ABIS],
            table_formats: vec![u32::MAX; MAX_ABIS],
            held_sha256: vec![7; 32].into(),
            envelope_only: true,
        };
        assert!(largest.encoded_len() < super::super::MAX_REQUEST_BYTES / 8);
        assert!(read(largest).is_ok());
    }
}
