//! Which of the two families of search calls is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ev_core::{Form, Road};

/// A road on which windows of the log are searched for. Everything about windows, page keys and
/// recordings is the same on both; they differ in the calls and in the form of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchRoad {
    /// `GetEvents` and `StreamSessionEvents`.
    Typed,
    /// `GetUnstructuredEvents` and `StreamUnstructuredSessionEvents`.
    Unstructured,
}

impl SearchRoad {
    /// `None` if nothing is searched for on that road.
    pub(crate) fn of(road: Road) -> Option<Self> {
        match road {
            Road::Typed => Some(Self::Typed),
            Road::Unstructured => Some(Self::Unstructured),
            Road::Export => None,
        }
    }

    pub(crate) fn road(self) -> Road {
        match self {
            Self::Typed => Road::Typed,
            Self::Unstructured => Road::Unstructured,
        }
    }

    /// The form of the events that come on it.
    pub(crate) fn form(self) -> Form {
        match self {
            Self::Typed => Form::OneOf,
            Self::Unstructured => Form::Unstructured,
        }
    }
}

/// The road of the moment, for all who search over one connection.
#[derive(Clone, Debug)]
pub(crate) struct CurrentRoad(Arc<AtomicBool>);

impl CurrentRoad {
    pub(crate) fn new(road: SearchRoad) -> Self {
        Self(Arc::new(AtomicBool::new(road == SearchRoad::Unstructured)))
    }

    pub(crate) fn get(&self) -> SearchRoad {
        // Nothing else is told by it.
        match self.0.load(Ordering::Relaxed) {
            true => SearchRoad::Unstructured,
            false => SearchRoad::Typed,
        }
    }

    pub(crate) fn set(&self, road: SearchRoad) {
        self.0.store(road == SearchRoad::Unstructured, Ordering::Relaxed);
    }
}
