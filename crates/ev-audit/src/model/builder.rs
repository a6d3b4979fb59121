//! A builder whose required parts the compiler checks.

use super::containers::List;
use super::ip::CallerIp;
use super::kinds::{CallerIdentityType, OperationCategory, OperationResult, OperationType};
use super::record::{Identity, Record, Target};
use super::value::Value;

/// A required part that was not given yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Missing;

/// A required part that was given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given;

/// Puts a record together: a caller, an operation and at least one target, in any order.
/// [`build`](RecordBuilder::build) is there when all three are.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use ev_audit::{
///     Caller, CallerIdentityType, Operation, OperationCategory, OperationType, Record, Rules, Target,
/// };
///
/// let caller = Caller::new(Ipv4Addr::new(192, 0, 2, 7), "portal/2.1", "Administrator")
///     .identity(CallerIdentityType::UPN, "alice@example.com", "who signed in");
/// let operation = Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Administrator")
///     .of_type(OperationType::DELETE)
///     .succeeded();
/// let record = Record::builder()
///     .caller(caller)
///     .operation(operation)
///     .target("Tenant", Target::new("contoso").region("westeurope"))
///     .custom("request", "7c9e")
///     .build();
/// assert_eq!(record.validate(&Rules::strict()), Ok(()));
/// ```
///
/// Without a target there is nothing to build:
///
/// ```compile_fail,E0599
/// # use ev_audit::{Caller, CallerIdentityType, Operation, OperationCategory, Record};
/// # let caller = Caller::new(std::net::Ipv4Addr::new(192, 0, 2, 7), "portal", "Administrator")
/// #     .identity(CallerIdentityType::UPN, "alice@example.com", "who signed in");
/// # let operation = Operation::new("DeleteUser", OperationCategory::USER_MANAGEMENT, "Administrator");
/// let record = Record::builder().caller(caller).operation(operation).build();
/// ```
///
/// Nor is a caller without an identity one:
///
/// ```compile_fail,E0308
/// # use ev_audit::{Caller, Record};
/// # let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
/// Record::builder().caller(Caller::new(address, "portal", "Administrator"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RecordBuilder<C, O, T> {
    record: Record,
    caller: C,
    operation: O,
    target: T,
}

/// Who called: address, agent, access levels and identities. `I` tells whether an identity was
/// given.
#[derive(Clone, Debug)]
#[must_use]
pub struct Caller<I = Given> {
    /// Only the caller's fields are used.
    record: Record,
    identity: I,
}

/// What was done and how it ended.
#[derive(Clone, Debug)]
#[must_use]
pub struct Operation {
    /// Only the operation's fields are used.
    record: Record,
}

impl Record {
    /// A builder whose required parts the compiler checks.
    pub fn builder() -> RecordBuilder<Missing, Missing, Missing> {
        RecordBuilder {
            record: Self::default(),
            caller: Missing,
            operation: Missing,
            target: Missing,
        }
    }
}

impl<O, T> RecordBuilder<Missing, O, T> {
    /// Who called.
    pub fn caller(self, caller: Caller) -> RecordBuilder<Given, O, T> {
        let Caller { record, identity } = caller;
        let record = Record {
            caller_ip: record.caller_ip,
            caller_agent: record.caller_agent,
            caller_identities: record.caller_identities,
            caller_access_levels: record.caller_access_levels,
            ..self.record
        };
        RecordBuilder { record, caller: identity, operation: self.operation, target: self.target }
    }
}

impl<C, T> RecordBuilder<C, Missing, T> {
    /// What was done.
    pub fn operation(self, operation: Operation) -> RecordBuilder<C, Given, T> {
        let Operation { record } = operation;
        let record = Record {
            operation_name: record.operation_name,
            operation_categories: record.operation_categories,
            operation_category_description: record.operation_category_description,
            operation_access_level: record.operation_access_level,
            operation_type: record.operation_type,
            operation_result: record.operation_result,
            operation_result_description: record.operation_result_description,
            ..self.record
        };
        RecordBuilder { record, caller: self.caller, operation: Given, target: self.target }
    }
}

