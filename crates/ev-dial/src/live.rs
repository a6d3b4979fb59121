//! TLS whose credentials follow their files.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ev_core::Env;
use ev_tls::{
    CertificateFacts, ClientOptions, ClientTls, Clock, CredentialFiles, CredentialWatch, Error,
    News,
};
use tokio::sync::{Mutex, Notify};

/// TLS of a client whose certificates, keys and CAs may change on disk while it is in use, or of
/// one that speaks plain text and has none.
///
/// Files are compared by what is in them, so that every way of replacing them is noticed, also
/// the symbolic link that Kubernetes swaps. What cannot be used is reported once, until it is
/// something else, and what is in use stays.
///
/// Nothing runs by itself: files are looked at by whoever calls [`LiveTls::look`].
pub struct LiveTls {
    tls: Option<Arc<ClientTls>>,
    watch: Mutex<CredentialWatch>,
    /// Somebody wants the files to be looked at.
    wake: Notify,
    env: Arc<dyn Env>,
}

impl LiveTls {
    /// Reads the files and checks them, by the clock of `env`; warns about keys that others may
    /// read. Blocks on files. Without `files` there is no TLS. `watch` says what changes.
    ///
    /// # Errors
    ///
    /// Those of [`ClientTls::new`].
    pub fn new(
        files: Option<CredentialFiles>,
        options: ClientOptions,
        watch: CredentialWatch,
        env: Arc<dyn Env>,
    ) -> Result<Self, Error> {
        let read = |files: CredentialFiles| {
            files.warn_if_open();
            let clock = Arc::clone(&env);
            ClientTls::new(files, options, Clock::new(move || clock.now().seconds()))
        };
        let tls = files.map(read).transpose()?.map(Arc::new);
        Ok(Self { tls, watch: Mutex::new(watch), wake: Notify::new(), env })
    }

    /// What the next connection begins with; `None` for plain text.
    pub fn tls(&self) -> Option<&Arc<ClientTls>> {
        self.tls.as_ref()
    }

    /// Facts of the client certificate in use and its chain, leaf first; empty without one.
    pub fn identity_facts(&self) -> Vec<CertificateFacts> {
        self.tls.as_ref().map_or_else(Vec::new, |tls| tls.identity_facts())
    }

    /// Of the CAs in use the one that ends last; `None` where those of the operating system are
    /// used, and in plain text.
    pub fn authority_facts(&self) -> Option<CertificateFacts> {
        self.tls.as_ref()?.authority_facts()
    }

    /// Has [`LiveTls::due`] return now.
    pub fn look_soon(&self) {
        self.wake.notify_one();
    }

    /// Waits for `interval`, at least a second, or until [`LiveTls::look_soon`] asks for a look.
    /// Whether it was asked for.
    pub async fn due(&self, interval: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.wake.notified() => true,
            () = self.env.sleep(interval.max(Duration::from_secs(1))) => false,
        }
    }

    /// Looks at the files now, takes what is new, and logs what an operator should know, also that
    /// the certificate in use is about to expire, or has. Where they are in new trouble they are
    /// read once more after [`CredentialWatch::SETTLE`], as they may be in the middle of being
    /// replaced. If the look was `asked` for, it is logged too that nothing is new.
    pub async fn look(&self, asked: bool) -> News {
        let Some(tls) = &self.tls else { return News::Same };
        // Others wait for what is read: it is what they would read.
        let mut watch = self.watch.lock().await;
        let settle = || self.env.sleep(CredentialWatch::SETTLE);
        let read = watch.settled(tls, || reload(tls), settle).await;
        let news = if asked { watch.take_asked(read, tls) } else { watch.take(read, tls) };
        watch.expiry(tls);
        news
    }

    /// Says once that the client certificate in use will expire soon, and once that it has; reads
    /// no file.
    pub async fn expiry(&self) {
        if let Some(tls) = &self.tls {
            self.watch.lock().await.expiry(tls);
        }
    }
}

impl fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTls").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Reads the credentials of `tls` again, where nothing else waits, as files may hang. Whether
/// others are in use now.
///
/// # Errors
///
/// Those of [`ClientTls::reload`].
pub async fn reload(tls: &Arc<ClientTls>) -> Result<bool, Error> {
    let tls = Arc::clone(tls);
    // The runtime is ending, or reading panicked: nothing has changed.
    tokio::task::spawn_blocking(move || tls.reload()).await.unwrap_or(Ok(false))
}

#[cfg(test)]
mod tests {
    use ev_core::testing::ManualEnv;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn plain(env: &Arc<ManualEnv>) -> LiveTls {
        let watch = CredentialWatch::new("nobody", "");
        let live = LiveTls::new(None, ClientOptions::default(), watch, Arc::clone(env) as _);
        live.expect("nothing to read")
    }

    #[tokio::test]
    async fn plain_text_has_no_news() {
        let live = plain(&ManualEnv::new());
        assert!(matches!(live.look(true).await, News::Same));
        live.expiry().await;
        assert!(live.tls().is_none() && live.identity_facts().is_empty());
    }

    #[tokio::test]
    async fn a_look_is_due_when_it_is_asked_for_or_time() {
        let env = ManualEnv::new();
        let live = plain(&env);
        live.look_soon();
        assert!(live.due(MINUTE).await, "asked for before");
        let (asked, ()) = tokio::join!(live.due(MINUTE), async {
            env.asleep(MINUTE).await;
            env.advance(MINUTE);
        });
        assert!(!asked);
        // However short the interval is said to be.
        let (asked, ()) = tokio::join!(live.due(Duration::ZERO), async {
            env.asleep(Duration::from_secs(1)).await;
            live.look_soon();
        });
        assert!(asked);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let files = CredentialFiles { ca: Some("/nowhere/ca.pem".into()), ..Default::default() };
        let watch = CredentialWatch::new("nobody", "");
        let live = LiveTls::new(Some(files), ClientOptions::default(), watch, ManualEnv::new());
        assert!(matches!(live, Err(Error::ReadFile { .. })), "{live:?}");
    }
}
