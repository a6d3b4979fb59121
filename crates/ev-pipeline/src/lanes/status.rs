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
}

impl Lane {
    fn is_read(&self) -> bool {
        (!self.ended || self.unsettled > 0) && !is_date(&self.id)
    }
}
