//! Certificates and tokens that change on disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ev_tls::{CredentialWatch, News};

use crate::FluentdSink;

const ADVICE: &str = "give the handler a new client certificate, signed by the CA that Fluentd \
                      trusts";

/// Takes new certificates, keys, CAs and tokens from their files while a sink is in use.
///
/// Files are compared by what is in them, so that every way of replacing them is noticed, also
/// the symbolic link that Kubernetes swaps. What cannot be used is reported once, until it is
/// something else, and the certificates in use stay.
///
/// Nothing runs by itself: the caller owns [`CertificateWatch::run`].
#[derive(Debug)]
pub struct CertificateWatch {
    sink: Arc<FluentdSink>,
    watch: CredentialWatch,
}

impl CertificateWatch {
    /// A watch over the files of `sink`.
    pub fn new(sink: Arc<FluentdSink>) -> Self {
        Self { sink, watch: CredentialWatch::new("Fluentd", ADVICE) }
    }

    /// Looks at the files now and once per `interval` (at least a second), and whenever
    /// [`FluentdSink::reload_soon`] asks for it, for as long as it is polled.
    pub async fn run(mut self, interval: Duration) -> Infallible {
        let interval = interval.max(Duration::from_secs(1));
        let sink = Arc::clone(&self.sink);
        self.expiry();
        loop {
            let asked = tokio::select! {
                biased;
                () = sink.wake.notified() => true,
                () = sink.env.sleep(interval) => false,
            };
            self.look(asked).await;
        }
    }

    /// Looks at the files now, takes what is new, and logs what an operator should know; also that
    /// the certificate in use is about to expire, or has.
    pub async fn check(&mut self) -> News {
        self.look(false).await
    }

    async fn look(&mut self, asked: bool) -> News {
        self.sink.look_at_token(asked).await;
        let Some(tls) = self.sink.tls.clone() else { return News::Same };
        let settle = || self.sink.env.sleep(CredentialWatch::SETTLE);
        let read = self.watch.settled(&tls, || read(&tls), settle).await;
        let news =
            if asked { self.watch.take_asked(read, &tls) } else { self.watch.take(read, &tls) };
        if matches!(news, News::Taken(_)) {
            self.sink.certificates_changed();
        }
        self.expiry();
        news
    }

    fn expiry(&mut self) {
        if let Some(tls) = &self.sink.tls {
            self.watch.expiry(tls);
        }
    }
}

/// Files may hang, so they are read where nothing else waits.
async fn read(tls: &Arc<ev_tls::ClientTls>) -> Result<bool, ev_tls::Error> {
    let tls = Arc::clone(tls);
    // The runtime is ending, or reading panicked: nothing has changed.
    tokio::task::spawn_blocking(move || tls.reload()).await.unwrap_or(Ok(false))
}
