//! Which files there are.

use std::path::{Path, PathBuf};

use crate::FileNames;

pub(crate) const ROLE: &str = "teleport-event-handler-role.yaml";
pub(crate) const FLUENT_CONF: &str = "fluent.conf";
pub(crate) const HANDLER_TOML: &str = "teleport-event-handler.toml";
pub(crate) const HELM_VALUES: &str = "teleport-plugin-event-handler-values.yaml";

/// Names of the certificate and key files.
pub(crate) struct Files {
    pub(crate) ca_certificate: String,
    pub(crate) ca_key: String,
    pub(crate) server_certificate: String,
    pub(crate) server_key: String,
    pub(crate) client_certificate: String,
    pub(crate) client_key: String,
}

impl Files {
    pub(crate) fn new(names: &FileNames) -> Self {
        let FileNames { ca, server, client } = names;
        Self {
            ca_certificate: format!("{ca}.crt"),
            ca_key: format!("{ca}.key"),
            server_certificate: format!("{server}.crt"),
            server_key: format!("{server}.key"),
            client_certificate: format!("{client}.crt"),
            client_key: format!("{client}.key"),
        }
    }

    /// The certificate and key files, in the order in which they are reported.
    pub(crate) fn certificates(&self) -> [&str; 6] {
        [
            &self.ca_certificate,
            &self.ca_key,
            &self.server_certificate,
            &self.server_key,
            &self.client_certificate,
            &self.client_key,
        ]
    }

    /// All ten.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        let others = [ROLE, FLUENT_CONF, HANDLER_TOML, HELM_VALUES];
        self.certificates().into_iter().chain(others)
    }

    /// Paths in `directory`.
    pub(crate) fn paths(directory: &Path, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| directory.join(name)).collect()
    }
}

/// A file that is to be written.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: zeroize::Zeroizing<String>,
}

impl File {
    pub(crate) fn new(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: zeroize::Zeroizing::new(text.into()) }
    }
}
