//! The transcoder against the oracles.

use ev_fuzz::{differential, pairs, with_stack};

const SEED: u64 = 1;
const EVENTS: u64 = 4_000;

fn check(label: &str) {
    let pair = pairs().iter().find(|pair| pair.label == label).expect("a pair");
    let counts = with_stack(|| differential(pair, SEED, 0, EVENTS));
    let counts = counts.unwrap_or_else(|error| panic!("{error:#}"));
    // A generator that no longer reaches an answer would test nothing of it.
    assert_eq!(counts.events, EVENTS);
    assert!(counts.decoded > EVENTS / 5, "{counts:?}");
    assert!(counts.unknown > EVENTS / 20, "{counts:?}");
    assert!(counts.unprintable > EVENTS / 400, "{counts:?}");
    assert!(counts.malformed > EVENTS / 10, "{counts:?}");
    assert!(counts.reflected > EVENTS / 20, "{counts:?}");
}

#[test]
fn v13() {
    check("v13");
}

#[test]
fn v15dev() {
    check("v15dev");
}

#[test]
fn v18dev() {
    check("v18dev");
}

#[test]
fn every_form_of_field() {
    check("made-up");
}
