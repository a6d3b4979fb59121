//! Whether the events of Auth's version can be decoded exactly: by a schema that is built in, or
//! by an artifact that is offered, trusted and works.

use std::sync::Arc;

use ev_config::{EmbeddedTables, Road as Calling, Settings};
use ev_core::{
    ArtifactKind, ArtifactRequest, ArtifactSource, AuthVersion, Env, FetchedArtifact, Flavour,
    SignedArtifact, abi, within,
};
use ev_decode::{NativeDecoder, Options};
use ev_modules::{Expectation, Load as _, Refusal, Trust, verify};
use ev_source::Visit;
use ev_state::StateReader;

use super::LIMIT;
use super::auth::{Calls, named};
use super::finding::{Findings, Step};
use crate::chain::Chain;
use crate::loading::{Loader, TABLE_FORMATS};
use crate::start::decoders;

const KINDS: [ArtifactKind; 2] = [ArtifactKind::Table, ArtifactKind::Module];

/// The trust file; `None` when it cannot be used.
pub(super) fn trust(settings: &Settings, findings: &mut Findings) -> Option<Trust> {
    match (decoders::trust(&settings.decoder), &settings.decoder.trust) {
        (Ok(trust), Some(path)) => {
            findings.ok(Step::Trust, format!("`{}` can be read", path.display()));
            Some(trust)
        }
        (Ok(trust), None) => {
            findings.note(Step::Trust, "no trust file is set, so no artifact is taken");
            Some(trust)
        }
        (Err(error), _) => {
            let cure = "take the file that `ev-handler decoder keygen` wrote, and name it with \
                        `[decoder] trust`";
            findings.problem(Step::Trust, Chain(&error).to_string(), cure);
            None
        }
    }
}

pub(super) async fn examine(
    settings: &Settings,
    env: &Arc<dyn Env>,
    visit: &Visit,
    version: &AuthVersion,
    calls: Calls,
    findings: &mut Findings,
) {
    let Some(trust) = trust(settings, findings) else {
        return findings.not_tried(&[Step::Artifact], "the trust file cannot be used");
    };
    if matches!(settings.ingest.source, Calling::Unstructured | Calling::Export) {
        return findings.ok(Step::Artifact, "none is needed: Auth makes JSON of its events itself");
    }
    let mut embedded = ev_decode::embedded();
    if settings.decoder.embedded == EmbeddedTables::Oldest {
        embedded.truncate(1);
    }
    if embedded.iter().any(|table| table.table.auth_version() == version) {
        let what = format!("none is needed: the schema of {} is built in", named(version));
        return findings.ok(Step::Artifact, what);
    }
    let mut places: Vec<Arc<dyn ArtifactSource>> = Vec::new();
    if settings.decoder.trust.is_some() {
        match decoders::place(&settings.decoder, Arc::clone(env)) {
            Ok(place) => places.extend(place),
            Err(error) => {
                let cure = "correct `[decoder] artifacts`";
                findings.problem(Step::Artifact, Chain(&error).to_string(), cure);
            }
        }
        places.push(Arc::new(visit.artifacts()));
    }
    let examiner = Examiner { settings, env, version, trust };
    for place in &places {
        if examiner.ask(&**place, findings).await {
            return;
        }
    }
    if let Some(artifact) = kept(settings, version)
        && examiner.accepts("the state", artifact, findings).await
    {
        return;
    }
    nowhere(settings, version, calls, findings);
}

/// The artifact that an earlier run has kept.
fn kept(settings: &Settings, version: &AuthVersion) -> Option<SignedArtifact> {
    let artifacts = StateReader::open(&settings.storage).ok()?.artifacts().ok()?;
    artifacts.into_iter().find(|(kept, _)| kept == version).map(|(_, artifact)| artifact)
}

/// Nobody has one that can be used.
fn nowhere(settings: &Settings, version: &AuthVersion, calls: Calls, findings: &mut Findings) {
    let what =
        format!("the schema of {} is not built in, and no artifact can be used", named(version));
    if settings.ingest.source == Calling::Auto && (calls.unstructured || calls.export) {
        let what =
            format!("{what}; Auth makes JSON of its events itself then, where the flavour allows");
        return findings.note(Step::Artifact, what);
    }
    let cure = "make one from Teleport's protobuf files (`ev-handler decoder build`, `decoder \
                sign`) and name its place with `[decoder] artifacts` and the key with `[decoder] \
                trust`; until then what the nearest schema knows is sent, and unknown events are \
                kept";
    findings.warning(Step::Artifact, what, cure);
}

