//! The source itself: what comes next, whoever it comes from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    BoxFuture, Credit, Env, LaneId, Lanes, Resume, Road, Source, SourceError, SourceEvent,
    SpanQuery, SpanReader, Stopped, Survey, Token,
};
use tracing::{info, warn};

use crate::beside::Beside;
use crate::chunks::ChunkEvents;
use crate::dial::Dialler;
use crate::keyed::KeyedPages;
use crate::lanes::{Reader, session_start};
use crate::link::Link;
use crate::living::Living;
use crate::plan::start_of;
use crate::road::{CurrentRoad, SearchRoad};
use crate::span::SearchSpan;
use crate::tasks::{Done, Fetched, Tasks};
use crate::token::{self, Parsed, Search, SessionToken, WindowToken};
use crate::{
    AuthArtifacts, AuthCredentials, AuthLocks, AuthPresence, AuthRoads, Config, Error, plan,
};

/// Reads Auth's log by searches: `GetEvents` and, for recordings, `StreamSessionEvents`, or their
/// unstructured counterparts, as the road says.
///
/// Needs a tokio runtime with I/O and time. Apart from one task per connection that moves its
/// bytes, everything happens inside [`Source::next`] and [`Source::survey`]; dropping the source
/// cancels every call and closes the connection.
pub struct SearchSource {
    config: Arc<Config>,
    env: Arc<dyn Env>,
    living: Living,
    link: Link,
    reader: Reader,
    tasks: Tasks,
    upstream: VecDeque<Survey>,
}

impl SearchSource {
    /// Checks settings and credentials; connects to nobody. Blocks on the credentials' files.
    ///
    /// # Errors
    ///
    /// What only an operator can mend: settings out of range, credentials that are missing,
    /// incomplete or expired.
    pub fn new(config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let config = Arc::new(config);
        let dialler = Dialler::new(Arc::clone(&config), Arc::clone(&env))?;
        let living = Living::default();
        let link = Link::new(dialler, &living);
        Ok(Self::begin(config, env, living, link))
    }

    fn begin(config: Arc<Config>, env: Arc<dyn Env>, living: Living, link: Link) -> Self {
        let road =
            CurrentRoad::new(SearchRoad::of(config.road).unwrap_or(SearchRoad::Unstructured));
        let reader = Reader::new(Arc::clone(&config), Arc::clone(&env), road).telling(link.own());
        Self {
            link,
            reader,
            tasks: Tasks::default(),
            upstream: VecDeque::new(),
            config,
            env,
            living,
        }
    }

    /// A source with the same settings and credentials that begins anew, for a run behind this
    /// one's. What this one gives out (artifacts, roads, locks, and so on) goes over the connection
    /// of whichever of them has connected last.
    #[must_use]
    pub fn again(&self) -> Self {
        let (config, env) = (Arc::clone(&self.config), Arc::clone(&self.env));
        Self::begin(config, env, self.living.clone(), self.link.again())
    }

    /// The decoder artifacts that Auth offers, over the connection that this source keeps. Works
    /// while the source is in use elsewhere, and fails while there is no connection.
    pub fn artifacts(&self) -> AuthArtifacts {
        let patience = self.config.request_timeout;
        AuthArtifacts::new(self.living.clone(), Arc::clone(&self.env), patience)
    }

    /// Reads by the calls of another road from now on, everything that is open and whatever is
    /// opened. May be called at any time.
    ///
    /// A window begins a new search, by time, and yields again what it has read of the last pages
    /// ([`ev_core::Page::repeats`]); a recording goes on where it stands.
    ///
    /// # Errors
    ///
    /// If nothing is searched for on that road.
    pub fn take_road(&mut self, road: Road) -> Result<(), SourceError> {
        let Some(to) = SearchRoad::of(road) else {
            return Err(SourceError::Operator {
                message: format!("this source does not read the road `{}`", road.as_str()),
                source: None,
            });
        };
        self.reader.take_road(to);
        Ok(())
    }

    /// Single chunks of the bulk export, over the connection that this source keeps. Works while
    /// the source is in use elsewhere.
    pub fn chunk_events(&self) -> ChunkEvents {
        ChunkEvents::new(Arc::clone(&self.config), Arc::clone(&self.env), self.living.clone())
    }

    /// Single pages of the log by keys from elsewhere, over the connection that this source keeps.
    /// Works while the source is in use elsewhere.
    pub fn keyed_pages(&self) -> KeyedPages {
        KeyedPages::new(self.beside())
    }

    fn beside(&self) -> Beside {
        Beside {
            config: Arc::clone(&self.config),
            env: Arc::clone(&self.env),
            living: self.living.clone(),
            budget: self.reader.budget(),
            road: self.reader.road().clone(),
        }
    }

    /// Which calls Auth offers, over the connection that this source keeps.
    pub fn roads(&self) -> AuthRoads {
        let patience = self.config.request_timeout;
        AuthRoads::new(self.living.clone(), Arc::clone(&self.env), patience)
    }

