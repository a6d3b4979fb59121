//! What is refused, with which words.

use ev_audit::wire::Message;
use ev_audit::{
    CallerIdentityType, Identity, List, Map, OperationCategory, OperationResult, OperationType,
    Plane, Problem, Record, Rules, ServiceId, Target, Value,
};

use crate::data::{SECONDS, record, service, typical};

fn message(service: ServiceId, record: Record) -> Message {
    Message::Record { plane: Plane::Data, service, seconds: SECONDS, record: Box::new(record) }
}

/// The record, changed, is refused for this one reason.
fn check(change: impl FnOnce(&mut Record), text: &str) {
    let mut record = record();
    change(&mut record);
    let message = message(service(), record.clone());
    let problem = record.validate(&Rules::default()).expect_err(text);
    assert_eq!(problem.to_string(), text);
    assert_eq!(record.problems(&Rules::default()), std::slice::from_ref(&problem));
    assert_eq!(message.validate(&Rules::default()), Err(problem));
}

fn upn(identities: List<Identity>) -> Map<CallerIdentityType, List<Identity>> {
    Map::from([(CallerIdentityType::UPN, identities)])
}

fn at(record: &mut Record, address: &str) {
    record.caller_ip = Some(address.parse().expect(address));
}

#[test]
fn missing_service_id() {
    let message = message(ServiceId::default(), record());
    let problem = message.validate(&Rules::default()).unwrap_err();
    assert_eq!(problem.to_string(), "service tree ID is required");
    assert_eq!(message.problems(&Rules::default()), [problem]);
}

#[test]
fn missing_operation_name() {
    check(|record| record.operation_name.clear(), "operation name is required");
}

#[test]
fn missing_categories() {
    let text = "at least one operation category is required";
    check(|record| record.operation_categories = List::absent(), text);
    check(|record| record.operation_categories = List::empty(), text);
}

#[test]
fn other_category_without_description() {
    check(
        |record| record.operation_categories.push(OperationCategory::OTHER),
        "operation category description is required for category OCOther",
    );
}

#[test]
fn failure_without_description() {
    check(
        |record| {
            record.operation_result = OperationResult::FAILURE;
            record.operation_result_description.clear();
        },
        "operation result description is required for failed operations",
    );
}

#[test]
fn missing_access_level() {
    check(|record| record.operation_access_level.clear(), "operation access level is required");
}

#[test]
fn missing_caller_agent() {
    check(|record| record.caller_agent.clear(), "caller agent is required");
}

#[test]
fn missing_identities() {
    let text = "at least one caller identity is required";
    check(|record| record.caller_identities = Map::absent(), text);
    check(|record| record.caller_identities = Map::empty(), text);
}

#[test]
fn identity_type_without_identities() {
    let text = "at least one identity is required for identity type UPN";
    check(|record| record.caller_identities = upn(List::absent()), text);
    check(|record| record.caller_identities = upn(List::empty()), text);
}

#[test]
fn empty_identity() {
    check(
        |record| record.caller_identities = upn(List::from([Identity::new("", "Description")])),
        "identity is required",
    );
}

#[test]
fn empty_description() {
    check(
        |record| record.caller_identities = upn(List::from([Identity::new("user", "")])),
        "description is required",
    );
}

#[test]
fn missing_address() {
    check(|record| record.caller_ip = None, "caller IP address is required");
}

#[test]
fn unspecified_address() {
    for address in ["::", "0.0.0.0"] {
        check(|record| at(record, address), "caller IP address cannot be unspecified");
    }
}

#[test]
fn loopback_address() {
    for address in ["127.0.0.1", "127.255.255.254", "::1", "::1%lo", "::ffff:127.0.0.1"] {
        check(|record| at(record, address), "caller IP address cannot be loopback");
        let mut record = record();
        at(&mut record, address);
        assert_eq!(record.validate(&Rules::default().with_loopback()), Ok(()));
    }
}

#[test]
fn multicast_address() {
    for address in ["224.0.0.1", "239.255.255.255", "ff02::1", "ff00::%eth0", "::ffff:224.0.0.1"] {
        check(|record| at(record, address), "caller IP address cannot be multicast");
    }
}

#[test]
fn missing_access_levels() {
    let text = "at least one caller access level is required";
    check(|record| record.caller_access_levels = List::absent(), text);
    check(|record| record.caller_access_levels = List::empty(), text);
}

#[test]
fn blank_access_level() {
    for level in ["", " ", "\t\n", "\u{a0}\u{2003}\u{85}"] {
        check(
            |record| record.caller_access_levels.push(level.to_owned()),
            "caller access level cannot be empty",
        );
    }
}

#[test]
fn missing_target_resources() {
    let text = "at least one target resource is required";
    check(|record| record.target_resources = Map::absent(), text);
    check(|record| record.target_resources = Map::empty(), text);
}

#[test]
fn blank_target_type() {
    for kind in ["", " ", "\u{2028}"] {
        let targets = List::from([Target::new("Name")]);
        check(
            |record| record.target_resources = Map::from([(kind.to_owned(), targets)]),
            "target resource type cannot be empty",
        );
    }
}

