//! Any order in which things may come, against what is to be said of them in the end.

use ev_core::{Route, SessionId};
use proptest::prelude::*;

use super::Side;
use super::tests::{Rig, time};
use crate::tally::Tally;

/// One event of the log, and what becomes of it on both sides.
#[derive(Clone, Debug)]
struct Fate {
    has_uid: bool,
    is_recorded: bool,
    /// How often the log has it; more than once only without a uid.
    times: usize,
    /// How often ours has it less.
    lost_by_us: usize,
    /// How often theirs has it less.
    lost_by_them: usize,
    /// How often they repeat it.
    repeated: usize,
    /// Whether what they send is altered.
    is_altered: bool,
    /// Where in the order each copy comes.
    places: Vec<u16>,
}

fn fate() -> impl Strategy<Value = Fate> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let counts = (1..4usize, 0..3usize, 0..3usize, 0..3usize);
    (flags, counts, prop::collection::vec(any::<u16>(), 12)).prop_map(
        |((has_uid, is_recorded, is_altered), (times, by_us, by_them, repeated), places)| {
            let times = if has_uid { 1 } else { times };
            let lost = |n: usize| n.saturating_sub(1).min(times);
            let (lost_by_us, lost_by_them) = (lost(by_us), lost(by_them));
            Fate {
                has_uid,
                is_recorded,
                times,
                lost_by_us,
                lost_by_them,
                repeated,
                is_altered,
                places,
            }
        },
    )
}

impl Fate {
    fn body(&self, number: usize, altered: bool) -> String {
        let uid = if self.has_uid { format!(r#""uid":"{number}","#) } else { String::new() };
        let second = 1000 + i64::try_from(number).unwrap();
        let value = if altered { "b" } else { "a" };
        format!(r#"{{{uid}"event":"x","ei":{number},"time":"{}","v":"{value}"}}"#, time(second))
    }

    /// Every copy that comes, with its place in the order.
    fn copies(&self, number: usize) -> Vec<(u16, Side, String)> {
        let theirs = self.times - self.lost_by_them;
        let theirs = if theirs == 0 { 0 } else { theirs + self.repeated };
        let sides = std::iter::repeat_n(Side::Ours, self.times - self.lost_by_us)
            .chain(std::iter::repeat_n(Side::Theirs, theirs));
        sides
            .zip(&self.places)
            .map(|(side, place)| {
                let altered = side == Side::Theirs && self.is_altered;
                (*place, side, self.body(number, altered))
            })
            .collect()
    }

    /// What is to be said of it.
    fn judge(&self, tally: &mut Tally) {
        let ours = self.times - self.lost_by_us;
        let sent = self.times - self.lost_by_them;
        let theirs = if sent == 0 { 0 } else { sent + self.repeated };
        let count = |n: usize| n as u64;
        if self.has_uid {
            tally.duplicates.theirs += count(theirs.saturating_sub(1));
            match (ours, theirs.min(1)) {
                (1, 1) if self.is_altered => tally.differs += 1,
                (1, 1) => tally.equal += 1,
                (ours, theirs) => {
                    tally.only.ours += count(ours);
                    tally.only.theirs += count(theirs);
                }
            }
        } else if self.is_altered {
            // Which one is the repeat of which nobody can know.
            let pairs = ours.min(theirs);
            tally.differs += count(pairs);
            tally.only.ours += count(ours - pairs);
            tally.only.theirs += count(theirs - pairs);
        } else {
            let pairs = ours.min(theirs);
            tally.equal += count(pairs);
            tally.only.ours += count(ours - pairs);
            // One more of what has paired is a repeat.
            match pairs {
                0 => tally.only.theirs += count(theirs),
                _ => tally.duplicates.theirs += count(theirs - pairs),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_whatever_order_is_judged_right(
        fates in prop::collection::vec(fate(), 1..30),
        pauses in prop::collection::vec(0..8u64, 400),
        few_bodies in any::<bool>(),
    ) {
        let mut rig = Rig::new(|_, bounds| {
            if few_bodies {
                bounds.max_body_bytes = 200;
            }
        });
        let session = Route::Session(SessionId::try_new(b"s").unwrap());
        // Both have begun before all of that, and know of the recording.
        let upload = r#"{"event":"session.upload","uid":"up","sid":"s","time":"1970-01-01T00:16:40Z"}"#;
        rig.put(Side::Theirs, &Route::Audit, upload);
        rig.put(Side::Ours, &Route::Audit, upload);
        let mut all: Vec<_> = fates
            .iter()
            .enumerate()
            .flat_map(|(number, fate)| {
                let route = if fate.is_recorded { &session } else { &Route::Audit };
                fate.copies(number).into_iter().map(move |(place, side, body)| (place, side, route, body))
            })
            .collect();
        all.sort_by_key(|copy| copy.0);
        // All of it comes within the patience.
        let mut left = 590;
        for ((_, side, route, body), pause) in all.iter().zip(pauses) {
            rig.put(*side, route, body);
            let pause = pause.min(left);
            left -= pause;
            rig.wait(pause);
        }
        for side in [Side::Ours, Side::Theirs] {
            let end = format!(r#"{{"event":"x","uid":"end","time":"{}"}}"#, time(2000));
            rig.put(side, &Route::Audit, &end);
        }
        // The end is noted a little later than it came.
        rig.wait(600);
        rig.wait(600);
        rig.wait(3000);
        let mut expected = Tally { equal: 2, ..Tally::default() };
        fates.iter().for_each(|fate| fate.judge(&mut expected));
        let found = rig.tally();
        prop_assert_eq!(
            (found.equal, found.differs, found.only, found.duplicates, found.late, found.open),
            (expected.equal, expected.differs, expected.only, expected.duplicates, 0, expected.open)
        );
        prop_assert_eq!(rig.matcher.books.waiting, 0);
        prop_assert_eq!(found.findings() == 0, rig.matcher.findings().iter().all(|finding| {
            finding.kind == crate::FindingKind::Duplicate
        }));
    }
}
