//! What the events of the log are recognised by, as the handler itself does it.

use std::sync::Arc;

use ev_config::Settings;
use ev_core::{
    AuthVersion, Cost, Decoder, Env, EventDigest, Facts, Flavour, Mode, Outcome, Output, RawEvent,
    SpanPage, Timestamp, peek,
};
use ev_source::{AuthArtifacts, TypedSource};
use ring::digest::{SHA256, digest};
use tracing::{info, warn};

use super::compare::{Reading, Seen};
use crate::fetching::Fetching;
use crate::start::Error;

/// Tells the ids of events.
pub(super) struct Ids {
    settings: Settings,
    artifacts: AuthArtifacts,
    env: Arc<dyn Env>,
    decoders: Option<Decoders>,
}

/// What is needed for events without uid alone: their id is the digest of what Go prints of them.
struct Decoders {
    fetching: Fetching,
    /// The last version that was asked for, and what is used for it.
    chosen: Option<(AuthVersion, Option<Arc<dyn Decoder>>)>,
}

impl Ids {
    pub(super) fn new(settings: &Settings, source: &TypedSource, env: Arc<dyn Env>) -> Self {
        let (settings, artifacts) = (settings.clone(), source.artifacts());
        Self { settings, artifacts, env, decoders: None }
    }

    /// Adds the events of a page.
    pub(super) async fn add(
        &mut self,
        page: &SpanPage,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        for event in &page.events {
            let Some(peeked) = peek::metadata(&event.bytes) else {
                // Without metadata it has no time, so it is of no hour.
                continue;
            };
            let second = peeked.time.seconds();
            if !reading.takes(second) {
                continue;
            }
            if !peeked.uid.is_empty() {
                let uid = peeked.uid.of(&event.bytes);
                let name = String::from_utf8_lossy(uid).into();
                let digest = EventDigest::of(&sha256(uid));
                reading.add(Seen { digest, index: peeked.index, second, name });
                continue;
            }
            match self.decoder(&page.version).await? {
                Some(decoder) => match decode(decoder, event.clone(), &peeked).await {
                    Some(seen) => reading.add(seen),
                    None => reading.add_unidentified(second),
                },
                None => reading.add_unidentified(second),
            }
        }
        Ok(())
    }

    /// Ends what runs beside.
    ///
    /// # Errors
    ///
    /// If it had panicked.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        match self.decoders.take() {
            None => Ok(()),
            Some(Decoders { fetching, .. }) => fetching.end().await,
        }
    }

    /// What decodes events of that version, if it is to be had.
    async fn decoder(&mut self, version: &AuthVersion) -> Result<Option<Arc<dyn Decoder>>, Error> {
        if self.decoders.is_none() {
            // The flavour is of no importance: an id is made of Go's form whatever is printed.
            let artifacts = self.artifacts.clone();
            let fetching = Fetching::start(&self.settings, Flavour::Go, artifacts, &self.env)?;
            self.decoders = Some(Decoders { fetching, chosen: None });
        }
        let Some(Decoders { fetching, chosen }) = &mut self.decoders else { return Ok(None) };
        if let Some((of, decoder)) = chosen
            && of == version
        {
            return Ok(decoder.clone());
        }
        let decoder = fetching.decoder(version).await;
        match &decoder {
            Some(decoder) => info!(decoder = %decoder.identity(), "decoding events without uid"),
            None => warn!(%version, "no decoder: events without uid cannot be compared"),
        }
        *chosen = Some((version.clone(), decoder.clone()));
        Ok(decoder)
    }
}

/// What an event without uid is recognised by.
async fn decode(decoder: Arc<dyn Decoder>, event: RawEvent, peeked: &peek::Peeked) -> Option<Seen> {
    let decoding = event.clone();
    let outcome = match decoder.cost() {
        Cost::Inline => outcome(&*decoder, decoding),
        Cost::Blocking => {
            tokio::task::spawn_blocking(move || outcome(&*decoder, decoding)).await.ok()?
        }
    };
    let facts = match outcome? {
        Outcome::Decoded { facts, .. } => Some(facts),
        Outcome::Unknown { facts, .. } | Outcome::Unprintable { facts, .. } => facts,
        Outcome::Malformed { .. } => None,
    };
    let facts = facts.filter(|facts: &Facts| facts.digest.is_some() || !facts.uid.is_empty());
    let (digest, index, time, name) = match facts {
        Some(facts) => {
            let digest = facts.event_digest(&event.bytes, sha256);
            (digest, facts.index, facts.time, facts.id(&event.bytes))
        }
        // The handler has nothing but the bytes to go by either.
        None => {
            let digest = EventDigest::of(&sha256(&event.bytes));
            (digest, peeked.index, peeked.time, format!("{digest:?}"))
        }
    };
    let second = Timestamp::seconds(time);
    Some(Seen { digest, index, second, name: name.into() })
}

fn outcome(decoder: &dyn Decoder, event: RawEvent) -> Option<Outcome> {
    let mut out = Output::default();
    decoder.decode(&[event], Mode::Strict, &mut out).ok()?;
    out.into_parts().1.pop()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
