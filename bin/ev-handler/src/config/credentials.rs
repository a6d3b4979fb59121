//! Certificates and keys: that they belong together, and until when they are good.

use std::path::Path;

use ev_config::{ClientCertificate, Credentials, Fluentd, Forward, SecretText};
use ev_source::IdentityFile;
use ev_tls::{CertificateFacts, Identity, PassphraseSource, Pem, Roots, format_time, open_mode};

use super::check::{Fault, Report, Verdict};
use crate::start::{outlet, parts};

/// Who we are for Auth.
pub(crate) fn teleport(credentials: &Credentials, now: i64, report: &mut Report) {
    match credentials {
        Credentials::Files { cert, key, ca } => {
            let client = ClientCertificate { cert: cert.clone(), key: key.clone() };
            one_side("teleport", Some(ca), Some(&client), None, now, report);
        }
        Credentials::Identity(path) => identity_file(path, now, report),
    }
}

fn identity_file(path: &Path, now: i64, report: &mut Report) {
    const SETTING: &str = "teleport.identity";
    let bytes = match ev_tls::read_file(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let text = format!("`{}` cannot be read: {error}", path.display());
            return report.fault(Verdict::Bad, SETTING, Fault::Unusable, text);
        }
    };
    let file = match IdentityFile::parse(&bytes) {
        Ok(file) => file,
        Err(error) => return report.bad(SETTING, &error),
    };
    only_ours(SETTING, path, report);
    let part = |what: &str, text: &[u8]| Pem::new(format!("{} ({what})", path.display()), text);
    let identity = Identity::from_pem(
        &part("TLS client certificate", file.tls_certificate()),
        &part("private key", file.private_key()),
    );
    certificate(SETTING, identity, now, report);
    let roots = Roots::from_pem([&part("TLS CA certificates", file.tls_authorities())]);
    authorities(SETTING, &roots, now, report);
}

/// What the receiver is shown, and what it must show.
pub(crate) fn fluentd(settings: &Fluentd, now: i64, report: &mut Report) {
    let is_https = |url: &str| url.starts_with("https:");
    if is_https(&settings.url) || is_https(&settings.session_url) {
        let passphrase = parts::passphrase(settings);
        let client = settings.client.as_ref();
        let passphrase = passphrase.as_ref();
        files("forward.fluentd", settings.ca.as_deref(), client, passphrase, now, report);
    }
}

/// The same for a receiver of the Forward protocol, and its secrets.
pub(crate) fn forward(settings: &Forward, now: i64, report: &mut Report) {
    const TABLE: &str = "forward.forward";
    if settings.url.starts_with("tls:") {
        let passphrase = outlet::forward_files(settings).passphrase;
        let client = settings.client.as_ref();
        files(TABLE, settings.ca.as_deref(), client, passphrase.as_ref(), now, report);
    }
    let password = settings.login.as_ref().map(|login| &login.password);
    for (key, secret) in
        [("shared-key-file", settings.shared_key.as_ref()), ("password-file", password)]
    {
        if let Some(SecretText::File(path)) = secret {
            only_ours(&setting(TABLE, key), path, report);
        }
    }
}

/// One side of TLS with its files. A client certificate that does not come from the CA that signs
/// the server's is rare, and right only if the server trusts another one.
pub(crate) fn files(
    table: &str,
    ca: Option<&Path>,
    client: Option<&ClientCertificate>,
    passphrase: Option<&PassphraseSource>,
    now: i64,
    report: &mut Report,
) {
    let (identity, roots) = one_side(table, ca, client, passphrase, now, report);
    if let (Some(identity), Some(roots)) = (identity, roots)
        && !identity.comes_from(&roots)
    {
        let text = "the certificate was signed by none of the CAs in `ca`, so the server must \
                    trust another one";
        report.fault(Verdict::Odd, &setting(table, "cert"), Fault::OtherCa, text);
    }
}

fn one_side(
    table: &str,
    ca: Option<&Path>,
    client: Option<&ClientCertificate>,
    passphrase: Option<&PassphraseSource>,
    now: i64,
    report: &mut Report,
) -> (Option<Identity>, Option<Roots>) {
    let identity = client.and_then(|ClientCertificate { cert, key }| {
        only_ours(&setting(table, "key"), key, report);
        if let Some(PassphraseSource::File(path)) = passphrase {
            only_ours(&setting(table, "key-passphrase-file"), path, report);
        }
        let read = || {
            let passphrase = passphrase.map(PassphraseSource::read).transpose()?;
            let (cert, key) = (Pem::read(cert)?, Pem::read(key)?);
            Identity::from_encrypted_pem(&cert, &key, passphrase.as_ref())
        };
        certificate(&setting(table, "cert"), read(), now, report)
    });
    let roots = ca.and_then(|ca| {
        let roots = Pem::read(ca).and_then(|pem| Roots::from_pem([&pem]));
        authorities(&setting(table, "ca"), &roots, now, report);
        roots.ok()
    });
    if ca.is_none() {
        let system = Roots::system();
        match system {
            Ok(_) => report.add(Verdict::Good, &setting(table, "ca"), "the system's CAs are used"),
            Err(error) => report.bad(&setting(table, "ca"), &error),
        }
    }
    (identity, roots)
}

/// A secret that others than its owner may use.
fn only_ours(setting: &str, path: &Path, report: &mut Report) {
    if let Some(mode) = open_mode(path) {
        let path = path.display();
        let text = format!(
            "`{path}` can be used by others than its owner (mode {mode:04o}), give it mode 0600"
        );
        report.fault(Verdict::Odd, setting, Fault::Open, text);
    }
}

/// `teleport.cert`, but `decoder.artifacts-cert`.
fn setting(table: &str, key: &str) -> String {
    let separator = if table.ends_with("artifacts") { '-' } else { '.' };
    format!("{table}{separator}{key}")
}

fn certificate(
    setting: &str,
    identity: Result<Identity, ev_tls::Error>,
    now: i64,
    report: &mut Report,
) -> Option<Identity> {
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => {
            report.bad(setting, &error);
            return None;
        }
    };
    let mut is_good = true;
    for fault in [identity.check_chain(), identity.check(now)] {
        if let Err(error) = fault {
            report.bad(setting, &error);
            is_good = false;
        }
    }
    let leaf = identity.leaf();
    let CertificateFacts { subject, issuer, not_after, .. } = leaf;
    let text = format!(
        "certificate `{subject}` (issued by `{issuer}`) and its key belong together; valid until {}",
        format_time(*not_after)
    );
    if !is_good {
        // Told already.
    } else if now >= leaf.warn_from() {
        report.fault(Verdict::Odd, setting, Fault::EndsSoon, format!("{text}, which is soon"));
    } else {
        report.add(Verdict::Good, setting, text);
    }
    Some(identity)
}

/// CAs: one that is good is enough, others may be there from before.
fn authorities(setting: &str, roots: &Result<Roots, ev_tls::Error>, now: i64, report: &mut Report) {
    let roots = match roots {
        Ok(roots) => roots,
        Err(error) => return report.bad(setting, error),
    };
    let (expired, good): (Vec<_>, Vec<_>) =
        roots.facts().iter().partition(|facts| facts.is_expired(now));
    for facts in &expired {
        let verdict = if good.is_empty() { Verdict::Bad } else { Verdict::Odd };
        let text = format!("CA `{}` expired at {}", facts.subject, format_time(facts.not_after));
        report.fault(verdict, setting, Fault::Expired, text);
    }
    for facts in good {
        let text = format!("CA `{}`, valid until {}", facts.subject, format_time(facts.not_after));
        report.add(Verdict::Good, setting, text);
    }
}
