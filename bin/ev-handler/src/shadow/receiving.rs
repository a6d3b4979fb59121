//! The end point of a comparison, made from arguments and settings.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use ev_config::{Fluentd, Settings, Timeouts};
use ev_core::Env;
use ev_dial::LiveTls;
use ev_shadow::{
    Comparison, Forward, ForwardTimeouts, Limits, Paths, Receiver, ReceiverConfig, ReceiverCounts,
    ServerFiles, server_tls,
};
use ev_tls::{ClientOptions, Clock, CredentialWatch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Args;
use crate::start::{Error, parts};

const ADVICE: &str = "give the handler a new client certificate, signed by the CA that Fluentd \
                      trusts";

/// The receiver as it runs, and what runs beside it. Dropping it ends both.
pub(super) struct Receiving {
    pub(super) counts: ReceiverCounts,
    tasks: JoinSet<()>,
    /// Looks for new certificates; aborted with the rest.
    _watch: JoinSet<()>,
    stop: CancellationToken,
}

impl Receiving {
    /// Listens. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// What only an operator can mend.
    pub(super) fn start(
        settings: &Settings,
        args: &Args,
        comparison: &Arc<Comparison>,
        env: &Arc<dyn Env>,
    ) -> Result<Self, Error> {
        let fluentd = fluentd(settings)?;
        let clock = Arc::clone(env);
        let clock = Clock::new(move || clock.now().seconds());
        let tls = match (&args.cert, &args.key, &args.client_ca) {
            (Some(certificate), Some(key), Some(client_ca)) => {
                let files = ServerFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    client_ca: client_ca.clone(),
                    passphrase: args.passphrase_file.clone(),
                };
                let tls = server_tls(&files, &clock);
                Some(tls.map_err(|error| Error::setting("--cert, --key, --client-ca", error))?)
            }
            _ if !args.listen.ip().is_loopback() => {
                let what = format!("{} is no address of this machine alone", args.listen);
                return Err(Error::setting("--plain", what));
            }
            _ => None,
        };
        let paths = Paths::new(&fluentd.url, &fluentd.session_url);
        let paths = paths.map_err(|error| Error::setting("forward.fluentd", error))?;
        let (mut tasks, mut watch) = (JoinSet::new(), JoinSet::new());
        let forward = match args.forward {
            true => Some(forward(settings, env, &mut watch)?),
            false => None,
        };
        let listener = TcpListener::bind(args.listen).map_err(|error| {
            let what = format!("--listen {}", args.listen);
            match error.kind() {
                // Whoever holds it may let go of it.
                ErrorKind::AddrInUse => Error::system(what, error),
                _ => Error::setting(what, error),
            }
        })?;
        let is_forwarding = forward.is_some();
        let config = ReceiverConfig { tls, paths, forward, limits: Limits::default() };
        let receiver = Receiver::new(listener, config, Arc::clone(comparison), Arc::clone(env));
        let receiver = receiver.map_err(|error| Error::system("--listen", error))?;
        let addr = receiver.addr().map_err(|error| Error::system("--listen", error))?;
        let (counts, stop) = (receiver.counts(), CancellationToken::new());
        tasks.spawn(receiver.run(stop.clone()));
        info!(%addr, forward = is_forwarding, "receiving what the other handler sends");
        Ok(Self { counts, tasks, _watch: watch, stop })
    }

    /// Answers what is under way, and ends.
    ///
    /// # Errors
    ///
    /// If it had panicked.
    pub(super) async fn end(mut self) -> Result<(), Error> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(Error::Task)?;
        }
        Ok(())
    }
}

/// The receiver that the other handler sends to.
fn fluentd(settings: &Settings) -> Result<&Fluentd, Error> {
    let what = "the other handler sends to Fluentd over HTTP, and that receiver is not set";
    settings.fluentd.as_ref().ok_or_else(|| Error::setting("forward.fluentd", what))
}

