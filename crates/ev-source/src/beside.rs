//! Searches beside the lanes.

use std::sync::Arc;

use ev_core::{AuthVersion, Env};

use crate::Config;
use crate::budget::Budget;
use crate::living::Living;
use crate::road::{CurrentRoad, SearchRoad};
use crate::rpc::{self, Searched};
use crate::window::Query;

/// What a search beside the lanes needs: the connection of the source that made it, its request
/// budget, and its road.
#[derive(Clone)]
pub(crate) struct Beside {
    pub(crate) config: Arc<Config>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) living: Living,
    pub(crate) budget: Budget,
    pub(crate) road: CurrentRoad,
}

/// A search that was answered, or was not.
pub(crate) struct Asked {
    pub(crate) road: SearchRoad,
    /// What Auth was when it was asked.
    pub(crate) version: AuthVersion,
    pub(crate) query: Query,
    /// `None` if Auth has been another since, so that nobody knows under which version the answer
    /// was written.
    pub(crate) searched: Option<Searched>,
}

impl Beside {
    /// Asks once, as soon as there is a connection and room in the budget. `question` is what to
    /// ask for at this second on this road, and the control question.
    pub(crate) async fn ask(
        &self,
        question: impl FnOnce(SearchRoad, i64) -> (Query, Option<Query>),
    ) -> Asked {
        let (connection, version, permit) = loop {
            self.living.connected().await;
            let permit = self.budget.begin_beside().await;
            if let Some((connection, version)) = self.living.up() {
                break (connection, version, permit);
            }
        };
        let road = self.road.get();
        let (query, control) = question(road, self.env.now().seconds());
        let patience = self.config.request_timeout;
        let asked = query.clone();
        let searched =
            rpc::search_with_control(&connection, road, asked, control, patience, &*self.env).await;
        drop(permit);
        let is_same = self.living.up().is_some_and(|(_, now)| now == version);
        if is_same && searched.answer.is_ok() {
            self.budget.answered();
        }
        Asked { road, version, query, searched: is_same.then_some(searched) }
    }
}
