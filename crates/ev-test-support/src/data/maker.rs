//! Events in any number.

use super::rewrite::{Change, Made, rewrite};
use super::vector::{Vector, is_uuid};
use crate::Error;
use crate::time::UtcTime;

/// Makes events with ids that no other event of the same seed has. The same seed makes the same
/// events.
#[derive(Clone, Debug)]
pub struct Maker {
    seed: u64,
    made: u64,
}

/// A session: what the audit log says of it, and its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The session's id.
    pub session: String,
    /// The `session.upload` event in the audit log.
    pub upload: Made,
    /// The recording's events, by ascending index from 0.
    pub events: Vec<Made>,
}

impl Maker {
    /// A maker whose ids begin with the seed.
    pub fn new(seed: u32) -> Self {
        Self { seed: seed.into(), made: 0 }
    }

    /// An id of the shape of a UUID.
    pub fn uuid(&mut self) -> String {
        self.made += 1;
        // Scattered digits in the middle, so that ids do not sort by age.
        let mixed = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let (middle, last) = (mixed & 0xfff, (mixed >> 12) & 0xfff);
        format!("{:08x}-{middle:04x}-4{last:03x}-a000-{:012x}", self.seed, self.made)
    }

    /// One event of `vector` at `time`.
    ///
    /// # Errors
    ///
    /// When the vector is no template.
    pub fn event(&mut self, vector: &Vector, time: UtcTime) -> Result<Made, Error> {
        let uid = self.uuid();
        rewrite(vector, &Change { uid: Some(&uid), ..Change::at(time) })
    }

    /// `count` events of `vectors` in turn, spread evenly from `from` to before `to`, by ascending
    /// time.
    ///
    /// # Errors
    ///
    /// When a vector is no template.
    pub fn events(
        &mut self,
        vectors: &[&Vector],
        count: usize,
        from: UtcTime,
        to: UtcTime,
    ) -> Result<Vec<Made>, Error> {
        let span = to.as_nanos() - from.as_nanos();
        let step = span / i128::try_from(count.max(1)).expect("counts are small");
        let mut made = vectors
            .iter()
            .cycle()
            .take(count)
            .zip(0i128..)
            .map(|(vector, number)| self.event(vector, from.plus_nanos(step * number)))
            .collect::<Result<Vec<_>, _>>()?;
        // Times are taken as near as an event's digits allow.
        made.sort_by_key(|event| event.time);
        Ok(made)
    }

    /// A session that was uploaded at `at`, with `count` events made of `events` in turn, 50 ms
    /// apart. Events without an id stay without one, as in real recordings.
    ///
    /// # Errors
    ///
    /// When a vector cannot be changed in that way.
    pub fn recording(
        &mut self,
        upload: &Vector,
        events: &[&Vector],
        count: usize,
        at: UtcTime,
    ) -> Result<Recording, Error> {
        let session = self.uuid();
        let uid = self.uuid();
        let upload = rewrite(
            upload,
            &Change { uid: Some(&uid), session: Some(&session), ..Change::at(at) },
        )?;
        let mut recorded = Vec::with_capacity(count);
        for (vector, index) in events.iter().cycle().take(count).zip(0i64..) {
            let uid = self.uuid();
            let time = at.plus_nanos(i128::from(index) * 50_000_000 - 3_600_000_000_000);
            recorded.push(rewrite(
                vector,
                &Change {
                    uid: is_uuid(&vector.uid).then_some(uid.as_str()),
                    time: Some(time),
                    index: Some(index),
                    session: is_uuid(&vector.session).then_some(session.as_str()),
                },
            )?);
        }
        Ok(Recording { session, upload, events: recorded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::vector::is_uuid;

    #[test]
    fn ids_are_uuids_and_never_repeat() {
        let mut maker = Maker::new(7);
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|_| maker.uuid()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| is_uuid(id)));
    }
}
