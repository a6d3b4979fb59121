//! A module answers made-up events as the native decoder does.

use ev_fuzz::{guest_against_native, pairs};

#[test]
fn of_the_newest_schema_and_of_every_form_of_field() {
    for label in ["v18dev", "made-up"] {
        let pair = pairs().iter().find(|pair| pair.label == label).expect("a pair");
        let compared = guest_against_native(pair, 1, 0, 1_000);
        // Two flavours, two modes.
        assert_eq!(compared.unwrap_or_else(|error| panic!("{label}: {error:#}")), 4_000);
    }
}
