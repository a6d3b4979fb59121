//! Records out of what a program logs, through `tracing` and through `log`.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ev_audit::transport::{Audited, AuditedRecord, MemoryTransport};
use ev_audit::{
    AuditLogger, CallerIdentityType, Client, Identity, List, LogBridge, LogProblem,
    OperationCategory, OperationResult, OperationType, Plane, Record, Refused, Target, Value,
};
use tracing::{error, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::rig;

/// A client in test mode, and what it sent after it was closed.
struct Rig {
    client: Client,
    audited: Audited,
}

fn rig() -> Rig {
    let (transport, audited) = MemoryTransport::new();
    Rig {
        client: Client::builder(rig::service(), transport).build().expect("settings in range"),
        audited,
    }
}

impl Rig {
    fn bridge(&self) -> LogBridge {
        LogBridge::new(self.client.clone()).defaults(defaults())
    }

    fn records(&self) -> Vec<AuditedRecord> {
        let left = self.client.close(Duration::from_secs(60));
        assert!(left.is_empty(), "{left:?}");
        self.audited.records()
    }
}

/// What every record of these tests has unless it says otherwise.
fn defaults() -> Record {
    let mut record = rig::record(0);
    record.custom_data.clear();
    record
}

/// Runs `program` under a subscriber with the layer that `bridge` makes.
fn traced(bridge: LogBridge, program: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(bridge.into_layer());
    tracing::subscriber::with_default(subscriber, program);
}

type Problems = Arc<Mutex<Vec<LogProblem>>>;

fn gathered(bridge: LogBridge) -> (LogBridge, Problems) {
    let problems = Problems::default();
    let kept = problems.clone();
    (bridge.on_problem(move |problem| kept.lock().expect("no panic").push(problem)), problems)
}

#[test]
fn an_event_with_all_fields_makes_a_whole_record() {
    let rig = rig();
    let bridge = LogBridge::new(rig.client.clone());
    let counters = bridge.counters();
    traced(bridge, || {
        error!(
            target: "audit::users",
            plane = "control",
            operation_name = "DeleteUser",
            operation_type = ?OperationType::DELETE,
            operation_result = "failure",
            operation_category = "UserManagement, OCOther",
            operation_category_description = "housekeeping",
            operation_access_level = "Administrator",
            caller_ip = %"fe80::1%eth0",
            caller_agent = "portal/2.1",
            caller_access_levels = "Administrator, Reader",
            caller_identity.upn = "alice@example.com",
            caller_identity.object_id = "7c9e",
            caller_identity.object_id.description = "who signed in",
            target_resource.Tenant = "contoso",
            target_resource.Tenant.region = "westeurope",
            target_resource.Tenant.cluster = "c1",
            target_resource.Tenant.data_center = "d1",
            attempts = 3_i64,
            size = 7_u8,
            ratio = 0.5,
            known = true,
            "no such user"
        );
    });
    let records = rig.records();
    let [AuditedRecord { plane, record, .. }] = &*records else { panic!("{records:?}") };
    assert_eq!(*plane, Plane::Control);
    let mut expected = Record {
        caller_ip: Some("fe80::1%eth0".parse().unwrap()),
        operation_categories: List::from([
            OperationCategory::OTHER,
            OperationCategory::USER_MANAGEMENT,
        ]),
        caller_access_levels: ["Administrator", "Reader"].map(str::to_owned).into(),
        operation_access_level: "Administrator".to_owned(),
        operation_name: "DeleteUser".to_owned(),
        operation_result_description: "no such user".to_owned(),
        caller_agent: "portal/2.1".to_owned(),
        operation_category_description: "housekeeping".to_owned(),
        operation_type: OperationType::DELETE,
        operation_result: OperationResult::FAILURE,
        ..Record::default()
    };
    let identities = [
        (CallerIdentityType::UPN, Identity::new("alice@example.com", "UPN")),
        (CallerIdentityType::OBJECT_ID, Identity::new("7c9e", "who signed in")),
    ];
    expected.caller_identities =
        identities.into_iter().map(|(kind, identity)| (kind, List::from([identity]))).collect();
    let target = Target::new("contoso").region("westeurope").cluster("c1").data_center("d1");
    expected.target_resources.insert("Tenant".to_owned(), List::from([target]));
    expected.custom_data = [
        ("attempts".to_owned(), Value::I64(3)),
        ("size".to_owned(), Value::U64(7)),
        ("ratio".to_owned(), Value::F64(0.5)),
        ("known".to_owned(), Value::Bool(true)),
    ]
    .into();
    assert_eq!(*record, expected);
    assert_eq!((counters.queued(), counters.refused(), counters.wrong_fields()), (1, 0, 0));
}

#[test]
fn spans_of_the_target_give_defaults_and_the_innermost_wins() {
    let rig = rig();
    traced(rig.bridge(), || {
        let outer = info_span!(
            target: "audit", "connection",
            caller_agent = "outer", hop = 1_i64, user = tracing::field::Empty,
        );
        outer.record("user", "alice");
        let _outer = outer.entered();
        info!(target: "audit", "First");
        let other = info_span!(target: "elsewhere", "request", caller_agent = "not meant");
        let _other = other.entered();
        info!(target: "audit", "Second");
        let inner = info_span!(target: "audit", "operation", caller_agent = "inner", hop = 2_i64);
        inner.in_scope(|| info!(target: "audit", hop = 3_i64, "Third"));
        info!(target: "audit", parent: &inner, "Fourth");
        info!(target: "audit", parent: None, "Fifth");
    });
    let seen: Vec<_> = rig
        .records()
        .into_iter()
        .map(|AuditedRecord { record, .. }| {
            let custom = |key: &str| record.custom_data.get(key).cloned();
            (
                record.operation_name.clone(),
                record.caller_agent.clone(),
                custom("hop"),
                custom("user"),
            )
        })
        .collect();
    let row = |name: &str, agent: &str, hop: Option<i64>, user: Option<&str>| {
        (name.to_owned(), agent.to_owned(), hop.map(Value::I64), user.map(Value::from))
    };
    assert_eq!(
        seen,
        [
            row("First", "outer", Some(1), Some("alice")),
            row("Second", "outer", Some(1), Some("alice")),
            row("Third", "inner", Some(3), Some("alice")),
            row("Fourth", "inner", Some(2), Some("alice")),
            row("Fifth", "Agent", None, None),
        ]
    );
}

#[test]
fn other_targets_and_what_the_crate_logs_itself_are_left_alone() {
    let rig = rig();
    let bridge = rig.bridge().target("ev_audit");
    let counters = bridge.counters();
    traced(bridge, || {
        info!("here");
        info!(target: "ev_audit", "the crate itself");
        info!(target: "ev_audit::sender", "the crate itself");
    });
    traced(rig.bridge(), || {
        info!(target: "auditor", "another");
        info!(target: "service::audit", "another");
    });
    assert!(rig.records().is_empty());
    assert_eq!((counters.queued(), counters.refused(), counters.nested()), (0, 0, 0));
}

#[test]
fn what_is_missing_or_wrong_is_told_and_the_program_goes_on() {
    let rig = rig();
    let (bridge, problems) = gathered(LogBridge::new(rig.client.clone()));
    let counters = bridge.counters();
    traced(bridge, || info!(target: "audit", caller_ip = "localhost", "Incomplete"));
    let (bridge, others) = gathered(rig.bridge());
    traced(bridge, || info!(target: "audit", operation_type = "Reed", "Complete"));

    let problems = problems.lock().unwrap();
    let [LogProblem::Field(field), LogProblem::Refused(refused)] = &**problems else {
        panic!("{problems:?}")
    };
    assert_eq!(field.to_string(), "field `caller_ip` is not an IP address");
    assert!(matches!(refused.reason(), Refused::Invalid(_)), "{refused:?}");
    assert_eq!(refused.record().operation_name, "Incomplete");
    assert_eq!((counters.queued(), counters.refused(), counters.wrong_fields()), (0, 1, 1));

    let others = others.lock().unwrap();
    assert!(matches!(&**others, [LogProblem::Field(_)]), "{others:?}");
    let records = rig.records();
    assert_eq!(records[0].record.operation_name, "Complete");
    assert_eq!(records[0].record.operation_type, OperationType::READ, "that of the defaults");
    assert_eq!(records[0].record.custom_data.get("operation_type"), Some(&"Reed".into()));
}

#[test]
fn logging_of_hooks_and_handlers_does_not_recurse() {
    static LOGGER: OnceLock<AuditLogger> = OnceLock::new();
    fn log(message: &str) {
        let pairs = [("operation_type", log::kv::Value::from("Reed"))];
        line(LOGGER.get().expect("set below"), "audit", &&pairs[..], message);
    }

    let (transport, audited) = MemoryTransport::new();
    let builder = Client::builder(rig::service(), transport);
    let client = builder
        .enrich(|_, record| {
            log("a hook audits what it does");
            record.caller_agent = "hook".to_owned();
            Ok(())
        })
        .build()
        .unwrap();
    let bridge = LogBridge::new(client.clone())
        .defaults(defaults())
        .on_problem(|_| log("the handler complains in the same way"));
    let counters = bridge.counters();
    LOGGER.set(bridge.into_logger()).expect("set once");
    log("Once");
    assert!(client.close(Duration::from_secs(60)).is_empty());
    let names: Vec<_> =
        audited.records().into_iter().map(|audited| audited.record.operation_name).collect();
    assert_eq!(names, ["Once"]);
    assert_eq!((counters.queued(), counters.nested()), (1, 2));
}

#[test]
fn events_of_the_client_under_the_same_subscriber_do_not_come_back() {
    let rig = rig();
    let (bridge, _) = gathered(rig.bridge());
    let counters = bridge.counters();
    traced(bridge, || {
        assert!(rig.client.close(Duration::from_secs(60)).is_empty());
        // The end of the client was logged under this subscriber, and this is refused.
        info!(target: "audit", "TooLate");
    });
    assert_eq!((counters.queued(), counters.refused(), counters.nested()), (0, 1, 0));
}

#[test]
fn panics_of_values_and_handlers_are_contained() {
    struct Explosive;
    impl fmt::Debug for Explosive {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a value that cannot be shown")
        }
    }
    struct Failing;
    impl fmt::Display for Failing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("as far as it went")?;
            Err(fmt::Error)
        }
    }

    let rig = rig();
    let bridge = rig.bridge().on_problem(|_| panic!("a handler that fails"));
    let counters = bridge.counters();
    traced(bridge, || {
        let span = info_span!(target: "audit", "span", outer = ?Explosive);
        let _entered = span.enter();
        info!(
            target: "audit",
            operation_type = "Reed", explosive = ?Explosive, failing = %Failing, "GoesOn"
        );
        // What the span has is not counted again.
        info!(target: "audit", "GoesOn");
        span.record("outer", tracing::field::debug(Explosive));
    });
    let records = rig.records();
    let custom = &records[0].record.custom_data;
    assert_eq!(custom.get("failing"), Some(&"as far as it went".into()));
    assert!(!custom.contains_key("explosive") && !custom.contains_key("outer"));
    // Two of the span, one of the event and that of the handler.
    assert_eq!((counters.queued(), counters.panicked()), (2, 4));
}

