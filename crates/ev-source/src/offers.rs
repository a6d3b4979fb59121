//! Which families of calls Auth offers, and which of them is to be preferred.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{Env, Road, SourceError, within};
use futures_util::future;
use tonic::{Code, Status};

use crate::living::Living;
use crate::road::SearchRoad;
use crate::rpc::{self, Trouble};

/// Seconds by which the questions lie in the future, where no storage has anything to look for.
const AHEAD: i64 = 2 * 86_400;

/// Asks Auth, over the connection that a [`crate::SearchSource`] keeps. Works while that is in use
/// elsewhere, and fails while there is no connection.
#[derive(Clone)]
pub struct AuthRoads {
    living: Living,
    env: Arc<dyn Env>,
    patience: Duration,
}

impl std::fmt::Debug for AuthRoads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthRoads").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// The roads that Auth offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// `GetEvents`.
    pub typed: bool,
    /// `GetUnstructuredEvents`.
    pub unstructured: bool,
    /// `GetEventExportChunks`; only some storages of Auth have it.
    pub export: bool,
}

impl Offers {
    /// The road to read by; `None` if none is offered. `exact`: what decodes exactly the events of
    /// Auth's version can be had.
    ///
    /// The typed road is the cheapest for Auth, which does no JSON work then. Without a decoder of
    /// its very schema, Auth's own JSON is better than what an older schema understands.
    pub fn prefer(&self, exact: bool) -> Option<Road> {
        let order = [
            (Road::Typed, self.typed && exact),
            (Road::Export, self.export),
            (Road::Unstructured, self.unstructured),
            (Road::Typed, self.typed),
        ];
        order.into_iter().find(|(_, offered)| *offered).map(|(road, _)| road)
    }
}

impl AuthRoads {
    pub(crate) fn new(living: Living, env: Arc<dyn Env>, patience: Duration) -> Self {
        Self { living, env, patience }
    }

    /// Asks for all roads at once. A call that is refused for another reason than not being known
    /// is offered: that is told by whoever reads by it.
    ///
    /// # Errors
    ///
    /// [`SourceError::Peer`] when there is no connection, it breaks, or an answer does not come in
    /// time.
    pub async fn offered(&self) -> Result<Offers, SourceError> {
        let connection = self.living.get().ok_or_else(|| unknown("there is no connection"))?;
        let second = self.env.now().seconds().saturating_add(AHEAD);
        let search = |road| self.ask(rpc::offers_search(&connection, road, second));
        let (typed, unstructured) = (search(SearchRoad::Typed), search(SearchRoad::Unstructured));
        let export = self.ask(rpc::offers_export(&connection, second));
        let (typed, unstructured, export) = future::try_join3(typed, unstructured, export).await?;
        Ok(Offers { typed, unstructured, export })
    }

    async fn ask(
        &self,
        question: impl Future<Output = Result<(), Status>>,
    ) -> Result<bool, SourceError> {
        match within(&*self.env, self.patience, question).await {
            None => Err(unknown("the answer did not come in time")),
            Some(Ok(())) => Ok(true),
            Some(Err(status)) => match (Trouble::of(&status), status.code()) {
                (Trouble::Connection, _) | (_, Code::Unavailable | Code::Cancelled) => {
                    Err(unknown(&rpc::describe(&status)))
                }
                (_, code) => Ok(code != Code::Unimplemented),
            },
        }
    }
}

fn unknown(why: &str) -> SourceError {
    let message = format!("failed to ask auth by which calls its log is to be read: {why}");
    SourceError::Peer { message, retry_after: None, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typed_road_is_preferred_where_its_events_are_understood() {
        let check = |typed, unstructured, export, exact, expected| {
            let offers = Offers { typed, unstructured, export };
            assert_eq!(offers.prefer(exact), expected, "{offers:?}, {exact}");
        };
        check(true, true, true, true, Some(Road::Typed));
        check(true, true, true, false, Some(Road::Export));
        check(true, true, false, false, Some(Road::Unstructured));
        check(true, false, false, false, Some(Road::Typed));
        check(false, true, true, true, Some(Road::Export));
        check(false, false, false, true, None);
    }
}
