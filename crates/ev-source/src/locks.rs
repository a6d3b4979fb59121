//! Locks set at Auth.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{BoxFuture, Env, LockError, Locks, UserLock, within};
use prost_types::Timestamp;
use tonic::Status;

use crate::generated::types::{LockSpecV2, LockTarget, LockV2, Metadata};
use crate::living::Living;
use crate::rpc::{self, Trouble};

/// What a lock is called among the resources of Auth.
const KIND: &str = "lock";
/// Version of the resource; Auth takes no other.
const VERSION: &str = "v2";
/// The only namespace there is.
const NAMESPACE: &str = "default";

/// Sets locks at Auth, over the connection that a [`crate::SearchSource`] keeps.
#[derive(Clone)]
pub struct AuthLocks {
    living: Living,
    env: Arc<dyn Env>,
    patience: Duration,
}

impl AuthLocks {
    pub(crate) fn new(living: Living, env: Arc<dyn Env>, patience: Duration) -> Self {
        Self { living, env, patience }
    }

    async fn upsert(&self, lock: &UserLock) -> Result<(), LockError> {
        let failed =
            |message: &str| LockError::Failed { message: message.to_owned(), source: None };
        let connection = self
            .living
            .get()
            .ok_or_else(|| failed("there is no connection to auth at the moment"))?;
        let call = rpc::upsert_lock(&connection, wire(lock));
        match within(&*self.env, self.patience, call).await {
            None => Err(failed("the answer did not come in time")),
            Some(answer) => answer.map_err(error),
        }
    }
}

impl Locks for AuthLocks {
    fn upsert<'a>(&'a self, lock: &'a UserLock) -> BoxFuture<'a, Result<(), LockError>> {
        Box::pin(self.upsert(lock))
    }
}

fn error(status: Status) -> LockError {
    let message = rpc::describe(&status);
    match Trouble::of(&status) {
        Trouble::Denied => LockError::Denied { message },
        Trouble::Invalid => LockError::Refused { message },
        Trouble::Connection
        | Trouble::Busy
        | Trouble::TooLarge
        | Trouble::Missing
        | Trouble::Failed
        | Trouble::Other => LockError::Failed { message, source: Some(Box::new(status)) },
    }
}

pub(crate) fn wire(lock: &UserLock) -> LockV2 {
    let metadata = Metadata {
        name: lock.name.clone(),
        namespace: NAMESPACE.to_owned(),
        ..Metadata::default()
    };
    let target =
        LockTarget { user: lock.user.clone(), login: lock.login.clone(), ..LockTarget::default() };
    let expires = lock.expires.map(|at| Timestamp {
        seconds: at.seconds(),
        nanos: i32::try_from(at.subsec_nanos()).unwrap_or_default(),
    });
    let spec = LockSpecV2 {
        target: Some(target),
        message: lock.message.clone(),
        expires,
        ..LockSpecV2::default()
    };
    LockV2 {
        kind: KIND.to_owned(),
        version: VERSION.to_owned(),
        metadata: Some(metadata),
        spec: Some(spec),
        ..LockV2::default()
    }
}
