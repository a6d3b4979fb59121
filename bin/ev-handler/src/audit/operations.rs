//! The operations that are told of, by what the field `audit` of a line says.

use ev_audit::{
    HookError, List, Map, OperationCategory, OperationResult, OperationType, Record, Target, Value,
};

use super::MARK;

/// Why something failed.
const ERROR: &str = "error";

/// Fills in a record that has the line's message for a name and its fields as custom data.
///
/// # Errors
///
/// When the mark names no operation.
pub(super) fn fill_in(record: &mut Record) -> Result<(), HookError> {
    let mark = record.custom_data.remove(MARK).map(text).unwrap_or_default();
    let found = ALL.iter().find(|operation| operation.mark == mark);
    let operation = found.ok_or_else(|| format!("`{mark}` is no operation"))?;
    let message = std::mem::replace(&mut record.operation_name, operation.name.to_owned());
    record.operation_type = operation.of_type;
    record.operation_categories = List::from([operation.category]);
    record.operation_result = OperationResult::SUCCESS;
    if operation.is_failure {
        record.operation_result = OperationResult::FAILURE;
        record.operation_result_description = match record.custom_data.get(ERROR) {
            Some(error) => format!("{message}: {}", text(error.clone())),
            None => message,
        };
    }
    // It need not be there twice.
    let named = operation.target_field.and_then(|field| record.custom_data.remove(field));
    let named = named.map(text);
    let target = Target::new(named.unwrap_or_else(|| operation.target.to_owned()));
    record.target_resources = Map::from([(operation.target.to_owned(), List::from([target]))]);
    Ok(())
}

fn text(value: Value) -> String {
    match value {
        Value::Str(text) => text,
        other => format!("{other:?}"),
    }
}

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
    /// The field of the line that names which one; `None` when there is only one.
    pub(super) target_field: Option<&'static str>,
}

impl Operation {
    const fn new(
        mark: &'static str,
        name: &'static str,
        of_type: OperationType,
        category: OperationCategory,
        (target, target_field): (&'static str, Option<&'static str>),
    ) -> Self {
        Self { mark, name, of_type, category, is_failure: false, target, target_field }
    }

    const fn failed(self) -> Self {
        Self { is_failure: true, ..self }
    }
}

const ARTIFACT: (&str, Option<&str>) = ("DecoderArtifact", Some("version"));
const CREDENTIALS: (&str, Option<&str>) = ("Credentials", Some("peer"));
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
        ("DecoderTrust", None),
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
        ("Lock", Some("name")),
    ),
    Operation::new(
        "parked.dropped",
        "DropParkedEvents",
        OperationType::DELETE,
        OperationCategory::RESOURCE_MANAGEMENT,
        ("ParkedEvents", Some("storage")),
    ),
    Operation::new(
        "configuration.reloaded",
        "ReloadConfiguration",
        OperationType::UPDATE,
        OperationCategory::POLICY_MANAGEMENT,
        ("Configuration", None),
    ),
    Operation::new(
        "configuration.refused",
        "ReloadConfiguration",
        OperationType::UPDATE,
        OperationCategory::POLICY_MANAGEMENT,
        ("Configuration", None),
    )
    .failed(),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use ev_audit::transport::MemoryTransport;
    use ev_audit::{Client, LogBridge};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::{defaults, with_bounds};
    use super::*;

    /// The calls in our sources that have a mark: the mark and the call.
    fn marked_calls(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of the sources").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if !["target", "tests", "benches", "examples"].iter().any(|no| name == *no) {
                    marked_calls(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                for (at, _) in code.match_indices(&format!("{MARK} = \"")) {
                    let mark = code[at..].split('"').nth(1).unwrap_or_default();
                    let begin = code[..at].rfind("!(").expect("a call");
                    let end = at + code[at..].find(");").expect("its end");
                    found.push((mark.to_owned(), code[begin..end].to_owned()));
                }
            }
        }
    }

    #[test]
    fn every_mark_in_the_sources_is_an_operation_and_names_what_it_is_done_to() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut calls = Vec::new();
        for part in ["crates", "bin"] {
            marked_calls(&root.join(part), &mut calls);
        }
        for (mark, call) in &calls {
            let operation = ALL.iter().find(|operation| operation.mark == mark);
            let operation = operation.unwrap_or_else(|| panic!("`{mark}` is no operation: {call}"));
            let names = |field: &str| {
                call.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == field)
            };
            assert!(operation.target_field.is_none_or(names), "`{mark}` names nothing: {call}");
        }
        for operation in ALL {
            let is_used = calls.iter().any(|(mark, _)| mark == operation.mark);
            assert!(is_used, "nobody tells of `{}`", operation.mark);
        }
    }

    #[test]
    fn every_operation_is_a_record_that_is_taken() {
        let (transport, audited) = MemoryTransport::new();
        let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().expect("a GUID");
        let client = with_bounds(Client::builder(service, transport)).build().expect("a thread");
        let defaults = defaults(std::net::Ipv4Addr::LOCALHOST.into());
        let bridge = LogBridge::new(client).defaults(defaults);
        let counters = bridge.counters();
        let lines = tracing_subscriber::registry().with(bridge.into_layer().marked_by(MARK));
        tracing::subscriber::with_default(lines, || {
            for operation in ALL {
                let (peer, name, storage) = ("auth", "lock", "/var/lib/ev");
                let (audit, version) = (operation.mark, "18.0.0");
                tracing::info!(audit, version, peer, name, storage, left = 3, "it was done");
            }
            tracing::info!(version = "18.0.0", "nothing to tell");
            assert_eq!(counters.refused(), 0);
            tracing::info!(audit = "no such thing", "nothing to tell");
            assert_eq!(counters.refused(), 1);
            let error = "no key";
            tracing::warn!(audit = "artifact.refused", version = "18.1.0", error, "it is refused");
        });
        let sent = audited.wait_for(ALL.len() + 1, Duration::from_secs(60));
        assert_eq!(sent.len(), ALL.len() + 1);
        for (sent, operation) in sent.iter().zip(ALL) {
            assert_eq!(sent.record.operation_name, operation.name);
            let failed = sent.record.operation_result == OperationResult::FAILURE;
            assert_eq!(failed, operation.is_failure, "{}", operation.mark);
            assert_eq!(sent.record.custom_data.get("left"), Some(&Value::I64(3)));
            let is_named =
                sent.record.target_resources[operation.target][0].name != operation.target;
            assert_eq!(is_named, operation.target_field.is_some(), "{}", operation.mark);
        }
        let last = &sent[ALL.len()].record;
        assert_eq!(last.operation_result_description, "it is refused: no key");
        assert_eq!(last.target_resources["DecoderArtifact"][0].name, "18.1.0");
    }
}
