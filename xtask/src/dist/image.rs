//! The container image as an OCI image layout, a folder that registries' tools read.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>
//!
//! `index.json` names one index, which names a manifest for each architecture; each has one layer.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::build::{Built, PACKAGE};
use super::content::Content;
use super::sums::hex;
use super::tar::gzip;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What was written.
pub(crate) struct Image {
    /// Of the index.
    pub(crate) digest: String,
    /// Bytes of the largest layer, as it is run.
    pub(crate) unpacked: u64,
    /// The same as it is fetched.
    pub(crate) packed: u64,
}

/// Writes the layout into a folder that is not there yet.
pub(crate) fn write(built: &[Built], folder: &Path) -> Result<Image> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| blobs.display().to_string())?;
    let content = Content::read()?;
    let mut image = Image { digest: String::new(), unpacked: 0, packed: 0 };
    let mut manifests = Vec::new();
    for one in built {
        let tar = content.tar(&one.bytes)?;
        let packed = gzip(&tar)?;
        image.unpacked = image.unpacked.max(tar.len() as u64);
        image.packed = image.packed.max(packed.len() as u64);
        let layer = blob(&blobs, LAYER, &packed)?;
        let config = blob(&blobs, CONFIG, &bytes(&config(one, &content, &tar))?)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels(),
        });
        let mut manifest = blob(&blobs, MANIFEST, &bytes(&manifest)?)?;
        manifest["platform"] = json!({ "architecture": one.target.architecture, "os": "linux" });
        manifests.push(manifest);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let mut index = blob(&blobs, INDEX, &bytes(&index)?)?;
    image.digest = index["digest"].as_str().unwrap_or_default().to_owned();
    index["annotations"] =
        json!({ "org.opencontainers.image.ref.name": env!("CARGO_PKG_VERSION") });
    let top = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [index] });
    fs::write(folder.join("index.json"), bytes(&top)?)?;
    fs::write(folder.join("oci-layout"), bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
    Ok(image)
}

fn config(built: &Built, content: &Content, tar: &[u8]) -> Value {
    json!({
        "architecture": built.target.architecture,
        "os": "linux",
        "config": {
            "User": content.user,
            "Entrypoint": [content.entrypoint],
            "WorkingDir": content.workdir,
            "Env": ["PATH=/usr/local/bin"],
            "Labels": labels(),
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(tar))] },
        "history": [{ "created_by": "cargo xtask dist image" }],
    })
}

fn labels() -> Value {
    json!({
        "org.opencontainers.image.title": PACKAGE,
        "org.opencontainers.image.description": "Forwards Teleport's audit log to Fluentd",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
    })
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// Stores bytes under their digest and describes them.
fn blob(folder: &Path, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest = hex(bytes);
    let path = folder.join(&digest);
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    Ok(json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
}

/// Reads the layout as a tool would, from its index down: every blob has its digest and its size,
/// none is left over, and each layer is what its configuration says.
pub(crate) fn check(built: &[Built], folder: &Path) -> Result<()> {
    let layout: Value = serde_json::from_slice(&fs::read(folder.join("oci-layout"))?)?;
    ensure!(layout["imageLayoutVersion"] == "1.0.0", "the layout is of another version");
    let top: Value = serde_json::from_slice(&fs::read(folder.join("index.json"))?)?;
    let mut seen = 1;
    let index: Value = serde_json::from_slice(&fetch(folder, &top["manifests"][0])?)?;
    let manifests = index["manifests"].as_array().context("the index names manifests")?;
    ensure!(manifests.len() == built.len(), "{} manifests", manifests.len());
    for (one, descriptor) in built.iter().zip(manifests) {
        let architecture = one.target.architecture;
        ensure!(descriptor["platform"]["architecture"] == architecture, "another platform");
        let manifest: Value = serde_json::from_slice(&fetch(folder, descriptor)?)?;
        let config: Value = serde_json::from_slice(&fetch(folder, &manifest["config"])?)?;
        ensure!(config["architecture"] == architecture, "a configuration of another platform");
        let packed = fetch(folder, &manifest["layers"][0])?;
        let mut tar = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut tar)?;
        let id = format!("sha256:{}", hex(&tar));
        ensure!(config["rootfs"]["diff_ids"] == json!([id]), "the layer is another one");
        seen += 3;
    }
    let stored = fs::read_dir(folder.join("blobs/sha256"))?.count();
    ensure!(stored == seen, "{stored} blobs are stored and {seen} are named");
    Ok(())
}

/// The blob that a descriptor names.
pub(crate) fn fetch(folder: &Path, descriptor: &Value) -> Result<Vec<u8>> {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let digest = digest.context("a descriptor has a digest")?;
    let bytes = fs::read(folder.join("blobs/sha256").join(digest))?;
    ensure!(hex(&bytes) == digest, "{digest} is the digest of something else");
    ensure!(descriptor["size"] == bytes.len(), "{digest} has another size");
    Ok(bytes)
}
