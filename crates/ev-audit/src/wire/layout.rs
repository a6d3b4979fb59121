//! The constant parts of a frame.
//!
//! ```text
//!  0  93                 array of 3
//!  1  aa "AsmAudit??"    tag: DP, CP, HB or DG
//! 12  91                 array of 1 entry
//! 13  92                 entry: time and body
//! 14  d3                 signed 64-bit integer
//! 15  seconds            big-endian
//! 23  body               a map
//!     81 aa "TimeFormat" a8 "DateTime"
//! ```

use std::ops::Range;

/// Where the seconds of a frame with one entry stand.
pub const SECONDS: Range<usize> = 15..23;

/// Where the body of a frame with one entry starts.
pub const BODY: usize = 23;

/// What stands behind the entries of every frame.
pub const TRAILER: &[u8; 21] = b"\x81\xaaTimeFormat\xa8DateTime";

/// The longest frame that is ever encoded or decoded: 16 MiB.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// How many arrays and maps may stand around a value of custom data at most, whatever the rules
/// say. What is deeper is decoded as an error and encoded as nil.
pub const MAX_DEPTH: usize = 64;

/// What stands in front of the entries of a frame, without their number.
pub(super) const HEAD_DATA: &[u8; 12] = b"\x93\xaaAsmAuditDP";
pub(super) const HEAD_CONTROL: &[u8; 12] = b"\x93\xaaAsmAuditCP";
pub(super) const HEAD_HEARTBEAT: &[u8; 12] = b"\x93\xaaAsmAuditHB";
pub(super) const HEAD_DIAGNOSTIC: &[u8; 12] = b"\x93\xaaAsmAuditDG";

/// An array of one.
pub(super) const ONE: u8 = 0x91;

/// An entry up to its seconds.
pub(super) const ENTRY: &[u8; 2] = b"\x92\xd3";

/// The keys of a record in their order, as they are written.
pub(super) mod record {
    pub(crate) const SERVICE: &[u8] = b"\xa8env_ikey";
    pub(crate) const ADDRESS: &[u8] = b"\xafCallerIpAddress";
    pub(crate) const IDENTITIES: &[u8] = b"\xb0CallerIdentities";
    pub(crate) const CATEGORIES: &[u8] = b"\xb3OperationCategories";
    pub(crate) const CUSTOM: &[u8] = b"\xaaCustomData";
    pub(crate) const TARGETS: &[u8] = b"\xafTargetResources";
    pub(crate) const LEVELS: &[u8] = b"\xb2CallerAccessLevels";
    pub(crate) const ACCESS_LEVEL: &[u8] = b"\xb4OperationAccessLevel";
    pub(crate) const NAME: &[u8] = b"\xadOperationName";
    pub(crate) const RESULT_DESCRIPTION: &[u8] = b"\xbaOperationResultDescription";
    pub(crate) const AGENT: &[u8] = b"\xabCallerAgent";
    pub(crate) const CATEGORY_DESCRIPTION: &[u8] = b"\xbcOperationCategoryDescription";
    pub(crate) const TYPE: &[u8] = b"\xadOperationType";
    pub(crate) const RESULT: &[u8] = b"\xafOperationResult";

    /// All of them.
    pub(crate) const ALL: [&[u8]; 14] = [
        SERVICE,
        ADDRESS,
        IDENTITIES,
        CATEGORIES,
        CUSTOM,
        TARGETS,
        LEVELS,
        ACCESS_LEVEL,
        NAME,
        RESULT_DESCRIPTION,
        AGENT,
        CATEGORY_DESCRIPTION,
        TYPE,
        RESULT,
    ];

    /// The one that may be missing.
    pub(crate) const OPTIONAL: usize = 4;
}

/// The keys of an identity.
pub(super) const IDENTITY: [&[u8]; 2] = [b"\xa8Identity", b"\xabDescription"];

/// The keys of a target resource.
pub(super) const TARGET: [&[u8]; 4] =
    [b"\xa4Name", b"\xa7Cluster", b"\xaaDataCenter", b"\xa6Region"];

/// The keys of a heartbeat.
pub(super) const HEARTBEAT: [&[u8]; 5] = [
    b"\xb1AsmAuditServiceId",
    b"\xacAuditVersion",
    b"\xa9OsVersion",
    b"\xa8Language",
    b"\xabDestination",
];

/// What stands for an address that is not set.
pub(super) const NO_ADDRESS: &str = "invalid IP";

/// Bytes of the constant parts of a record's frame: envelope, header of the map, all keys but the
/// one that may be missing.
pub(super) const RECORD_CONSTANTS: usize = {
    let mut bytes = BODY + TRAILER.len() + 1;
    let mut place = 0;
    while place < record::ALL.len() {
        bytes += record::ALL[place].len();
        place += 1;
    }
    bytes - record::ALL[record::OPTIONAL].len()
};

/// The seconds of a frame with one entry, nothing when it is too short to have any.
pub fn seconds(frame: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = frame.get(SECONDS)?.try_into().ok()?;
    Some(i64::from_be_bytes(bytes))
}

/// Gives a frame with one entry another time; one that is too short to have any stays as it is.
pub fn stamp(frame: &mut [u8], seconds: i64) {
    if let Some(place) = frame.get_mut(SECONDS) {
        place.copy_from_slice(&seconds.to_be_bytes());
    }
}