    /// Whether there is a connection to Auth.
    pub fn presence(&self) -> AuthPresence {
        AuthPresence::new(self.living.clone())
    }

    /// Locks at Auth, over the connection that this source keeps; as [`SearchSource::artifacts`].
    pub fn locks(&self) -> AuthLocks {
        let patience = self.config.request_timeout;
        AuthLocks::new(self.living.clone(), Arc::clone(&self.env), patience)
    }

    /// The credentials shown to Auth: what they are, and a way to have them read again now. Works
    /// while the source is in use elsewhere.
    pub fn credentials(&self) -> AuthCredentials {
        self.link.credentials()
    }

    /// Waits for one thing to happen and deals with it. Cancel-safe: it waits in one place, and
    /// what it waited for is dealt with at once.
    async fn step(&mut self) {
        let Self { link, reader, tasks, upstream, .. } = self;
        let budget = reader.budget();
        let done = tokio::select! {
            biased;
            done = tasks.next() => done,
            // Who calls this tries again what was refused.
            () = budget.may_be_free() => return,
        };
        match done {
            Done::Dialled(outcome) => {
                if let Some(survey) = link.dialled(*outcome, tasks) {
                    upstream.push_back(survey);
                    reader.connected();
                }
            }
            Done::Redial(number) => link.redial_due(number, tasks),
            Done::LookDue(asked) => link.look(asked, tasks),
            Done::Looked(look) => link.looked(look, tasks),
            Done::Closed(id) => link.closed(id, tasks),
            Done::PingDue(id) => link.ping(id, tasks),
            Done::Pinged(id, answer) => upstream.extend(link.pinged(id, answer, tasks)),
            Done::Fetched(lane, ticket, fetched) => {
                if fetched.as_ref().is_some_and(Fetched::is_answer) {
                    link.answered();
                }
                reader.fetched(lane, ticket, fetched, link.generation(), tasks);
            }
            Done::Woken(lane, step) => reader.woken(lane, step),
            Done::RescanDue => reader.rescan_due(),
        }
    }

    async fn survey(&mut self) -> Survey {
        self.link.start(&mut self.tasks);
        // No lane asks for anything meanwhile.
        self.reader.budget().lanes_asked(false);
        loop {
            if let Some((_, survey)) = self.link.up() {
                return survey.clone();
            }
            self.step().await;
        }
    }

    async fn next(&mut self, credit: Credit) -> SourceEvent {
        self.link.start(&mut self.tasks);
        loop {
            if let Some(survey) = self.upstream.pop_front() {
                return SourceEvent::Upstream(survey);
            }
            self.reader.begin_rescan(&mut self.tasks);
            if let Some(event) = self.reader.take(credit) {
                return event;
            }
            self.reader.schedule(credit, &self.link, &mut self.tasks);
            self.step().await;
        }
    }

    /// Where a recording goes on: from its beginning, if its resume point is of no use to us.
    fn session_token(&self, lane: &LaneId, token: &Token) -> SessionToken {
        match token::decode(lane, token) {
            Ok(Parsed::Session(at)) => at,
            Ok(Parsed::Window(_)) => SessionToken::default(),
            Err(error) => {
                warn!(%lane, %error, "resume point of a recording is of no use, starting anew");
                SessionToken::default()
            }
        }
    }

    fn resume_export(&mut self, mut resume: Resume) -> Result<(), SourceError> {
        // Recordings, and stretches beside the lanes, come in the same form.
        self.reader.take_road(SearchRoad::Unstructured);
        let is_session = |(lane, _): &(LaneId, Token)| matches!(lane, LaneId::Session(_));
        let (sessions, lanes) = resume.lanes.into_iter().partition(is_session);
        resume.lanes = lanes;
        for (lane, token) in sessions {
            let at = self.session_token(&lane, &token);
            if let LaneId::Session(id) = lane {
                self.reader.add_session(id, at);
            }
        }
        self.reader.resume_export(resume)
    }

    fn open_windows(&mut self, windows: Vec<Search>) {
        let mut opened = Vec::with_capacity(windows.len());
        let now = self.env.now().seconds();
        let road = self.reader.road().get().road();
        for search in windows {
            let lane = LaneId::Window { start: search.start, pass: 0 };
            let token = WindowToken { search, key: String::new(), opened: Some(now) };
            opened.push((lane.clone(), token.encode(road)));
            self.reader.add_window(lane, token, true);
        }
        // Those that were read to their end and need not be read again are told in the same step.
        let retired = self.reader.retire();
        if !opened.is_empty() || !retired.is_empty() {
            self.reader.report(SourceEvent::Lanes(Lanes { opened, retired, ..Lanes::default() }));
        }
    }
}

