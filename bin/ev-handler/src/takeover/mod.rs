//! A first start that does not begin at the start time: behind what the reference handler has
//! delivered, or behind the event that `cursor` names.
//!
//! The reference handler keeps one place: a page key and the id of the event that it sent last, or
//! the chunks of the bulk export. Which events stand in front of that place only Auth can tell, so
//! it is asked: the place is looked for in the log, and the ids of the last hours in front of it
//! are taken as those of delivered events. What results is what a run of our own would have left,
//! so nothing behind this knows of a takeover any more.
//!
//! Where nothing can be proved, events are sent again rather than lost, and the log says from when
//! on. The files of the reference handler stay as they are.

mod boundary;
mod chunks;
mod log;
mod origin;
mod plan;

use std::sync::Arc;

use ev_config::Settings;
use ev_core::{Claim, Env, EventDigest, Flavour, Road, SinkId, Survey, Timestamp};
use ev_modules::sha256;
use ev_reference_state::State;
use ev_state::SqliteStore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::start::Error;
use crate::upstream::refused;

use self::boundary::{Place, Wanted};
use self::log::AuthLog;
use self::origin::Origin;
use self::plan::Plan;

pub(crate) use self::plan::Proven;

/// What a takeover needs.
pub(crate) struct Needs<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) store: &'a SqliteStore,
    pub(crate) sink: SinkId,
    pub(crate) survey: &'a Survey,
    pub(crate) flavour: Flavour,
    /// The road that will be used.
    pub(crate) road: Road,
    pub(crate) env: Arc<dyn Env>,
}

/// Whether a state that begins now goes on where the reference handler stands.
///
/// # Errors
///
/// When that one's state cannot be read.
pub(crate) fn is_due(settings: &Settings) -> Result<bool, Error> {
    Ok(settings.ingest.cursor.is_none() && !origin::find(settings)?.origins.is_empty())
}

/// Sees to it that the state begins where it should, if it has not begun yet. Returns the start
/// time that a new state is to have; `None` if it was stopped before that was known.
///
/// # Errors
///
/// Settings that contradict the state, and whatever only an operator can mend.
pub(crate) async fn prepare(
    needs: &Needs<'_>,
    stop: &CancellationToken,
) -> Result<Option<Timestamp>, Error> {
    let Needs { settings, store, sink, env, .. } = needs;
    let now = Timestamp::new(env.now().seconds(), 0);
    let given = settings.ingest.start_time_unix_secs.map(|second| Timestamp::new(second, 0));
    let begin = given.unwrap_or(now);
    if !store.is_blank(sink)? {
        if settings.ingest.cursor.is_some() {
            return Err(refused(format!(
                "`cursor` is set, but the state in `{}` knows where to go on; remove the setting, \
                 it is for a new state alone",
                settings.storage.display()
            )));
        }
        origin::tell_of_others(settings);
        return Ok(Some(begin));
    }
    let found = origin::find(settings)?;
    found.tell_of_others();
    let origins = found.origins;
    let Some(cursor) = &settings.ingest.cursor else {
        if origins.is_empty() {
            return Ok(Some(begin));
        }
        // A large future, for the sake of a first start alone.
        let work = Box::pin(take_over(needs, origins));
        return tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            start_time = work => start_time.map(Some),
        };
    };
    if let Some(origin) = origins.first() {
        return Err(refused(format!(
            "`cursor` is set, but `{}` holds the state of a handler that is taken over; remove \
             the setting, or move that directory away",
            origin.path().display()
        )));
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(None),
        start_time = Box::pin(begin_behind(needs, cursor, given)) => start_time.map(Some),
    }
}

/// Where a receiver begins that is set for the first time while the state knows others: at the
/// start time of the settings, else now. It gets nothing of what the reference handler had sent,
/// and `cursor` names a place of the receivers before.
///
/// # Errors
///
/// When `cursor` is set.
pub(crate) fn begin_later(
    settings: &Settings,
    sink: &SinkId,
    env: &dyn Env,
) -> Result<Timestamp, Error> {
    if settings.ingest.cursor.is_some() {
        return Err(refused(format!(
            "`cursor` is set, but the state in `{}` has begun; remove the setting, it is for a new \
             state alone",
            settings.storage.display()
        )));
    }
    let given = settings.ingest.start_time_unix_secs;
    let start_time = Timestamp::new(given.unwrap_or(env.now().seconds()), 0);
    info!(
        sink = sink.0,
        %start_time,
        "this receiver is new to the state: it begins at the start time, or now if none is set"
    );
    Ok(start_time)
}

/// Whether the start time of the settings is that of the state; how both are written does not
/// matter.
///
/// # Errors
///
/// If they differ.
pub(crate) fn check_start_time(settings: &Settings, stored: Timestamp) -> Result<(), Error> {
    match settings.ingest.start_time_unix_secs.map(|second| Timestamp::new(second, 0)) {
        Some(given) if given != stored => Err(refused(format!(
            "cannot change the start time of a state that has begun: it began at {stored}, and \
             `start-time` is {given}; set `start-time` to {stored} or remove it to go on, or name \
             another directory as `storage` to begin anew at {given} (events that were sent are \
             then sent again)"
        ))),
        _ => Ok(()),
    }
}

