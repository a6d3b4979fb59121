//! The records that the tests share.

use ev_audit::{
    CallerIdentityType, Identity, List, Map, OperationCategory, OperationResult, OperationType,
    Record, ServiceId, Target, Value,
};

/// The time of the golden frames.
pub(crate) const SECONDS: i64 = 1_700_000_000;

/// The service of the golden frames.
pub(crate) fn service() -> ServiceId {
    "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().expect("a GUID")
}

/// The record of the golden frames B, E and F, as the caller gives it: lists are in no order and
/// have duplicates.
pub(crate) fn record() -> Record {
    let targets =
        [Target::new("Name").cluster("Cluster").data_center("DataCenter").region("Region")];
    let identities = [Identity::new("user1@domain.com", "Description")];
    Record {
        caller_ip: Some("192.168.0.1".parse().expect("an address")),
        caller_identities: Map::from([(CallerIdentityType::UPN, List::from(identities))]),
        operation_categories: List::from([
            OperationCategory::AUTHENTICATION,
            OperationCategory::USER_MANAGEMENT,
            OperationCategory::USER_MANAGEMENT,
        ]),
        custom_data: Map::absent(),
        target_resources: Map::from([("ResourceType".to_owned(), List::from(targets))]),
        caller_access_levels: ["b", "a", "b"].map(str::to_owned).into(),
        operation_access_level: "AccessLevel".to_owned(),
        operation_name: "Operation".to_owned(),
        operation_result_description: "ResultDescription".to_owned(),
        caller_agent: "Agent".to_owned(),
        operation_category_description: String::new(),
        operation_type: OperationType::READ,
        operation_result: OperationResult::SUCCESS,
    }
}

/// A record of usual size: its frame has 575 bytes.
pub(crate) fn typical() -> Record {
    let mut record = record();
    record.custom_data.insert("seq".to_owned(), Value::U16(7));
    record
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("two digits")
        })
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
