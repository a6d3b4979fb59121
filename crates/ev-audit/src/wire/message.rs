//! What a frame carries.

use crate::model::{ConnectionType, Problem, Record, Rules, ServiceId};

/// Which of the two kinds of audit record a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// What users of a service do: tag `AsmAuditDP`.
    Data,
    /// What is done to a service: tag `AsmAuditCP`.
    Control,
}

impl Plane {
    /// The tag of its frames.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Data => "AsmAuditDP",
            Self::Control => "AsmAuditCP",
        }
    }
}

/// What a client says of itself behind the first record of a connection and every so often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, rename_all = "PascalCase")
)]
pub struct Heartbeat {
    /// The service that the client sends for.
    #[cfg_attr(feature = "serde", serde(rename = "AsmAuditServiceId"))]
    pub service: ServiceId,
    /// The version of the client.
    pub audit_version: String,
    /// The release of the kernel.
    pub os_version: String,
    /// The language of the client and its version.
    pub language: String,
    /// How the client reaches the agent.
    pub destination: ConnectionType,
}

/// One entry of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A record.
    Record {
        /// Its kind.
        plane: Plane,
        /// The service that it is of.
        service: ServiceId,
        /// Its time, in seconds since 1970.
        seconds: i64,
        /// The record.
        record: Box<Record>,
    },
    /// A heartbeat.
    Heartbeat {
        /// Its time, in seconds since 1970.
        seconds: i64,
        /// The heartbeat.
        heartbeat: Heartbeat,
    },
    /// A diagnostic message, which is empty and which no client sends.
    Diagnostic {
        /// Its time, in seconds since 1970.
        seconds: i64,
    },
}

impl Message {
    /// The tag of its frame.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Record { plane, .. } => plane.tag(),
            Self::Heartbeat { .. } => "AsmAuditHB",
            Self::Diagnostic { .. } => "AsmAuditDG",
        }
    }

    /// Its time, in seconds since 1970.
    pub const fn seconds(&self) -> i64 {
        match self {
            Self::Record { seconds, .. }
            | Self::Heartbeat { seconds, .. }
            | Self::Diagnostic { seconds } => *seconds,
        }
    }

    /// The service that it is of.
    pub const fn service(&self) -> Option<&ServiceId> {
        match self {
            Self::Record { service, .. } => Some(service),
            Self::Heartbeat { heartbeat, .. } => Some(&heartbeat.service),
            Self::Diagnostic { .. } => None,
        }
    }

    /// The record, when it is one.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record { record, .. } => Some(record),
            _ => None,
        }
    }

    /// Checks what a receiver can: that there is a service id, and [`Record::validate`].
    ///
    /// # Errors
    ///
    /// The first problem.
    pub fn validate(&self, rules: &Rules) -> Result<(), Problem> {
        match self.service() {
            Some(service) if !service.is_set() => Err(Problem::ServiceId),
            _ => self.record().map_or(Ok(()), |record| record.validate(rules)),
        }
    }

    /// All problems, in the order in which [`Message::validate`] would find them.
    pub fn problems(&self, rules: &Rules) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.service().is_some_and(|service| !service.is_set()) {
            problems.push(Problem::ServiceId);
        }
        if let Some(record) = self.record() {
            problems.extend(record.problems(rules));
        }
        problems
    }
}
