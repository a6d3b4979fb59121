//! The loop that owns everything, and the order in which it looks at things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    AuthVersion, BoxFuture, Change, Choice, Credit, Decoder, DecoderSet, Env, Epoch, EventDigest,
    LaneId, ParkedId, Resume, Road, Route, SessionId, Sink, SinkId, Snapshot, Source, SourceEvent,
    StateStore, Timestamp, Verdict,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::batches::{Batches, Parcel};
use crate::hold::Held;
use crate::lanes::{LaneBook, LeftOver};
use crate::ledger::Ledger;
use crate::parking::Round;
use crate::rates::Rates;
use crate::receiver::Receivers;
use crate::reopen::StoppedLanes;
use crate::room::Room;
use crate::status::Questions;
use crate::{Config, Error, Exec, Inspector, Summary, Unknown};

/// Pages a source may ask for at one time while there is room.
const PAGES_OF_CREDIT: usize = 4;

/// What an engine is put together from.
pub struct Parts {
    /// Who reads the log.
    pub source: Box<dyn Source>,
    /// Which decoder fits which version.
    pub decoders: Arc<dyn DecoderSet>,
    /// What decodes events that Auth has made JSON of, of whatever version.
    pub unstructured: Arc<dyn Decoder>,
    /// Who takes the JSON.
    pub sink: Arc<dyn Sink>,
    /// What survives a restart.
    pub store: Arc<dyn StateStore>,
    /// Clock, sleep and chance.
    pub env: Arc<dyn Env>,
    /// The sink's name in the state.
    pub sink_id: SinkId,
    /// What the state held when the sink was opened.
    pub snapshot: Snapshot,
    /// The road to read by.
    pub road: Road,
    /// Where blocking work runs.
    pub exec: Exec,
    /// How to behave.
    pub config: Config,
}

/// Moves events from one source to one sink; see the crate's front page.
pub struct Engine {
    source: Box<dyn Source>,
    core: Core,
    inspector: Inspector,
}

/// Everything but the source, which is borrowed while it is read from.
pub(crate) struct Core {
    pub(crate) road: Road,
    pub(crate) decoders: Arc<dyn DecoderSet>,
    pub(crate) unstructured: Arc<dyn Decoder>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) sink_id: SinkId,
    pub(crate) epoch: Epoch,
    pub(crate) exec: Exec,
    pub(crate) config: Config,

    pub(crate) book: LaneBook,
    /// Where the log was read by another road.
    pub(crate) left_over: LeftOver,
    pub(crate) batches: Batches,
    pub(crate) in_flight: FuturesUnordered<BoxFuture<'static, (Parcel, Verdict)>>,
    pub(crate) receivers: Receivers,
    pub(crate) room: Room,
    pub(crate) ledger: Ledger,
    /// Recordings with a batch under way or delayed: order is kept inside them.
    pub(crate) busy: BTreeSet<Route>,
    pub(crate) last_route: Option<Route>,

    pub(crate) change: Change,
    /// When the first thing that is not committed yet happened.
    pub(crate) change_since: Option<Duration>,
    pub(crate) change_events: usize,
    pub(crate) change_park_bytes: usize,

    pub(crate) retrying: BTreeSet<ParkedId>,
    /// Ids of parked events that had none when they were parked.
    pub(crate) learned: BTreeMap<ParkedId, EventDigest>,
    pub(crate) round: Option<Round>,
    pub(crate) next_round: Duration,
    /// Whether the timer may find something: the state may hold parked events that can become
    /// decodable without another decoder.
    pub(crate) worth_a_round: bool,
    pub(crate) version: Option<AuthVersion>,
    /// Until when reading waits for the decoder of `version`.
    patience: Option<Duration>,
    /// Recordings announced by events that are delivered now.
    pub(crate) announced: Vec<SessionId>,
    pub(crate) stopped: StoppedLanes,
    pub(crate) held: Held,
    /// A trial has failed since a page was taken.
    pub(crate) needs_proof: bool,
    pub(crate) caught_up: bool,
    questions: Questions,
    pub(crate) rates: Rates,
    pub(crate) unknown: Unknown,
    pub(crate) summary: Summary,
}

