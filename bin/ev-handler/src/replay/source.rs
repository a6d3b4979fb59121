//! A span of the log as a source of its own, so that an engine can send it.
//!
//! Reads the span beside the lanes, in slices, each of which is a lane: what is remembered of a
//! slice can be forgotten when the next one is read. Every event is in exactly one slice, by its
//! time. Connecting and everything else about Auth is the real source's.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ev_core::{
    AuthVersion, BoxFuture, Credit, LaneGap, LaneId, Lanes, Mark, Page, RawEvent, Resume, Road,
    Source, SourceError, SourceEvent, SpanPage, SpanQuery, SpanReader, Survey, Timestamp, Token,
};
use tokio::sync::Mutex;

/// Seconds of a slice: their ids are kept until the slice behind the next one begins.
const SLICE: i64 = 6 * 3600;

/// Layout of our tokens: a second since 1970-01-01T00:00:00Z, big-endian. Everything of the lane
/// in front of it is settled.
const TOKEN_FORMAT: u8 = 1;

/// What a future gives back that reads a page.
type Read = (Box<dyn SpanReader>, Result<Option<SpanPage>, SourceError>);

/// Where reading stands.
enum Reading {
    /// The next slice has to be opened.
    Between,
    /// Nothing was asked for.
    Idle(Box<dyn SpanReader>),
    /// A page was asked for. Kept over calls, or whatever else happens would have the search begun
    /// again, and a slow Auth never come to its end.
    Busy(BoxFuture<'static, Read>),
    /// There is no more.
    Over,
}

/// A span of the log, presented as lanes.
pub(crate) struct SpanSource {
    upstream: Arc<Mutex<dyn Source>>,
    survey: Survey,
    types: Vec<String>,
    /// What no slice was begun of.
    rest: Range<i64>,
    /// Reads the first slice instead of the upstream's own reader.
    reader: Option<Box<dyn SpanReader>>,
    slice: Range<i64>,
    reading: Reading,
    ready: VecDeque<SourceEvent>,
    /// Everything of the slice in front of this second has been yielded.
    reached: i64,
}

impl SpanSource {
    /// The events of these seconds, of these types; of those that `upstream` is set up for if there
    /// are none. `survey` is what `upstream` said last.
    pub(crate) fn new(
        upstream: Arc<Mutex<dyn Source>>,
        survey: Survey,
        span: Range<i64>,
        types: Vec<String>,
    ) -> Self {
        Self {
            upstream,
            survey,
            types,
            reader: None,
            slice: span.start..span.start,
            reading: Reading::Between,
            ready: VecDeque::new(),
            reached: span.start,
            rest: span,
        }
    }

    /// What `reader` yields of these seconds, whatever it reads. For spans of a slice at most.
    pub(crate) fn through(
        upstream: Arc<Mutex<dyn Source>>,
        survey: Survey,
        span: Range<i64>,
        reader: Box<dyn SpanReader>,
    ) -> Self {
        let mut source = Self::new(upstream, survey, span, Vec::new());
        source.reader = Some(reader);
        source
    }

    /// The version that Auth reported last.
    pub(super) fn version(&self) -> &AuthVersion {
        &self.survey.version
    }

    /// Waits for something else, and keeps the connection up meanwhile. Before the span is read.
    ///
    /// # Errors
    ///
    /// Those of the upstream.
    pub(super) async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = T>,
    ) -> Result<T, SourceError> {
        tokio::pin!(other);
        let mut upstream = self.upstream.lock().await;
        loop {
            tokio::select! {
                biased;
                done = &mut other => return Ok(done),
                event = upstream.next(Credit { pages: 0 }) => {
                    if let SourceEvent::Upstream(survey) = event? {
                        self.survey = survey;
                    }
                }
            }
        }
    }

    /// Asks for a page, or begins a slice.
    async fn begin(&mut self) {
        match std::mem::replace(&mut self.reading, Reading::Between) {
            Reading::Idle(mut reader) => {
                self.reading = Reading::Busy(Box::pin(async move {
                    let page = reader.next().await;
                    (reader, page)
                }));
            }
            Reading::Between => {
                let Some(slice) = self.next_slice() else {
                    self.reading = Reading::Over;
                    return;
                };
                let reader = match self.reader.take() {
                    Some(reader) => reader,
                    None => {
                        let Range { start: from, end: to } = slice;
                        let query = SpanQuery { from, to, types: self.types.clone() };
                        self.upstream.lock().await.span(query)
                    }
                };
                self.rest.start = slice.end;
                self.reached = slice.start;
                self.slice = slice;
                self.reading = Reading::Idle(reader);
            }
            other @ (Reading::Busy(_) | Reading::Over) => self.reading = other,
        }
    }

    fn next_slice(&self) -> Option<Range<i64>> {
        let Range { start, end } = self.rest;
        (start < end).then(|| start..start.saturating_add(SLICE).min(end))
    }

    fn lane(&self) -> LaneId {
        LaneId::Window { start: self.slice.start, pass: 0 }
    }

