//! Security events of the handler itself, as an agent gets them.

use std::process::Stdio;

use ev_audit::receiver::Receiver;
use ev_audit::{CallerIdentityType, Message, OperationResult, Plane, Record};
use ev_test_support::certs::{Identity, Validity};
use tokio::process::{Child, Command};

use crate::logins::failures;
use crate::parked_command::a_state;
use crate::stage::{CLUSTER, PATIENCE, Stage, now, write};

const SERVICE: &str = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc";

/// A stage with an agent.
fn stage() -> (Stage, Receiver) {
    let mut stage = Stage::new("18.0.0-dev");
    stage.auth.offer(stage.module("v18dev"));
    let socket = stage.path("agent.sock");
    stage.decoder = format!(
        "\n[audit]\nendpoint = \"unix:{}\"\nservice = \"{SERVICE}\"\ncaller = \"192.0.2.7\"\n",
        socket.display()
    );
    let agent = Receiver::unix(socket).start().unwrap();
    (stage, agent)
}

fn program(stage: &Stage, command: &[&str]) -> Command {
    let config = stage.write_config(stage.auth.addr());
    let mut program = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    program.args(command).arg("--config").arg(config).current_dir(stage.dir.path()).env_clear();
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    program
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

async fn end(mut child: Child) {
    signal(&child, rustix::process::Signal::TERM);
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends in time");
    assert_eq!(ended.unwrap().code(), Some(0));
}

/// The agent's records, once it has this many.
async fn records(agent: &Receiver, count: u64) -> Vec<Record> {
    let came = agent.until(|tally| tally.records >= count);
    let tally = tokio::time::timeout(PATIENCE, came).await.expect("they come in time");
    assert_eq!((tally.records, tally.violations), (count, 0), "{tally:?}");
    let messages = agent.received().into_iter().filter_map(|received| match received.message {
        Message::Record { plane, record, service, .. } => {
            assert_eq!((plane, service.to_string().as_str()), (Plane::Control, SERVICE));
            Some(*record)
        }
        _ => None,
    });
    messages.collect()
}

fn told(record: &Record) -> (&str, bool) {
    (&record.operation_name, record.operation_result == OperationResult::SUCCESS)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_artifacts_credentials_and_settings() {
    let (stage, agent) = stage();
    // Nobody's key that signed what Auth offers.
    let right = std::fs::read_to_string(stage.path("trust.json")).unwrap();
    let other = ev_modules::SigningKey::generate().unwrap();
    write(stage.dir.path(), "trust.json", &other.trust_json("others"));
    let child = program(&stage, &["start"]).spawn().unwrap();
    let refused = records(&agent, 1).await;
    assert_eq!(told(&refused[0]), ("AcceptDecoderArtifact", false));
    assert_eq!(refused[0].target_resources["DecoderArtifact"][0].name, "18.0.0-dev");
    assert!(refused[0].operation_result_description.starts_with("decoder artifact refused: "));
    assert_eq!(refused[0].caller_ip.as_ref().unwrap().to_string(), "192.0.2.7");
    assert_eq!(refused[0].caller_identities[&CallerIdentityType::SYSTEM].len(), 1);
    end(child).await;

    write(stage.dir.path(), "trust.json", &right);
    let child = program(&stage, &["start"]).spawn().unwrap();
    assert_eq!(told(&records(&agent, 2).await[1]), ("AcceptDecoderArtifact", true));
    let client = stage.authority.issue_teleport_client("handler", Validity::Long).unwrap();
    let identity = Identity::new(&client, "handler", CLUSTER, stage.authority.cert_pem());
    write(stage.dir.path(), "identity", &identity.to_text());
    signal(&child, rustix::process::Signal::HUP);
    let all = records(&agent, 4).await;
    let mut reloaded: Vec<_> = all[2..].iter().map(told).collect();
    reloaded.sort_unstable();
    assert_eq!(reloaded, [("ReloadConfiguration", true), ("ReloadCredentials", true)]);
    end(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_users_that_are_locked() {
    let (mut stage, agent) = stage();
    stage.extra = "[lock]\nenabled = true\nperiod = \"1m\"\n".to_owned();
    let at = now().plus_nanos(-30_000_000_000);
    stage.auth.append(failures(0, 4, "mallory", at));
    let child = program(&stage, &["start"]).spawn().unwrap();
    let records = records(&agent, 2).await;
    let lock =
        records.iter().find(|record| record.operation_name == "LockUser").expect("it is told");
    assert_eq!(told(lock), ("LockUser", true));
    assert_eq!(lock.target_resources["Lock"][0].name, "event-handler-auto-lock-mallory-");
    assert_eq!(stage.auth.tally().locks_set, 1);
    end(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_parked_events_that_are_dropped() {
    let (stage, agent) = stage();
    a_state(stage.dir.path());
    let status = program(&stage, &["parked", "drop", "--all", "--yes"]).status().await.unwrap();
    assert!(status.success());
    let records = records(&agent, 1).await;
    assert_eq!(told(&records[0]), ("DropParkedEvents", true));
    // How many, and nothing that stands in them.
    let more: Vec<&str> = records[0].custom_data.keys().map(|key| &**key).collect();
    assert_eq!(more, ["bytes", "events", "ids"]);
}

/// Without an agent nothing waits for it: what could not be sent is told at the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_there_holds_up_nothing() {
    let (stage, agent) = stage();
    agent.stop();
    let mut program = program(&stage, &["start"]);
    let child = program.stderr(Stdio::piped()).spawn().unwrap();
    let made = crate::stage::make(
        &mut ev_test_support::data::Maker::new(460),
        &crate::stage::with_json("v18dev"),
        20,
        1,
        1,
    );
    stage.auth.append(made.iter().map(ev_test_support::data::Made::event));
    tokio::time::timeout(PATIENCE, stage.received(20)).await.expect("they come in time");
    signal(&child, rustix::process::Signal::TERM);
    let output = child.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("own security events did not all reach the agent"), "{log}");
}