impl Engine {
    /// Takes up where the snapshot says.
    ///
    /// # Errors
    ///
    /// When the source cannot read a resume point.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { mut source, decoders, sink, store, env, sink_id, mut snapshot, .. } = parts;
        let (road, unstructured) = (parts.road, parts.unstructured);
        let rows = std::mem::take(&mut snapshot.lanes);
        let reading = LeftOver::reading(snapshot.reading, road, env.now().seconds());
        let is_new = snapshot.reading != Some(reading);
        let change = Change { reading: is_new.then_some(reading), ..Change::default() };
        let (rows, left_over) = LeftOver::part(rows, reading);
        let mut book = LaneBook::restore(&rows);
        book.wait_since(env.now().seconds());
        let taken_over = left_over.begin().map(|second| Timestamp::new(second, 0));
        source.resume(Resume {
            road,
            lanes: book.unfinished(),
            closed: book.closed().into_iter().chain(LaneBook::done_chunks(&rows)).collect(),
            start_time: taken_over.unwrap_or(snapshot.start_time).max(snapshot.start_time),
        })?;
        if let Some(watcher) = &parts.config.watcher {
            watcher.restored(&snapshot);
        }
        let shape = sink.shape();
        let (inspector, questions) = Inspector::new();
        let core = Core {
            next_round: env.monotonic(),
            epoch: snapshot.epoch,
            exec: parts.exec,
            receivers: Receivers::new(shape.max_in_flight, parts.config.fixed_in_flight),
            ledger: Ledger::new(&snapshot.ledger_key),
            room: Room::new(
                parts.config.max_parked_events,
                parts.config.max_parked_bytes,
                snapshot.totals.parked,
                snapshot.parked_bytes,
            ),
            config: parts.config,
            book,
            left_over,
            batches: Batches::new(shape),
            in_flight: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            last_route: None,
            change,
            change_since: None,
            change_events: 0,
            change_park_bytes: 0,
            retrying: BTreeSet::new(),
            learned: BTreeMap::new(),
            round: None,
            worth_a_round: true,
            version: snapshot.seen_version,
            patience: None,
            announced: Vec::new(),
            stopped: StoppedLanes::restore(snapshot.session_trouble),
            held: Held::default(),
            needs_proof: false,
            caught_up: false,
            questions,
            rates: Rates::new(env.monotonic(), snapshot.totals.sessions),
            unknown: Unknown::default(),
            summary: Summary { totals: snapshot.totals, ..Summary::default() },
            road,
            decoders,
            unstructured,
            sink,
            store,
            env,
            sink_id,
        };
        Ok(Self { source, core, inspector })
    }

    /// By which it can be asked what it is doing while it runs.
    pub fn inspector(&self) -> Inspector {
        self.inspector.clone()
    }

    /// Runs until `stop` is cancelled, or until there is nothing left to do if the configuration
    /// asks for that. Then finishes what is under way within the grace period and commits.
    ///
    /// Dropping the future is like a crash: nothing is lost, what was sent and not committed is
    /// sent again.
    ///
    /// # Errors
    ///
    /// What waiting cannot mend: see [`Error`]. When it is the source that cannot go on, what is
    /// under way is finished and committed all the same.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Summary, Error> {
        let core = &mut self.core;
        core.read_recordings(&stop).await?;
        let mut generation = core.decoders.generation();
        let ended = loop {
            core.config.pulse.beat();
            core.open_announced(&mut *self.source);
            core.reopen_stopped(&mut *self.source);
            core.hold_recordings(&mut *self.source);
            core.advance(&stop).await?;
            // A change of the decoders that was not looked at yet may begin a round.
            let is_finished = core.is_finished() && generation == core.decoders.generation();
            if core.config.exit_on_last_event && is_finished {
                info!("reached the last event");
                break Ok(());
            }
            let credit = core.credit();
            let nap = core.nap();
            // The order matters: a flood of pages must not starve acknowledgements, and nothing
            // may starve a stop.
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                Some((parcel, verdict)) = core.in_flight.next() => core.answered(parcel, verdict),
                () = core.decoders.changed(generation) => {
                    generation = core.decoders.generation();
                    core.begin_round();
                }
                Some(ask) = core.questions.recv() => core.answer(ask),
                () = core.env.sleep(nap) => {}
                event = self.source.next(credit) => match event {
                    Ok(event) => core.handle(event, &stop).await?,
                    Err(error) => break Err(error),
                },
            }
        };
        core.drain().await;
        core.open_announced(&mut *self.source);
        core.commit(&stop).await?;
        ended?;
        Ok(core.summary)
    }
}

