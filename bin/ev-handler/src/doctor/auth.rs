//! Auth: from its name to what it says of itself.

use std::sync::Arc;
use std::time::Duration;

use ev_core::{AuthVersion, Env, within};
use ev_source::{Granted, Question, SearchSource, Unreached, Visit, VisitError};
use ev_tls::format_time;

use super::finding::{Findings, Step};
use super::storage::Owner;
use super::{Road, decoder, resolve, role};
use crate::chain::Chain;
use crate::start::parts;

/// For one way to Auth.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// For all ways together.
const REACH_LIMIT: Duration = Duration::from_secs(45);
/// For one call.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Clocks that differ by no more than this do no harm: HTTP tells the time to the second, and the
/// question takes a moment.
const NEAR_SECS: i64 = 30;
/// Beyond this new certificates are refused for a while.
const FAR_SECS: i64 = 300;

/// What Auth answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) typed: bool,
    pub(super) unstructured: bool,
    pub(super) export: bool,
}

pub(super) async fn examine(
    road: &Road<'_>,
    env: &Arc<dyn Env>,
    usable: bool,
    owner: Option<&Owner>,
    findings: &mut Findings,
) {
    let addr = &road.settings.teleport.addr;
    let mut found = Findings::default();
    let is_found = resolve(Step::AuthName, "teleport.addr", addr, &**env, &mut found).await;
    if !is_found && through_a_proxy() {
        findings.note(Step::AuthName, "the HTTP proxy in the environment looks the name up");
    } else {
        findings.0.append(&mut found.0);
    }
    let behind = [
        Step::AuthVersion,
        Step::AuthClock,
        Step::AuthCalls,
        Step::RoleEvent,
        Step::RoleSession,
        Step::RoleLock,
    ];
    let stop = |findings: &mut Findings, why: &str| {
        findings.not_tried(&behind, why);
        decoder::trust(road.settings, findings);
        findings.not_tried(&[Step::Artifact], why);
    };
    let not_tried = |findings: &mut Findings, why: &str| {
        findings.not_tried(&[Step::AuthConnection], why);
        stop(findings, why);
    };
    if !usable {
        return not_tried(findings, "the credentials cannot be used");
    }
    if !is_found && !through_a_proxy() {
        return not_tried(findings, "the name has no address");
    }
    let mut config = parts::source_config(road.settings);
    // There may be several ways, each of which has the first; nobody waits for a doctor for ever.
    config.dial_timeout = DIAL_LIMIT;
    config.request_timeout = CALL_LIMIT;
    let visit = match within(&**env, REACH_LIMIT, Visit::pay(config, Arc::clone(env))).await {
        Some(Ok(visit)) => visit,
        Some(Err(error)) => {
            unreached(addr, &error, findings);
            return stop(findings, "auth was not reached");
        }
        None => {
            let what = format!("`{addr}`: no connection within {} s", REACH_LIMIT.as_secs());
            findings.problem(Step::AuthConnection, what, cure(Unreached::Overdue));
            return stop(findings, "auth was not reached");
        }
    };
    findings.ok(Step::AuthConnection, format!("connected {}", visit.way()));
    let survey = visit.survey();
    let version = survey.version.clone();
    findings.ok(Step::AuthVersion, format!("version {version}, cluster `{}`", survey.cluster));
    if let Some(owner) = owner
        && owner.cluster != survey.cluster
    {
        let what = format!(
            "the state is of cluster `{}`, and this is `{}`",
            owner.cluster, survey.cluster
        );
        let cure = "name the storage directory of this cluster with `storage`, or the address of \
                    that cluster with `teleport.addr`";
        findings.problem(Step::State, what, cure);
    }
    clock(&visit, &**env, findings);
    let granted = role::ask(&visit).await;
    let calls = offered(&granted, findings);
    role::examine(road, &visit, calls, granted, findings).await;
    decoder::examine(road.settings, env, &visit, &version, calls, findings).await;
}

/// Whether the environment names an HTTP proxy. `NO_PROXY` may take Auth out; then its name is
/// needed, and the attempt to connect says so.
fn through_a_proxy() -> bool {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].iter().any(is_set)
}

fn unreached(addr: &str, error: &VisitError, findings: &mut Findings) {
    let (what, cure) = match error {
        VisitError::Unreached { at, text } => (format!("`{addr}`: {text}"), cure(*at)),
        error => (Chain(error).to_string(), "correct the setting or the file that is named"),
    };
    let expected = SearchSource::SERVER_NAME;
    let what = match error {
        VisitError::Unreached {
            at: Unreached::UntrustedServer | Unreached::ServerName | Unreached::NotTeleport,
            ..
        } => format!("{what} (its certificate has to be for `{expected}`)"),
        _ => what,
    };
    findings.problem(Step::AuthConnection, what, cure);
}