#[test]
fn errors_come_with_their_causes() {
    let rig = rig();
    let cause = std::io::Error::other("disk gone");
    let problem = ev_audit::BuildError::Start(cause);
    let problem: &(dyn std::error::Error + 'static) = &problem;
    traced(rig.bridge(), || info!(target: "audit", problem, "Failed"));
    assert_eq!(
        rig.records()[0].record.custom_data.get("problem"),
        Some(&"failed to start the audit sender: disk gone".into())
    );
}

/// Lines that were handed on.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "service"
    }

    fn log(&self, line: &log::Record<'_>) {
        self.0.lock().expect("no panic").push(line.args().to_string());
    }

    fn flush(&self) {
        self.0.lock().expect("no panic").push("flushed".to_owned());
    }
}

/// Logs one line to `logger`, with pairs.
fn line(logger: &dyn log::Log, target: &str, pairs: &dyn log::kv::Source, message: &str) {
    logger.log(
        &log::Record::builder()
            .level(log::Level::Info)
            .target(target)
            .key_values(&pairs)
            .args(format_args!("{message}"))
            .build(),
    );
}

#[test]
fn lines_of_log_become_records_with_their_pairs() {
    use log::Log as _;
    use log::kv::Value as Pair;

    let rig = rig();
    let (bridge, problems) = gathered(rig.bridge().plane(Plane::Control));
    let counters = bridge.counters();
    let others = Lines::default();
    let logger = bridge.into_logger().others(others.clone());
    let pairs = [
        ("operation_type", Pair::from("Delete")),
        ("caller_identity.username", Pair::from("alice")),
        ("attempts", Pair::from(3_i64)),
        ("size", Pair::from(u64::MAX)),
        ("big", Pair::from(u128::MAX)),
        ("ratio", Pair::from(0.5)),
        ("known", Pair::from(true)),
        ("letter", Pair::from('x')),
        ("nothing", Pair::null()),
        ("shown", Pair::from_display(&"as text")),
    ];
    line(&logger, "audit", &&pairs[..], "DeleteUser");
    line(&logger, "service", &None::<(&str, Pair<'_>)>, "not audited");
    line(&logger, "audit", &[("operation_category", Pair::from(""))].as_slice(), "Nothing");
    logger.flush();
    assert_eq!(*others.0.lock().unwrap(), ["not audited", "flushed"]);
    let enabled = |target| logger.enabled(&log::Metadata::builder().target(target).build());
    assert_eq!([enabled("audit"), enabled("service"), enabled("other")], [true, true, false]);

    let records = rig.records();
    let [AuditedRecord { plane, record, .. }] = &*records else { panic!("{records:?}") };
    assert_eq!(*plane, Plane::Control);
    assert_eq!(record.operation_name, "DeleteUser");
    assert_eq!(record.operation_type, OperationType::DELETE);
    let identities = record.caller_identities.get(&CallerIdentityType::USERNAME);
    assert_eq!(identities, Some(&List::from([Identity::new("alice", "Username")])));
    let expected = [
        ("attempts", Value::I64(3)),
        ("size", Value::U64(u64::MAX)),
        ("big", u128::MAX.to_string().into()),
        ("ratio", Value::F64(0.5)),
        ("known", Value::Bool(true)),
        ("letter", "x".into()),
        ("nothing", Value::Nil),
        ("shown", "as text".into()),
    ];
    assert_eq!(record.custom_data, expected.map(|(key, value)| (key.to_owned(), value)).into());
    assert_eq!((counters.queued(), counters.refused()), (1, 1));
    let problems = problems.lock().unwrap();
    assert!(matches!(&**problems, [LogProblem::Refused(_)]), "{problems:?}");
}
