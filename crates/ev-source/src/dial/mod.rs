//! From an address to a connection that has answered a Ping.
//!
//! The ways are in `way`; each is made of steps with a file of their own: TCP (`tcp`), through an
//! HTTP proxy where one is set (`connect_proxy`); a connection upgrade (`upgrade`) where `probe`
//! says so; the cluster's own TLS, by whose ALPN a Proxy routes (`tls`); HTTP/2 (`http2`). What a
//! Proxy says of itself is read in `find`. Which ways are tried is decided here alone.

mod connect_proxy;
mod error;
mod find;
pub(crate) mod http1;
mod http2;
mod probe;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod upgrade;
mod way;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ev_core::{Env, Survey, within};
use ev_tls::ClientTls;

use crate::address::Address;
use crate::connection::Connection;
use crate::credentials::client_tls;
use crate::{Config, Error};

pub(crate) use error::{DialError, Failure, describe_all};
pub(crate) use way::Way;

/// What dialling needs, and what it has learned.
#[derive(Clone)]
pub(crate) struct Dialler {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Arc<ClientTls>,
    pub(crate) env: Arc<dyn Env>,
    /// The configured address.
    pub(crate) address: Address,
    memory: Arc<Mutex<Memory>>,
    /// How often the credentials' files held something new.
    taken: Arc<AtomicU64>,
}

#[derive(Default)]
struct Memory {
    /// The way that worked last: tried first and, while it works, alone.
    way: Option<Way>,
    /// The cluster's name, by Auth's own word.
    cluster: Option<String>,
}

/// A connection and how it came to be.
pub(crate) struct Dialled {
    pub(crate) connection: Arc<Connection>,
    pub(crate) survey: Survey,
    pub(crate) way: Way,
    /// What was tried before and did not work.
    pub(crate) failures: Vec<Failure>,
}

impl Dialler {
    /// Checks settings and credentials; connects to nobody. Blocks on the credentials' files.
    pub(crate) fn new(config: Arc<Config>, env: Arc<dyn Env>) -> Result<Self, Error> {
        let address = config.check()?;
        let tls = Arc::new(client_tls(&config, &env)?);
        Ok(Self { config, tls, env, address, memory: Arc::default(), taken: Arc::default() })
    }

    /// Tries every way until one works.
    ///
    /// One after the other, as most addresses are Auth's: whoever is none should not have its log
    /// filled by attempts that cannot work. Each has the whole time limit.
    pub(crate) async fn dial(&self, id: u64) -> Result<Dialled, DialError> {
        // Nobody would take them, and whoever looks after Auth would find our attempts in its log.
        self.tls.check().map_err(DialError::Expired)?;
        let remembered = self.lock().way.clone();
        let mut tries = Tries { dialler: self, id, failures: Vec::new() };
        let dialled = match tries.all(remembered).await {
            Some(dialled) => dialled,
            None => return Err(tries.into_error()),
        };
        let mut memory = self.lock();
        memory.way = Some(dialled.way.clone());
        memory.cluster = Some(dialled.survey.cluster.clone());
        drop(memory);
        Ok(dialled)
    }

    /// Reads the credentials' files again; whether they hold something new, which is then in use
    /// for the next connection.
    pub(crate) async fn read_again(&self) -> Result<bool, ev_tls::Error> {
        let read = ev_dial::reload(&self.tls).await;
        if let Ok(true) = read {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        read
    }

    /// A number for the credentials in use: another one, whoever has read them, stands for others.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn go(&self, id: u64, way: &Way) -> Result<(Arc<Connection>, Survey), DialError> {
        let stream = match way {
            Way::Direct => {
                let tcp = self.tcp(&self.address).await?;
                self.secure(tcp, None).await?
            }
            Way::Routed { address, cluster } => {
                let tcp = self.tcp(address).await?;
                self.secure(tcp, Some(cluster)).await?
            }
            Way::Upgraded { address, cluster } => {
                let tunnel = self.upgraded(address).await?;
                self.secure(tunnel, Some(cluster)).await?
            }
        };
        self.http2(id, stream).await
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, DialError>>,
    ) -> Result<T, DialError> {
        let limit = self.config.dial_timeout;
        within(&*self.env, limit, work).await.unwrap_or(Err(DialError::Overdue(limit)))
    }