impl<C, O, T> RecordBuilder<C, O, T> {
    /// A resource that was operated on; more than one can be given.
    pub fn target(mut self, kind: impl Into<String>, target: Target) -> RecordBuilder<C, O, Given> {
        self.record.target_resources.entry(kind.into()).or_default().push(target);
        RecordBuilder {
            record: self.record,
            caller: self.caller,
            operation: self.operation,
            target: Given,
        }
    }

    /// A type of resources that was operated on, without any one of them.
    pub fn target_type(mut self, kind: impl Into<String>) -> RecordBuilder<C, O, Given> {
        self.record.target_resources.entry(kind.into()).or_insert_with(List::empty);
        RecordBuilder {
            record: self.record,
            caller: self.caller,
            operation: self.operation,
            target: Given,
        }
    }

    /// A value of the service's own.
    pub fn custom(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.record.custom_data.insert(key.into(), value.into());
        self
    }
}

impl RecordBuilder<Given, Given, Given> {
    /// The record. What the compiler cannot see, such as texts that are empty, is checked by
    /// [`Record::validate`].
    #[must_use]
    pub fn build(self) -> Record {
        self.record
    }
}

impl Caller<Missing> {
    /// A caller at this address, with this program and this access level; its identity is still
    /// to be given.
    pub fn new(
        address: impl Into<CallerIp>,
        agent: impl Into<String>,
        access_level: impl Into<String>,
    ) -> Self {
        let record = Record {
            caller_ip: Some(address.into()),
            caller_agent: agent.into(),
            caller_access_levels: List::from([access_level.into()]),
            ..Record::default()
        };
        Self { record, identity: Missing }
    }
}

impl<I> Caller<I> {
    /// An identity of the caller, and what it is; more than one can be given.
    pub fn identity(
        mut self,
        kind: CallerIdentityType,
        identity: impl Into<String>,
        description: impl Into<String>,
    ) -> Caller {
        let identity = Identity::new(identity, description);
        self.record.caller_identities.entry(kind).or_default().push(identity);
        Caller { record: self.record, identity: Given }
    }

    /// One more access level.
    pub fn access_level(mut self, access_level: impl Into<String>) -> Self {
        self.record.caller_access_levels.push(access_level.into());
        self
    }
}

impl Operation {
    /// An operation of this name and category, and what one must be allowed to do for it.
    pub fn new(
        name: impl Into<String>,
        category: OperationCategory,
        access_level: impl Into<String>,
    ) -> Self {
        let record = Record {
            operation_name: name.into(),
            operation_categories: List::from([category]),
            operation_access_level: access_level.into(),
            ..Record::default()
        };
        Self { record }
    }

    /// One more category.
    pub fn category(mut self, category: OperationCategory) -> Self {
        self.record.operation_categories.push(category);
        self
    }

    /// What a category is that none of the named ones fits; [`OperationCategory::OTHER`] is added
    /// when it is not there.
    pub fn other_category(mut self, description: impl Into<String>) -> Self {
        self.record.operation_category_description = description.into();
        if !self.record.operation_categories.contains(&OperationCategory::OTHER) {
            self.record.operation_categories.push(OperationCategory::OTHER);
        }
        self
    }

    /// What it did.
    pub fn of_type(mut self, operation_type: OperationType) -> Self {
        self.record.operation_type = operation_type;
        self
    }

    /// It succeeded.
    pub fn succeeded(mut self) -> Self {
        self.record.operation_result = OperationResult::SUCCESS;
        self
    }

    /// It failed, and why.
    pub fn failed(mut self, description: impl Into<String>) -> Self {
        self.record.operation_result = OperationResult::FAILURE;
        self.record.operation_result_description = description.into();
        self
    }

    /// More about how it ended.
    pub fn result_description(mut self, description: impl Into<String>) -> Self {
        self.record.operation_result_description = description.into();
        self
    }
}
