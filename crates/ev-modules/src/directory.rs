//! A directory of artifacts: served to others, or used as a source of one's own.
//!
//! [`Directory::answer`] is the whole serving side without any transport; the feature `serve` has
//! it with one. [`DirectorySource`] is the same as an [`ArtifactSource`]. Nothing is verified here, because a server's word counts for nothing:
//! whoever receives an artifact checks it.
//!
//! Files may be replaced at any time. Whoever does so writes the new files beside the old ones and
//! renames them; a pair that does not fit together for a moment is refused by its digest and
//! fetched again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ev_core::{
    ArtifactError, ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, BoxError, BoxFuture,
    FetchedArtifact, SignedArtifact,
};
use tracing::warn;

use crate::envelope::{Claims, MAX_ENVELOPE_BYTES};
use crate::file::{self, ReadFailure};
use crate::layout;
use crate::version::compare_versions;

/// Most names in a directory that are looked at for a list of its versions.
pub(crate) const MAX_LISTED: usize = 10_000;

/// A directory with the layout of [`crate::file_name`].
#[derive(Clone, Debug)]
pub struct Directory {
    base: PathBuf,
    max_bytes: usize,
}

/// What is offered cannot be read; the request itself was fine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The base directory is not there, so nothing can be said about what it offers.
    #[error("`{}` is not a directory", path.display())]
    NoDirectory {
        /// The base directory.
        path: PathBuf,
    },
    /// An artifact has no envelope beside it, or an envelope no artifact.
    #[error("`{}` is missing, although the file it belongs to is there", path.display())]
    Unpaired {
        /// The missing file.
        path: PathBuf,
    },
    /// A file has more bytes than are served or were asked for.
    #[error("`{}` is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
    /// The system refuses.
    #[error("failed to read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// The place of an artifact in a directory.
struct Place {
    payload: PathBuf,
    envelope: PathBuf,
}

/// The versions in a directory.
pub(crate) struct Listing {
    pub(crate) versions: Vec<AuthVersion>,
    /// How many names were not looked at, because there are more than [`MAX_LISTED`].
    pub(crate) left_out: usize,
}

/// An artifact that is opened and not read yet.
#[cfg(feature = "serve")]
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) kind: ArtifactKind,
    pub(crate) envelope: Bytes,
    /// Open, so that it stays the same one when another is put in its place.
    pub(crate) file: std::fs::File,
    /// Its length in bytes when it was opened.
    pub(crate) size: u64,
}

/// What [`Directory::open`] finds.
#[cfg(feature = "serve")]
#[derive(Debug)]
pub(crate) enum Offer {
    Nothing,
    /// What the request already holds.
    Held,
    Artifact(Opened),
}

impl Directory {
    /// A directory whose files are served up to `max_bytes` each. Nothing is opened yet.
    pub fn new(base: impl Into<PathBuf>, max_bytes: usize) -> Self {
        Self { base: base.into(), max_bytes }
    }

    /// The directory.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Answers one request. Blocks on the file system: call it on a thread that may.
    ///
    /// Kinds are tried in the order of the request, and for each the newest ABI or format that the
    /// request names. An Auth version that is no plain name is answered as not offered.
    ///
    /// # Errors
    ///
    /// When what is offered cannot be read.
    pub fn answer(&self, request: &ArtifactRequest) -> Result<FetchedArtifact, ServeError> {
        let Some((_, place, envelope)) = self.find(request)? else {
            return Ok(FetchedArtifact::NotOffered);
        };
        if is_held(request, &envelope) {
            return Ok(FetchedArtifact::NotModified);
        }
        match read(&place.payload, self.max_bytes.min(request.max_bytes))? {
            Some(payload) => Ok(FetchedArtifact::Artifact(SignedArtifact { envelope, payload })),
            None => Err(ServeError::Unpaired { path: place.payload }),
        }
    }

    /// As [`Directory::answer`], but the artifact is only opened.
    #[cfg(feature = "serve")]
    pub(crate) fn open(&self, request: &ArtifactRequest) -> Result<Offer, ServeError> {
        let Some((kind, place, envelope)) = self.find(request)? else { return Ok(Offer::Nothing) };
        if is_held(request, &envelope) {
            return Ok(Offer::Held);
        }
        let max = self.max_bytes.min(request.max_bytes);
        match found(file::open_capped(&place.payload, max), &place.payload, max)? {
            Some((file, size)) => Ok(Offer::Artifact(Opened { kind, envelope, file, size })),
            None => Err(ServeError::Unpaired { path: place.payload }),
        }
    }

    /// The envelope alone of what [`Directory::answer`] would give, if there is any.
    ///
    /// # Errors
    ///
    /// As [`Directory::answer`].
    pub fn envelope(&self, request: &ArtifactRequest) -> Result<Option<Bytes>, ServeError> {
        Ok(self.find(request)?.map(|(_, _, envelope)| envelope))
    }

