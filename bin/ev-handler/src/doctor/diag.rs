//! The address of metrics and health: whether the handler can take it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use ev_config::Settings;
use ev_diag::{Light, Readiness};
use ev_state::StateReader;

use super::finding::{Findings, Step};
use crate::status::ask::{ask, read};

pub(super) fn examine(settings: &Settings, findings: &mut Findings) {
    let Some(address) = settings.diag_addr else {
        return findings.note(Step::Diag, "no address for metrics and health is set (`diag-addr`)");
    };
    // Taken for a moment and given back; a handler that runs has it already.
    match TcpListener::bind(address) {
        Ok(_) => findings.ok(Step::Diag, format!("`{address}` is free for metrics and health")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if StateReader::is_in_use(&settings.storage).unwrap_or(false) {
                return runs(address, findings);
            }
            let cure =
                "name another one with `diag-addr`, or end the process that has it (`ss -ltnp`)";
            findings.problem(Step::Diag, format!("`{address}` is in use by another process"), cure);
        }
        Err(error) => {
            let cure = "name an address of this machine and a port above 1023 with `diag-addr`";
            findings.problem(Step::Diag, format!("`{address}` cannot be taken: {error}"), cure);
        }
    }
}

/// What the handler that runs says of itself: it sees what nobody beside it can.
fn runs(address: SocketAddr, findings: &mut Findings) {
    let said = ask(address).and_then(|body| read(&body));
    let snapshot = match said {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let what = format!("`{address}` is in use, and a handler runs that does not say how");
            return findings.note(Step::Diag, format!("{what}: {error:#}"));
        }
    };
    let readiness = Readiness::of(&snapshot);
    if readiness.ready {
        findings.ok(Step::Diag, format!("a handler runs and says at `{address}` that it is ready"));
    }
    for part in readiness.parts {
        let what = format!("the handler that runs says of `{}`: {}", part.name, part.reason);
        let looks = "see `/readyz` of that handler, and its log".to_owned();
        match (part.light, steps(&part.name)) {
            (Light::Ok, _) => {}
            (Light::Warning, _) => findings.warning(Step::Diag, what, looks),
            (Light::Down, None) => findings.problem(Step::Diag, what, looks),
            (Light::Down, Some(steps)) => {
                let cure = format!("see the same step here ({steps}), and the handler's log");
                findings.problem(Step::Diag, what, cure);
            }
        }
    }
}

/// The steps here that try the same as that part of the handler, if there are any.
fn steps(part: &str) -> Option<&'static str> {
    match part {
        "auth" => Some("`auth.*`"),
        "credentials" => Some("`*.credentials`"),
        "decoder" => Some("`decoder.*`"),
        "state" => Some("`storage.*`"),
        "sink fluentd" => Some("`fluentd.*`"),
        "sink forward" => Some("`forward.*`"),
        "sink file" => Some("`file.*`"),
        _ => None,
    }
}
