//! Why a record is refused.

use super::kinds::CallerIdentityType;

/// Why a record is refused. The first texts are those of the client that the format comes from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no service id.
    #[error("service tree ID is required")]
    ServiceId,
    /// There is no operation name.
    #[error("operation name is required")]
    OperationName,
    /// There is no operation category.
    #[error("at least one operation category is required")]
    OperationCategories,
    /// A category is `OCOther`, and there is no description of it.
    #[error("operation category description is required for category OCOther")]
    CategoryDescription,
    /// The operation failed, and there is no description of that.
    #[error("operation result description is required for failed operations")]
    ResultDescription,
    /// There is no access level of the operation.
    #[error("operation access level is required")]
    OperationAccessLevel,
    /// There is no caller agent.
    #[error("caller agent is required")]
    CallerAgent,
    /// There is no type of caller identities.
    #[error("at least one caller identity is required")]
    CallerIdentities,
    /// A type of caller identities has none.
    #[error("at least one identity is required for identity type {kind}")]
    IdentityList {
        /// The type.
        kind: CallerIdentityType,
    },
    /// An identity is empty.
    #[error("identity is required")]
    Identity,
    /// The description of an identity is empty.
    #[error("description is required")]
    IdentityDescription,
    /// There is no address of the caller.
    #[error("caller IP address is required")]
    CallerIp,
    /// The address of the caller is `0.0.0.0` or `::`.
    #[error("caller IP address cannot be unspecified")]
    CallerIpUnspecified,
    /// The address of the caller is one of loopback, and [`Rules`](super::Rules) does not allow
    /// that.
    #[error("caller IP address cannot be loopback")]
    CallerIpLoopback,
    /// The address of the caller is one of multicast.
    #[error("caller IP address cannot be multicast")]
    CallerIpMulticast,
    /// There is no access level of the caller.
    #[error("at least one caller access level is required")]
    CallerAccessLevels,
    /// An access level of the caller is blank.
    #[error("caller access level cannot be empty")]
    CallerAccessLevel,
    /// There is no type of target resources.
    #[error("at least one target resource is required")]
    TargetResources,
    /// A type of target resources is blank.
    #[error("target resource type cannot be empty")]
    TargetType,
    /// The name of a target resource is empty.
    #[error("target resource name is required")]
    TargetName,
    /// A kind has no name, or is the unknown one. Only in strict mode.
    #[error("{field} must be a known one, not `{value}`")]
    UnknownKind {
        /// What is of that kind.
        field: &'static str,
        /// The kind as it would stand on the wire.
        value: String,
    },
    /// A required text is whitespace. Only in strict mode.
    #[error("{field} cannot be blank")]
    Blank {
        /// What is blank.
        field: &'static str,
    },
    /// A text is longer than the rules allow.
    #[error("{field} has {chars} characters, more than {limit}")]
    TextTooLong {
        /// What is too long.
        field: &'static str,
        /// Its characters.
        chars: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Custom data is nested deeper than the rules allow.
    #[error("custom data under `{key}` is nested deeper than {limit} levels")]
    TooDeep {
        /// The key of custom data.
        key: String,
        /// What is allowed.
        limit: usize,
    },
    /// The frame is longer than the rules allow.
    #[error("the record takes {bytes} bytes, more than {limit}")]
    FrameTooLarge {
        /// The bytes of the frame, before duplicates in lists are left out.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
}