struct Examiner<'a> {
    settings: &'a Settings,
    env: &'a Arc<dyn Env>,
    version: &'a AuthVersion,
    trust: Trust,
}

impl Examiner<'_> {
    /// Whether the place has one that can be used.
    async fn ask(&self, place: &dyn ArtifactSource, findings: &mut Findings) -> bool {
        let limits = Loader::size_limits(self.settings.decoder.allow_wasi_modules);
        let request = ArtifactRequest {
            auth_version: self.version.clone(),
            kinds: KINDS.to_vec(),
            module_abis: vec![abi::ABI_VERSION],
            table_formats: TABLE_FORMATS.to_vec(),
            held_sha256: None,
            max_bytes: limits.of_any(&KINDS),
        };
        let cure = "see that the place can be reached; the handler tries for ever and keeps the \
                    last good artifact";
        match within(&**self.env, LIMIT, place.fetch(request)).await {
            Some(Ok(FetchedArtifact::Artifact(artifact))) => {
                self.accepts(place.name(), artifact, findings).await
            }
            Some(Ok(FetchedArtifact::NotOffered | FetchedArtifact::NotModified)) => {
                let what = format!("{} offers none for {}", place.name(), named(self.version));
                findings.note(Step::Artifact, what);
                false
            }
            Some(Err(error)) => {
                findings.warning(Step::Artifact, Chain(&error).to_string(), cure);
                false
            }
            None => {
                let what = format!("{} did not answer within {} s", place.name(), LIMIT.as_secs());
                findings.warning(Step::Artifact, what, cure);
                false
            }
        }
    }

    /// Whether it passes the checks that the handler makes.
    async fn accepts(&self, from: &str, artifact: SignedArtifact, findings: &mut Findings) -> bool {
        let decoder = &self.settings.decoder;
        let expectation = Expectation {
            auth_version: self.version,
            kinds: &KINDS,
            module_abis: &[abi::ABI_VERSION],
            table_formats: &TABLE_FORMATS,
            limits: Loader::size_limits(decoder.allow_wasi_modules),
            now: self.env.now(),
        };
        let verified = match verify(&artifact, &self.trust, &expectation) {
            Ok(verified) => verified,
            Err(refusal) => {
                let what = format!("that of {from} is refused: {refusal}");
                findings.problem(Step::Artifact, what, cure(&refusal));
                return false;
            }
        };
        let kind = verified.manifest().kind.as_str();
        let allow_wasi = decoder.allow_wasi_modules;
        // Compiling takes a while, and blocks.
        let loaded = tokio::task::spawn_blocking(move || {
            let embedded = ev_decode::embedded();
            let Some(reference) = embedded.first() else { anyhow::bail!("no schema is built in") };
            let options = Options::default();
            let table = reference.table.clone();
            let reference = Arc::new(NativeDecoder::native(table, Flavour::Go, options));
            let loader = Loader::new(Flavour::Go, options, reference, allow_wasi)?;
            Ok(loader.load(verified).map(drop)?)
        });
        match within(&**self.env, LIMIT, loaded).await {
            Some(Ok(Ok(()))) => {
                let version = named(self.version);
                let what =
                    format!("{from} has a {kind} for {version}: trusted, and it passes its test");
                findings.ok(Step::Artifact, what);
                true
            }
            Some(Ok(Err(error))) => {
                let what = format!("the {kind} of {from} is trusted and cannot be used: {error:#}");
                let cure =
                    "build it anew with this release's `ev-handler decoder build`, and sign it";
                findings.problem(Step::Artifact, what, cure);
                false
            }
            Some(Err(_)) | None => {
                let what =
                    format!("the {kind} of {from} was not ready within {} s", LIMIT.as_secs());
                let cure = "give the handler more processor time, or take a table";
                findings.warning(Step::Artifact, what, cure);
                false
            }
        }
    }
}

fn cure(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UntrustedKey { .. } => {
            "add the key that signed it to the trust file (`[decoder] trust`), if you trust it; or \
             sign the artifact with a key that is there (`ev-handler decoder sign`)"
        }
        Refusal::KeyExpired { .. } | Refusal::KeyNotYetValid { .. } => {
            "sign the artifact with a key that counts now, or extend the key in the trust file; \
             see that the clock is right"
        }
        Refusal::OtherAuthVersion { .. } => {
            "put the artifact of exactly this version there (`ev-handler decoder build --version`)"
        }
        Refusal::Revoked { .. } | Refusal::TooOld { .. } => {
            "build and sign a newer one: the trust file does not take this one any more"
        }
        _ => "build and sign it anew; what came is damaged, or was changed on the way",
    }
}
