//! The source: requests for artifacts in, files of the layout out.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ev_core::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, BoxFuture, Env,
    FetchedArtifact, SignedArtifact,
};
use ev_dial::LiveTls;
use ev_modules::{
    Claims, MAX_ENVELOPE_BYTES, MAX_VERSIONS_BYTES, VERSIONS_FILE, envelope_name, file_name,
    read_versions, version_dir,
};
use ev_tls::{ClientOptions, CredentialWatch};

use crate::address::Base;
use crate::line::Line;
use crate::{Config, Error, Timeouts};

const ADVICE: &str = "give the handler a new client certificate, signed by the CA that the server of \
                      decoder artifacts trusts";

/// Fetches artifacts from an HTTPS address.
///
/// Each call dials anew, after reading the certificates again; files in new trouble are read once
/// more after a second, as they may be in the middle of being replaced. Dropping its future closes the
/// connection and leaves nothing behind.
///
/// What is not there (404) is not offered. Everything else that is not the file is an error that
/// names the address, without its query, and what to do.
pub struct HttpsSource {
    base: Base,
    name: String,
    live: LiveTls,
    timeouts: Timeouts,
    env: Arc<dyn Env>,
}

/// An envelope, and the name of the file that it belongs to.
struct Found {
    file: String,
    envelope: Bytes,
}

impl HttpsSource {
    /// Checks the address and reads the certificates; opens no connection. Blocks on files.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`] and [`Error::Tls`].
    pub fn new(config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let Config { url, tls, timeouts } = config;
        let base = Base::parse(&url)?;
        let options =
            ClientOptions { alpn: vec![b"http/1.1".to_vec()], ..ClientOptions::default() };
        let watch = CredentialWatch::new("artifact server", ADVICE);
        let live = LiveTls::new(base.server.tls.then_some(tls), options, watch, Arc::clone(&env))?;
        Ok(Self { name: base.shown().to_owned(), base, live, timeouts, env })
    }

    /// A line with the certificates as they are now.
    async fn line(&self) -> Line<'_> {
        self.live.look(false).await;
        Line::new(&self.base, self.live.tls(), &self.timeouts, &*self.env)
    }

    /// The envelope of the first kind and, in it, of the newest ABI or format that is there.
    async fn find(
        &self,
        line: &mut Line<'_>,
        request: &ArtifactRequest,
    ) -> Result<Option<Found>, String> {
        let Some(folder) = version_dir(&request.auth_version) else { return Ok(None) };
        for kind in &request.kinds {
            let mut abis = match kind {
                ArtifactKind::Module => request.module_abis.clone(),
                ArtifactKind::Table => request.table_formats.clone(),
            };
            abis.sort_unstable_by(|a, b| b.cmp(a));
            abis.dedup();
            for abi in abis {
                let file = file_name(*kind, abi);
                let name = envelope_name(&file);
                if let Some(envelope) = line.get(&[folder, &name], MAX_ENVELOPE_BYTES).await? {
                    return Ok(Some(Found { file, envelope }));
                }
            }
        }
        Ok(None)
    }

    async fn fetch(&self, request: ArtifactRequest) -> Result<FetchedArtifact, String> {
        let mut line = self.line().await;
        let (Some(folder), Some(Found { file, envelope })) =
            (version_dir(&request.auth_version), self.find(&mut line, &request).await?)
        else {
            return Ok(FetchedArtifact::NotOffered);
        };
        let Some(Claims { manifest }) = Claims::read(&envelope) else {
            // Whoever verifies it will tell what is wrong with it; its artifact is of no use.
            let payload = Bytes::new();
            return Ok(FetchedArtifact::Artifact(SignedArtifact { envelope, payload }));
        };
        if request.held_sha256 == Some(manifest.sha256) {
            return Ok(FetchedArtifact::NotModified);
        }
        let max = request.max_bytes;
        let shown = || self.base.shown_file(&[folder, &file]);
        if usize::try_from(manifest.size).map_or(true, |size| size > max) {
            let size = manifest.size;
            return Err(format!(
                "`{}` has {size} bytes by its manifest, more than the limit of {max}",
                shown()
            ));
        }
        match line.get(&[folder, &file], max).await? {
            Some(payload) => Ok(FetchedArtifact::Artifact(SignedArtifact { envelope, payload })),
            None => Err(format!("`{}` is missing, although its envelope is there", shown())),
        }
    }

    async fn envelope(&self, request: ArtifactRequest) -> Result<Option<Bytes>, String> {
        let found = self.find(&mut self.line().await, &request).await?;
        Ok(found.map(|found| found.envelope))
    }

    async fn versions(&self) -> Result<Option<Vec<AuthVersion>>, String> {
        let mut line = self.line().await;
        let Some(list) = line.get(&[VERSIONS_FILE], MAX_VERSIONS_BYTES).await? else {
            return Ok(None);
        };
        let versions = read_versions(&list).map_err(|what| {
            let shown = self.base.shown_file(&[VERSIONS_FILE]);
            format!("`{shown}` is no list of versions: {what}; `decoder index` writes one")
        })?;
        Ok(Some(versions))
    }

    fn error(&self, message: String) -> ArtifactError {
        ArtifactError { from: self.name.clone(), message, source: None }
    }
}

impl ArtifactSource for HttpsSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        Box::pin(async move { self.fetch(request).await.map_err(|what| self.error(what)) })
    }

    fn envelope(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<Option<Bytes>, ArtifactError>> {
        Box::pin(async move { self.envelope(request).await.map_err(|what| self.error(what)) })
    }

    fn versions(&self) -> BoxFuture<'_, Result<Option<Vec<AuthVersion>>, ArtifactError>> {
        Box::pin(async move { self.versions().await.map_err(|what| self.error(what)) })
    }
}

impl fmt::Debug for HttpsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsSource").field("base", &self.name).finish_non_exhaustive()
    }
}
