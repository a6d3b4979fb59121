//! Chunks of the bulk export that are done.
//!
//! Nothing is held of them in memory but their names, by date, until their date is given up: the
//! source knows them by that, and they are deleted together, with the lane that stands for the date
//! and the ids of all their events. So what a commit costs depends on what is being read alone,
//! however many chunks there were.

use std::collections::{BTreeMap, BTreeSet};

use ev_core::LaneId;

/// The lane that stands for a date has no chunk's name.
pub(super) fn is_date(lane: &LaneId) -> bool {
    matches!(lane, LaneId::Chunk { chunk, .. } if chunk.is_empty())
}

/// Done chunks by date.
#[derive(Debug, Default)]
pub(super) struct DoneChunks {
    by_date: BTreeMap<String, Vec<String>>,
    /// Dates that are given up.
    retired: BTreeSet<String>,
}

impl DoneChunks {
    pub(super) fn add(&mut self, lane: LaneId) {
        if let LaneId::Chunk { date, chunk } = lane {
            self.by_date.entry(date).or_default().push(chunk);
        }
    }

    /// Those of a date.
    pub(super) fn of(&self, date: &str) -> impl Iterator<Item = LaneId> {
        let chunks = self.by_date.get(date).into_iter().flatten();
        chunks.map(move |chunk| LaneId::Chunk { date: date.to_owned(), chunk: chunk.clone() })
    }

    /// A date is given up.
    pub(super) fn retire(&mut self, date: &str) {
        self.retired.insert(date.to_owned());
    }

    /// The lanes of the dates that are given up and of which nothing is being read any more. Until
    /// then nothing of a date is deleted: a date without its done chunks would be read again.
    pub(super) fn unneeded(&mut self, is_read: impl Fn(&str) -> bool) -> Vec<LaneId> {
        let mut lanes = Vec::new();
        let over: Vec<String> =
            self.retired.iter().filter(|date| !is_read(date)).cloned().collect();
        for date in over {
            self.retired.remove(&date);
            for chunk in self.by_date.remove(&date).unwrap_or_default() {
                lanes.push(LaneId::Chunk { date: date.clone(), chunk });
            }
            lanes.push(LaneId::Chunk { date, chunk: String::new() });
        }
        lanes
    }
}

#[cfg(test)]
mod tests;