/// Takes over from the reference handler.
async fn take_over(needs: &Needs<'_>, origins: Vec<Origin>) -> Result<Timestamp, Error> {
    let Needs { settings, env, .. } = needs;
    let mut log = AuthLog::connect(settings, env).await?;
    info!(
        "looking in the log for where the reference handler stands, and what it has sent of the last day"
    );
    let now = env.now().seconds();
    let (origin, place) = origin::choose(origins, &mut log, settings, now).await?;
    origin.tell_findings();
    let State { start_time: stored, .. } = origin.state;
    let given = settings.ingest.start_time_unix_secs;
    if let (Some(stored), Some(_)) = (stored, given) {
        check_start_time(settings, Timestamp::new(stored, 0))?;
    }
    let proven = match place {
        _ if origin.state.is_bulk() => {
            Proven::Chunks(chunks::delivered(&mut log, &origin.state).await?)
        }
        Place::Known(at) => {
            let floor = stored.or(given).unwrap_or(origin::EARLIEST);
            boundary::delivered(&mut log, at, floor, now).await?
        }
        Place::Unknown(why) => Proven::Nothing(why),
    };
    let Some(start_time) = stored.or(given).or(origin.state.window_time).or(proven.second()) else {
        return Err(refused(format!(
            "`{}` does not say where it began and where it stands; set `start-time` to when \
             events are to be sent from, or move the directory away",
            origin.path().display()
        )));
    };
    let plan = Plan { state: &origin.state, proven, start_time, road: needs.road, now };
    plan.tell(origin.path());
    commit(needs, start_time, &plan)
}

/// Begins behind what the setting names.
async fn begin_behind(
    needs: &Needs<'_>,
    cursor: &str,
    given: Option<Timestamp>,
) -> Result<Timestamp, Error> {
    let Needs { settings, env, .. } = needs;
    let ids = ids_of(cursor);
    let is_id = looks_like_id(cursor);
    if !is_id && given.is_none() {
        return Err(refused(
            "`cursor` is a page key, which belongs to a search that began at a certain time; set \
             `start-time` to that time"
                .to_owned(),
        ));
    }
    let start = given.map_or(origin::EARLIEST, Timestamp::seconds);
    let wanted = Wanted {
        start,
        cursor: (!is_id).then(|| cursor.to_owned()),
        ids: if is_id { ids } else { Vec::new() },
    };
    let mut log = AuthLog::connect(settings, env).await?;
    let now = env.now().seconds();
    let place = match boundary::locate(&mut log, &wanted, now).await? {
        Place::Known(place) => place,
        Place::Unknown(why) => {
            return Err(refused(format!(
                "cannot begin behind `cursor` = `{cursor}`: {why}; nothing was sent"
            )));
        }
    };
    let proven = boundary::delivered(&mut log, place, start, now).await?;
    if let Proven::Nothing(why) = &proven {
        return Err(refused(format!("cannot begin behind `cursor` = `{cursor}`: {why}")));
    }
    let start_time = given.map(Timestamp::seconds).or(proven.second()).unwrap_or(now);
    let state = State::default();
    let plan = Plan { state: &state, proven, start_time, road: needs.road, now };
    info!(cursor, start_time = %Timestamp::new(start_time, 0), "beginning behind an event that is known");
    commit(needs, start_time, &plan)
}

fn commit(needs: &Needs<'_>, start_time: i64, plan: &Plan<'_>) -> Result<Timestamp, Error> {
    let Needs { settings, store, sink, survey, flavour, .. } = needs;
    let start_time = Timestamp::new(start_time, 0);
    let claim = Claim {
        sink: sink.clone(),
        cluster: survey.cluster.clone(),
        flavour: Some(*flavour),
        start_time,
    };
    let types = &settings.ingest.types;
    if !store.begin(&claim, plan.taken_over(), |ledger_key| plan.change(types, ledger_key))? {
        warn!("the state has begun meanwhile, nothing was taken over");
    }
    Ok(start_time)
}

/// Whether a text has the shape of an event's id: a UUID, or a SHA-256 in hexadecimal digits.
fn looks_like_id(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [whole] => whole.len() == 64 && is_hex(whole),
        [a, b, c, d, e] => {
            [a, b, c, d, e].iter().all(|part| is_hex(part))
                && [a.len(), b.len(), c.len(), d.len(), e.len()] == [8, 4, 4, 4, 12]
        }
        _ => false,
    }
}

/// What the events may be recognised by that have this id: of the uid, and what an event without
/// one has instead, of which the id is the whole digest.
fn ids_of(id: &str) -> Vec<EventDigest> {
    let mut ids = vec![EventDigest::of(&sha256(id.as_bytes()))];
    ids.extend(ev_core::unstructured::digest_of_id(id.as_bytes()).map(|id| EventDigest::of(&id)));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_page_key() {
        assert!(looks_like_id("2365f769-60f9-437a-249f-fc58c4377aa9"));
        assert!(looks_like_id("044312b8037000034f2ddc0755e416c183bebff6c865d5bc824b31b0f038210d"));
        for key in [
            "",
            "rigk-480",
            "2365f769-60f9-437a-249f-fc58c4377aa",
            "2365f769-60f9-437a-249f-fc58c4377aag",
            "2365f76960f9437a249ffc58c4377aa9",
            "eyJkYXRlIjoiMjAyNi0xMS0xNyIsIml0ZXJhdG9yIjp7fX0=",
        ] {
            assert!(!looks_like_id(key), "{key}");
        }
    }

    #[test]
    fn an_event_without_uid_is_recognised_by_its_digest() {
        let id = "044312b8037000034f2ddc0755e416c183bebff6c865d5bc824b31b0f038210d";
        let ids = ids_of(id);
        assert_eq!(ids.len(), 2);
        assert_eq!(format!("{:?}", ids[1]), id[..32]);
        assert_eq!(ids_of("2365f769-60f9-437a-249f-fc58c4377aa9").len(), 1);
        assert_eq!(ids_of(&"ü".repeat(32)).len(), 1, "64 bytes that are no digits");
    }
}
