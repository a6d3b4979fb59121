use std::time::Duration;

use ev_core::testing::source::{Wanted, World, contract};
use ev_core::{AuthVersion, BoxFuture, Env, Form, RawEvent, Road, SessionId, Survey, Timestamp};
use ev_source::SearchSource;

use crate::rig::{CLUSTER, POLL, Rig, event};

/// How long all of it may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(300);

/// Auth gives three events a page.
fn world(road: Road) -> Rig {
    let rig = Rig::on(road);
    rig.auth.set(|switches| {
        switches.page_cap = 3;
        switches.export_chunk = 12;
    });
    rig
}

fn stored(road: Road, wanted: &Wanted) -> (ev_test_support::Event, RawEvent) {
    let event = event(&wanted.id, wanted.time.seconds(), wanted.index);
    let raw = match road {
        Road::Typed => RawEvent { form: Form::OneOf, bytes: event.oneof.clone() },
        _ => {
            let bytes = event.unstructured().expect("it was given");
            RawEvent { form: Form::Unstructured, bytes }
        }
    };
    (event, raw)
}

impl World for Rig {
    type Source = SearchSource;

    fn source(&self) -> SearchSource {
        let mut config = self.config();
        config.window_size = Duration::from_secs(3600);
        // So narrow that the live window rolls while it is looked at.
        config.live_width = Duration::from_secs(60);
        // Some wait for their turn.
        config.catch_up_lanes = 2;
        config.concurrency = 3;
        if self.road == Road::Export {
            config.batch = 5;
        }
        Rig::source(self, config)
    }

    fn road(&self) -> Road {
        self.road
    }

    fn survey(&self) -> Survey {
        let version = AuthVersion::new(self.auth.switches().version);
        Survey { cluster: CLUSTER.to_owned(), version }
    }

    fn now(&self) -> Timestamp {
        self.env.now()
    }

    fn idle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let poll = match self.road {
                Road::Export => self.config().export_poll,
                _ => POLL,
            };
            self.env.sleeping(poll).await;
            self.env.advance(poll);
        })
    }

    fn append(&self, wanted: &Wanted) -> RawEvent {
        let (event, raw) = stored(self.road, wanted);
        self.auth.append([event]);
        raw
    }

    fn record(&self, session: &SessionId, wanted: &Wanted) -> RawEvent {
        let (event, raw) = stored(self.road, wanted);
        self.auth.store(|store| store.append_recording(session.as_str(), [event]));
        raw
    }

    fn cut(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.auth.drop_connections().await;
        })
    }

    fn change_version(&self, version: &AuthVersion) -> BoxFuture<'_, ()> {
        let version = version.clone();
        Box::pin(async move { self.auth.upgrade(version.as_str()).await })
    }
}

#[tokio::test]
async fn the_source_keeps_its_contract() {
    let kept = tokio::time::timeout(PATIENCE, contract(|| world(Road::Typed))).await;
    kept.expect("the contract ends");
}

#[tokio::test]
async fn the_source_keeps_its_contract_on_the_unstructured_road() {
    let kept = tokio::time::timeout(PATIENCE, contract(|| world(Road::Unstructured))).await;
    kept.expect("the contract ends");
}

#[tokio::test]
async fn the_source_keeps_its_contract_on_the_road_of_the_export() {
    let kept = tokio::time::timeout(PATIENCE, contract(|| world(Road::Export))).await;
    kept.expect("the contract ends");
}
