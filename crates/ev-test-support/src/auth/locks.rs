//! Locks as they were set.

use serde::{Deserialize, Serialize};

use crate::generated::types::LockV2;
use crate::time::UtcTime;

/// A lock, as far as anybody looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name; another one of the same name takes its place.
    pub name: String,
    /// Kind and version of the resource, `lock/v2`.
    pub resource: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// User it is on.
    pub user: String,
    /// Login of the operating system it is on; empty for all.
    pub login: String,
    /// What the user is told.
    pub message: String,
    /// When it ends, in RFC 3339; absent if never.
    pub expires: Option<String>,
}

impl Lock {
    pub(super) fn of(lock: LockV2) -> Self {
        let LockV2 { kind, version, metadata, spec, .. } = lock;
        let (metadata, spec) = (metadata.unwrap_or_default(), spec.unwrap_or_default());
        let target = spec.target.unwrap_or_default();
        let expires = spec.expires.map(|at| {
            let nanos = u32::try_from(at.nanos).unwrap_or_default();
            UtcTime { seconds: at.seconds, nanos }.to_string()
        });
        Self {
            name: metadata.name,
            resource: format!("{kind}/{version}"),
            namespace: metadata.namespace,
            user: target.user,
            login: target.login,
            message: spec.message,
            expires,
        }
    }

    /// What a real server refuses.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self { name, .. } if name.is_empty() => Err("missing parameter Name"),
            Self { user, login, .. } if user.is_empty() && login.is_empty() => {
                Err("at least one target field must be set")
            }
            Self { resource, .. } if resource != "lock/v2" => Err("not a lock"),
            _ => Ok(()),
        }
    }
}
