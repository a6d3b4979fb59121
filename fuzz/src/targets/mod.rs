//! What is fuzzed, and how its inputs are made.

mod answer;
mod audit;
mod config;
mod envelope;
mod identity;
mod table;
mod trust;
mod wire;

use ev_oracle::{Choices, mutate};

/// Something that reads hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of its corpus too.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Takes any bytes; panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs that are made and not stored.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Makes an input from the corpus.
    pub(crate) make: fn(&[Vec<u8>], &mut Choices<'_>) -> Vec<u8>,
}

/// All targets.
pub fn targets() -> &'static [Target] {
    &[
        Target {
            name: "wire",
            about: "wire bytes to JSON, against the slow decoder",
            run: wire::run,
            seeds: Vec::new,
            make: wire::make,
        },
        Target {
            name: "table",
            about: "the table parser, and decoding with what it takes",
            run: table::run,
            seeds: table::seeds,
            make: damaged,
        },
        Target {
            name: "answer",
            about: "the host's reading of a module's answer",
            run: answer::run,
            seeds: Vec::new,
            make: answer::make,
        },
        Target {
            name: "envelope",
            about: "the DSSE envelope and the manifest in it",
            run: envelope::run,
            seeds: envelope::seeds,
            make: envelope::make,
        },
        Target {
            name: "trust",
            about: "the trust file and the list of versions",
            run: trust::run,
            seeds: Vec::new,
            make: trust::make,
        },
        Target {
            name: "identity",
            about: "the identity file, and the certificates and key in it",
            run: identity::run,
            seeds: Vec::new,
            make: identity::make,
        },
        Target {
            name: "config",
            about: "the configuration file, and durations",
            run: config::run,
            seeds: Vec::new,
            make: config::make,
        },
        Target {
            name: "audit",
            about: "the frames that the audit receiver reads",
            run: audit::run,
            seeds: Vec::new,
            make: audit::make,
        },
    ]
}

/// One of the inputs, damaged.
fn damaged(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut input = choices.pick(inputs).clone();
    mutate(&mut input, inputs, choices);
    input
}

/// One of the inputs with some words of its language put in or in place of something; damaged
/// now and then.
fn with_words(inputs: &[Vec<u8>], words: &[&str], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut input = choices.pick(inputs).clone();
    for _ in 0..1 + choices.below(3) {
        let at = choices.below(input.len() + 1);
        let behind = if choices.once_in(2) { at } else { input.len().min(at + choices.below(12)) };
        let word = *choices.pick(words);
        input.splice(at..behind, word.bytes());
    }
    if choices.once_in(3) {
        mutate(&mut input, inputs, choices);
    }
    input
}