    /// The versions that have a folder, oldest first. What is in the folders is not looked at, nor
    /// is what stands behind the first 10,000 names in the directory. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn versions(&self) -> Result<Vec<AuthVersion>, ServeError> {
        self.listing().map(|listing| listing.versions)
    }

    /// As [`Directory::versions`], with what was not looked at.
    pub(crate) fn listing(&self) -> Result<Listing, ServeError> {
        let failed = |source| ServeError::Io { path: self.base.clone(), source };
        if !self.base.is_dir() {
            return Err(ServeError::NoDirectory { path: self.base.clone() });
        }
        let mut versions = Vec::new();
        let mut entries = fs::read_dir(&self.base).map_err(failed)?;
        for entry in entries.by_ref().take(MAX_LISTED) {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // A link to a folder counts as one: `path` is followed, the entry's own type is not.
            if layout::is_safe_component(&name) && entry.path().is_dir() {
                versions.push(AuthVersion::new(name));
            }
        }
        versions.sort_by(|a, b| compare_versions(a, b).then_with(|| a.cmp(b)));
        Ok(Listing { versions, left_out: entries.count() })
    }

    fn find(
        &self,
        request: &ArtifactRequest,
    ) -> Result<Option<(ArtifactKind, Place, Bytes)>, ServeError> {
        if !self.base.is_dir() {
            return Err(ServeError::NoDirectory { path: self.base.clone() });
        }
        let Some(version) = layout::version_dir(&request.auth_version) else { return Ok(None) };
        let dir = self.base.join(version);
        for kind in &request.kinds {
            let mut abis = match kind {
                ArtifactKind::Module => request.module_abis.clone(),
                ArtifactKind::Table => request.table_formats.clone(),
            };
            abis.sort_unstable_by(|a, b| b.cmp(a));
            for abi in abis {
                let name = layout::file_name(*kind, abi);
                let place = Place {
                    payload: dir.join(&name),
                    envelope: dir.join(layout::envelope_name(&name)),
                };
                match read(&place.envelope, MAX_ENVELOPE_BYTES)? {
                    Some(envelope) => return Ok(Some((*kind, place, envelope))),
                    None if place.payload.exists() => {
                        return Err(ServeError::Unpaired { path: place.envelope });
                    }
                    None => {}
                }
            }
        }
        Ok(None)
    }
}

/// Whether the envelope names what the request already holds.
fn is_held(request: &ArtifactRequest, envelope: &[u8]) -> bool {
    request.held_sha256.is_some_and(|held| {
        Claims::read(envelope).is_some_and(|claims| claims.manifest.sha256 == held)
    })
}

fn read(path: &Path, max: usize) -> Result<Option<Bytes>, ServeError> {
    let bytes = found(file::read_capped(path, max), path, max)?;
    Ok(bytes.map(Bytes::from))
}

/// `None` for a file that is not there.
fn found<T>(
    outcome: Result<T, ReadFailure>,
    path: &Path,
    max: usize,
) -> Result<Option<T>, ServeError> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(ReadFailure::Missing) => Ok(None),
        Err(ReadFailure::TooLarge) => Err(ServeError::TooLarge { path: path.to_path_buf(), max }),
        Err(ReadFailure::Io(source)) => Err(ServeError::Io { path: path.to_path_buf(), source }),
    }
}

/// Fetches artifacts from a directory of this machine. Reads on tokio's blocking threads.
#[derive(Clone, Debug)]
pub struct DirectorySource {
    directory: Arc<Directory>,
    name: String,
    /// Whether it was told that the list of versions is not whole.
    told: Arc<AtomicBool>,
}

impl DirectorySource {
    /// Fetches from `directory`.
    pub fn new(directory: Directory) -> Self {
        let name = format!("directory {}", directory.base.display());
        Self { directory: Arc::new(directory), name, told: Arc::default() }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, ServeError> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let directory = Arc::clone(&self.directory);
        let failed = |source: BoxError| ArtifactError {
            from: self.name.clone(),
            message: source.to_string(),
            source: source.source().map(|cause| cause.to_string().into()),
        };
        match tokio::task::spawn_blocking(move || work(&directory)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl ArtifactSource for DirectorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn fetch(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<FetchedArtifact, ArtifactError>> {
        Box::pin(self.blocking(move |directory| directory.answer(&request)))
    }

    fn envelope(
        &self,
        request: ArtifactRequest,
    ) -> BoxFuture<'_, Result<Option<Bytes>, ArtifactError>> {
        Box::pin(self.blocking(move |directory| directory.envelope(&request)))
    }

    fn versions(&self) -> BoxFuture<'_, Result<Option<Vec<AuthVersion>>, ArtifactError>> {
        Box::pin(async {
            let Listing { versions, left_out } = self.blocking(Directory::listing).await?;
            let told = self.told.swap(left_out > 0, Ordering::Relaxed);
            if left_out > 0 && !told {
                warn!(
                    from = self.name,
                    left_out,
                    limit = MAX_LISTED,
                    "directory of decoder artifacts has too many names: some were not looked at"
                );
            }
            Ok(Some(versions))
        })
    }
}
