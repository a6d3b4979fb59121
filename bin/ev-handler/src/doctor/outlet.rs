//! The receivers beside Fluentd's HTTP: whether they can be reached, and take an event when one may
//! be left behind.

use std::sync::Arc;

use ev_config::Forward;
use ev_core::{Batch, BatchId, Entry, Env, Route, SinkError, Span, Verdict, within};

use super::finding::{Findings, Severity, Step};
use super::{LIMIT, Road, credentials, resolve};
use crate::chain::Chain;
use crate::config::check::authority;
use crate::start::outlet::Outlet;

/// A receiver of the Forward protocol.
pub(super) async fn forward(
    road: &Road<'_>,
    settings: &Forward,
    env: &Arc<dyn Env>,
    findings: &mut Findings,
) {
    let later = [Step::ForwardConnection, Step::ForwardEvent];
    let usable = credentials::forward(settings, env.now().seconds(), findings);
    let setting = "forward.forward.url";
    let is_found = match authority(&settings.url) {
        Some(address) => resolve(Step::ForwardName, setting, &address, &**env, findings).await,
        None => true,
    };
    if !usable {
        return findings.not_tried(&later, "the certificates cannot be used");
    }
    if !is_found {
        return findings.not_tried(&later, "the name has no address");
    }
    let cure = "correct what is named under `[forward.forward]`, or start the receiver; its own log \
                says why it refuses";
    let steps = Steps { setup: Step::ForwardConnection, event: Step::ForwardEvent, cure };
    try_out(road, "forward", &steps, env, findings).await;
}

/// Files, or stdout.
pub(super) async fn file(road: &Road<'_>, env: &Arc<dyn Env>, findings: &mut Findings) {
    let cure = "let the file and its directory belong to the handler's user, and make room";
    let steps = Steps { setup: Step::File, event: Step::FileEvent, cure };
    try_out(road, "file", &steps, env, findings).await;
}

/// What is told of a receiver.
struct Steps {
    setup: Step,
    event: Step,
    cure: &'static str,
}

async fn try_out(
    road: &Road<'_>,
    name: &str,
    steps: &Steps,
    env: &Arc<dyn Env>,
    findings: &mut Findings,
) {
    let Steps { setup, event, cure } = *steps;
    let outlet = match Outlet::named(road.settings, name, env) {
        Ok(outlet) => outlet,
        Err(error) => {
            findings.problem(setup, Chain(&error).to_string(), cure);
            return findings.not_tried(&[event], "there is nothing to send with");
        }
    };
    let sink = outlet.sink();
    let probed = within(&**env, LIMIT, sink.probe()).await;
    let wrong = match probed {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(told(&error)),
        None => Some(format!("nothing was said within {} s", LIMIT.as_secs())),
    };
    if let Some(wrong) = wrong {
        findings.problem(setup, wrong, cure);
        return findings.not_tried(&[event], "the receiver was not reached");
    }
    findings.ok(setup, "the receiver can be reached and takes us");
    if !road.probe {
        let why = "`--probe` sends one event of the type `ev.probe`, so that you can look for it \
                   where events end";
        return findings.not_tried(&[event], why);
    }
    let uid = format!("ev-probe-{:016x}", env.random());
    let text = format!(
        r#"{{"ei":0,"event":"ev.probe","uid":"{uid}","code":"EVPROBE","time":"{}","message":"a probe"}},"#,
        env.now()
    );
    let json = Span::new(0, text.len() - 1);
    let entries = vec![Entry { json, ticket: 0 }];
    let batch = Batch { id: BatchId(0), route: Route::Audit, body: text.into(), entries };
    match within(&**env, LIMIT, sink.send(batch)).await {
        Some((_, Verdict::Delivered)) => {
            findings.ok(event, format!("it took an event with the `uid` `{uid}`: look for it"));
        }
        Some((_, verdict)) => {
            let what = format!("it did not take an event: {}", in_words(&verdict));
            findings.cured(event, Severity::Problem, what, cure);
        }
        None => {
            let what = format!("it said nothing to an event within {} s", LIMIT.as_secs());
            findings.cured(event, Severity::Problem, what, cure);
        }
    }
}

fn told(error: &SinkError) -> String {
    Chain(error).to_string()
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Guilty { detail, .. }
        | Verdict::Refused { detail }
        | Verdict::Busy { detail, .. }
        | Verdict::Unknown { detail }
        | Verdict::Unreachable { detail } => detail.clone(),
        other => format!("{other:?}"),
    }
}