#[test]
fn empty_target_name() {
    check(
        |record| record.target_resources.entry("T".to_owned()).or_default().push(Target::new("")),
        "target resource name is required",
    );
}

#[test]
fn valid_records() {
    assert_eq!(record().validate(&Rules::default()), Ok(()));
    assert_eq!(typical().validate(&Rules::strict()), Ok(()));
    assert_eq!(message(service(), record()).problems(&Rules::default()), []);
}

/// What the client that the format comes from accepts.
#[test]
fn accepted_by_default_though_odd() {
    for address in [
        "::ffff:0.0.0.0",
        "::%eth0",
        "0.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "10.0.0.1",
        "fe80::1%eth0",
    ] {
        let mut record = record();
        at(&mut record, address);
        assert_eq!(record.validate(&Rules::default()), Ok(()), "{address}");
    }
    let mut record = record();
    record.operation_name = " ".to_owned();
    record.caller_agent = "\t".to_owned();
    record.operation_access_level = "\u{a0}".to_owned();
    record.operation_type = OperationType::from_number(77);
    record.operation_result = OperationResult::UNKNOWN;
    record.operation_categories.push(OperationCategory::from_number(400));
    record.caller_identities =
        Map::from([(CallerIdentityType::from_number(99), List::from([Identity::new(" ", " ")]))]);
    record.target_resources =
        Map::from([("T".to_owned(), List::empty()), ("U".to_owned(), [Target::new(" ")].into())]);
    assert_eq!(record.validate(&Rules::default()), Ok(()));

    let texts: Vec<String> =
        record.problems(&Rules::strict()).iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "operation type must be a known one, not `OperationType(77)`",
            "operation result must be a known one, not `UnknownOperationResult`",
            "operation category must be a known one, not `OperationCategory(400)`",
            "caller identity type must be a known one, not `CallerIdentityType(99)`",
            "operation name cannot be blank",
            "operation access level cannot be blank",
            "caller agent cannot be blank",
            "identity cannot be blank",
            "description of an identity cannot be blank",
            "target resource name cannot be blank",
        ]
    );
}

#[test]
fn descriptions_that_are_required_are_not_blank_in_strict_mode() {
    let mut record = record();
    record.operation_categories.push(OperationCategory::OTHER);
    record.operation_result = OperationResult::FAILURE;
    record.operation_category_description = " ".to_owned();
    record.operation_result_description = " ".to_owned();
    assert_eq!(record.validate(&Rules::default()), Ok(()));
    assert_eq!(
        record.problems(&Rules::strict()),
        [
            Problem::Blank { field: "operation category description" },
            Problem::Blank { field: "operation result description" },
        ]
    );
    // What is not required may be blank.
    record.operation_categories = [OperationCategory::EUII].into();
    record.operation_result = OperationResult::SUCCESS;
    assert_eq!(record.problems(&Rules::strict()), []);
}

#[test]
fn every_problem_at_once_in_the_order_of_the_steps() {
    let mut record = Record::default();
    let first = record.validate(&Rules::default()).unwrap_err();
    let all = record.problems(&Rules::default());
    assert_eq!(first, all[0]);
    assert_eq!(
        all,
        [
            Problem::OperationName,
            Problem::OperationCategories,
            Problem::OperationAccessLevel,
            Problem::CallerAgent,
            Problem::CallerIdentities,
            Problem::CallerIp,
            Problem::CallerAccessLevels,
            Problem::TargetResources,
        ]
    );

    record.operation_categories = [OperationCategory::OTHER].into();
    record.operation_result = OperationResult::FAILURE;
    record.caller_identities = Map::from([
        (CallerIdentityType::SYSTEM, List::absent()),
        (CallerIdentityType::UPN, List::from([Identity::default(), Identity::new("a", "")])),
    ]);
    at(&mut record, "::1");
    record.caller_access_levels = [String::new(), "a".to_owned(), " ".to_owned()].into();
    record.target_resources = Map::from([
        (" ".to_owned(), List::from([Target::default()])),
        ("T".to_owned(), List::from([Target::new("n"), Target::default()])),
    ]);
    let all = message(ServiceId::default(), record).problems(&Rules::default());
    assert_eq!(
        all,
        [
            Problem::ServiceId,
            Problem::OperationName,
            Problem::CategoryDescription,
            Problem::ResultDescription,
            Problem::OperationAccessLevel,
            Problem::CallerAgent,
            Problem::Identity,
            Problem::IdentityDescription,
            Problem::IdentityDescription,
            Problem::IdentityList { kind: CallerIdentityType::SYSTEM },
            Problem::CallerIpLoopback,
            Problem::CallerAccessLevel,
            Problem::CallerAccessLevel,
            Problem::TargetType,
            Problem::TargetName,
            Problem::TargetName,
        ]
    );
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Nil, |inner, level| {
        if level % 2 == 0 { Value::Array(vec![inner]) } else { Value::map([("k", inner)]) }
    })
}

