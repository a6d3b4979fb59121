//! Certificates that change on disk.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use ev_tls::{CertificateFacts, format_time};
use tracing::{info, warn};

use crate::FluentdSink;

/// Whoever replaces certificate and key has for a moment replaced one of them; files that cannot
/// be used are looked at once more after this time before anything is said.
const SETTLE: Duration = Duration::from_secs(1);

/// Takes new certificates, keys and CAs from their files while a sink is in use.
///
/// Files are compared by what is in them, so that every way of replacing them is noticed, also
/// the symbolic link that Kubernetes swaps. What cannot be used is reported once, until it is
/// something else, and the certificates in use stay.
///
/// Nothing runs by itself: the caller owns [`CertificateWatch::run`].
#[derive(Debug)]
pub struct CertificateWatch {
    sink: Arc<FluentdSink>,
    /// What was wrong with the files at the last look.
    trouble: Option<String>,
}

/// What a look at the files brought.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateNews {
    /// Nothing new.
    Same,
    /// Others are in use now; facts of the client certificate and its chain, leaf first, empty
    /// without one.
    Taken(Vec<CertificateFacts>),
    /// The files cannot be used, for a reason that was not reported before; those in use stay.
    Bad(ev_tls::Error),
    /// They still cannot be used, for the reason already reported.
    StillBad,
    /// They can be used again, and hold what is in use.
    GoodAgain,
}

impl CertificateWatch {
    /// How often [`CertificateWatch::run`] should look. Kubernetes itself takes about a minute to
    /// pass on a changed secret.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

    /// A watch over the files of `sink`.
    pub fn new(sink: Arc<FluentdSink>) -> Self {
        Self { sink, trouble: None }
    }

    /// Looks at the files once per `interval` (at least a second) for as long as it is polled.
    pub async fn run(mut self, interval: Duration) -> Infallible {
        let interval = interval.max(Duration::from_secs(1));
        loop {
            self.sink.env.sleep(interval).await;
            // Whatever it is has been logged.
            let _logged = self.check().await;
        }
    }

    /// Looks at the files now, takes what is new, and logs what an operator should know.
    pub async fn check(&mut self) -> CertificateNews {
        let mut read = self.read().await;
        if let Err(error) = &read
            && self.trouble.as_deref() != Some(&*reason(error))
        {
            self.sink.env.sleep(SETTLE).await;
            read = self.read().await;
        }
        match read {
            Ok(changed) => {
                let was_bad = self.trouble.take().is_some();
                if changed {
                    self.sink.certificates_changed();
                    return self.taken();
                }
                if !was_bad {
                    return CertificateNews::Same;
                }
                info!("certificate files for Fluentd can be used again and hold what is in use");
                CertificateNews::GoodAgain
            }
            Err(error) => {
                let reason = reason(&error);
                if self.trouble.as_ref() == Some(&reason) {
                    return CertificateNews::StillBad;
                }
                let text = chain(&error);
                warn!(
                    error = text,
                    "certificate files for Fluentd cannot be used, what was read before stays"
                );
                self.trouble = Some(reason);
                CertificateNews::Bad(error)
            }
        }
    }

    /// Files may hang, so they are read where nothing else waits.
    async fn read(&self) -> Result<bool, ev_tls::Error> {
        let Some(tls) = &self.sink.tls else { return Ok(false) };
        let tls = Arc::clone(tls);
        // The runtime is ending, or reading panicked: nothing has changed.
        tokio::task::spawn_blocking(move || tls.reload()).await.unwrap_or(Ok(false))
    }

    fn taken(&self) -> CertificateNews {
        let facts = self.sink.identity_facts();
        match facts.first() {
            Some(CertificateFacts { subject, issuer, not_after, .. }) => {
                let expires_at = format_time(*not_after);
                info!(subject, issuer, expires_at, "certificates for Fluentd have changed");
            }
            None => info!("CA certificates for Fluentd have changed"),
        }
        CertificateNews::Taken(facts)
    }
}

fn chain(error: &ev_tls::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What makes one trouble another: its text, without the time at which it was noticed.
fn reason(error: &ev_tls::Error) -> String {
    use ev_tls::Error;
    match error {
        Error::Expired { origin, subject, issuer, not_after, .. } => {
            format!("expired {origin} {subject} {issuer} {not_after}")
        }
        Error::NotYetValid { origin, subject, issuer, not_before, .. } => {
            format!("not yet valid {origin} {subject} {issuer} {not_before}")
        }
        other => chain(other),
    }
}
