//! Wire bytes to JSON. The first byte of an input chooses the schema, the rest is the event.

use std::cell::RefCell;

use ev_decode::Scratch;
use ev_oracle::Choices;

use super::damaged;
use crate::pairs;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

pub(super) fn run(input: &[u8]) {
    let Some((which, event)) = input.split_first() else { return };
    let pairs = pairs();
    let pair = &pairs[usize::from(*which) % pairs.len()];
    SCRATCH.with_borrow_mut(|scratch| {
        if let Err(error) = pair.check(scratch, event) {
            // What a panic left behind must not be what the next input finds.
            *scratch = Scratch::new();
            panic!("{error:#}");
        }
    });
}

/// Half of them made up, half damaged.
pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    if choices.below(2) == 0 {
        return damaged(inputs, choices);
    }
    let which = choices.below(pairs().len());
    let generator = &pairs()[which].generator;
    let case = choices.below(generator.cases());
    let mut input = vec![u8::try_from(which).unwrap_or_default()];
    input.extend(generator.disturbed(case, choices));
    input
}
