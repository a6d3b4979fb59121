//! Events made up at random, as gogo encodes them and as it merely reads them.

use ev_core::Flavour;
use ev_decode::Options;
use ev_oracle::{Choices, Generator, Schema};

use crate::data::{FLAVOURS, Judge, LABELS, unzipped};

/// Of each event type.
const ROUNDS: u32 = 12;

fn check(label: &str, flavour: Flavour) {
    let descriptors = unzipped(&format!("schema/{label}/events.binpb.gz"));
    let oracle = Schema::new(&descriptors).expect("a recorded descriptor set");
    let generator = Generator::new(&oracle);
    let mut judge = Judge::new(label, flavour, Options::default());
    for case in 0..generator.cases() {
        for round in 0..ROUNDS {
            let seed = u64::from(round) << 32 | case as u64;
            judge.judge(&generator.plain(case, &mut Choices::seeded(seed)));
            judge.judge(&generator.disturbed(case, &mut Choices::seeded(seed)));
        }
    }
    // Some of what is disturbed is malformed, and some values cannot be printed.
    let made = generator.cases() * ROUNDS as usize * 2;
    assert!(judge.validated > made, "{label} {flavour}: {} of {made}", judge.validated);
}

#[test]
fn they_are_as_their_schema_says() {
    for label in LABELS {
        for flavour in FLAVOURS {
            check(label, flavour);
        }
    }
}
