//! Certificates, keys and passphrases of both sides, by the eyes of `config --check`.

use ev_config::{Fluentd, Forward, Teleport};

use super::finding::{Findings, Severity, Step};
use super::severity;
use crate::config::check::{Fault, Line, Report};
use crate::config::credentials;

/// Whether they can be shown to Auth.
pub(super) fn teleport(settings: &Teleport, now: i64, findings: &mut Findings) -> bool {
    let mut report = Report::default();
    credentials::teleport(&settings.credentials, now, &mut report);
    tell(Step::AuthCredentials, report, findings, |fault| match fault {
        Fault::Expired | Fault::EndsSoon => {
            "sign new credentials: `tctl auth sign --format=file --user=teleport-event-handler \
             --out=identity --ttl=8760h` (without `--ttl` they are good for 12 h), or let `tbot` \
             renew them, and see that `tbot` runs"
        }
        Fault::NotYet => "set the clock of this machine: it stands before the certificate's time",
        Fault::Mismatch => "name the key that was made with this certificate, or sign both anew",
        Fault::Passphrase => "sign credentials whose key is not encrypted",
        Fault::Chain => "put the certificate first, and behind each its issuer",
        Fault::Open => "`chmod 600` the file, and let it belong to the handler's user",
        Fault::OtherCa | Fault::Unusable => {
            "name the file that `tctl auth sign --format=file` or `tbot` wrote, readable for the \
             handler's user"
        }
    })
}

/// Whether they can be used towards a receiver of the Forward protocol.
pub(super) fn forward(settings: &Forward, now: i64, findings: &mut Findings) -> bool {
    let mut report = Report::default();
    credentials::forward(settings, now, &mut report);
    tell(Step::ForwardCredentials, report, findings, |fault| match fault {
        Fault::Expired | Fault::EndsSoon => {
            "make new certificates (`ev-handler configure`) for the receiver and for the handler"
        }
        Fault::NotYet => "set the clock of this machine: it stands before the certificate's time",
        Fault::Mismatch => "name the key that was made with this certificate, or make both anew",
        Fault::Passphrase => {
            "set `key-passphrase-file` under `[forward.forward]` to a file with the passphrase"
        }
        Fault::Chain => "put the certificate first, and behind each its issuer",
        Fault::Open => "`chmod 600` the file, and let it belong to the handler's user",
        Fault::OtherCa => {
            "certificates of both sides usually come from one CA: take those that were made \
             together"
        }
        Fault::Unusable => "name PEM files that are readable for the handler's user",
    })
}

/// Whether they can be used towards Fluentd.
pub(super) fn fluentd(settings: &Fluentd, now: i64, findings: &mut Findings) -> bool {
    let mut report = Report::default();
    credentials::fluentd(settings, now, &mut report);
    tell(Step::FluentdCredentials, report, findings, |fault| match fault {
        Fault::Expired | Fault::EndsSoon => {
            "make new certificates (`ev-handler configure`), put Fluentd's in its place and \
             restart Fluentd; the handler takes its own from the changed files"
        }
        Fault::NotYet => "set the clock of this machine: it stands before the certificate's time",
        Fault::Mismatch => "name the key that was made with this certificate, or make both anew",
        Fault::Passphrase => {
            "set `key-passphrase-file` under `[forward.fluentd]`, or the variable that \
             `key-passphrase-env` names, to the passphrase of the key"
        }
        Fault::Chain => "put the certificate first, and behind each its issuer",
        Fault::Open => "`chmod 600` the file, and let it belong to the handler's user",
        Fault::OtherCa => {
            "certificates of both sides usually come from one CA: take those that were made \
             together"
        }
        Fault::Unusable => {
            "name the PEM files that `ev-handler configure` wrote, readable for the handler's user"
        }
    })
}

fn tell(
    step: Step,
    report: Report,
    findings: &mut Findings,
    cure: impl Fn(Fault) -> &'static str,
) -> bool {
    let is_good = report.is_good();
    if report.lines.is_empty() {
        findings.note(step, "none are needed, as nothing is sent over TLS");
    }
    for Line { verdict, setting, text, fault } in report.lines {
        let (severity, what) = (severity(verdict), format!("{setting}: {text}"));
        match severity {
            Severity::Ok => findings.ok(step, what),
            severity => {
                let cure = cure(fault.unwrap_or(Fault::Unusable));
                findings.cured(step, severity, what, cure);
            }
        }
    }
    is_good
}
