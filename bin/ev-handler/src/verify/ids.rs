//! What the events of the log are recognised by, as the handler itself does it.

use std::collections::HashSet;
use std::sync::Arc;

use ev_config::Settings;
use ev_core::{
    AuthVersion, Cost, Decoder, Env, EventDigest, Flavour, Form, Mode, Outcome, Output, RawEvent,
    SessionId, SpanPage,
};
use ev_pipeline::{Identity, SESSION_UPLOAD};
use ev_source::{AuthArtifacts, SearchSource};
use ev_state::StateReader;
use ev_unstructured::UnstructuredDecoder;
use tracing::{info, warn};

use super::compare::{Reading, Seen};
use crate::fetching::Fetching;
use crate::replay::send::name_of;
use crate::start::Error;

/// Facts of parked events read in one go.
const CHUNK: usize = 1_000;

/// Tells the ids of events.
pub(super) struct Ids {
    settings: Settings,
    artifacts: AuthArtifacts,
    env: Arc<dyn Env>,
    decoders: Option<Decoders>,
    /// What parked events are recognised by, once somebody has asked.
    parked: Option<HashSet<EventDigest>>,
}

/// What is needed for events without uid alone: their id is the digest of what Go prints of them.
struct Decoders {
    fetching: Fetching,
    /// The last version that was asked for, and what is used for it.
    chosen: Option<(AuthVersion, Option<Arc<dyn Decoder>>)>,
}

impl Ids {
    pub(super) fn new(settings: &Settings, source: &SearchSource, env: Arc<dyn Env>) -> Self {
        let (settings, artifacts) = (settings.clone(), source.artifacts());
        Self { settings, artifacts, env, decoders: None, parked: None }
    }

    /// Adds the events of a page.
    pub(super) async fn add(
        &mut self,
        page: &SpanPage,
        reading: &mut Reading,
    ) -> Result<(), Error> {
        for event in &page.events {
            match self.identify(&page.version, event, |second| reading.takes(second)).await? {
                Identified::Elsewhere => {}
                Identified::Seen(seen) => reading.add(seen),
                Identified::Not { second } => reading.add_unidentified(second),
            }
        }
        Ok(())
    }

    /// What an event is recognised by, if `takes` has a use for its second.
    ///
    /// # Errors
    ///
    /// When decoders cannot be had at all.
    pub(super) async fn identify(
        &mut self,
        version: &AuthVersion,
        event: &RawEvent,
        takes: impl Fn(i64) -> bool,
    ) -> Result<Identified, Error> {
        let identity = Identity::of(event, None);
        let second = identity.time.seconds();
        if !takes(second) {
            return Ok(Identified::Elsewhere);
        }
        // What is not decoded is recognised by its bytes: what a setting leaves out, and what was
        // parked as long as it is.
        // Of an unstructured event Auth has told what its id is.
        let is_told = identity.has_uid || event.form == Form::Unstructured;
        if is_told || self.is_left_out(event) || self.is_parked(&identity.digest)? {
            return Ok(Identified::seen(event, identity));
        }
        let Some(decoder) = self.decoder(version).await? else {
            return Ok(Identified::Not { second });
        };
        Ok(match decode(decoder, event.clone()).await {
            Some(outcome) => Identified::seen(event, Identity::of(event, Some(&outcome))),
            None => Identified::Not { second },
        })
    }

    /// Whether the handler has parked an event that it recognises by this.
    fn is_parked(&mut self, digest: &EventDigest) -> Result<bool, Error> {
        if self.parked.is_none() {
            let reader = StateReader::open(&self.settings.storage)?;
            let (mut parked, mut after) = (HashSet::new(), None);
            loop {
                let facts = reader.parked(after, CHUNK)?;
                let Some(last) = facts.last() else { break };
                after = Some(last.id);
                parked.extend(facts.iter().map(|facts| facts.digest));
            }
            self.parked = Some(parked);
        }
        Ok(self.parked.as_ref().is_some_and(|parked| parked.contains(digest)))
    }

    /// Whether a setting leaves out events of its type.
    fn is_left_out(&self, event: &RawEvent) -> bool {
        let kind = kind_of(event);
        self.settings.ingest.skip_event_types.iter().any(|skipped| skipped.as_bytes() == kind)
    }

    /// The recording that an event announces, as far as it can be told.
    ///
    /// # Errors
    ///
    /// When decoders cannot be had at all.
    pub(super) async fn announced(
        &mut self,
        version: &AuthVersion,
        event: &RawEvent,
    ) -> Result<Option<SessionId>, Error> {
        if kind_of(event) != SESSION_UPLOAD.as_bytes() {
            return Ok(None);
        }
        let decoder = match event.form {
            Form::OneOf => self.decoder(version).await?,
            Form::Unstructured => Some(Arc::new(UnstructuredDecoder::new()) as Arc<dyn Decoder>),
        };
        let Some(decoder) = decoder else { return Ok(None) };
        let facts = decode(decoder, event.clone()).await.and_then(|outcome| outcome.facts());
        Ok(facts.and_then(|facts| SessionId::try_new(facts.session.of(&event.bytes)).ok()))
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
            let fetching = Fetching::beside(&self.settings, Flavour::Go, artifacts, &self.env)?;
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

/// An event, as far as it can be told from others.
pub(super) enum Identified {
    /// It is of another hour, or of none.
    Elsewhere,
    Seen(Seen),
    /// Nobody can tell its id.
    Not {
        second: i64,
    },
}

impl Identified {
    fn seen(event: &RawEvent, identity: Identity) -> Self {
        let name = name_of(event.form, &event.bytes, &identity.digest).into();
        Self::Seen(Seen { identity, name })
    }
}

/// The type of an event; empty if it has none.
fn kind_of(event: &RawEvent) -> &[u8] {
    event.peek().map(|peeked| peeked.kind).unwrap_or_default().of(&event.bytes)
}

async fn decode(decoder: Arc<dyn Decoder>, event: RawEvent) -> Option<Outcome> {
    match decoder.cost() {
        Cost::Inline => outcome(&*decoder, event),
        Cost::Blocking => {
            tokio::task::spawn_blocking(move || outcome(&*decoder, event)).await.ok()?
        }
    }
}

fn outcome(decoder: &dyn Decoder, event: RawEvent) -> Option<Outcome> {
    let mut out = Output::default();
    decoder.decode(&[event], Mode::Strict, &mut out).ok()?;
    out.into_parts().1.pop()
}
