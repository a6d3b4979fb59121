//! Who signed what.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, Identity, Roots};

impl Identity {
    /// Whether each certificate of the chain was signed by the one behind it, as TLS demands.
    ///
    /// # Errors
    ///
    /// [`Error::BrokenChain`] with the first that was not.
    pub fn check_chain(&self) -> Result<(), Error> {
        let (chain, _) = self.parts();
        for (index, pair) in chain.windows(2).enumerate() {
            let [certificate, issuer] = pair else { continue };
            if !is_signed_by(certificate, issuer) {
                return Err(Error::BrokenChain {
                    origin: self.origin().to_owned(),
                    number: index + 1,
                    subject: self.facts()[index].subject.clone(),
                });
            }
        }
        Ok(())
    }

    /// Whether the last certificate of the chain is one of these CAs, or was signed by one.
    pub fn comes_from(&self, roots: &Roots) -> bool {
        let (chain, _) = self.parts();
        let last = chain.last();
        last.is_some_and(|last| {
            roots.certificates().iter().any(|root| root == last || is_signed_by(last, root))
        })
    }
}

/// Both can be parsed, names match, and the signature holds.
fn is_signed_by(certificate: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer() == issuer.subject()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}
