//! The log of Auth, over a connection of its own.

use std::sync::Arc;

use ev_config::Settings;
use ev_core::{
    AuthVersion, Cost, Credit, Decoder, Env, Flavour, Mode, Outcome, Output, RawEvent, Source as _,
    SpanQuery, SpanReader, peek,
};
use ev_decode::{NativeDecoder, Options};
use ev_pipeline::Identity;
use ev_source::{KeyedPages, KeyedQuery, TypedSource};

use crate::start::{Error, parts};

use super::boundary::{Log, Page, Stretch};
use super::plan::Entry;

/// Reads the log for a takeover.
pub(super) struct AuthLog {
    source: TypedSource,
    keyed: KeyedPages,
    span: Option<Box<dyn SpanReader>>,
    types: Vec<String>,
    /// For events without uid alone, which the log of Auth has none of as a rule.
    decoder: Option<NativeDecoder>,
}

impl AuthLog {
    /// Waits until Auth answers.
    ///
    /// # Errors
    ///
    /// What only an operator can mend.
    pub(super) async fn connect(settings: &Settings, env: &Arc<dyn Env>) -> Result<Self, Error> {
        // Whatever was in front of the place is delivered or was not wanted, of whatever type.
        let mut all = settings.clone();
        let types = std::mem::take(&mut all.ingest.types);
        let mut source = parts::source(&all, Arc::clone(env))?;
        source.survey().await?;
        let keyed = source.keyed_pages();
        let newest = ev_decode::embedded().into_iter().next_back();
        let options = Options { print_data: settings.json.print_data, login: false };
        // An id is made of Go's form, whatever is printed.
        let decoder = newest.map(|one| NativeDecoder::native(one.table, Flavour::Go, options));
        Ok(Self { source, keyed, span: None, types, decoder })
    }

    fn entry(&self, event: &RawEvent) -> Entry {
        let mut identity = Identity::of(event, None);
        if !identity.has_uid
            && let Some(outcome) = self.decoder.as_ref().and_then(|decoder| decode(decoder, event))
        {
            identity = Identity::of(event, Some(&outcome));
        }
        let kind = peek::metadata(&event.bytes).map(|peeked| peeked.kind).unwrap_or_default();
        let kind = kind.of(&event.bytes);
        let is_of_type =
            self.types.is_empty() || self.types.iter().any(|one| one.as_bytes() == kind);
        Entry { identity, is_of_type }
    }

    fn entries(&self, _version: &AuthVersion, events: &[RawEvent]) -> Vec<Entry> {
        events.iter().map(|event| self.entry(event)).collect()
    }
}

fn decode(decoder: &NativeDecoder, event: &RawEvent) -> Option<Outcome> {
    debug_assert!(matches!(decoder.cost(), Cost::Inline), "native decoding is no blocking work");
    let mut out = Output::default();
    decoder.decode(std::slice::from_ref(event), Mode::Strict, &mut out).ok()?;
    out.into_parts().1.pop()
}

impl Log for AuthLog {
    fn open(&mut self, from: i64, to: i64) {
        let query = SpanQuery { from, to, types: Vec::new() };
        self.span = Some(self.source.span(query));
    }

    async fn next(&mut self) -> Result<Option<Stretch>, Error> {
        let Self { source, span, .. } = self;
        let Some(span) = span else { return Ok(None) };
        let page = loop {
            // The source has to be asked too, or nobody would connect again.
            tokio::select! {
                biased;
                page = span.next() => break page?,
                event = ev_core::Source::next(source, Credit { pages: 0 }) => drop(event?),
            }
        };
        let Some(page) = page else { return Ok(None) };
        let gaps = page.gaps.iter().map(|gap| gap.from).collect();
        Ok(Some(Stretch { entries: self.entries(&page.version, &page.events), gaps }))
    }

    async fn page(&mut self, start: i64, key: &str) -> Result<Result<Page, String>, Error> {
        let query = KeyedQuery { start, types: self.types.clone(), key: key.to_owned() };
        let keyed = self.keyed.clone();
        let asked = keyed.page(&query);
        tokio::pin!(asked);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut asked => break answer,
                event = ev_core::Source::next(&mut self.source, Credit { pages: 0 }) => drop(event?),
            }
        };
        Ok(match answer {
            Ok(page) => {
                let entries = self.entries(&page.version, &page.events);
                Ok(Page { entries, next: page.next })
            }
            Err(refused) => Err(refused.reason),
        })
    }
}
