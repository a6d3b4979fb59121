//! The decoders that a run may use.

use std::sync::Arc;

use ev_config::{ArtifactPlace, EmbeddedTables, Settings};
use ev_core::{ArtifactSource, Decoder, Env, Flavour, StateStore, UnknownPolicy};
use ev_decode::{NativeDecoder, Options};
use ev_modules::{Directory, DirectorySource, Embedded, Parts, Registry, Trust};
use ev_modules_https::HttpsSource;
use ev_tls::CredentialFiles;
use ev_unstructured::UnstructuredDecoder;
use tracing::info;

use super::Error;
use crate::loading::{Loader, TABLE_FORMATS};

/// Reads the trust file; without one nobody is trusted.
pub(crate) fn trust(settings: &ev_config::Decoder) -> Result<Trust, Error> {
    match &settings.trust {
        Some(path) => Trust::read(path).map_err(|error| Error::setting("decoder.trust", error)),
        None => Ok(Trust::nobody()),
    }
}

/// Where artifacts are, besides Auth; opens nothing but certificates.
pub(crate) fn place(
    settings: &ev_config::Decoder,
    env: Arc<dyn Env>,
) -> Result<Option<Arc<dyn ArtifactSource>>, Error> {
    let source: Arc<dyn ArtifactSource> = match &settings.artifacts {
        None => return Ok(None),
        Some(ArtifactPlace::Directory(base)) => {
            let limits = Loader::size_limits(settings.allow_wasi_modules);
            let max_bytes = limits.module.max(limits.table);
            Arc::new(DirectorySource::new(Directory::new(base, max_bytes)))
        }
        Some(ArtifactPlace::Https { url, ca, client }) => {
            let mut config = ev_modules_https::Config::new(url);
            config.tls = CredentialFiles {
                ca: ca.clone(),
                certificate: client.as_ref().map(|client| client.cert.clone()),
                key: client.as_ref().map(|client| client.key.clone()),
                passphrase: None,
            };
            let source = HttpsSource::new(config, env);
            Arc::new(source.map_err(|error| Error::setting("decoder.artifacts", error))?)
        }
    };
    info!(from = source.name(), version_policy = ?settings.version_policy, "using decoder artifacts");
    Ok(Some(source))
}

/// What a registry is made from.
pub(crate) struct Needs<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) trust: Trust,
    pub(crate) flavour: Flavour,
    pub(crate) place: Option<Arc<dyn ArtifactSource>>,
    pub(crate) artifacts: Arc<dyn ArtifactSource>,
    /// Where good artifacts are kept.
    pub(crate) store: Option<Arc<dyn StateStore>>,
    pub(crate) env: Arc<dyn Env>,
}

pub(crate) fn registry(needs: &Needs<'_>) -> Result<Registry, Error> {
    let settings = &needs.settings.decoder;
    let wants_logins = wants_logins(needs.settings);
    let options = Options { print_data: needs.settings.json.print_data, login: wants_logins };
    let embedded = embedded(settings.embedded, needs.flavour, options);
    let reference: Arc<dyn Decoder> = match embedded.first() {
        Some(oldest) => oldest.decoder.clone(),
        None => return Err(Error::setting("decoder.embedded", "there is no embedded schema")),
    };
    let limits = Loader::size_limits(settings.allow_wasi_modules);
    let loader = Loader::new(needs.flavour, options, reference, settings.allow_wasi_modules)
        .map_err(|error| Error::system("failed to set up the module host", error))?;
    let mut sources: Vec<Arc<dyn ArtifactSource>> = Vec::new();
    // Without a trust file no artifact could be used, so none is asked for.
    if settings.trust.is_some() {
        sources.extend(needs.place.clone());
        sources.push(needs.artifacts.clone());
    }
    let registry_settings = ev_modules::Settings {
        exactness: match settings.exactness {
            ev_config::Exactness::Auth => ev_modules::Exactness::Auth,
            ev_config::Exactness::KnownNative => ev_modules::Exactness::KnownNative,
        },
        artifact_wait: settings.artifact_wait,
        unknown: match settings.unknown {
            ev_config::Unknown::Auto => None,
            ev_config::Unknown::Park => Some(UnknownPolicy::Park),
            ev_config::Unknown::Incomplete => Some(UnknownPolicy::Incomplete),
        },
        artifact_configured: settings.artifacts.is_some(),
        version_policy: match settings.version_policy {
            ev_config::VersionPolicy::Exact => ev_modules::VersionPolicy::Exact,
            ev_config::VersionPolicy::NearestNewerInMajor => {
                ev_modules::VersionPolicy::NearestNewerInMajor
            }
        },
        downgrade: match settings.downgrade {
            ev_config::Downgrade::Always => ev_modules::Downgrade::Always,
            ev_config::Downgrade::WithinMinor => ev_modules::Downgrade::WithinMinor,
            ev_config::Downgrade::Never => ev_modules::Downgrade::Never,
        },
        limits,
        table_formats: TABLE_FORMATS.to_vec(),
        ..ev_modules::Settings::default()
    };
    let parts = Parts {
        embedded,
        sources,
        trust: needs.trust.clone(),
        loader: Arc::new(loader),
        store: needs.store.clone(),
        env: needs.env.clone(),
    };
    Registry::try_new(parts, registry_settings).map_err(|error| Error::setting("decoder", error))
}

/// Whether decoders have to find what the lock-out of failed logins needs. A dry run locks nobody.
fn wants_logins(settings: &Settings) -> bool {
    settings.lock.is_some() && !settings.dry_run
}

/// What reads events of which Auth has made JSON.
pub(crate) fn unstructured(settings: &Settings) -> UnstructuredDecoder {
    let decoder = UnstructuredDecoder::new();
    if wants_logins(settings) { decoder.with_login() } else { decoder }
}

fn embedded(which: EmbeddedTables, flavour: Flavour, options: Options) -> Vec<Embedded> {
    let mut tables = ev_decode::embedded();
    if which == EmbeddedTables::Oldest {
        tables.truncate(1);
    }
    tables
        .into_iter()
        .map(|table| Embedded {
            auth_version: table.table.auth_version().clone(),
            schema_sha256: table.table.schema_sha256(),
            decoder: Arc::new(NativeDecoder::native(table.table, flavour, options)),
        })
        .collect()
}
