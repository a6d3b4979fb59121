//! What is told of the lanes while they are read.

use ev_core::LaneId;

use super::chunks::is_date;
use super::left_over::start_of;
use super::{Lane, LaneBook};
use crate::status::LaneStatus;

/// Lanes that are told of at most.
const MOST: usize = 1_000;

impl LaneBook {
    /// Lanes that are in memory, those included that are read to their end and still of use.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Lanes that are read, in their order.
    pub(crate) fn statuses(&self) -> Vec<LaneStatus> {
        let open = self.lanes.values().filter(|lane| lane.is_read());
        let status = |lane: &Lane| LaneStatus {
            lane: lane.id.clone(),
            newest_seconds: (lane.newest > i64::MIN).then_some(lane.newest),
            unsettled: lane.unsettled,
            attempts: None,
        };
        open.take(MOST).map(status).collect()
    }

    /// Where reading of the oldest window or chunk that is open stands, in seconds.
    pub(crate) fn oldest_second(&self) -> Option<i64> {
        let place = |lane: &Lane| match lane.id {
            // What is read again is no part of catching up.
            LaneId::Window { pass, .. } if pass > 0 => None,
            _ => start_of(&lane.id).map(|start| start.max(lane.newest)),
        };
        self.lanes.values().filter(|lane| lane.is_read()).filter_map(place).min()
    }

    /// Lanes of which that is not known are waited for since that second.
    pub(crate) fn wait_since(&mut self, now: i64) {
        for lane in self.lanes.values_mut() {
            lane.since = lane.since.min(now);
        }
    }

    /// How many recordings are read, and since when the first of them is waited for. Those on
    /// which `is_stopped` answers yes are not.
    pub(crate) fn recordings_read(
        &self,
        is_stopped: impl Fn(&LaneId) -> bool,
    ) -> (usize, Option<i64>) {
        let lanes = self.lanes.values();
        let lanes = lanes.filter(|lane| matches!(lane.id, LaneId::Session(_)) && lane.is_read());
        let (mut count, mut since) = (0, i64::MAX);
        for lane in lanes.filter(|lane| !is_stopped(&lane.id)) {
            count += 1;
            since = since.min(lane.since);
        }
        (count, (since < i64::MAX).then_some(since))
    }

    /// How many windows are read, and how many chunks.
    pub(crate) fn stretches_read(&self) -> (usize, usize) {
        let mut read = (0, 0);
        for lane in self.lanes.values().filter(|lane| lane.is_read()) {
            match lane.id {
                LaneId::Window { .. } => read.0 += 1,
                LaneId::Chunk { .. } => read.1 += 1,
                LaneId::Session(_) => {}
            }
        }
        read
    }

    /// Events that were taken and are not settled.
    pub(crate) fn in_hand(&self) -> usize {
        self.in_hand
    }
}

impl Lane {
    fn is_read(&self) -> bool {
        (!self.ended || self.unsettled > 0) && !is_date(&self.id)
    }
}