#[test]
fn depth_is_bounded_whatever_the_rules_say() {
    let with = |levels| {
        let mut record = record();
        record.custom_data.insert("deep".to_owned(), nested(levels));
        record
    };
    let rules = Rules { max_depth: 3, ..Rules::default() };
    assert_eq!(with(3).validate(&rules), Ok(()));
    let problem = with(4).validate(&rules).unwrap_err();
    assert_eq!(problem.to_string(), "custom data under `deep` is nested deeper than 3 levels");
    let rules = Rules { max_depth: usize::MAX, ..Rules::default() };
    assert_eq!(with(ev_audit::wire::MAX_DEPTH).validate(&rules), Ok(()));
    assert_eq!(
        with(ev_audit::wire::MAX_DEPTH + 1).validate(&rules),
        Err(Problem::TooDeep { key: "deep".to_owned(), limit: ev_audit::wire::MAX_DEPTH })
    );
    assert_eq!(with(500).problems(&Rules::default()).len(), 1);
}

#[test]
fn size_is_bounded_by_the_bytes_of_the_frame() {
    let mut record = typical();
    let rules = |max_frame_bytes| Rules { max_frame_bytes, ..Rules::default() };
    // One category and one access level are there twice, which is counted.
    let bytes = 575 + "?UserManagement".len() + "?b".len();
    assert_eq!(record.validate(&rules(bytes)), Ok(()));
    let problem = record.validate(&rules(bytes - 1)).unwrap_err();
    assert_eq!(problem.to_string(), "the record takes 592 bytes, more than 591");
    record.custom_data.insert("long".to_owned(), Value::Bytes(vec![0; 17 << 20]));
    assert!(matches!(
        record.validate(&rules(usize::MAX)),
        Err(Problem::FrameTooLarge { limit: ev_audit::wire::MAX_FRAME_BYTES, .. })
    ));
    assert!(matches!(
        record.validate(&Rules::default()),
        Err(Problem::FrameTooLarge { limit: 0x10_0000, .. })
    ));
}

#[test]
fn long_texts_are_refused_in_strict_mode() {
    let long = |chars| "ä".repeat(chars);
    let check = |change: &dyn Fn(&mut Record, String), field: &'static str| {
        let mut record = record();
        change(&mut record, long(16_383));
        assert_eq!(record.validate(&Rules::strict()), Ok(()), "{field}");
        change(&mut record, long(16_384));
        assert_eq!(record.validate(&Rules::default()), Ok(()), "{field}");
        let problem = Problem::TextTooLong { field, chars: 16_384, limit: 16_383 };
        assert_eq!(record.validate(&Rules::strict()), Err(problem), "{field}");
    };
    check(&|record, text| record.operation_name = text, "operation name");
    check(
        &|record, text| record.operation_category_description = text,
        "operation category description",
    );
    check(
        &|record, text| record.operation_result_description = text,
        "operation result description",
    );
    check(&|record, text| record.operation_access_level = text, "operation access level");
    check(&|record, text| record.caller_agent = text, "caller agent");
    check(
        &|record, text| record.caller_identities = upn([Identity::new(text, "d")].into()),
        "identity",
    );
    check(
        &|record, text| record.caller_identities = upn([Identity::new("i", text)].into()),
        "description of an identity",
    );
    check(&|record, text| record.caller_access_levels = [text].into(), "caller access level");
    check(
        &|record, text| record.target_resources = Map::from([(text, List::empty())]),
        "target resource type",
    );
    let target = |record: &mut Record, target: Target| {
        record.target_resources = Map::from([("T".to_owned(), List::from([target]))]);
    };
    check(&|record, text| target(record, Target::new(text)), "target resource name");
    check(
        &|record, text| target(record, Target::new("n").cluster(text)),
        "cluster of a target resource",
    );
    check(
        &|record, text| target(record, Target::new("n").data_center(text)),
        "data center of a target resource",
    );
    check(
        &|record, text| target(record, Target::new("n").region(text)),
        "region of a target resource",
    );
    check(
        &|record, text| record.custom_data = Map::from([("k".to_owned(), Value::Str(text))]),
        "text of custom data",
    );
    check(
        &|record, text| record.custom_data = Map::from([(text, Value::Nil)]),
        "key of custom data",
    );
    // However deep it lies.
    let nested = |record: &mut Record, value: Value| {
        let inner = Value::Array(vec![Value::U8(1), value]);
        record.custom_data = Map::from([("k".to_owned(), Value::Array(vec![inner]))]);
    };
    let entry = |key: Value, value: Value| Value::Map([(key, value)].into());
    check(&|record, text| nested(record, Value::Str(text)), "text of custom data");
    check(
        &|record, text| nested(record, entry(Value::U8(1), Value::Str(text))),
        "text of custom data",
    );
    check(
        &|record, text| nested(record, entry(Value::Str(text), Value::Nil)),
        "key of custom data",
    );
    let in_key = |text| entry(Value::Array(vec![Value::Str(text)]), Value::Nil);
    check(&|record, text| nested(record, in_key(text)), "text of custom data");
    check(&|record, text| at(record, &format!("fe80::1%{text}")), "zone of the caller IP address");
}
