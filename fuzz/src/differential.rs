//! Many made-up events of every type through one pair.

use anyhow::{Result, bail};
use ev_decode::Scratch;
use ev_oracle::{Choices, minimise, mutate};

use crate::{Class, Pair};

/// How many events became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub events: u64,
    /// With JSON.
    pub decoded: u64,
    /// With something that the schema lacks.
    pub unknown: u64,
    /// That Go would not print.
    pub unprintable: u64,
    /// That nobody reads.
    pub malformed: u64,
    /// Those that prost-reflect took as well, of the ones as gogo encodes them.
    pub reflected: u64,
    /// The longest, in bytes.
    pub longest: usize,
}

impl Counts {
    fn count(&mut self, class: Class, len: usize) {
        self.events += 1;
        self.longest = self.longest.max(len);
        match class {
            Class::Decoded => self.decoded += 1,
            Class::Unknown => self.unknown += 1,
            Class::Unprintable => self.unprintable += 1,
            Class::Malformed => self.malformed += 1,
        }
    }
}

/// Events `from..to` of a seed: eight of every type in turn, of which two are as gogo encodes
/// them, four are disturbed, one is damaged, and one is disturbed and damaged.
///
/// # Errors
///
/// The first difference, with the smallest event found that shows it, in hex.
pub fn differential(pair: &Pair, seed: u64, from: u64, to: u64) -> Result<Counts> {
    let mut scratch = Scratch::new();
    let mut counts = Counts::default();
    let mut recent: Vec<Vec<u8>> = Vec::new();
    for number in from..to {
        let (event, plain) = made_up(pair, seed, number, &recent);
        match pair.check(&mut scratch, &event) {
            Ok(class) => counts.count(class, event.len()),
            Err(error) => bail!("event {number} of seed {seed}: {}", told(pair, &event, &error)),
        }
        if plain {
            match pair.check_reflect(&mut scratch, &event) {
                Ok(took) => counts.reflected += u64::from(took),
                Err(error) => {
                    bail!("event {number} of seed {seed}: {error:#}\n{}", hex(&event));
                }
            }
            if recent.len() < 16 {
                recent.push(event);
            } else {
                let at = usize::try_from(number / 8 % 16).unwrap_or_default();
                recent[at] = event;
            }
        }
    }
    Ok(counts)
}

/// The event, and whether it is as gogo encodes it.
pub(crate) fn made_up(pair: &Pair, seed: u64, number: u64, others: &[Vec<u8>]) -> (Vec<u8>, bool) {
    let mut choices =
        Choices::seeded(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(number));
    let case = usize::try_from(number / 8).unwrap_or_default();
    let form = number % 8;
    let mut event = match form {
        0 | 1 | 6 => pair.generator.plain(case, &mut choices),
        _ => pair.generator.disturbed(case, &mut choices),
    };
    if form > 5 {
        mutate(&mut event, others, &mut choices);
    }
    (event, form < 2)
}

/// The difference on the smallest event found.
fn told(pair: &Pair, event: &[u8], error: &anyhow::Error) -> String {
    let mut scratch = Scratch::new();
    let smallest = minimise(event, |event| pair.check(&mut scratch, event).is_err());
    let again = pair.check(&mut Scratch::new(), &smallest);
    let again = again.err().map(|error| format!("{error:#}")).unwrap_or_default();
    format!("{error:#}\nsmallest: {}\n{again}", hex(&smallest))
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