/// Passes requests on with the settings' own certificates, which are read again when they change.
fn forward(
    settings: &Settings,
    env: &Arc<dyn Env>,
    tasks: &mut JoinSet<()>,
) -> Result<Forward, Error> {
    let fluentd = fluentd(settings)?;
    let is_secure = [&fluentd.url, &fluentd.session_url].iter().any(|u| u.starts_with("https:"));
    let files = is_secure.then(|| parts::fluentd_files(fluentd));
    let said = CredentialWatch::new("Fluentd", ADVICE);
    let live = LiveTls::new(files, ClientOptions::default(), said, Arc::clone(env))
        .map_err(|error| Error::setting("forward.fluentd", error))?;
    let tls = live.tls().cloned();
    let forward =
        Forward::new(&fluentd.url, &fluentd.session_url, tls, timeouts(&fluentd.timeouts))
            .map_err(|error| Error::setting("forward.fluentd", error))?;
    if is_secure {
        tasks.spawn(watch(live, fluentd.refresh));
    }
    Ok(forward)
}

async fn watch(live: LiveTls, interval: Duration) {
    live.expiry().await;
    loop {
        live.due(interval).await;
        live.look(false).await;
    }
}

/// Those of the settings, as far as the other handler waits.
fn timeouts(timeouts: &Timeouts) -> ForwardTimeouts {
    let exchange = timeouts.request.max(timeouts.response);
    ForwardTimeouts {
        connect: timeouts.connect,
        handshake: timeouts.handshake,
        exchange: exchange.min(ForwardTimeouts::LONGEST),
        ..ForwardTimeouts::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ev_core::{BoxFuture, Timestamp};
    use ev_test_support::certs::{Authority, Validity};
    use ev_tls::CredentialFiles;
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    /// A clock that stands; who sleeps is woken by the test.
    struct Steps {
        asleep: Mutex<Vec<Duration>>,
        changed: Notify,
        wakes: Arc<Semaphore>,
    }

    impl Env for Steps {
        fn now(&self) -> Timestamp {
            ev_pipeline::TokioEnv::new().now()
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.asleep.lock().unwrap().push(duration);
            self.changed.notify_one();
            let wakes = Arc::clone(&self.wakes);
            Box::pin(async move { wakes.acquire().await.unwrap().forget() })
        }

        fn random(&self) -> u64 {
            0
        }
    }

    impl Steps {
        /// How long is slept for, the next time that somebody does.
        async fn slept(&self) -> Duration {
            loop {
                if let Some(duration) = self.asleep.lock().unwrap().pop() {
                    return duration;
                }
                self.changed.notified().await;
            }
        }
    }

    #[tokio::test]
    async fn certificates_that_are_being_replaced_are_looked_at_again_soon() {
        let interval = Duration::from_secs(30);
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("a CA").unwrap();
        let path = |name: &str| dir.path().join(name);
        let client = || authority.issue_fluentd_client(Validity::Long).unwrap();
        let (first, second) = (client(), client());
        std::fs::write(path("ca"), authority.cert_pem()).unwrap();
        std::fs::write(path("cert"), first.cert_pem).unwrap();
        std::fs::write(path("key"), first.key_pem).unwrap();
        let files = CredentialFiles {
            ca: Some(path("ca")),
            certificate: Some(path("cert")),
            key: Some(path("key")),
            passphrase: None,
        };
        let steps = Arc::new(Steps {
            asleep: Mutex::default(),
            changed: Notify::new(),
            wakes: Arc::new(Semaphore::new(0)),
        });
        let said = CredentialWatch::new("Fluentd", ADVICE);
        let live =
            LiveTls::new(Some(files), ClientOptions::default(), said, Arc::clone(&steps) as _);
        let live = live.unwrap();
        let tls = live.tls().cloned().unwrap();
        let before = tls.config();
        let mut tasks = JoinSet::new();
        tasks.spawn(watch(live, interval));
        assert_eq!(steps.slept().await, interval);
        std::fs::write(path("cert"), second.cert_pem).unwrap();
        steps.wakes.add_permits(1);
        assert_eq!(steps.slept().await, CredentialWatch::SETTLE);
        std::fs::write(path("key"), second.key_pem).unwrap();
        steps.wakes.add_permits(1);
        assert_eq!(steps.slept().await, interval);
        assert!(!Arc::ptr_eq(&before, &tls.config()), "they are in use");
    }

    #[test]
    fn no_limit_is_longer_than_the_other_handler_waits() {
        let seconds = Duration::from_secs;
        let check = |request, response, expected| {
            let set = Timeouts {
                connect: seconds(5),
                handshake: seconds(5),
                request: seconds(request),
                response: seconds(response),
            };
            assert_eq!(timeouts(&set).exchange, seconds(expected));
        };
        check(10, 30, 29);
        check(60, 5, 29);
        check(10, 20, 20);
    }
}