impl Core {
    /// Everything that is due now.
    async fn advance(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let now = self.env.monotonic();
        self.tell_rates(now);
        if self.config.watcher.as_ref().is_some_and(|watcher| watcher.has_more()) {
            self.changed();
        }
        if self.commit_due(now) {
            self.commit(stop).await?;
        }
        if self.round_due(now) {
            self.begin_round();
        }
        if let Some(round) = &self.round
            && self.has_room()
        {
            // A round reads from the state: what was parked a moment ago must be there, and what
            // was tried in vain must be there as it is now, or the round would pass it over.
            if self.book.has_parks() || round.is_fresh() && !self.change.attempt.is_empty() {
                self.commit(stop).await?;
            }
            self.continue_round(stop).await?;
        }
        self.batches.close_older(now.saturating_sub(self.config.batch_age));
        self.start_sends(now);
        Ok(())
    }

    async fn handle(&mut self, event: SourceEvent, stop: &CancellationToken) -> Result<(), Error> {
        match event {
            SourceEvent::Page(page) => {
                self.caught_up = false;
                self.needs_proof = false;
                if !page.events.is_empty() {
                    // Something of it can be read, so it is no hopeless one.
                    self.recovered(&page.lane);
                }
                self.take_page(page, stop).await?;
            }
            SourceEvent::Upstream(survey) => {
                match self.road {
                    Road::Typed => self.choose_decoder(&survey.version),
                    // Nothing need be fetched.
                    road => {
                        let (version, road) = (&survey.version, road.as_str());
                        info!(%version, road, "this Auth makes the JSON of events itself");
                    }
                }
                if self.version.as_ref() != Some(&survey.version) {
                    self.change.seen_version = Some(survey.version.clone());
                    self.version = Some(survey.version);
                    self.changed();
                }
            }
            SourceEvent::Lanes(lanes) => {
                for (lane, token) in lanes.opened {
                    self.book.open(lane, token);
                }
                for lane in lanes.ended {
                    self.book.end(&lane);
                    self.recovered(&lane);
                }
                for lane in lanes.retired {
                    self.book.retire(&lane);
                }
                self.changed();
            }
            SourceEvent::CaughtUp => {
                if !std::mem::replace(&mut self.caught_up, true) {
                    debug!("caught up with the log");
                }
            }
            SourceEvent::Stopped(stopped) => self.note_stopped(&stopped),
            SourceEvent::Gap(gap) => self.take_gap(gap, stop).await?,
        }
        Ok(())
    }

    fn choose_decoder(&mut self, version: &AuthVersion) {
        let choice = self.decoders.choose(version);
        info!(%version, ?choice, "decoder for this version of Auth");
        if matches!(choice, Choice::Pending) {
            self.patience = Some(self.env.monotonic() + self.config.decoder_patience);
        }
    }

    /// How much more may be read. None while too much is held for a sink that does not take it,
    /// and for a moment none while the decoder is on its way.
    fn credit(&mut self) -> Credit {
        // Asked in any case: it forgets a patience that has run out, which would be due for ever.
        let waits = self.waits_for_decoder();
        let pages = if waits {
            0
        } else if self.may_read() {
            PAGES_OF_CREDIT
        } else {
            usize::from(self.may_read_for_proof())
        };
        Credit { pages }
    }