fn cure(at: Unreached) -> &'static str {
    match at {
        Unreached::Connect => {
            "check host and port in `teleport.addr` (Auth has 3025, a Proxy 443 or 3080), that \
             Teleport runs there, and firewalls in between"
        }
        Unreached::Overdue => {
            "check host and port in `teleport.addr`, and that no firewall drops the packets"
        }
        Unreached::HttpProxy => {
            "correct the HTTP proxy in the environment, or list Auth in `NO_PROXY`"
        }
        Unreached::UntrustedServer => {
            "either `teleport.addr` is another server's, or the credentials are another \
             cluster's: correct the address (Auth has 3025, a Proxy 443 or 3080), or sign \
             credentials at this cluster"
        }
        Unreached::ServerTime => {
            "set the clock of this machine; if it is right, Auth's certificate has to be renewed"
        }
        Unreached::ServerName | Unreached::NotTeleport => {
            "give `teleport.addr` the address of Auth (port 3025) or of a Proxy (443 or 3080): \
             this is another server"
        }
        Unreached::RefusesUs => {
            "sign new credentials at this cluster with `tctl auth sign --format=file`, or let \
             `tbot` do it: Auth does not take these"
        }
        Unreached::Expired => {
            "sign new credentials: `tctl auth sign --format=file --user=teleport-event-handler \
             --out=identity --ttl=8760h` (without `--ttl` they are good for 12 h), or let `tbot` \
             renew them"
        }
        Unreached::NoTlsRouting => {
            "set `proxy_listener_mode: multiplex` in the cluster's `auth_service`, or give \
             `teleport.addr` Auth's own address (port 3025)"
        }
        Unreached::Call => {
            "see what Auth's log says of this call; a user that is locked or gone gets new \
             credentials with `tctl auth sign`"
        }
        _ => "see what the log of Auth or of the Proxy says at this time",
    }
}

fn clock(visit: &Visit, env: &dyn Env, findings: &mut Findings) {
    match visit.date() {
        Some(date) => judge_clock(env.now().seconds(), date, findings),
        None => findings.note(
            Step::AuthClock,
            "nobody there tells the time, so whether the clocks differ is not known",
        ),
    }
}

fn judge_clock(now: i64, date: i64, findings: &mut Findings) {
    let off = now.saturating_sub(date);
    let distance = off.saturating_abs();
    let sense = if off < 0 { "behind" } else { "ahead of" };
    let what = format!(
        "this machine's clock is {distance} s {sense} Auth's ({} there)",
        format_time(date)
    );
    let cure = "set both clocks by NTP (`timedatectl`): where ours is behind, new events are read \
                late and new certificates are refused; where it is ahead, certificates end early";
    if distance <= NEAR_SECS {
        findings.ok(Step::AuthClock, format!("no more than {NEAR_SECS} s from Auth's"));
    } else if distance <= FAR_SECS {
        findings.warning(Step::AuthClock, what, cure);
    } else {
        findings.problem(Step::AuthClock, what, cure);
    }
}

/// Which calls for the log there are. One that is refused is there.
fn offered(granted: &[(Question, Granted)], findings: &mut Findings) -> Calls {
    let is_there = |wanted: Question| {
        granted
            .iter()
            .any(|(question, granted)| *question == wanted && *granted != Granted::NotOffered)
    };
    let calls = Calls {
        typed: is_there(Question::TypedSearch),
        unstructured: is_there(Question::UnstructuredSearch),
        export: is_there(Question::Export),
    };
    let names = [
        (calls.typed, "GetEvents"),
        (calls.unstructured, "GetUnstructuredEvents"),
        (calls.export, "ExportUnstructuredEvents"),
    ];
    let names: Vec<&str> =
        names.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    if names.is_empty() {
        let cure = "give `teleport.addr` the address of a Teleport Auth server of a supported \
                    version";
        findings.problem(Step::AuthCalls, "Auth offers no call for its log", cure);
    } else {
        findings.ok(Step::AuthCalls, format!("the log can be read by {}", names.join(", ")));
    }
    calls
}

/// The version of a table or artifact, as it is told.
pub(super) fn named(version: &AuthVersion) -> String {
    format!("Auth {version}")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn clocks_are_compared_in_both_senses() {
        let check = |off: i64, expected, word: &str| {
            let mut findings = Findings::default();
            judge_clock(1_800_000_000 + off, 1_800_000_000, &mut findings);
            assert_eq!(findings.0[0].severity, expected, "{off}");
            assert!(findings.0[0].what.contains(word), "{}", findings.0[0].what);
        };
        check(0, Severity::Ok, "30 s");
        check(-30, Severity::Ok, "30 s");
        check(31, Severity::Warning, "31 s ahead of Auth's");
        check(-301, Severity::Problem, "301 s behind Auth's");
        check(1_000_000, Severity::Problem, "1000000 s ahead");
    }
}
