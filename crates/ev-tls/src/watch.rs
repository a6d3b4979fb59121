//! What an operator hears of credentials that change, cannot be read, or come to their end.

use std::error::Error as StdError;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::{CertificateFacts, ClientTls, Error, format_time};

/// Turns what [`ClientTls::reload`] brings, time after time, into one log line for each change,
/// and says once that the client certificate is about to expire and once that it has.
#[derive(Debug)]
pub struct CredentialWatch {
    peer: &'static str,
    advice: &'static str,
    /// What was wrong at the last look.
    trouble: Option<String>,
    /// What has been said about the end of the certificate in use, and of which.
    said: Option<(CertificateFacts, Stage)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ahead,
    Expired,
}

/// What a look at the files brought.
#[derive(Debug)]
#[non_exhaustive]
pub enum News {
    /// Nothing new.
    Same,
    /// Others are in use now; facts of the client certificate and its chain, leaf first, empty
    /// without one.
    Taken(Vec<CertificateFacts>),
    /// The files cannot be used, for a reason that was not reported before; those in use stay.
    Bad(Error),
    /// They still cannot be used, for the reason already reported.
    StillBad,
    /// They can be used again, and hold what is in use.
    GoodAgain,
}

impl CredentialWatch {
    /// Whoever replaces certificate and key has for a moment replaced one of them; files in new
    /// trouble ([`CredentialWatch::is_new`]) are worth another look after this time before anything
    /// is said.
    pub const SETTLE: Duration = Duration::from_secs(1);

    /// A watch over credentials that are shown to `peer`; `advice` says how to get new ones.
    pub fn new(peer: &'static str, advice: &'static str) -> Self {
        Self { peer, advice, trouble: None, said: None }
    }

    /// What reading the files brings, by `read`, and where they are in new trouble, by another one
    /// once `settle` has taken [`CredentialWatch::SETTLE`].
    ///
    /// # Errors
    ///
    /// Those of the last reading.
    pub async fn settled<R, S>(
        &self,
        tls: &ClientTls,
        read: impl Fn() -> R,
        settle: impl FnOnce() -> S,
    ) -> Result<bool, Error>
    where
        R: Future<Output = Result<bool, Error>>,
        S: Future<Output = ()>,
    {
        match read().await {
            Err(error) if self.is_new(&error, tls) => {
                settle().await;
                read().await
            }
            read => read,
        }
    }

    /// Whether this trouble was not reported yet.
    pub fn is_new(&self, error: &Error, tls: &ClientTls) -> bool {
        !is_old_expiry(error, tls) && self.trouble.as_deref() != Some(&*reason(error))
    }

    /// Takes what reading the files of `tls` again brought, and logs what is new.
    pub fn take(&mut self, read: Result<bool, Error>, tls: &ClientTls) -> News {
        let peer = self.peer;
        match read {
            Ok(changed) => {
                let was_bad = self.trouble.take().is_some();
                if changed {
                    return self.taken(tls);
                }
                if !was_bad {
                    return News::Same;
                }
                info!(peer, "credential files can be used again and hold what is in use");
                News::GoodAgain
            }
            // That those in use come to their end is another matter, see `expiry`.
            Err(error) if is_old_expiry(&error, tls) => News::StillBad,
            Err(error) => {
                let reason = reason(&error);
                if self.trouble.as_ref() == Some(&reason) {
                    return News::StillBad;
                }
                let text = chain(&error);
                warn!(
                    audit = "credentials.refused",
                    peer,
                    error = text,
                    "credential files cannot be used, what was read before stays"
                );
                self.trouble = Some(reason);
                News::Bad(error)
            }
        }
    }

    /// The same where somebody has asked for it and wants to hear also that nothing is new.
    pub fn take_asked(&mut self, read: Result<bool, Error>, tls: &ClientTls) -> News {
        let (peer, news) = (self.peer, self.take(read, tls));
        match news {
            News::Same => info!(peer, "credentials are unchanged"),
            News::StillBad => warn!(peer, "credential files still cannot be used"),
            _ => {}
        }
        news
    }

    fn taken(&self, tls: &ClientTls) -> News {
        let (peer, facts) = (self.peer, tls.identity_facts());
        match facts.first() {
            Some(CertificateFacts { subject, issuer, not_after, .. }) => {
                let expires_at = format_time(*not_after);
                info!(
                    audit = "credentials.reloaded",
                    peer, subject, issuer, expires_at, "credentials have changed"
                );
            }
            None => info!(audit = "credentials.reloaded", peer, "CA certificates have changed"),
        }
        News::Taken(facts)
    }

    /// Says once that the client certificate in use of `tls` will expire soon, and once that it
    /// has. Whether it has.
    pub fn expiry(&mut self, tls: &ClientTls) -> bool {
        let (peer, advice) = (self.peer, self.advice);
        let (Some(leaf), now) = (tls.identity_facts().into_iter().next(), tls.now()) else {
            return false;
        };
        let stage = if leaf.is_expired(now) {
            Stage::Expired
        } else if now >= leaf.warn_from() {
            Stage::Ahead
        } else {
            return false;
        };
        if self.said.as_ref() != Some(&(leaf.clone(), stage)) {
            let (subject, issuer) = (&leaf.subject, &leaf.issuer);
            let expires_at = format_time(leaf.not_after);
            match stage {
                Stage::Ahead => {
                    let left = crate::facts::format_span(leaf.not_after - now);
                    warn!(
                        peer,
                        subject, issuer, expires_at, left, advice, "credentials will expire soon"
                    );
                }
                Stage::Expired => error!(
                    audit = "credentials.expired",
                    peer,
                    subject,
                    issuer,
                    expires_at,
                    advice,
                    "credentials have expired, waiting for new ones"
                ),
            }
            self.said = Some((leaf, stage));
        }
        stage == Stage::Expired
    }
}

/// Whether the files hold what is in use, which has expired meanwhile.
fn is_old_expiry(error: &Error, tls: &ClientTls) -> bool {
    let Error::Expired { subject, issuer, not_after, .. } = error else { return false };
    tls.identity_facts().first().is_some_and(|leaf| {
        (&leaf.subject, &leaf.issuer, &leaf.not_after) == (subject, issuer, not_after)
    })
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What makes one trouble another: its text, without the time at which it was noticed.
fn reason(error: &Error) -> String {
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
