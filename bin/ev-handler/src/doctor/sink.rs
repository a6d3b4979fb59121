//! Fluentd: whether it is there, takes us, and stores what it is sent.

use std::sync::Arc;
use std::time::Duration;

use ev_config::Fluentd;
use ev_core::{Env, within};
use ev_sink_fluentd::{Examination, Finding, Topic, Trouble, Weight};

use super::finding::{Findings, Severity, Step};
use super::{Road, resolve};
use crate::chain::Chain;
use crate::config::check::authority;
use crate::start::parts;

/// For all questions together; each has the limits of the settings.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn examine(
    road: &Road<'_>,
    settings: &Fluentd,
    env: &Arc<dyn Env>,
    usable: bool,
    findings: &mut Findings,
) {
    let steps = [Step::FluentdConnection, Step::FluentdAnswers, Step::FluentdEvent];
    let mut is_found = true;
    let mut seen: Option<String> = None;
    for (setting, url) in [
        ("forward.fluentd.url", &settings.url),
        ("forward.fluentd.session-url", &settings.session_url),
    ] {
        let Some(address) = authority(url) else { continue };
        if seen.as_ref() != Some(&address) {
            is_found &= resolve(Step::FluentdName, setting, &address, &**env, findings).await;
        }
        seen = Some(address);
    }
    if !usable {
        return findings.not_tried(&steps, "the certificates cannot be used");
    }
    if !is_found {
        return findings.not_tried(&steps, "the name has no address");
    }
    let sink = match parts::sink(settings, Arc::clone(env)) {
        Ok(sink) => sink,
        Err(error) => {
            let cure = "correct what is named under `[forward.fluentd]`";
            findings.problem(Step::FluentdConnection, Chain(&error).to_string(), cure);
            return findings.not_tried(&steps[1..], "there is nothing to connect with");
        }
    };
    match within(&**env, LIMIT, sink.examine(road.probe)).await {
        Some(report) => tell(&report, road.probe, findings),
        None => {
            // The address may hold a password in front of its host.
            let address = authority(&settings.url).unwrap_or_default();
            let what = format!("`{address}` did not answer within {} s", LIMIT.as_secs());
            findings.problem(Step::FluentdConnection, what, "see what Fluentd's own log says");
        }
    }
}

fn tell(report: &Examination, probe: bool, findings: &mut Findings) {
    let is_there = report.about(Topic::Presence).next().is_some();
    for finding in &report.findings {
        let Finding { topic, weight, trouble, text, .. } = finding;
        if *topic == Topic::CannotBeTold && !probe {
            continue;
        }
        let step = step(*topic);
        let severity = match weight {
            Weight::Good => Severity::Ok,
            Weight::Note => Severity::Note,
            Weight::Warning => Severity::Warning,
            Weight::Problem => Severity::Problem,
        };
        let what = match topic {
            Topic::Connection | Topic::Tls => text.clone(),
            topic => format!("{topic}: {text}"),
        };
        match cure(*topic, *trouble, text) {
            Some(cure) if severity >= Severity::Warning => {
                findings.cured(step, severity, what, cure);
            }
            _ => findings.add(step, severity, what),
        }
    }
    if !is_there {
        findings.not_tried(&[Step::FluentdAnswers], "Fluentd was not reached");
    } else if !probe {
        let what = "what no answer of Fluentd shows is listed with `--probe`";
        findings.note(Step::FluentdAnswers, what);
    }
    if !probe {
        let why = "`--probe` sends one event of the type `ev.probe`, so that you can look for it \
                   where events end";
        findings.not_tried(&[Step::FluentdEvent], why);
    } else if report.about(Topic::Event).next().is_none() {
        findings.not_tried(&[Step::FluentdEvent], "Fluentd did not answer everything before");
    }
}

fn step(topic: Topic) -> Step {
    match topic {
        Topic::Connection | Topic::Tls => Step::FluentdConnection,
        Topic::Storage | Topic::Event => Step::FluentdEvent,
        _ => Step::FluentdAnswers,
    }
}

/// What to do, by what it is about and, where that says too little, by the words of `ev-tls` and
/// `ev-dial`.
fn cure(topic: Topic, trouble: Trouble, text: &str) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    match trouble {
        Trouble::Busy => {
            return Some(
                "see Fluentd's own log, and that of a proxy before it: its buffer is full, or \
                 nothing stands behind that address. The handler tries again until it is taken",
            );
        }
        Trouble::Plain => {
            return Some(
                "add `<transport tls>` to Fluentd's `<source>` (`ev-handler configure` writes \
                 one), and take `https` in `url`",
            );
        }
        Trouble::ItsCertificate => {
            return Some(
                "renew Fluentd's certificate before that (`ev-handler configure`) and restart \
                 Fluentd",
            );
        }
        Trouble::OurCertificate => {
            return Some(
                "put a new certificate and key into the files of `cert` and `key` under \
                 `[forward.fluentd]` before that (`ev-handler configure`)",
            );
        }
        _ => {}
    }
    Some(match topic {
        Topic::Connection if has("is not signed by a trusted CA") || has("wrong signature") => {
            "name the CA that issued Fluentd's certificate with `ca` under `[forward.fluentd]`; \
             make both anew with `ev-handler configure` if it is lost"
        }
        Topic::Connection if has("is not valid for") => {
            "dial Fluentd by a name in its certificate (`url`), or make one for this name: \
             `ev-handler configure --dns-names`"
        }
        Topic::Connection if has("the server expired") || has("server has expired") => {
            "renew Fluentd's certificate (`ev-handler configure`) and restart Fluentd"
        }
        Topic::Connection if has("not valid before") => "set the clock of this machine",
        Topic::Connection
            if has("our client certificate") || has("demands a client certificate") =>
        {
            "let Fluentd trust the CA of our certificate (`ca_path` in its `<transport tls>`), and \
             name that certificate with `cert` and `key` under `[forward.fluentd]`"
        }
        Topic::Connection if has("does not answer in TLS") => {
            "add `<transport tls>` to Fluentd's `<source>` (`ev-handler configure` writes one), or \
             correct the port in `url`"
        }
        Topic::Connection => {
            "start Fluentd, and check host and port in `url` (no port means 443; Fluentd of the \
             guide has 8888). The handler waits for it, so the order of starts does not matter"
        }
        Topic::Presence => {
            "see that `url` leads to the HTTP source of Fluentd and not to something before it"
        }
        Topic::Arrays => "set `batch-mode = \"single\"` under `[forward.fluentd]`",
        Topic::Parsing => {
            "add `<parse>` with `@type json` to the `<source>` in fluent.conf (`ev-handler \
             configure` writes one) and restart Fluentd; until then it answers 400 to every event"
        }
        Topic::Gzip => "set `gzip = \"off\"` under `[forward.fluentd]`",
        Topic::Recordings => "correct `session-url` under `[forward.fluentd]`",
        Topic::Storage => {
            "watch Fluentd's own log and the number of records at the end of the road"
        }
        Topic::Event => "see what Fluentd's own log says of this event",
        _ => return None,
    })
}
