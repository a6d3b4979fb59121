//! The parts of a record: kinds, copies, order, the builder, serde.

use std::net::Ipv4Addr;

use ev_audit::wire::{decode, encode_record};
use ev_audit::{
    Caller, CallerIdentityType, CallerIp, ConnectionType, Heartbeat, Identity, List, Map,
    Operation, OperationCategory, OperationResult, OperationType, Plane, Record, Rules, Target,
    Value,
};
use proptest::prelude::*;
use serde_json::json;

use crate::data::{SECONDS, hex, record, service, typical};
use crate::strategies;

fn framed(record: &Record) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_record(&mut frame, Plane::Data, record, &service(), SECONDS);
    frame
}

macro_rules! check_kinds {
    ($kind:ident: $($name:literal)+) => {{
        let names = [$($name),+];
        assert_eq!($kind::ALL.len(), names.len());
        for (number, name) in (0_u16..).zip(names) {
            let kind = $kind::from_number(number);
            assert_eq!($kind::ALL[usize::from(number)], kind);
            assert_eq!((kind.number(), kind.name()), (number, Some(name)));
            assert_eq!((kind.to_string(), format!("{kind:?}")), (name.to_owned(), name.to_owned()));
            assert_eq!(name.parse(), Ok(kind));
            assert_eq!(name.to_lowercase().parse(), Ok(kind));
            assert_eq!(name.to_uppercase().parse(), Ok(kind));
            assert_eq!($kind::from_name_or_unknown(name), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), json!(name));
            assert_eq!(serde_json::from_value::<$kind>(json!(name)).unwrap(), kind);
        }
        assert_eq!($kind::default(), $kind::UNKNOWN);
        assert_eq!($kind::UNKNOWN.number(), 0);
        assert_eq!($kind::from_name_or_unknown("nothing of the kind"), $kind::UNKNOWN);
        assert!("nothing of the kind".parse::<$kind>().is_err());
        assert!(serde_json::from_value::<$kind>(json!("nothing of the kind")).is_err());
        assert_eq!(size_of::<$kind>(), 2);
    }};
}

#[test]
fn kinds_have_their_numbers_and_names() {
    check_kinds!(OperationType: "UnknownOperationType" "Read" "Update" "Create" "Delete");
    check_kinds!(OperationResult: "UnknownOperationResult" "Success" "Failure");
    check_kinds!(OperationCategory: "UnknownOperationCategory" "OCOther" "UserManagement"
        "GroupManagement" "Authentication" "Authorization" "RoleManagement"
        "ApplicationManagement" "KeyManagement" "DirectoryManagement" "ResourceManagement"
        "PolicyManagement" "DeviceManagement" "EntitlementManagement" "PasswordManagement"
        "IdentityProtection" "ObjectManagement" "ProvisioningManagement" "CustomerFacing" "EUII");
    check_kinds!(CallerIdentityType: "UnknownCallerIdentityType" "CIOther" "UPN" "PUID"
        "ObjectID" "Certificate" "Claim" "Username" "AccessKeyName" "SubscriptionID"
        "ApplicationID" "TenantID" "TokenID" "SasURL" "System");
    check_kinds!(ConnectionType: "Unknown" "NoOP" "UnixDomainSocket" "TCP");
}

/// Every value, and every number without a name, goes over the wire by its text.
#[test]
fn kinds_go_over_the_wire_by_name() {
    for number in (0..30).chain([77, 400, 9_999, 10_000, u16::MAX]) {
        let record = Record {
            caller_identities: Map::from([(
                CallerIdentityType::from_number(number),
                List::from([Identity::new("i", "d")]),
            )]),
            operation_categories: [OperationCategory::from_number(number)].into(),
            operation_type: OperationType::from_number(number),
            operation_result: OperationResult::from_number(number),
            ..typical()
        };
        let frame = framed(&record);
        let holds = |text: String| frame.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(holds(record.operation_type.to_string()));
        assert!(holds(record.operation_result.to_string()));
        assert!(holds(record.operation_categories[0].to_string()));
        let (message, _) = decode(&frame).unwrap().unwrap();
        let read = message.record().unwrap();
        assert_eq!(read.operation_type, record.operation_type);
        assert_eq!(read.operation_result, record.operation_result);
        assert_eq!(read.operation_categories, record.operation_categories);
        assert!(read.caller_identities == record.caller_identities);
    }
}

