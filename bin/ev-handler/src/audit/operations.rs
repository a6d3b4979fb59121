//! The operations that are told of, by what the field `audit` of a line says.

use ev_audit::{OperationCategory, OperationType};

/// One kind of operation.
#[derive(Debug)]
pub(super) struct Operation {
    /// What the field says.
    pub(super) mark: &'static str,
    pub(super) name: &'static str,
    pub(super) of_type: OperationType,
    pub(super) category: OperationCategory,
    pub(super) is_failure: bool,
    /// What it is done to.
    pub(super) target: &'static str,
    /// The field of the line that names which one.
    pub(super) target_field: &'static str,
}

impl Operation {
    pub(super) fn find(mark: &str) -> Option<&'static Self> {
        ALL.iter().find(|operation| operation.mark == mark)
    }

    const fn new(
        mark: &'static str,
        name: &'static str,
        of_type: OperationType,
        category: OperationCategory,
        (target, target_field): (&'static str, &'static str),
    ) -> Self {
        Self { mark, name, of_type, category, is_failure: false, target, target_field }
    }

    const fn failed(self) -> Self {
        Self { is_failure: true, ..self }
    }
}

const ARTIFACT: (&str, &str) = ("DecoderArtifact", "version");
const CREDENTIALS: (&str, &str) = ("Credentials", "peer");
const APPLICATION: OperationCategory = OperationCategory::APPLICATION_MANAGEMENT;
const KEY: OperationCategory = OperationCategory::KEY_MANAGEMENT;

pub(super) const ALL: &[Operation] = &[
    Operation::new(
        "artifact.accepted",
        "AcceptDecoderArtifact",
        OperationType::CREATE,
        APPLICATION,
        ARTIFACT,
    ),
    Operation::new(
        "artifact.refused",
        "AcceptDecoderArtifact",
        OperationType::CREATE,
        APPLICATION,
        ARTIFACT,
    )
    .failed(),
    Operation::new(
        "artifact.swapped",
        "SwapDecoderArtifact",
        OperationType::UPDATE,
        APPLICATION,
        ARTIFACT,
    ),
    Operation::new(
        "artifact.distrusted",
        "UseDecoderArtifact",
        OperationType::READ,
        APPLICATION,
        ARTIFACT,
    )
    .failed(),
    Operation::new(
        "trust.changed",
        "ReloadDecoderTrust",
        OperationType::UPDATE,
        KEY,
        ("DecoderTrust", "path"),
    ),
    Operation::new(
        "credentials.reloaded",
        "ReloadCredentials",
        OperationType::UPDATE,
        KEY,
        CREDENTIALS,
    ),
    Operation::new(
        "credentials.refused",
        "ReloadCredentials",
        OperationType::UPDATE,
        KEY,
        CREDENTIALS,
    )
    .failed(),
    Operation::new("credentials.expired", "UseCredentials", OperationType::READ, KEY, CREDENTIALS)
        .failed(),
    Operation::new(
        "user.locked",
        "LockUser",
        OperationType::CREATE,
        OperationCategory::USER_MANAGEMENT,
        ("Lock", "name"),
    ),
    Operation::new(
        "parked.dropped",
        "DropParkedEvents",
        OperationType::DELETE,
        OperationCategory::RESOURCE_MANAGEMENT,
        ("ParkedEvents", "ids"),
    ),
    Operation::new(
        "configuration.reloaded",
        "ReloadConfiguration",
        OperationType::UPDATE,
        OperationCategory::POLICY_MANAGEMENT,
        ("Configuration", "path"),
    ),
    Operation::new(
        "configuration.refused",
        "ReloadConfiguration",
        OperationType::UPDATE,
        OperationCategory::POLICY_MANAGEMENT,
        ("Configuration", "path"),
    )
    .failed(),
];
