//! The client side of TLS, ready for the next connection.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tracing::warn;

use crate::identity::provider;
use crate::{Clock, CredentialSource, Credentials, Error, format_time};

/// How a client speaks TLS, beyond its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Protocols offered by ALPN, preferred first, for instance `h2`; empty offers none.
    pub alpn: Vec<Vec<u8>>,
    /// The name that the server's certificate must be valid for (and that is sent as SNI),
    /// whatever host is dialled; `None` takes the host.
    pub server_name: Option<String>,
}

/// TLS for outgoing connections, whose credentials can be read again while it is in use.
///
/// TLS 1.2 and 1.3, with ring. The client certificate is presented whenever the server asks for
/// one, also when its list of acceptable CAs does not name ours.
pub struct ClientTls {
    source: Box<dyn CredentialSource>,
    options: ClientOptions,
    clock: Clock,
    fixed_name: Option<ServerName<'static>>,
    current: ArcSwap<Current>,
}

struct Current {
    credentials: Credentials,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the credentials and checks them. Blocks on files.
    ///
    /// # Errors
    ///
    /// Whatever the source finds wrong, [`Error::Expired`] and [`Error::NotYetValid`] for the
    /// client certificate, [`Error::InvalidServerName`].
    pub fn new(
        source: impl CredentialSource + 'static,
        options: ClientOptions,
        clock: Clock,
    ) -> Result<Self, Error> {
        let fixed_name = options.server_name.as_deref().map(parse_name).transpose()?;
        let current = load(&source, &options, &clock)?;
        warn_of_chain(&current, &clock);
        let current = ArcSwap::from_pointee(current);
        Ok(Self { source: Box::new(source), options, clock, fixed_name, current })
    }

    /// The configuration for the next connection. Open connections keep the one they began with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The same with other protocols offered by ALPN, preferred first.
    pub fn config_with_alpn(&self, alpn: Vec<Vec<u8>>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.current.load().config);
        config.alpn_protocols = alpn;
        Arc::new(config)
    }

    /// Seconds since 1970-01-01T00:00:00Z, by the clock that certificates are judged by.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The name to verify when `host` is dialled: the fixed one if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidServerName`] when `host` is neither a DNS name nor an IP address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, Error> {
        match &self.fixed_name {
            Some(name) => Ok(name.clone()),
            None => parse_name(host),
        }
    }

    /// Facts of the client certificate in use and its chain, leaf first; empty without one.
    pub fn identity_facts(&self) -> Vec<crate::CertificateFacts> {
        let current = self.current.load();
        current.credentials.identity.as_ref().map_or_else(Vec::new, |id| id.facts().to_vec())
    }

    /// Of the CAs in use the one that ends last, behind which no server is trusted; `None` where
    /// those of the operating system are used.
    pub fn authority_facts(&self) -> Option<crate::CertificateFacts> {
        self.current.load().credentials.roots.last().cloned()
    }

    /// Whether the client certificate in use is valid now; without one there is nothing to check.
    ///
    /// # Errors
    ///
    /// [`Error::Expired`], [`Error::NotYetValid`].
    pub fn check(&self) -> Result<(), Error> {
        let current = self.current.load();
        current.credentials.identity.as_ref().map_or(Ok(()), |id| id.check(self.clock.now()))
    }

    /// Reads the credentials again and takes them if they are good; says whether they differ from
    /// those in use. Blocks on files.
    ///
    /// # Errors
    ///
    /// As [`ClientTls::new`]; then those in use stay.
    pub fn reload(&self) -> Result<bool, Error> {
        let fresh = load(&*self.source, &self.options, &self.clock)?;
        if fresh.credentials == self.current.load().credentials {
            return Ok(false);
        }
        // Not for those in use already, as files may be looked at every few seconds.
        warn_of_chain(&fresh, &self.clock);
        self.current.store(Arc::new(fresh));
        Ok(true)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("options", &self.options)
            .field("credentials", &self.current.load().credentials)
            .finish_non_exhaustive()
    }
}

fn load(
    source: &dyn CredentialSource,
    options: &ClientOptions,
    clock: &Clock,
) -> Result<Current, Error> {
    let credentials = source.read()?;
    let builder = ClientConfig::builder_with_details(Arc::new(provider()), Arc::new(clock.clone()))
        // Fluentd speaks TLS 1.2 only unless told otherwise, Teleport both.
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(credentials.roots.store());
    let mut config = match &credentials.identity {
        Some(identity) => {
            identity.check(clock.now())?;
            let (chain, key) = identity.parts();
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = options.alpn.clone();
    Ok(Current { credentials, config: Arc::new(config) })
}

/// An expired certificate behind the first may be one that the server does not need.
fn warn_of_chain(current: &Current, clock: &Clock) {
    let Some(identity) = &current.credentials.identity else { return };
    for facts in identity.facts().iter().skip(1) {
        if facts.is_expired(clock.now()) {
            let expired_at = format_time(facts.not_after);
            let (origin, subject) = (identity.origin(), &facts.subject);
            warn!(origin, subject, expired_at, "certificate in the chain has expired");
        }
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, Error> {
    // An IPv6 address stands in brackets in URLs, and without them in certificates.
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::InvalidServerName { name: name.to_owned() })
}
