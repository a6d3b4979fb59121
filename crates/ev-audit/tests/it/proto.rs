//! Records as protobuf messages.

use std::collections::BTreeSet;

use ev_audit::proto::{self, InvalidRecord, value::Kind};
use ev_audit::{
    CallerIdentityType, List, Map, OperationCategory, OperationResult, OperationType, Record,
    Target, Value,
};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage as _};

use crate::data::typical;
use crate::strategies;

/// The schema as others compile it.
fn pool() -> DescriptorPool {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["ev/audit/v1/record.proto"], [root]).expect("it compiles");
    DescriptorPool::from_file_descriptor_set(files).expect("it is whole")
}

fn descriptor() -> MessageDescriptor {
    pool().get_message_by_name("ev.audit.v1.Record").expect("it is there")
}

fn there_and_back(record: &Record) -> Record {
    let bytes = proto::Record::from(record).encode_to_vec();
    let message = proto::Record::decode(&*bytes).expect("its own bytes");
    Record::try_from(message).expect("a record")
}

/// What a reader that knows only the schema sees has no part that it does not know, and gives the
/// same bytes.
fn is_of_the_schema(descriptor: &MessageDescriptor, record: &Record) -> DynamicMessage {
    let bytes = proto::Record::from(record).encode_to_vec();
    let seen = DynamicMessage::decode(descriptor.clone(), &*bytes).expect("a message");
    assert_eq!(unknown_fields(&seen), 0);
    assert_eq!(seen.encoded_len(), bytes.len());
    let again = proto::Record::decode(&*seen.encode_to_vec()).expect("the same message");
    assert_eq!(Record::try_from(again).as_ref(), Ok(record));
    seen
}

fn unknown_fields(message: &DynamicMessage) -> usize {
    let inner = message.fields().map(|(_, value)| unknown_in(value)).sum::<usize>();
    message.unknown_fields().count() + inner
}

fn unknown_in(value: &prost_reflect::Value) -> usize {
    match value {
        prost_reflect::Value::Message(inner) => unknown_fields(inner),
        prost_reflect::Value::List(entries) => entries.iter().map(unknown_in).sum(),
        _ => 0,
    }
}

#[test]
fn a_record_is_seen_under_the_names_of_the_schema() {
    let mut record = typical();
    record.operation_result_description = "why".to_owned();
    record.operation_category_description = "what".to_owned();
    let seen = is_of_the_schema(&descriptor(), &record);
    let text =
        |name: &str| seen.get_field_by_name(name).expect(name).as_str().expect(name).to_owned();
    assert_eq!(text("caller_ip"), "192.168.0.1");
    assert_eq!(text("operation_access_level"), record.operation_access_level);
    assert_eq!(text("operation_name"), record.operation_name);
    assert_eq!(text("operation_result_description"), "why");
    assert_eq!(text("caller_agent"), record.caller_agent);
    assert_eq!(text("operation_category_description"), "what");
    let number = |name: &str| seen.get_field_by_name(name).expect(name).as_enum_number();
    assert_eq!(number("operation_type"), Some(1));
    assert_eq!(number("operation_result"), Some(1));
    for name in [
        "caller_identities",
        "operation_categories",
        "custom_data",
        "target_resources",
        "caller_access_levels",
    ] {
        assert!(seen.has_field_by_name(name), "{name}");
    }
    assert_eq!(seen.descriptor().fields().count(), 13);
}

#[test]
fn the_schema_has_all_names_with_their_numbers() {
    let pool = pool();
    let check = |name: &str, known: &[(u16, Option<&'static str>)]| {
        let found = pool.get_enum_by_name(&format!("ev.audit.v1.{name}")).expect(name);
        let found: Vec<(i32, String)> =
            found.values().map(|value| (value.number(), value.name().to_owned())).collect();
        assert_eq!(found.len(), known.len(), "{name}");
        let plain = |text: &str| -> String {
            let letters = text.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|letter| letter.to_ascii_lowercase()).collect()
        };
        for ((number, theirs), (ours, spelt)) in found.iter().zip(known) {
            assert_eq!(*number, i32::from(*ours));
            let spelt = plain(spelt.expect("it has a name"));
            // `OPERATION_CATEGORY_OTHER` is `OCOther` in the agent's format.
            let last = plain(theirs).split_off(name.len());
            assert!(spelt.starts_with(&last) || spelt.ends_with(&last), "{theirs} and {spelt}");
        }
    };
    macro_rules! known {
        ($kind:ident) => {
            check(
                stringify!($kind),
                &$kind::ALL.iter().map(|it| (it.number(), it.name())).collect::<Vec<_>>(),
            )
        };
    }
    known!(OperationType);
    known!(OperationResult);
    known!(OperationCategory);
    known!(CallerIdentityType);
    assert_eq!(proto::SCHEMA.matches("\nenum ").count(), 4);
}

#[test]
fn absent_and_empty_stay_apart() {
    let absent = Record::default();
    let empty = Record {
        caller_identities: Map::from([(CallerIdentityType::UPN, List::empty())]),
        operation_categories: List::empty(),
        custom_data: Map::empty(),
        target_resources: Map::from([("T".to_owned(), List::absent())]),
        caller_access_levels: List::empty(),
        ..Record::default()
    };
    assert_eq!(there_and_back(&absent), absent);
    assert_eq!(there_and_back(&empty), empty);
    assert!(proto::Record::from(&absent).encode_to_vec().is_empty());
}

