//! Tables are hostile until they are read: whatever is taken then decodes any event without a
//! panic, and what it writes is JSON.

use std::sync::{Arc, LazyLock};

use ev_core::{Flavour, Mode};
use ev_decode::{Answer, Options, Scratch, Table, Transcoder};
use ev_oracle::Choices;

use crate::pair::is_json;
use crate::pairs;

/// Events of all schemas.
static EVENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut events = Vec::new();
    for pair in pairs() {
        for seed in 0..8 {
            let case = usize::try_from(seed * 7).unwrap_or_default();
            events.push(pair.generator.plain(case, &mut Choices::seeded(seed)));
            events.push(pair.generator.disturbed(case, &mut Choices::seeded(seed)));
        }
    }
    events
});

pub(super) fn run(input: &[u8]) {
    let Ok(table) = Table::parse(input) else { return };
    let table = Arc::new(table);
    assert_eq!(table.cases().count(), table.cases().filter(|(number, _)| *number > 0).count());
    let mut scratch = Scratch::new();
    for flavour in [Flavour::Go, Flavour::Struct] {
        let options = Options { print_data: true, login: true };
        let transcoder = Transcoder::new(Arc::clone(&table), flavour, options);
        for event in &*EVENTS {
            let mut out = Vec::new();
            let answer = transcoder.decode_one(&mut scratch, event, Mode::KnownPart, &mut out);
            let written =
                matches!(answer, Answer::Decoded(_) | Answer::Unknown { known: true, .. });
            assert_eq!(written, !out.is_empty(), "{answer:?}");
            if written && let Err(error) = is_json(&out) {
                panic!("{error:#}");
            }
            if let Answer::Unknown { at, .. } | Answer::Unprintable { at, .. } = answer {
                transcoder.path(event, at);
            }
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    pairs().iter().map(|pair| pair.table_bytes.clone()).collect()
}