/// Both lists are sorted and compacted on the wire, not in the caller's hands: short and long.
#[test]
fn writing_leaves_the_lists_of_the_caller_alone() {
    for count in [2_u16, 32, 33, 300] {
        let numbers = || (0..count).rev().chain(0..count);
        let mut record = typical();
        record.operation_categories = numbers().map(OperationCategory::from_number).collect();
        record.caller_access_levels = numbers().map(|it| format!("level {it:03}")).collect();
        let given = record.clone();
        let frame = framed(&record);
        assert!(record == given);
        assert_eq!(hex(&framed(&record)), hex(&frame));
        let (message, _) = decode(&frame).unwrap().unwrap();
        let read = message.record().unwrap();
        let levels: List<String> = (0..count).map(|it| format!("level {it:03}")).collect();
        assert_eq!(read.caller_access_levels, levels);
        let categories: List<_> = (0..count).map(OperationCategory::from_number).collect();
        assert_eq!(read.operation_categories, categories);
    }
}

/// The order of maps is that of their keys, not of how they were filled.
#[test]
fn the_same_record_has_the_same_bytes() {
    let kinds = [3_u16, 14, 2, 99, 0].map(CallerIdentityType::from_number);
    let resources = ["b", "a", "B", "ä", "aa"];
    let fill = |backwards: bool| {
        let mut record = record();
        let mut places: Vec<usize> = (0..5).collect();
        if backwards {
            places.reverse();
        }
        for place in places {
            record.caller_identities.insert(kinds[place], List::from([Identity::new("i", "d")]));
            record.target_resources.insert(resources[place].to_owned(), List::empty());
            let nested = resources.iter().map(|key| (*key, Value::Nil));
            let nested = if backwards { Value::map(nested.rev()) } else { Value::map(nested) };
            record.custom_data.insert(resources[place].to_owned(), nested);
        }
        framed(&record)
    };
    let frame = fill(false);
    assert_eq!(hex(&fill(true)), hex(&frame));
    let place =
        |key: &[u8]| frame.windows(key.len()).position(|it| it == key).expect("it is there");
    let identities = [
        place(b"\xb9UnknownCallerIdentityType"),
        place(b"\xa3UPN"),
        place(b"\xa4PUID"),
        place(b"\xa6System"),
        place(b"CallerIdentityType(99)"),
    ];
    assert!(identities.is_sorted());
    let targets = place(b"\xafTargetResources");
    let resource = |key: &[u8]| {
        let found = frame[targets..].windows(key.len()).position(|it| it == key);
        found.expect("it is there")
    };
    let resources = [
        resource(b"\xa1B"),
        resource(b"\xacResourceType"),
        resource(b"\xa1a\x90"),
        resource(b"\xa2aa\x90"),
        resource(b"\xa1b\x90"),
        resource(b"\xa2\xc3\xa4\x90"),
    ];
    assert!(resources.is_sorted());
}

#[test]
fn a_copy_is_independent() {
    let mut original = typical();
    original.custom_data.insert("nested".to_owned(), Value::map([("k", Value::array([1_u8]))]));
    let given = framed(&original);
    let mut copy = original.clone();
    assert!(copy == original);
    copy.operation_categories[0] = OperationCategory::EUII;
    copy.caller_access_levels[0].push('x');
    let identities = copy.caller_identities.get_mut(&CallerIdentityType::UPN).unwrap();
    identities[0].identity = "another".to_owned();
    identities.push(Identity::new("one more", "d"));
    copy.target_resources.get_mut("ResourceType").unwrap()[0].name = "another".to_owned();
    let Some(Value::Map(nested)) = copy.custom_data.get_mut("nested") else { panic!("a map") };
    let Some(Value::Array(inner)) = nested.get_mut(&Value::from("k")) else { panic!("an array") };
    inner.push(Value::Nil);
    copy.custom_data.insert("seq".to_owned(), Value::Nil);
    assert_eq!(hex(&framed(&original)), hex(&given));

    // Copies of the maps alone.
    let mut identities = original.caller_identities.clone();
    assert!(identities == original.caller_identities);
    identities.remove(&CallerIdentityType::UPN);
    let mut targets = original.target_resources.clone();
    assert!(targets == original.target_resources);
    targets.get_mut("ResourceType").unwrap().clear();
    targets.insert("more".to_owned(), List::absent());
    let mut custom = original.custom_data.clone();
    assert_eq!(custom, original.custom_data);
    custom.remove("seq");
    assert_eq!(hex(&framed(&original)), hex(&given));

    // What is absent stays so.
    let copy = Record::default().clone();
    assert!(copy.caller_identities.is_absent() && copy.operation_categories.is_absent());
}

