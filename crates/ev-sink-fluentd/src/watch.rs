//! Certificates and tokens that change on disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ev_tls::News;

use crate::FluentdSink;

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
}

impl CertificateWatch {
    /// A watch over the files of `sink`.
    pub fn new(sink: Arc<FluentdSink>) -> Self {
        Self { sink }
    }

    /// Looks at the files now and once per `interval` (at least a second), and whenever
    /// [`FluentdSink::reload_soon`] asks for it, for as long as it is polled.
    pub async fn run(mut self, interval: Duration) -> Infallible {
        self.sink.live.expiry().await;
        loop {
            let asked = self.sink.live.due(interval).await;
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
        let news = self.sink.live.look(asked).await;
        if matches!(news, News::Taken(_)) {
            self.sink.certificates_changed();
        }
        news
    }
}