    /// Names that the cluster may have, the likeliest first, when the Proxy does not tell: that of
    /// the CA that issued our certificate, which Teleport calls after its cluster, and what Auth
    /// said when it was last reached.
    fn likely_clusters(&self) -> Vec<String> {
        let facts = self.tls.identity_facts();
        let issuer = facts.first().into_iter().flat_map(|leaf| {
            [leaf.issuer_organisation.clone(), Some(leaf.issuer.clone())].into_iter().flatten()
        });
        let mut names: Vec<String> = Vec::new();
        for name in issuer.chain(self.lock().cluster.clone()) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The attempts of one dialling.
struct Tries<'a> {
    dialler: &'a Dialler,
    id: u64,
    failures: Vec<Failure>,
}

impl Tries<'_> {
    async fn all(&mut self, remembered: Option<Way>) -> Option<Dialled> {
        if let Some(way) = &remembered
            && let Some(dialled) = self.one(way.clone()).await
        {
            return Some(dialled);
        }
        if remembered != Some(Way::Direct)
            && let Some(dialled) = self.one(Way::Direct).await
        {
            return Some(dialled);
        }
        // Of the attempt to reach Auth directly, or where that is the way that is remembered, of that.
        let may_be_a_proxy = self.failures.last().is_some_and(|last| last.error.may_be_a_proxy());
        let elsewhere = self.dialler.config.surroundings.tunnel_address();
        if !may_be_a_proxy && elsewhere.is_none() {
            return None;
        }
        self.proxy(elsewhere).await
    }

    async fn one(&mut self, way: Way) -> Option<Dialled> {
        let gone = self.dialler.in_time(self.dialler.go(self.id, &way)).await;
        match gone {
            Ok((connection, survey)) => {
                let failures = std::mem::take(&mut self.failures);
                Some(Dialled { connection, survey, way, failures })
            }
            Err(error) => {
                self.failed(way.to_string(), error);
                None
            }
        }
    }

    fn failed(&mut self, tried: String, error: DialError) {
        self.failures.push(Failure { tried, error });
    }

    /// Takes the configured address for a Proxy's.
    async fn proxy(&mut self, elsewhere: Option<Address>) -> Option<Dialled> {
        let configured = self.dialler.address.clone();
        let found = self.dialler.in_time(self.dialler.find(&configured)).await;
        let mut clusters = Vec::new();
        let mut addresses = Vec::new();
        match found {
            Ok(found) if !found.tls_routing => {
                let version = found.version;
                let error = DialError::NoTlsRouting { address: configured, version };
                self.failed("as a proxy".to_owned(), error);
                return None;
            }
            Ok(found) => {
                clusters.extend(found.cluster);
                // Where it answered it can be reached; where it says it is comes second.
                let tunnel = found.tunnel.filter(|tunnel| *tunnel != configured);
                addresses.push(configured);
                addresses.extend(tunnel);
            }
            // TLS routing itself needs nothing of what it would have said.
            Err(error) => {
                self.failed(format!("as a proxy at `{configured}`"), error);
                addresses.push(configured);
            }
        }
        if let Some(elsewhere) = elsewhere {
            addresses = vec![elsewhere];
        }
        if clusters.is_empty() {
            clusters = self.dialler.likely_clusters();
        }
        if clusters.is_empty() {
            self.failed("as a proxy by TLS routing".to_owned(), DialError::NoCluster);
        }
        for address in addresses {
            for cluster in &clusters {
                let dialled = self.routed(&address, cluster).await;
                if dialled.is_some() {
                    return dialled;
                }
            }
        }
        None
    }

    /// By TLS routing, with or without an upgrade around it. Where one of the two does not work
    /// the other is tried as well, unless somebody has set which: the test can be wrong.
    async fn routed(&mut self, address: &Address, cluster: &str) -> Option<Dialled> {
        let (address, cluster) = (address.clone(), cluster.to_owned());
        let is_set = self.dialler.config.surroundings.needs_upgrade(&address).is_some();
        let needed = self.dialler.needs_upgrade(&address).await;
        let plain = Way::Routed { address: address.clone(), cluster: cluster.clone() };
        let upgraded = Way::Upgraded { address, cluster };
        let ways = match (needed, is_set) {
            (Some(true), true) => vec![upgraded],
            (Some(true), false) => vec![upgraded, plain],
            (Some(false), true) => vec![plain],
            (Some(false) | None, _) => vec![plain, upgraded],
        };
        for way in ways {
            let dialled = self.one(way).await;
            if dialled.is_some() {
                return dialled;
            }
            // What stands inside the cluster's own TLS has no better answer on another way.
            if self.failures.last().is_some_and(|failure| failure.error.is_of_auth()) {
                return None;
            }
        }
        None
    }

    fn into_error(mut self) -> DialError {
        match (self.failures.pop(), self.failures.is_empty()) {
            (Some(only), true) => only.error,
            (Some(last), false) => {
                self.failures.push(last);
                DialError::All(self.failures)
            }
            (None, _) => DialError::All(self.failures),
        }
    }
}