#[test]
fn the_builder_makes_what_the_fields_say() {
    let built = Record::builder()
        .target(
            "ResourceType",
            Target::new("Name").cluster("Cluster").data_center("DataCenter").region("Region"),
        )
        .caller(
            Caller::new(Ipv4Addr::new(192, 168, 0, 1), "Agent", "b")
                .access_level("a")
                .identity(CallerIdentityType::UPN, "user1@domain.com", "Description")
                .access_level("b"),
        )
        .custom("seq", 7_u16)
        .operation(
            Operation::new("Operation", OperationCategory::AUTHENTICATION, "AccessLevel")
                .category(OperationCategory::USER_MANAGEMENT)
                .category(OperationCategory::USER_MANAGEMENT)
                .of_type(OperationType::READ)
                .succeeded()
                .result_description("ResultDescription"),
        )
        .build();
    assert!(built == typical());
    assert_eq!(built.validate(&Rules::strict()), Ok(()));
}

#[test]
fn the_builder_gives_what_a_result_or_category_needs() {
    let caller = || {
        Caller::new("fe80::1%eth0".parse::<CallerIp>().unwrap(), "Agent", "a")
            .identity(CallerIdentityType::SYSTEM, "i", "d")
            .identity(CallerIdentityType::SYSTEM, "j", "d")
    };
    let built = Record::builder()
        .caller(caller())
        .operation(
            Operation::new("Operation", OperationCategory::EUII, "AccessLevel")
                .other_category("what else")
                .other_category("something else")
                .failed("nobody home"),
        )
        .target_type("T")
        .target("T", Target::new("n"))
        .target_type("U")
        .build();
    assert_eq!(built.validate(&Rules::default()), Ok(()));
    assert_eq!(
        built.operation_categories,
        List::from([OperationCategory::EUII, OperationCategory::OTHER])
    );
    assert_eq!(built.operation_category_description, "something else");
    assert_eq!(built.operation_result, OperationResult::FAILURE);
    assert_eq!(built.operation_result_description, "nobody home");
    assert_eq!(built.caller_identities[&CallerIdentityType::SYSTEM].len(), 2);
    assert_eq!(built.target_resources["T"], List::from([Target::new("n")]));
    assert_eq!(built.target_resources["U"], List::empty());
}