#[test]
fn what_is_no_record_is_refused() {
    let refused = |change: &dyn Fn(&mut proto::Record)| {
        let mut message = proto::Record::from(&typical());
        change(&mut message);
        Record::try_from(message).expect_err("it is wrong")
    };
    assert_eq!(refused(&|it| it.caller_ip = "192.168.0".to_owned()), InvalidRecord::Address);
    for number in [-1, 65_536] {
        assert_eq!(
            refused(&|it| it.operation_type = number),
            InvalidRecord::Range { field: "operation_type", number: number.into() }
        );
    }
    assert_eq!(
        refused(&|it| {
            let all = it.caller_identities.as_mut().expect("some");
            all.types.push(all.types[0].clone());
        }),
        InvalidRecord::DuplicateKey { field: "caller_identities" }
    );
    let custom = |kind: Kind| {
        refused(&|it| {
            let value = proto::Value { kind: Some(kind.clone()) };
            let entry = proto::CustomEntry { key: "k".to_owned(), value: Some(value) };
            it.custom_data = Some(proto::CustomData { entries: vec![entry] });
        })
    };
    assert_eq!(custom(Kind::I8(128)), InvalidRecord::Range { field: "i8", number: 128 });
    assert_eq!(custom(Kind::I16(-32_769)), InvalidRecord::Range { field: "i16", number: -32_769 });
    assert_eq!(custom(Kind::U8(256)), InvalidRecord::Range { field: "u8", number: 256 });
    assert_eq!(custom(Kind::U16(65_536)), InvalidRecord::Range { field: "u16", number: 65_536 });
    let late = proto::Time { seconds: 0, nanos: 1_000_000_000 };
    assert_eq!(
        custom(Kind::Time(late)),
        InvalidRecord::Range { field: "nanos", number: 1_000_000_000 }
    );
    let nil = proto::Value { kind: None };
    let keys = proto::Dictionary { keys: vec![nil.clone()], values: Vec::new() };
    assert_eq!(custom(Kind::Dictionary(keys)), InvalidRecord::Dictionary { keys: 1, values: 0 });
    let twice = proto::Dictionary { keys: vec![nil.clone(); 2], values: vec![nil.clone(); 2] };
    assert_eq!(
        custom(Kind::Dictionary(twice)),
        InvalidRecord::DuplicateKey { field: "dictionary" }
    );
    let deep = (0..65).fold(Kind::Boolean(true), |inner, _| {
        Kind::Array(proto::Array { entries: vec![proto::Value { kind: Some(inner) }] })
    });
    assert_eq!(custom(deep), InvalidRecord::TooDeep { limit: 64 });
}

/// As deep as the documentation says.
#[test]
fn forty_eight_levels_can_be_read() {
    let deep = |levels: usize| {
        let mut record = Record::default();
        let value = (0..levels).fold(Value::Nil, |inner, level| match level % 2 {
            0 => Value::Array(vec![inner]),
            _ => Value::Map([(Value::U8(1), inner)].into()),
        });
        record.custom_data.insert("k".to_owned(), value);
        record
    };
    assert_eq!(there_and_back(&deep(48)), deep(48));
    let bytes = proto::Record::from(&deep(49)).encode_to_vec();
    proto::Record::decode(&*bytes).expect_err("readers of protobuf stop there");
}

#[test]
fn nothing_of_a_caller_is_printed() {
    let mut record = typical();
    record.custom_data.insert("secret".to_owned(), "s3cr3t".into());
    for identities in record.caller_identities.values_mut() {
        for identity in identities.iter_mut() {
            identity.identity = "s3cr3t".to_owned();
        }
    }
    let message = proto::Record::from(&record);
    let identities = message.caller_identities.clone();
    let printed = format!("{message:?} {identities:?} {:?}", message.custom_data);
    assert!(!printed.contains("s3cr3t"), "{printed}");
    // What is not about a caller is.
    let target = proto::Record::from(&Record {
        target_resources: Map::from([("T".to_owned(), List::from([Target::new("n")]))]),
        ..Record::default()
    });
    assert!(format!("{:?}", target.target_resources).contains('n'));
}

#[test]
fn every_kind_of_value_is_covered() {
    let pool = pool();
    let value = pool.get_message_by_name("ev.audit.v1.Value").expect("it is there");
    let names: BTreeSet<String> = value.fields().map(|field| field.name().to_owned()).collect();
    assert_eq!(names.len(), 16, "{names:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_record_is_of_the_schema_and_comes_back(record in strategies::record()) {
        thread_local! {
            static DESCRIPTOR: MessageDescriptor = descriptor();
        }
        prop_assert_eq!(&there_and_back(&record), &record);
        DESCRIPTOR.with(|descriptor| is_of_the_schema(descriptor, &record));
    }

    #[test]
    fn any_bytes_are_harmless(bytes: Vec<u8>) {
        if let Ok(message) = proto::Record::decode(&*bytes)
            && let Ok(record) = Record::try_from(message)
        {
            prop_assert_eq!(there_and_back(&record), record);
        }
    }
}
