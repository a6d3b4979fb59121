//! The form of the JSON: one for a state, whatever road its events come by.

use ev_core::Flavour;
use ev_handler::start::start;
use ev_state::StateReader;
use ev_test_support::Api;
use ev_test_support::data::{Made, Maker};
use tokio_util::sync::CancellationToken;

use crate::roads::{ALL, add, choosing, events};
use crate::stage::{Stage, make, texts, with_json};

fn structs(made: &[Made]) -> Vec<String> {
    made.iter().map(|event| String::from_utf8(event.struct_json().to_vec()).unwrap()).collect()
}

fn kept(stage: &Stage) -> Flavour {
    StateReader::open(stage.path("storage")).unwrap().identity().unwrap().unwrap().1
}

/// Every event came once, in this form.
fn came(stage: &Stage, mut expected: Vec<String>) {
    let mut bodies = stage.bodies().remove("events.log").unwrap_or_default();
    bodies.sort();
    expected.sort();
    assert_eq!(bodies, expected);
}

/// T-12: a new state that begins by the typed road has Go's form, and no other road brings that.
#[tokio::test(flavor = "multi_thread")]
async fn t12_a_state_of_go_s_form_keeps_the_typed_road() {
    let mut stage = choosing("13.3.8", &ALL);
    let (old, mut maker) = (with_json("v13"), Maker::new(410));
    let mut made = make(&mut maker, &old, 50, 2, 5);
    add(&stage, &made);
    stage
        .run_until(async |stage| {
            stage.received(50).await;
            // Nothing decodes this version exactly, and the other roads are there.
            stage.auth.upgrade("13.9.9").await;
            let more = make(&mut maker, &old, 30, 0, 1);
            add(stage, &more);
            made.extend(more);
            stage.received(80).await;
        })
        .await;
    came(&stage, texts(&made));
    assert_eq!(kept(&stage), Flavour::Go);
    let tally = stage.auth.tally();
    assert_eq!(events(&tally, "GetUnstructuredEvents"), 0);
    assert_eq!(events(&tally, "ExportUnstructuredEvents"), 0);

    for road in ["unstructured", "export"] {
        stage.extra = format!("source = \"{road}\"");
        let refused = start(stage.settings(), CancellationToken::new()).await.unwrap_err();
        let message = format!("{:#}", anyhow::Error::from(refused));
        assert!(message.starts_with("source: ") && message.contains("`go`"), "{message}");
    }
}

/// T-12: a new state whose first road is another one has the form of that, on the typed road too.
#[tokio::test(flavor = "multi_thread")]
async fn t12_a_state_that_begins_with_auth_s_json_keeps_its_form() {
    for offered in [&ALL[..], &[Api::Typed, Api::Unstructured]] {
        let stage = choosing("13.9.9", offered);
        let (vectors, mut maker) = (with_json("v13"), Maker::new(411));
        let mut made = make(&mut maker, &vectors, 50, 2, 5);
        add(&stage, &made);
        stage
            .run_until(async |stage| {
                stage.received(50).await;
                stage.auth.upgrade("13.3.8").await;
                let more = make(&mut maker, &vectors, 30, 0, 1);
                add(stage, &more);
                made.extend(more);
                stage.received(80).await;
            })
            .await;
        came(&stage, structs(&made));
        assert_eq!(kept(&stage), Flavour::Struct);
        assert!(events(&stage.auth.tally(), "GetEvents") >= 30);
    }
}
