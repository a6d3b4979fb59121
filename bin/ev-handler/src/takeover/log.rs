//! The log of Auth, over a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use ev_config::Settings;
use ev_core::{
    Cost, Credit, Date, Decoder, Env, Flavour, Form, Mode, Outcome, Output, RawEvent, Road,
    Source as _, SpanQuery, SpanReader,
};
use ev_decode::{NativeDecoder, Options};
use ev_pipeline::Identity;
use ev_source::{ChunkEvents, KeyedPages, KeyedQuery, Offers, SearchSource};
use ev_unstructured::UnstructuredDecoder;
use tracing::debug;

use crate::chain::Chain;
use crate::progress::Progress;
use crate::start::{Error, parts};

use super::boundary::{Log, Page, Stretch};
use super::plan::Entry;

/// Before Auth is asked again what it offers.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads the log for a takeover.
pub(super) struct AuthLog {
    source: Box<SearchSource>,
    progress: Progress,
    /// Whether Auth offers to be searched at all.
    searches: bool,
    keyed: KeyedPages,
    chunks: ChunkEvents,
    span: Option<Box<dyn SpanReader>>,
    types: Vec<String>,
    /// For events without uid alone, which the log of Auth has none of as a rule.
    typed: Option<NativeDecoder>,
    unstructured: UnstructuredDecoder,
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
        let mut source = Box::new(parts::source(&all, Arc::clone(env))?);
        let version = source.survey().await?.version;
        let mut progress = Progress::begin("looking in auth's log", env);
        let offers = offers(&mut source, &mut progress, env).await?;
        let searches = offers.typed || offers.unstructured;
        if offers.unstructured && !offers.typed {
            source.take_road(Road::Unstructured)?;
        } else if offers.typed && !offers.unstructured {
            source.take_road(Road::Typed)?;
        }
        let (keyed, chunks) = (source.keyed_pages(), source.chunk_events());
        // What Auth itself knows of events; where it is not there, the one that knows most.
        let mut tables = ev_decode::embedded();
        let exact = tables.iter().position(|one| *one.table.auth_version() == version);
        let table = exact.map(|at| tables.swap_remove(at)).or_else(|| tables.pop());
        let options = Options { print_data: settings.json.print_data, login: false };
        // An id is made of Go's form, whatever is printed.
        let typed = table.map(|one| NativeDecoder::native(one.table, Flavour::Go, options));
        let unstructured = UnstructuredDecoder::new();
        Ok(Self {
            source,
            progress,
            searches,
            keyed,
            chunks,
            span: None,
            types,
            typed,
            unstructured,
        })
    }

    fn entry(&self, event: &RawEvent) -> Entry {
        let peeked = event.peek();
        let kind = peeked.map(|peeked| peeked.kind).unwrap_or_default().of(&event.bytes);
        let is_of_type =
            self.types.is_empty() || self.types.iter().any(|one| one.as_bytes() == kind);
        let mut identity = Identity::of(event, None);
        if !identity.has_uid {
            identity = Identity::of(event, self.decode(event).as_ref());
        }
        Entry { identity, is_of_type }
    }

    fn decode(&self, event: &RawEvent) -> Option<Outcome> {
        let decoder: &dyn Decoder = match event.form {
            Form::OneOf => self.typed.as_ref()?,
            Form::Unstructured => &self.unstructured,
        };
        debug_assert!(matches!(decoder.cost(), Cost::Inline), "neither is blocking work");
        let mut out = Output::default();
        decoder.decode(std::slice::from_ref(event), Mode::Strict, &mut out).ok()?;
        out.into_parts().1.pop()
    }

    fn entries(&mut self, events: &[RawEvent]) -> Vec<Entry> {
        let entries: Vec<Entry> = events.iter().map(|event| self.entry(event)).collect();
        self.note(&entries);
        entries
    }

    fn note(&mut self, entries: &[Entry]) {
        let facts = &mut self.progress.facts;
        facts.events += entries.len() as u64;
        if let Some(last) = entries.last() {
            facts.position = Some(last.identity.time.seconds());
        }
        self.progress.tell();
    }
}

/// Waits for something, and keeps the connection up meanwhile.
async fn meanwhile<T>(
    source: &mut SearchSource,
    progress: &mut Progress,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    tokio::pin!(work);
    loop {
        // The source has to be asked too, or nobody would connect again.
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            event = ev_core::Source::next(source, Credit { pages: 0 }) => drop(event?),
            () = progress.due() => progress.tell(),
        }
    }
}

/// By which calls the log can be read; waits until Auth says.
async fn offers(
    source: &mut SearchSource,
    progress: &mut Progress,
    env: &Arc<dyn Env>,
) -> Result<Offers, Error> {
    let roads = source.roads();
    let asked = async {
        loop {
            match roads.offered().await {
                Ok(offers) => return offers,
                Err(error) => debug!(error = %Chain(&error), "cannot ask auth what it offers"),
            }
            env.sleep(PAUSE).await;
        }
    };
    meanwhile(source, progress, asked).await
}

impl Log for AuthLog {
    fn open(&mut self, from: i64, to: i64) {
        let query = SpanQuery { from, to, types: Vec::new() };
        self.span = Some(self.source.span(query));
    }

    async fn next(&mut self) -> Result<Option<Stretch>, Error> {
        let Self { source, progress, span: Some(span), searches: true, .. } = self else {
            return Ok(None);
        };
        let page = meanwhile(source, progress, span.next()).await??;
        let Some(page) = page else { return Ok(None) };
        let gaps = page.gaps.iter().map(|gap| gap.from).collect();
        Ok(Some(Stretch { entries: self.entries(&page.events), gaps }))
    }

    async fn chunk(
        &mut self,
        date: Date,
        chunk: &str,
        up_to: Option<&str>,
    ) -> Result<Result<Vec<Entry>, String>, Error> {
        let mut reader = self.chunks.read(date, chunk);
        let mut entries = Vec::new();
        loop {
            let part = meanwhile(&mut self.source, &mut self.progress, reader.next()).await?;
            let part = match part {
                Ok(Some(part)) => part,
                Ok(None) if up_to.is_none() => return Ok(Ok(entries)),
                Ok(None) => return Ok(Err("no event of it has the noted cursor".to_owned())),
                Err(refused) => return Ok(Err(refused.reason)),
            };
            let before = entries.len();
            for (event, cursor) in &part.events {
                entries.push(self.entry(event));
                if up_to == Some(cursor.as_str()) {
                    return Ok(Ok(entries));
                }
            }
            self.note(entries.get(before..).unwrap_or_default());
        }
    }

    async fn page(&mut self, start: i64, key: &str) -> Result<Result<Page, String>, Error> {
        let query = KeyedQuery { start, types: self.types.clone(), key: key.to_owned() };
        if !self.searches {
            return Ok(Err("it does not offer to be searched".to_owned()));
        }
        let keyed = self.keyed.clone();
        let answer = meanwhile(&mut self.source, &mut self.progress, keyed.page(&query)).await?;
        Ok(match answer {
            Ok(page) => {
                let entries = self.entries(&page.events);
                Ok(Page { entries, next: page.next })
            }
            Err(refused) => Err(refused.reason),
        })
    }
}