    /// Whether a page may be taken although too much is held: when all that is left are single
    /// events under suspicion, and what has to come behind them. Only others could show whether
    /// they are guilty, so without more of them this would be a standstill for ever. One page for
    /// each trial that fails.
    fn may_read_for_proof(&self) -> bool {
        self.needs_proof
            && self.room.is_enough()
            && self.receivers.only_suspects_left()
            && !self.batches.any(|route| !self.busy.contains(route))
            && self.batches.held_bytes() < self.config.max_held_bytes.saturating_mul(2)
    }

    fn waits_for_decoder(&mut self) -> bool {
        let Some(until) = self.patience else { return false };
        let waits = self.env.monotonic() < until && self.decoder_is_coming();
        if !waits {
            self.patience = None;
        }
        waits
    }

    /// Whether a decoder for the version of Auth is on its way. That ends by itself: it comes, or
    /// another is taken in its place.
    fn decoder_is_coming(&self) -> bool {
        let pending = |version| matches!(self.decoders.choose(version), Choice::Pending);
        self.road == Road::Typed && self.version.as_ref().is_some_and(pending)
    }

    /// Whether more events may be taken, from the log or from among the parked.
    pub(crate) fn has_room(&self) -> bool {
        // What waits to be parked is not counted: a round over the parked events makes room for it.
        self.book.backlog().saturating_sub(self.room.waiting()) < self.config.max_unsettled
            && self.batches.held_bytes() < self.config.max_held_bytes
    }

    /// Whether more may be read.
    fn may_read(&self) -> bool {
        self.book.backlog() < self.config.max_unsettled
            && self.batches.held_bytes() + self.room.waiting_bytes() < self.config.max_held_bytes
    }

    /// How long nothing is due.
    fn nap(&self) -> Duration {
        let now = self.env.monotonic();
        [
            self.commit_at(),
            self.rates_at(),
            self.batches.due_at(self.config.batch_age),
            self.patience,
            self.receivers.due_at(now),
            self.stopped.due_at(|lane| self.held.contains(lane)),
            (self.any_parked() && self.worth_a_round && self.round.is_none())
                .then_some(self.next_round),
            (self.round.is_some() && self.has_room()).then_some(now),
        ]
        .into_iter()
        .flatten()
        .min()
        .map_or(Duration::from_secs(60), |at| at.saturating_sub(now))
    }

    /// Opens the lanes of recordings whose announcement is settled. Comes before any commit, so
    /// that both are in the same transaction.
    fn open_announced(&mut self, source: &mut dyn Source) {
        let mut announced = std::mem::take(&mut self.announced);
        if !self.config.recordings {
            announced.clear();
        }
        for session in announced {
            let lane = LaneId::Session(session);
            if !self.book.contains(&lane) {
                self.hope_again(&lane);
                let token = source.open(&lane, None);
                self.book.open(lane, token);
                self.book.wait_since(self.env.now().seconds());
                self.changed();
            }
        }
    }

    /// Whether the tip is reached and everything is settled, or parked for longer than until a
    /// decoder that is on its way.
    fn is_finished(&self) -> bool {
        self.caught_up
            && self.book.only_live_left(|lane| self.stopped.is_set_aside(lane))
            && self.batches.is_empty()
            && self.in_flight.is_empty()
            && self.receivers.none_waiting()
            && self.room.is_enough()
            && self.announced.is_empty()
            && self.round.is_none()
            && !(self.any_parked() && self.decoder_is_coming())
    }

    /// Waits for what is under way, no longer than the grace period. What was not sent yet is
    /// dropped: it is not settled, so it is read again after the next start.
    async fn drain(&mut self) {
        let mut grace = self.env.sleep(self.config.grace);
        while !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                Some((parcel, verdict)) = self.in_flight.next() => self.answered(parcel, verdict),
                () = &mut grace => {
                    let requests = self.in_flight.len();
                    warn!(requests, "requests still under way at the end of the grace period");
                    break;
                }
            }
        }
    }
}