    /// A page is there, or the end of the slice.
    fn take(&mut self, page: Option<SpanPage>) {
        let lane = self.lane();
        let Some(SpanPage { version, events, gaps }) = page else {
            return self.end_slice(lane);
        };
        let events: Vec<RawEvent> = events.into_iter().filter(|event| self.takes(event)).collect();
        let mark = Mark { after: events.len(), token: token_at(self.reached) };
        let page = Page {
            lane: lane.clone(),
            version: version.clone(),
            events,
            marks: vec![mark],
            // A search that is begun again brings everything again.
            repeats: true,
        };
        self.survey.version = version.clone();
        self.ready.push_back(SourceEvent::Page(page));
        for gap in gaps.into_iter().filter(|gap| self.slice.contains(&gap.from)) {
            let (lane, version) = (lane.clone(), version.clone());
            self.ready.push_back(SourceEvent::Gap(LaneGap { lane, version, gap }));
        }
    }

    /// Whether an event is of the slice. One whose time nobody can read is: it can be of no other
    /// that would bring it.
    fn takes(&mut self, event: &RawEvent) -> bool {
        let time = event.peek().map(|peeked| peeked.time);
        let Some(time) = time.filter(|time| *time != Timestamp::ZERO_YEAR_ONE) else { return true };
        let takes = self.slice.contains(&time.seconds());
        if takes {
            // Others of the same second may follow.
            self.reached = self.reached.max(time.seconds());
        }
        takes
    }

    fn end_slice(&mut self, lane: LaneId) {
        self.reading = Reading::Between;
        self.ready.push_back(SourceEvent::Page(Page {
            lane: lane.clone(),
            version: self.survey.version.clone(),
            events: Vec::new(),
            marks: vec![Mark { after: 0, token: token_at(self.slice.end) }],
            repeats: true,
        }));
        let opened = self.next_slice().map(lane_of).into_iter().collect::<Vec<_>>();
        let is_last = opened.is_empty();
        let lanes = Lanes { opened, ended: vec![lane.clone()], retired: vec![lane] };
        self.ready.push_back(SourceEvent::Lanes(lanes));
        if is_last {
            self.reading = Reading::Over;
            self.ready.push_back(SourceEvent::CaughtUp);
        }
    }

    async fn next(&mut self, credit: Credit) -> Result<SourceEvent, SourceError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            while credit.pages > 0 && matches!(self.reading, Reading::Between | Reading::Idle(_)) {
                self.begin().await;
            }
            let mut upstream = self.upstream.lock().await;
            tokio::select! {
                biased;
                // Versions first, and nobody else would connect again.
                event = upstream.next(Credit { pages: 0 }) => {
                    if let SourceEvent::Upstream(survey) = event? {
                        self.survey = survey.clone();
                        return Ok(SourceEvent::Upstream(survey));
                    }
                }
                (reader, page) = read(&mut self.reading) => {
                    drop(upstream);
                    self.reading = Reading::Idle(reader);
                    self.take(page?);
                }
            }
        }
    }
}

/// Waits for the page that was asked for; for ever if none was.
async fn read(reading: &mut Reading) -> Read {
    match reading {
        Reading::Busy(read) => read.await,
        Reading::Between | Reading::Idle(_) | Reading::Over => std::future::pending().await,
    }
}

fn lane_of(slice: Range<i64>) -> (LaneId, Token) {
    (LaneId::Window { start: slice.start, pass: 0 }, token_at(slice.start))
}

fn token_at(second: i64) -> Token {
    let bytes = Bytes::copy_from_slice(&second.to_be_bytes());
    Token { road: Road::Typed, format: TOKEN_FORMAT, bytes }
}

/// The second that a token of ours stands at.
pub(super) fn second_of(token: &Token) -> Option<i64> {
    let bytes = token.bytes[..].try_into().ok().filter(|_| token.format == TOKEN_FORMAT)?;
    Some(i64::from_be_bytes(bytes))
}

impl Source for SpanSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async move { Ok(self.survey.clone()) })
    }

    fn resume(&mut self, _: Resume) -> Result<(), SourceError> {
        self.ready.push_back(SourceEvent::Upstream(self.survey.clone()));
        match self.next_slice() {
            Some(first) => {
                let lanes = Lanes { opened: vec![lane_of(first)], ..Lanes::default() };
                self.ready.push_back(SourceEvent::Lanes(lanes));
            }
            None => {
                self.reading = Reading::Over;
                self.ready.push_back(SourceEvent::CaughtUp);
            }
        }
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(self.next(credit))
    }

    /// There are no lanes but the span's own.
    fn open(&mut self, _: &LaneId, from: Option<Token>) -> Token {
        from.unwrap_or_else(|| token_at(self.slice.start))
    }

    fn close(&mut self, _: &LaneId) {}

    fn span(&self, _: SpanQuery) -> Box<dyn SpanReader> {
        Box::new(Nothing)
    }
}

/// Spans of a span are nobody's business.
struct Nothing;

impl SpanReader for Nothing {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<SpanPage>, SourceError>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests;
