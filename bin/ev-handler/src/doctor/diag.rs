//! The address of metrics and health: whether the handler can take it.

use std::io::ErrorKind;
use std::net::TcpListener;

use ev_config::Settings;
use ev_state::StateReader;

use super::finding::{Findings, Step};

pub(super) fn examine(settings: &Settings, findings: &mut Findings) {
    let Some(address) = settings.diag_addr else {
        return findings.note(Step::Diag, "no address for metrics and health is set (`diag-addr`)");
    };
    // Taken for a moment and given back; a handler that runs has it already.
    match TcpListener::bind(address) {
        Ok(_) => findings.ok(Step::Diag, format!("`{address}` is free for metrics and health")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if StateReader::is_in_use(&settings.storage).unwrap_or(false) {
                let what = format!("`{address}` is in use, and a handler runs: it will be its own");
                return findings.note(Step::Diag, what);
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
