//! The signed artifacts a server offers. To the server they are bytes: it neither signs nor reads
//! them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::Error;

/// The two kinds of artifact, in the words of `ev.decoder.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// WebAssembly.
    Module,
    /// A compiled schema.
    Table,
}

/// A signed artifact as offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Version it is for, as the envelope says.
    pub auth_version: String,
    /// Its kind, as the envelope says.
    pub kind: ArtifactKind,
    /// Module ABI or table format, as the envelope says.
    pub abi: u32,
    /// SHA-256 of the payload, as the envelope says, in lower-case hex.
    pub sha256: String,
    /// The DSSE envelope.
    pub envelope: Bytes,
    /// The artifact itself.
    pub payload: Bytes,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
struct Manifest {
    kind: ArtifactKind,
    abi: u32,
    auth_version: String,
    sha256: String,
}

impl Artifact {
    /// Takes an artifact apart as far as a server must to know what to offer it for.
    ///
    /// # Errors
    ///
    /// When the envelope is no DSSE envelope with a manifest in it.
    pub fn new(envelope: Bytes, payload: Bytes) -> Result<Self, Error> {
        Self::read(&envelope, &payload).map_err(|message| Error::Data {
            path: "envelope".into(),
            line: 1,
            message,
        })
    }

    fn read(envelope: &Bytes, payload: &Bytes) -> Result<Self, String> {
        let outer: Envelope = serde_json::from_slice(envelope).map_err(|e| e.to_string())?;
        let manifest = STANDARD.decode(outer.payload).map_err(|e| e.to_string())?;
        let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|e| e.to_string())?;
        Ok(Self {
            auth_version: manifest.auth_version,
            kind: manifest.kind,
            abi: manifest.abi,
            sha256: manifest.sha256.to_ascii_lowercase(),
            envelope: envelope.clone(),
            payload: payload.clone(),
        })
    }

    /// Reads `artifact` and the envelope beside it.
    ///
    /// # Errors
    ///
    /// When one of the files cannot be read, or the envelope is none.
    pub fn load(artifact: &Path, envelope: &Path) -> Result<Self, Error> {
        let read =
            |path: &Path| fs::read(path).map_err(Error::io(format!("read `{}`", path.display())));
        Self::new(read(envelope)?.into(), read(artifact)?.into())
    }

    /// Reads all artifacts below `base`, in folders named after their versions, each with
    /// `<file>.dsse.json` beside it.
    ///
    /// # Errors
    ///
    /// When a folder or file cannot be read, or an envelope is none.
    pub fn load_directory(base: &Path) -> Result<Vec<Self>, Error> {
        let list = |dir: &Path| {
            list(dir).map_err(Error::io(format!("list the artifacts in `{}`", dir.display())))
        };
        let mut artifacts = Vec::new();
        for version in list(base)?.into_iter().filter(|path| path.is_dir()) {
            for envelope in list(&version)? {
                let name = envelope.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if let Some(artifact) = name.strip_suffix(".dsse.json") {
                    artifacts.push(Self::load(&version.join(artifact), &envelope)?);
                }
            }
        }
        Ok(artifacts)
    }
}

/// What lies in a folder, in the order of the names.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
