//! Validating and encoding a record allocate nothing, and sending it next to nothing.

use allocation_counter::measure;
use ev_audit::wire::encode_record;
use ev_audit::{OperationCategory, Plane, Rules, Value};

use crate::data::{SECONDS, service, typical};

#[test]
fn encoding_into_a_reused_buffer_allocates_nothing() {
    let (record, service) = (typical(), service());
    let mut out = Vec::new();
    encode_record(&mut out, Plane::Data, &record, &service, SECONDS);
    assert_eq!(out.len(), 575);
    out.clear();
    let counted = measure(|| encode_record(&mut out, Plane::Data, &record, &service, SECONDS));
    assert_eq!((counted.count_total, out.len()), (0, 575));
}

#[test]
fn encoding_into_a_new_buffer_reserves_once() {
    let (mut record, service) = (typical(), service());
    record.custom_data.insert("long".to_owned(), Value::from("x".repeat(100_000)));
    let mut out = Vec::new();
    let counted = measure(|| encode_record(&mut out, Plane::Data, &record, &service, SECONDS));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn lists_of_usual_size_are_sorted_without_allocation() {
    let (mut record, service) = (typical(), service());
    record.operation_categories = (0..32).rev().map(OperationCategory::from_number).collect();
    record.caller_access_levels = (0..32).rev().map(|level| format!("level {level:02}")).collect();
    let mut out = Vec::with_capacity(8192);
    let counted = measure(|| encode_record(&mut out, Plane::Data, &record, &service, SECONDS));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn validation_that_passes_allocates_nothing() {
    let mut record = typical();
    record.custom_data.insert("map".to_owned(), Value::map([("k", Value::array([1_u8, 2]))]));
    for rules in [Rules::default(), Rules::strict()] {
        let counted = measure(|| assert_eq!(record.validate(&rules), Ok(())));
        assert_eq!(counted.count_total, 0);
        let counted = measure(|| assert_eq!(record.problems(&rules), []));
        assert_eq!(counted.count_total, 0);
    }
}

#[test]
fn a_send_allocates_at_most_once() {
    let transport = ev_audit::transport::NoopTransport::new();
    let client = ev_audit::Client::builder(service(), transport).build().unwrap();
    let record = typical();
    // The buffer of this thread grows with the first one.
    client.send_ref(Plane::Data, &record).unwrap();
    let sends = 2_000;
    let count = measure(|| {
        for _ in 0..sends {
            client.send_ref(Plane::Data, &record).unwrap();
        }
    });
    // One chunk of the queue, with its list of ends, is for more than a hundred.
    assert!(count.count_total <= sends / 20, "{} allocations", count.count_total);
}