impl Source for SearchSource {
    fn survey(&mut self) -> BoxFuture<'_, Result<Survey, SourceError>> {
        Box::pin(async move { Ok(self.survey().await) })
    }

    fn resume(&mut self, resume: Resume) -> Result<(), SourceError> {
        if resume.road == Road::Export {
            return self.resume_export(resume);
        }
        self.take_road(resume.road)?;
        let road = self.reader.road().get();
        let first = resume.start_time.seconds();
        let mut windows = BTreeMap::new();
        let mut sessions = Vec::new();
        // Windows whose resume point is of another release, and of another road.
        let mut anew = BTreeSet::new();
        let mut moved = BTreeSet::new();
        for (lane, token) in resume.lanes {
            let is_foreign =
                SearchRoad::of(token.road).is_some() && !token::is_readable(token.format);
            match (lane, token) {
                (LaneId::Session(id), token) => sessions.push((id, token)),
                (lane @ LaneId::Window { .. }, _) if is_foreign => {
                    anew.insert(lane);
                }
                (lane, token) => {
                    let from = token.road;
                    if let Parsed::Window(token) = token::decode_for(road, &lane, &token)? {
                        if from != road.road() {
                            moved.insert(lane.clone());
                        }
                        windows.insert(lane, token);
                    }
                }
            }
        }
        for (id, token) in sessions {
            let at = self.session_token(&LaneId::Session(id.clone()), &token);
            self.reader.add_session(id, at);
        }
        let Config { window_size, least_window, live_width, types, .. } = &*self.config;
        let seconds = |duration: &Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let cut = plan::Cut {
            now: self.env.now().seconds(),
            size: seconds(window_size),
            least: seconds(least_window),
            lanes: self.config.catch_up_lanes,
            live_width: seconds(live_width),
            types,
        };
        let end = |(lane, token): (&LaneId, &WindowToken)| (lane.clone(), token.search.end);
        let before: BTreeMap<_, _> = windows.iter().map(end).collect();
        if !moved.is_empty() {
            let (windows, road) = (moved.len(), road.road().as_str());
            info!(windows, road, "windows were read on another road, reading them by time again");
        }
        for lane in &anew {
            warn!(%lane, "resume point of a window is of another release, reading it anew");
            windows.extend(cut.anew(lane, first).map(|token| (lane.clone(), token)));
        }
        let mut read = Vec::new();
        for (lane, token) in resume.closed {
            // Where it ends and when it was opened can be told without the token too, if not as well.
            let token = match token::decode(&lane, &token) {
                Ok(Parsed::Window(token)) => Some(token),
                _ => None,
            };
            read.extend(start_of(&lane).map(|start| (lane, start, token)));
        }
        let starts: Vec<i64> = read.iter().map(|(_, start, _)| *start).collect();
        let fresh = if windows.is_empty() && read.is_empty() {
            cut.windows(first, true)
        } else {
            cut.resume(&mut windows, &starts)
        };
        self.reader.begin_at(first);
        let others: BTreeSet<i64> = windows.keys().filter_map(start_of).chain(starts).collect();
        let others: BTreeSet<i64> = fresh.iter().map(|search| search.start).chain(others).collect();
        for (lane, start, token) in read {
            let next = others.range(start.saturating_add(1)..).next().copied();
            let end = token.as_ref().and_then(|token| token.search.end).or(next);
            // The last window of all is read on, it is not at its end.
            let Some(end) = end else { continue };
            let live = token.as_ref().is_some_and(|token| token.search.end.is_none());
            let opened = token.and_then(|token| token.opened);
            let opened = if live { opened.map(|at| at.min(end)) } else { opened };
            self.reader.add_ended(&lane, end, opened);
        }
        for (lane, token) in windows {
            let known = before.get(&lane) == Some(&token.search.end) && !moved.contains(&lane);
            self.reader.add_window(lane, token, known);
        }
        self.open_windows(fresh);
        Ok(())
    }

    fn next(&mut self, credit: Credit) -> BoxFuture<'_, Result<SourceEvent, SourceError>> {
        Box::pin(async move { Ok(self.next(credit).await) })
    }

    fn open(&mut self, lane: &LaneId, from: Option<Token>) -> Token {
        let road = self.reader.road().get();
        let token = from.unwrap_or_else(|| session_start(road));
        if self.reader.is_open(lane) {
            return token;
        }
        match (lane, token::decode_for(road, lane, &token)) {
            (LaneId::Session(id), _) => {
                let at = self.session_token(lane, &token);
                self.reader.add_session(id.clone(), at);
                return at.encode(road.road());
            }
            (_, Ok(Parsed::Window(at))) => {
                let known = token.road == road.road();
                self.reader.add_window(lane.clone(), at, known);
            }
            (_, outcome) => {
                let reason = match outcome {
                    Err(error) => error.to_string(),
                    Ok(_) => "only recordings can be opened without a resume point".to_owned(),
                };
                let lane = lane.clone();
                self.reader.report(SourceEvent::Stopped(Stopped { lane, missing: false, reason }));
            }
        }
        token
    }

    fn close(&mut self, lane: &LaneId) {
        self.reader.close(lane);
    }

    fn span(&self, query: SpanQuery) -> Box<dyn SpanReader> {
        Box::new(SearchSpan::new(query, self.beside()))
    }
}

impl fmt::Debug for SearchSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchSource").field("config", &self.config).finish_non_exhaustive()
    }
}