/// Records may be of people: what stands in logs tells nothing of those.
#[test]
fn debug_tells_nothing_of_the_caller() {
    let shown = format!("{:?} {:#?}", typical(), typical().caller_identities);
    for hidden in ["user1", "192.168", "seq", "Description"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    assert!(shown.contains("Operation"));
}

#[test]
fn serde_has_the_names_of_the_wire() {
    let mut record = typical();
    record.custom_data.insert("more".to_owned(), Value::array([Value::Nil, true.into()]));
    let shown = serde_json::to_value(&record).unwrap();
    assert_eq!(
        shown,
        json!({
            "CallerIpAddress": "192.168.0.1",
            "CallerIdentities": {
                "UPN": [{ "Identity": "user1@domain.com", "Description": "Description" }],
            },
            "OperationCategories": ["Authentication", "UserManagement", "UserManagement"],
            "CustomData": { "more": [null, true], "seq": 7 },
            "TargetResources": {
                "ResourceType": [{
                    "Name": "Name",
                    "Cluster": "Cluster",
                    "DataCenter": "DataCenter",
                    "Region": "Region",
                }],
            },
            "CallerAccessLevels": ["b", "a", "b"],
            "OperationAccessLevel": "AccessLevel",
            "OperationName": "Operation",
            "OperationResultDescription": "ResultDescription",
            "CallerAgent": "Agent",
            "OperationCategoryDescription": "",
            "OperationType": "Read",
            "OperationResult": "Success",
        })
    );
    // The names are those of a frame, in its order.
    let text = serde_json::to_string(&record).unwrap();
    let frame = framed(&record);
    let mut last = 0;
    for name in shown.as_object().unwrap().keys() {
        assert!(frame.windows(name.len()).any(|it| it == name.as_bytes()), "{name}");
    }
    for name in ["CallerIpAddress", "CallerIdentities", "OperationCategories", "CustomData"] {
        let place = text.find(&format!("\"{name}\":")).unwrap();
        assert!(place >= last);
        last = place;
    }

    let read: Record = serde_json::from_value(shown).unwrap();
    // A number of text has no width.
    record.custom_data.insert("seq".to_owned(), Value::I64(7));
    assert!(read == record);
    // Other keys, that of the service among them, are none of a record's.
    let read: Record = serde_json::from_value(json!({ "env_ikey": "x", "more": 1 })).unwrap();
    assert!(read == Record::default());
    let read: Record = serde_json::from_value(json!({ "CallerIpAddress": "invalid IP" })).unwrap();
    assert!(read.caller_ip.is_none());
    assert!(serde_json::from_value::<Record>(json!({ "CallerIpAddress": "1.2.3" })).is_err());
    assert!(serde_json::from_value::<Record>(json!({ "OperationType": "Reed" })).is_err());
}

#[test]
fn serde_reads_addresses_and_heartbeats() {
    for address in ["1.2.3.4", "::1", "fe80::1%eth0"] {
        let read: CallerIp = serde_json::from_value(json!(address)).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), json!(address));
    }
    for address in ["", "1.2.3", "localhost"] {
        assert!(serde_json::from_value::<CallerIp>(json!(address)).is_err());
    }
    let heartbeat = Heartbeat {
        service: service(),
        audit_version: "v".to_owned(),
        os_version: "o".to_owned(),
        language: "l".to_owned(),
        destination: ConnectionType::TCP,
    };
    let shown = json!({
        "AsmAuditServiceId": service().as_str(),
        "AuditVersion": "v",
        "OsVersion": "o",
        "Language": "l",
        "Destination": "TCP",
    });
    assert_eq!(serde_json::to_value(&heartbeat).unwrap(), shown);
    assert_eq!(serde_json::from_value::<Heartbeat>(shown).unwrap(), heartbeat);
}

/// Any record can be shown as JSON, odd keys of maps and numbers without a name included.
#[test]
fn serde_shows_what_json_has_no_words_for() {
    let mut record = typical();
    record.operation_type = OperationType::from_number(77);
    let key = Value::array([1_u8]);
    record.custom_data.insert("odd".to_owned(), Value::Map([(key, f64::NAN.into())].into()));
    record.custom_data.insert("bytes".to_owned(), Value::from(vec![1_u8, 2]));
    let time = ev_audit::Time::new(5, 6).unwrap();
    record.custom_data.insert("time".to_owned(), time.into());
    let shown = serde_json::to_value(&record).unwrap();
    assert_eq!(shown["OperationType"], "OperationType(77)");
    assert_eq!(shown["CustomData"]["odd"], json!({ "Array([U8(1)])": null }));
    assert_eq!(shown["CustomData"]["bytes"], json!([1, 2]));
    assert_eq!(shown["CustomData"]["time"], json!({ "Seconds": 5, "Nanos": 6 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Text of a record reads back as the same record, but for what JSON has no types for.
    #[test]
    fn serde_reads_back_what_it_wrote(record in strategies::record()) {
        let record = Record { custom_data: Map::absent(), ..record };
        let text = serde_json::to_string(&record).unwrap();
        prop_assert!(serde_json::from_str::<Record>(&text).unwrap() == record);
    }

    /// What is accepted can be written and read, and is not longer than allowed.
    #[test]
    fn accepted_records_are_frames(record in strategies::record(), strict: bool) {
        let rules = if strict { Rules::strict() } else { Rules::default() };
        let problems = record.problems(&rules);
        prop_assert_eq!(record.validate(&rules).err(), problems.first().cloned());
        if problems.is_empty() {
            let frame = framed(&record);
            prop_assert!(frame.len() <= rules.max_frame_bytes);
            prop_assert!(decode(&frame).unwrap().is_some());
        }
    }
}
