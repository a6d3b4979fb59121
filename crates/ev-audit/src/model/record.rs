//! An audit record.

use std::fmt;

use super::containers::{List, Map};
use super::ip::CallerIp;
use super::kinds::{CallerIdentityType, OperationCategory, OperationResult, OperationType};
use super::value::Value;

/// An audit record: who did what to which resources, and how it ended.
///
/// All fields are public and start absent, for those who fill them as they go;
/// [`Record::builder`] is for those who want the compiler to see that what is required is there.
/// What is required and allowed is checked by [`Record::validate`].
///
/// A record has no service id and no time: the client that sends it puts these in. `Debug` shows
/// what was done and how it ended, not who did it: records are not for logs.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, rename_all = "PascalCase")
)]
pub struct Record {
    /// Where the call came from. Required.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "CallerIpAddress", deserialize_with = "super::serialize::address")
    )]
    pub caller_ip: Option<CallerIp>,
    /// Who called: identities of each type. At least one type, each with at least one identity.
    pub caller_identities: Map<CallerIdentityType, List<Identity>>,
    /// What the operation was about. At least one; order and duplicates do not matter.
    pub operation_categories: List<OperationCategory>,
    /// Values of the service's own.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "super::serialize::is_empty"))]
    pub custom_data: Map<String, Value>,
    /// What was operated on: resources of each type, such as `Tenant`, `ManagementGroup`,
    /// `SubscriptionId` or `ServiceGroupOid`. At least one type; its list may be empty.
    pub target_resources: Map<String, List<Target>>,
    /// What the caller may do. At least one; order and duplicates do not matter.
    pub caller_access_levels: List<String>,
    /// What one must be allowed to do for the operation. Required.
    pub operation_access_level: String,
    /// Required.
    pub operation_name: String,
    /// Required when the result is [`OperationResult::FAILURE`].
    pub operation_result_description: String,
    /// The program that called, such as a user agent. Required.
    pub caller_agent: String,
    /// Required when a category is [`OperationCategory::OTHER`].
    pub operation_category_description: String,
    /// What the operation did.
    pub operation_type: OperationType,
    /// How it ended.
    pub operation_result: OperationResult,
}

/// One identity of a caller. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, rename_all = "PascalCase")
)]
pub struct Identity {
    /// The identity. Required.
    pub identity: String,
    /// What it is. Required.
    pub description: String,
}

/// One resource that was operated on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, rename_all = "PascalCase")
)]
pub struct Target {
    /// Required.
    pub name: String,
    /// Where it is, as far as that is known.
    pub cluster: String,
    /// Where it is, as far as that is known.
    pub data_center: String,
    /// Where it is, as far as that is known.
    pub region: String,
}

impl Identity {
    /// An identity and what it is.
    pub fn new(identity: impl Into<String>, description: impl Into<String>) -> Self {
        Self { identity: identity.into(), description: description.into() }
    }
}

impl Target {
    /// A resource of which only the name is known.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// In this cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = cluster.into();
        self
    }

    /// In this data centre.
    #[must_use]
    pub fn data_center(mut self, data_center: impl Into<String>) -> Self {
        self.data_center = data_center.into();
        self
    }

    /// In this region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("operation_name", &self.operation_name)
            .field("operation_type", &self.operation_type)
            .field("operation_result", &self.operation_result)
            .field("operation_categories", &self.operation_categories)
            .finish_non_exhaustive()
    }
}
