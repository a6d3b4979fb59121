//! Which directory of the reference handler is the one to take over.

use std::path::Path;
use std::time::SystemTime;

use ev_config::Settings;
use ev_core::Timestamp;
use ev_reference_state::{Candidate, Finding, State, candidates, directory_name, read};
use tracing::{info, warn};

use crate::chain::Chain;
use crate::start::Error;

use super::boundary::{self, Log, Place, Wanted};
use super::ids_of;

/// First second that is ever looked at where no start time is known, 2015-01-01T00:00:00Z: nobody
/// has older logs.
pub(super) const EARLIEST: i64 = 1_420_070_400;

/// A directory with what was read in it.
#[derive(Debug)]
pub(super) struct Origin {
    candidate: Candidate,
    pub(super) state: State,
    findings: Vec<Finding>,
}

impl Origin {
    pub(super) fn path(&self) -> &Path {
        &self.candidate.path
    }

    /// Says what is odd about its files.
    pub(super) fn tell_findings(&self) {
        for finding in &self.findings {
            warn!("{finding}");
        }
    }

    /// Leaves out a time up to which it says that all is delivered, if that has not come yet: what
    /// is stored until then would never be sent.
    fn distrust_the_future(&mut self, now: i64) {
        /// By how much clocks may differ, in seconds.
        const SKEW: i64 = 3600;
        if let Some(at) = self.state.window_time.take_if(|at| *at > now.saturating_add(SKEW)) {
            let at = Timestamp::new(at, 0);
            warn!(
                directory = %self.path().display(),
                window_time = %at,
                "the time up to which all was delivered lies in the future: it is left out"
            );
        }
    }

    /// Where it says that it stands, in a search.
    fn wanted(&self, given: Option<i64>) -> Wanted {
        let State { start_time, window_time, cursor, id, .. } = &self.state;
        Wanted {
            start: window_time.or(*start_time).or(given).unwrap_or(EARLIEST),
            cursor: cursor.clone(),
            ids: id.as_deref().map(ids_of).unwrap_or_default(),
        }
    }
}

/// The directories that come into question.
pub(super) struct Found {
    /// That of the address alone if there is one, else those of other addresses, the one written
    /// last in front.
    pub(super) origins: Vec<Origin>,
    /// Of other addresses, where there is one of ours.
    others: Vec<Origin>,
}

impl Found {
    pub(super) fn tell_of_others(&self) {
        for other in &self.others {
            info!(
                directory = %other.path().display(),
                "not taken over: it is of another address, and there is one of ours"
            );
        }
    }
}

/// All that there are.
pub(super) fn find(settings: &Settings) -> Result<Found, Error> {
    let unreadable = |error| Error::system("cannot take over the reference handler's state", error);
    let mut found = Vec::new();
    for candidate in candidates(&settings.storage).map_err(unreadable)? {
        let (state, findings) = read(&candidate.path).map_err(unreadable)?;
        // Damaged files alone are a state too, as far as they warn of it.
        if !state.is_empty() || !findings.is_empty() {
            found.push(Origin { candidate, state, findings });
        }
    }
    let own = directory_name(&settings.teleport.addr);
    let at = found.iter().position(|origin| own.as_ref() == Some(&origin.candidate.name));
    Ok(match at {
        Some(at) => Found { origins: vec![found.swap_remove(at)], others: found },
        None => Found { origins: found, others: Vec::new() },
    })
}

/// Chooses one, and looks for its place in the log. Of several, one whose last event is in this log:
/// that proves that it is of this cluster.
///
/// # Errors
///
/// When the log cannot be read.
pub(super) async fn choose(
    mut origins: Vec<Origin>,
    log: &mut impl Log,
    settings: &Settings,
    now: i64,
) -> Result<(Origin, Place), Error> {
    origins.iter_mut().for_each(|origin| origin.distrust_the_future(now));
    let given = settings.ingest.start_time_unix_secs;
    let own = directory_name(&settings.teleport.addr);
    let mut chosen = 0;
    let mut is_proved = false;
    if origins.len() > 1 {
        let names: Vec<&str> = origins.iter().map(|one| one.candidate.name.as_str()).collect();
        info!(directories = ?names, "several directories of the reference handler, none of our address");
        let wanted: Vec<Wanted> = origins.iter().map(|origin| origin.wanted(given)).collect();
        let ids: Vec<_> = wanted.iter().flat_map(|one| one.ids.iter().copied()).collect();
        let start = wanted.iter().map(|one| one.start).min().unwrap_or(EARLIEST);
        // All at once, from the end on. Of two that are near each other the older one is met first:
        // rather that than losing what lies between them.
        if let Some(at) = boundary::backwards(log, &ids, start, now).await? {
            is_proved = true;
            chosen = wanted.iter().position(|one| one.ids.contains(&at.digest)).unwrap_or_default();
        }
    }
    let origin = origins.swap_remove(chosen);
    // What searches left behind is older than what the export did.
    let place = match origin.state.is_bulk() {
        true => Place::Unknown("the bulk export was used".to_owned()),
        false => boundary::locate(log, &origin.wanted(given), now).await?,
    };
    if own.as_ref() != Some(&origin.candidate.name) {
        is_proved |= matches!(place, Place::Known(_));
        let directory = origin.path().display();
        if is_proved {
            info!(%directory, "made for another address of this cluster: its last event is in this log");
        } else {
            warn!(
                %directory,
                "made for another address, and nothing in it proves that it is of this cluster; it \
                 is taken over as the one that was written last. If it is not, stop, move it and \
                 `ev-state` away, and start again"
            );
        }
    }
    Ok((origin, place))
}

/// A state of ours goes its own way, whatever a reference handler did meanwhile. If one has, that is
/// worth a word.
pub(super) fn tell_of_others(settings: &Settings) {
    let found = match candidates(&settings.storage) {
        Ok(found) => found,
        Err(error) => return warn!(error = %Chain(&error), "cannot look for a reference handler"),
    };
    let own = directory_name(&settings.teleport.addr);
    let ours = newest_of_ours(&settings.storage);
    for Candidate { path, name, changed } in found {
        if own.as_ref() == Some(&name) && changed > ours {
            warn!(
                directory = %path.display(),
                "written to since this state was: if a reference handler ran meanwhile, what it \
                 sent is sent again; to go on behind that instead, move `ev-state` away"
            );
        }
    }
}

/// When a state of ours was last written to.
fn newest_of_ours(storage: &Path) -> Option<SystemTime> {
    let changed = |name: &str| {
        std::fs::metadata(storage.join("ev-state").join(name)).and_then(|file| file.modified()).ok()
    };
    ["state.db", "state.db-wal"].into_iter().filter_map(changed).max()
}
