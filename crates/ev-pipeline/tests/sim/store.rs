//! The real SQLite store, made to fail, with the oracle looking at every commit.

use std::ops::Range;
use std::sync::Arc;

use ev_core::{
    AuthVersion, Change, Claim, Epoch, Known, KnownQuery, LedgerHour, ParkedEvent, ParkedGroup,
    ParkedQuery, SessionId, SessionLedger, SignedArtifact, SinkId, Snapshot, StateError,
    StateStore,
};
use ev_state::SqliteStore;

use crate::fault::Fault;
use crate::world::World;

/// What a kill inside a commit unwinds with.
pub(crate) struct Killed;

pub(crate) struct SimStore {
    pub(crate) inner: SqliteStore,
    pub(crate) world: Arc<World>,
}

fn failed(message: &str) -> StateError {
    StateError::Storage { message: message.to_owned(), source: None }
}

impl SimStore {
    fn read(&self) -> Result<(), StateError> {
        if !self.world.scenario.store_is_down(self.world.now()) {
            return Ok(());
        }
        self.world.oracle().let_commits_wait();
        Err(failed("input/output error"))
    }
}

impl StateStore for SimStore {
    fn open_sink(&self, claim: &Claim) -> Result<Snapshot, StateError> {
        self.inner.open_sink(claim)
    }

    fn commit(&self, sink: &SinkId, epoch: Epoch, change: &Change) -> Result<(), StateError> {
        let world = &self.world;
        let now = world.now();
        if world.scenario.store_is_down(now) {
            let mut oracle = world.oracle();
            oracle.trace(format_args!("{now:?} no room for a commit"));
            oracle.let_commits_wait();
            oracle.met(Fault::StateDown);
            return Err(failed("the disk is full"));
        }
        let kill = world.oracle().spring_trap();
        if kill == Some(false) {
            world.oracle().met(Fault::KilledBeforeCommit);
            std::panic::resume_unwind(Box::new(Killed));
        }
        self.inner.commit(sink, epoch, change)?;
        world.oracle().committed(world, change);
        if kill == Some(true) {
            world.oracle().met(Fault::KilledBehindCommit);
            std::panic::resume_unwind(Box::new(Killed));
        }
        Ok(())
    }

    fn parked(&self, sink: &SinkId, query: &ParkedQuery) -> Result<Vec<ParkedEvent>, StateError> {
        self.read()?;
        self.inner.parked(sink, query)
    }

    fn known(&self, sink: &SinkId, query: &KnownQuery) -> Result<Known, StateError> {
        self.read()?;
        self.inner.known(sink, query)
    }

    fn parked_groups(&self, sink: &SinkId) -> Result<Vec<(ParkedGroup, u64)>, StateError> {
        self.read()?;
        self.inner.parked_groups(sink)
    }

    fn parked_in(
        &self,
        sink: &SinkId,
        group: &ParkedGroup,
        query: &ParkedQuery,
    ) -> Result<Vec<ParkedEvent>, StateError> {
        self.read()?;
        self.inner.parked_in(sink, group, query)
    }

    fn ledger(&self, sink: &SinkId, hours: Range<i64>) -> Result<Vec<LedgerHour>, StateError> {
        self.inner.ledger(sink, hours)
    }

    fn session_ledger(
        &self,
        sink: &SinkId,
        session: &SessionId,
    ) -> Result<Option<SessionLedger>, StateError> {
        self.inner.session_ledger(sink, session)
    }

    fn artifact(&self, version: &AuthVersion) -> Result<Option<SignedArtifact>, StateError> {
        self.inner.artifact(version)
    }

    fn put_artifact(
        &self,
        version: &AuthVersion,
        artifact: &SignedArtifact,
    ) -> Result<(), StateError> {
        self.inner.put_artifact(version, artifact)
    }

    fn highest_version(&self) -> Result<Option<AuthVersion>, StateError> {
        self.inner.highest_version()
    }

    fn put_highest_version(&self, version: &AuthVersion) -> Result<(), StateError> {
        self.inner.put_highest_version(version)
    }
}
