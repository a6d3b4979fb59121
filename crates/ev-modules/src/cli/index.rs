//! `index`: the list of versions beside the folders of artifacts.

use std::path::Path;

use ev_core::AuthVersion;

use super::Index;
use super::work::{Report, invalid};
use crate::directory::MAX_LISTED;
use crate::versions::{MAX_VERSIONS_BYTES, VERSIONS_FILE, write_versions};
use crate::{Claims, Directory, Error, MAX_ENVELOPE_BYTES, envelope_name, file, layout};

pub(super) fn index(arguments: &Index) -> Result<String, Error> {
    let base = &arguments.dir;
    let listing = Directory::new(base, 0).listing().map_err(|error| invalid(&error.to_string()))?;
    if listing.left_out > 0 {
        return Err(invalid(&format!(
            "`{}` has {} names, more than the {MAX_LISTED} that are looked at: nothing was written",
            base.display(),
            listing.left_out.saturating_add(MAX_LISTED),
        )));
    }
    let mut report = Report::default();
    let mut versions = Vec::new();
    let mut notes = Vec::new();
    for version in listing.versions {
        match look(base, &version) {
            Ok(()) => versions.push(version),
            Err(why) => notes.push(format!("{version} is left out: {why}")),
        }
    }
    let path = base.join(VERSIONS_FILE);
    let list = write_versions(&versions);
    // Handlers would refuse the whole list, and so see none of these versions.
    if list.len() > MAX_VERSIONS_BYTES {
        return Err(invalid(&format!(
            "the list of {} versions has {} bytes, more than the {MAX_VERSIONS_BYTES} that are \
             read: nothing was written; take out of `{}` the versions that no cluster has any more",
            versions.len(),
            list.len(),
            base.display(),
        )));
    }
    file::write(&path, &list, 0o644, true)?;
    report.line("wrote", path.display());
    for version in versions {
        report.line("version", version);
    }
    for note in notes {
        report.line("note", note);
    }
    Ok(report.text)
}

/// Whether a folder has an artifact with its envelope; else why it has none. Nothing is verified:
/// that is the business of whoever fetches it.
fn look(base: &Path, version: &AuthVersion) -> Result<(), String> {
    let dir = base.join(version.as_str());
    let failed = |source: std::io::Error| format!("its folder cannot be read: {source}");
    let mut why = "it holds no artifact with its envelope".to_owned();
    for entry in std::fs::read_dir(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let envelope = dir.join(envelope_name(&name));
        // One bad file is no reason to leave out the others.
        if !layout::is_artifact_name(&name) || !entry.path().is_file() || !envelope.is_file() {
            continue;
        }
        let read = file::read_named(&envelope, MAX_ENVELOPE_BYTES);
        let claims = read.ok().as_deref().and_then(Claims::read);
        match claims.map(|claims| claims.manifest.auth_version) {
            Some(of) if of == *version => return Ok(()),
            Some(of) => why = format!("`{name}` is signed for {of}"),
            None => why = format!("the envelope of `{name}` cannot be read"),
        }
    }
    Err(why)
}
