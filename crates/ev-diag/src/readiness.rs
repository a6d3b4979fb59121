//! Whether events can flow, and if not, which part keeps them from it and why.

use serde::{Deserialize, Serialize};

use crate::{Certificate, Engine, Phase, Receiver, Sink, Snapshot};

/// Whether events can flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// No part keeps them from it.
    pub ready: bool,
    /// The parts of the road, from Auth to the receivers.
    pub parts: Vec<Part>,
}

/// A part of the road.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its name: `auth`, `credentials`, `decoder`, `state`, `sink <name>`.
    pub name: String,
    /// How it is.
    pub light: Light,
    /// Why, in words.
    pub reason: String,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// It works.
    Ok,
    /// It works, and somebody should look at it soon.
    Warning,
    /// It keeps events from flowing.
    Down,
}

impl Light {
    /// Whether events can pass it.
    pub fn is_usable(self) -> bool {
        self != Self::Down
    }
}

impl Readiness {
    /// What a snapshot says of it.
    pub fn of(snapshot: &Snapshot) -> Self {
        let at_rest = snapshot.phase.is_at_rest();
        let mut parts = vec![run(snapshot), auth(snapshot)];
        if !at_rest {
            // Of these the state knows nothing.
            parts.extend([credentials(snapshot), decoder(snapshot)]);
        }
        parts.push(state(snapshot));
        let sink = if at_rest { kept } else { flowing };
        parts.extend(snapshot.sinks.iter().map(|one| sink(one, snapshot)));
        let ready = !at_rest && parts.iter().all(|part| part.light.is_usable());
        Self { ready, parts }
    }
}

fn part(name: &str, (light, reason): (Light, String)) -> Part {
    Part { name: name.to_owned(), light, reason }
}

fn run(snapshot: &Snapshot) -> Part {
    let said = match snapshot.phase {
        Phase::Starting => (Light::Down, "nothing has flowed yet".to_owned()),
        Phase::Running if snapshot.dry_run => {
            (Light::Warning, "dry run: nothing is sent and nothing kept".to_owned())
        }
        Phase::Running => (Light::Ok, "running".to_owned()),
        Phase::Stopping => (Light::Down, "stopping: finishing what is under way".to_owned()),
        Phase::Ended => (Light::Down, "no process is running".to_owned()),
        Phase::Unasked => {
            let what = "a process has the state open; it cannot be asked without an answer at its \
                        `diag-addr`";
            (Light::Warning, what.to_owned())
        }
    };
    part("run", said)
}

fn auth(snapshot: &Snapshot) -> Part {
    let auth = &snapshot.auth;
    let version = auth.version.as_deref().unwrap_or("of unknown version");
    let address = &auth.address;
    let why = auth.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let said = match (snapshot.phase, auth.connected, auth.disconnected_seconds) {
        (phase, ..) if phase.is_at_rest() => {
            (Light::Warning, format!("{address} was {version} when last seen"))
        }
        (_, true, _) if auth.trouble.is_some() => {
            (Light::Down, format!("{address}: {}", auth.trouble.as_deref().unwrap_or_default()))
        }
        (_, true, _) => {
            let cluster = auth.cluster.as_deref().unwrap_or("the cluster");
            let road = auth.road.as_deref().unwrap_or("yet unknown");
            (Light::Ok, format!("connected to {cluster} {version} at {address}, {road} calls"))
        }
        (_, false, Some(seconds)) => {
            (Light::Down, format!("no connection to {address} for {seconds} s{why}"))
        }
        (_, false, None) => (Light::Down, format!("{address} was not reached yet{why}")),
    };
    part("auth", said)
}

fn credentials(snapshot: &Snapshot) -> Part {
    let now = snapshot.time.0;
    let all = snapshot.holders().into_iter().flat_map(|(whose, held, authority)| {
        let ours = held.iter().map(move |held| (whose.to_owned(), held));
        ours.chain(authority.map(|held| (format!("the server of {whose}"), held)))
    });
    // What is worst comes first, and of equals what ends first.
    let worst = all
        .map(|(whose, held)| (rate(held, now), held.not_after, whose, held))
        .min_by_key(|(light, not_after, ..)| (std::cmp::Reverse(*light), *not_after));
    let unwatched = snapshot.unwatched.join(", ");
    let said = match worst {
        _ if !unwatched.is_empty() => {
            (Light::Warning, format!("nobody looks for new files any more: {unwatched}"))
        }
        None => (Light::Ok, "none are used".to_owned()),
        Some((light, not_after, whose, Certificate { subject, .. })) => {
            let word = match light {
                Light::Ok => "first to expire",
                Light::Warning => "expires soon",
                Light::Down => "has expired",
            };
            (light, format!("{word}: `{subject}` for {whose} on {not_after}"))
        }
    };
    part("credentials", said)
}

/// A certificate is a matter of concern when its end is near.
fn rate(held: &Certificate, now: i64) -> Light {
    match now {
        now if now > held.not_after.0 => Light::Down,
        now if now >= held.warn_from.0 => Light::Warning,
        _ => Light::Ok,
    }
}

fn decoder(snapshot: &Snapshot) -> Part {
    let decoder = &snapshot.decoder;
    let unknown: u64 = decoder.unknown.values().sum();
    let refused = decoder.artifacts.refused;
    let said = match &decoder.in_use {
        None if refused > 0 => (
            Light::Warning,
            format!(
                "{refused} signed decoders were refused, and there is none yet; the log says why"
            ),
        ),
        None => (Light::Ok, "none was needed yet".to_owned()),
        Some(in_use) if in_use == "pending" && refused > 0 => {
            let what = "the one for this version of Auth is on its way";
            (
                Light::Warning,
                format!("{what}; {refused} signed ones were refused, the log says why"),
            )
        }
        Some(in_use) if in_use == "pending" => {
            (Light::Warning, "the one for this version of Auth is on its way".to_owned())
        }
        Some(in_use) if unknown > 0 => {
            let types = decoder.unknown.len();
            let what = format!("{in_use}; {unknown} events of {types} types not wholly known");
            (Light::Warning, what)
        }
        // Behind a refusal the right one has come.
        Some(in_use) if refused > 0 && !in_use.starts_with("exact") => {
            (Light::Warning, format!("{in_use}; {refused} signed decoders were refused"))
        }
        Some(in_use) => (Light::Ok, in_use.clone()),
    };
    part("decoder", said)
}

fn state(snapshot: &Snapshot) -> Part {
    let storage = &snapshot.storage;
    let said = match &snapshot.storage_trouble {
        Some(trouble) => (Light::Down, format!("`{storage}`: {trouble}")),
        None => (Light::Ok, format!("`{storage}`")),
    };
    part("state", said)
}

/// A sink that the state alone tells of.
fn kept(sink: &Sink, _: &Snapshot) -> Part {
    let totals = &sink.totals;
    let delivered = totals.delivered.saturating_add(totals.resolved);
    let said = match totals.parked {
        0 => (Light::Ok, format!("{delivered} events delivered so far")),
        parked => {
            let what = format!("{delivered} events delivered so far, {parked} are parked");
            (Light::Warning, what)
        }
    };
    part(&format!("sink {}", sink.name), said)
}

/// Recordings that cannot be read keep nothing else waiting.
fn unreadable(sink: &Sink) -> Option<(Light, String)> {
    let count = sink.sessions_unreadable;
    let what = format!(
        "{count} session recordings are refused or damaged: `ev-handler state show` lists them \
         with the reason"
    );
    (count > 0).then_some((Light::Warning, what))
}

/// One that a run tells of.
fn flowing(sink: &Sink, snapshot: &Snapshot) -> Part {
    let failing = |receiver: &Receiver, what: &str| {
        receiver.trouble.as_ref().map(|trouble| {
            let (seconds, reason) = (trouble.seconds, &trouble.reason);
            (Light::Down, format!("{what} not delivered for {seconds} s: {reason}"))
        })
    };
    let silent = || {
        let is_silent = sink.engine == Engine::Silent && snapshot.storage_trouble.is_none();
        is_silent.then(|| (Light::Down, "its engine does not answer".to_owned()))
    };
    let parked: u64 = sink.parked.values().sum();
    let said = silent()
        .or_else(|| failing(&sink.audit, "events are"))
        .or_else(|| failing(&sink.recordings, "recordings are"))
        .or_else(|| unreadable(sink))
        .or_else(|| (parked > 0).then(|| (Light::Warning, format!("{parked} events are parked"))))
        .unwrap_or_else(|| {
            let lag = match sink.lag_seconds {
                Some(0) | None if sink.caught_up => "at the end of the log".to_owned(),
                Some(lag) => format!("{lag} s behind"),
                None => "nothing was read yet".to_owned(),
            };
            let done = if snapshot.dry_run { "made and not sent" } else { "delivered" };
            (Light::Ok, format!("{} events {done}, {lag}", sink.counters.sent))
        });
    part(&format!("sink {}", sink.name), said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReceiverTrouble, Sums, UnixTime};

    fn well() -> Snapshot {
        let certificate = Certificate {
            subject: "bot".to_owned(),
            not_before: UnixTime(0),
            not_after: UnixTime(1000),
            warn_from: UnixTime(800),
            ..Certificate::default()
        };
        let auth = crate::Auth {
            address: "auth:3025".to_owned(),
            connected: true,
            certificates: vec![certificate],
            ..crate::Auth::default()
        };
        let sink = Sink { name: "fluentd".to_owned(), engine: Engine::Running, ..Sink::default() };
        Snapshot {
            time: UnixTime(500),
            phase: Phase::Running,
            auth,
            sinks: vec![sink],
            ..Snapshot::default()
        }
    }

    /// Whether it is ready, and the parts that are not well.
    fn unwell(snapshot: &Snapshot) -> (bool, Vec<(String, Light, String)>) {
        let Readiness { ready, parts } = Readiness::of(snapshot);
        let parts = parts.into_iter().filter(|part| part.light != Light::Ok);
        (ready, parts.map(|part| (part.name, part.light, part.reason)).collect())
    }

    #[track_caller]
    fn check(snapshot: &Snapshot, ready: bool, name: &str, light: Light, reason: &str) {
        let expected = (ready, vec![(name.to_owned(), light, reason.to_owned())]);
        assert_eq!(unwell(snapshot), expected);
    }

    #[test]
    fn all_is_well() {
        assert_eq!(unwell(&well()), (true, vec![]));
    }

    #[test]
    fn each_trouble_is_that_of_its_part_and_says_why() {
        let mut lost = well();
        (lost.auth.connected, lost.auth.disconnected_seconds) = (false, Some(12));
        check(&lost, false, "auth", Light::Down, "no connection to auth:3025 for 12 s");
        lost.auth.trouble = Some("connection refused".to_owned());
        let reason = "no connection to auth:3025 for 12 s: connection refused";
        check(&lost, false, "auth", Light::Down, reason);
        lost.auth.disconnected_seconds = None;
        let reason = "auth:3025 was not reached yet: connection refused";
        check(&lost, false, "auth", Light::Down, reason);

        let mut denied = well();
        denied.auth.trouble = Some("access denied".to_owned());
        check(&denied, false, "auth", Light::Down, "auth:3025: access denied");

        let mut full = well();
        full.storage = "/var/lib/ev".to_owned();
        full.storage_trouble = Some("it cannot be written: no space".to_owned());
        full.sinks[0].engine = Engine::Silent;
        let reason = "`/var/lib/ev`: it cannot be written: no space";
        check(&full, false, "state", Light::Down, reason);

        let mut hung = well();
        hung.sinks[0].engine = Engine::Silent;
        check(&hung, false, "sink fluentd", Light::Down, "its engine does not answer");

        let mut away = well();
        let reason = "unreachable: connection refused".to_owned();
        away.sinks[0].audit.trouble = Some(ReceiverTrouble { seconds: 7, reason });
        let reason = "events are not delivered for 7 s: unreachable: connection refused";
        check(&away, false, "sink fluentd", Light::Down, reason);

        let mut parked = well();
        parked.sinks[0].parked.insert("unknown".to_owned(), 3);
        check(&parked, true, "sink fluentd", Light::Warning, "3 events are parked");

        let mut denied = well();
        // One of them may only not be there yet.
        (denied.sinks[0].sessions_stopped, denied.sinks[0].sessions_unreadable) = (3, 2);
        let reason = "2 session recordings are refused or damaged: `ev-handler state show` lists \
                      them with the reason";
        check(&denied, true, "sink fluentd", Light::Warning, reason);

        // At the end of what was read, and yet not delivered.
        let mut behind = well();
        (behind.sinks[0].caught_up, behind.sinks[0].lag_seconds) = (true, Some(24));
        let parts = Readiness::of(&behind).parts;
        assert_eq!(parts.last().unwrap().reason, "0 events delivered, 24 s behind");

        let mut stopping = well();
        stopping.phase = Phase::Stopping;
        let reason = "stopping: finishing what is under way";
        check(&stopping, false, "run", Light::Down, reason);
    }

    #[test]
    fn of_a_state_at_rest_only_what_is_in_it_is_said() {
        let mut rest = well();
        rest.phase = Phase::Unasked;
        rest.sinks[0].totals = Sums { delivered: 220, resolved: 2, ..Sums::default() };
        rest.storage = "/s".to_owned();
        let parts = |snapshot: &Snapshot| {
            let Readiness { ready, parts } = Readiness::of(snapshot);
            assert!(!ready, "nobody knows");
            let said = parts.into_iter().map(|part| (part.name, part.light, part.reason));
            said.filter(|(name, ..)| name != "auth").collect::<Vec<_>>()
        };
        let said = |name: &str, light, reason: &str| (name.to_owned(), light, reason.to_owned());
        let open = "a process has the state open; it cannot be asked without an answer at its \
                    `diag-addr`";
        let state = said("state", Light::Ok, "`/s`");
        let well = said("sink fluentd", Light::Ok, "222 events delivered so far");
        assert_eq!(parts(&rest), [said("run", Light::Warning, open), state.clone(), well]);
        rest.phase = Phase::Ended;
        rest.sinks[0].totals.parked = 3;
        let parked =
            said("sink fluentd", Light::Warning, "222 events delivered so far, 3 are parked");
        let run = said("run", Light::Down, "no process is running");
        assert_eq!(parts(&rest), [run, state, parked]);
    }

    #[test]
    fn a_certificate_is_of_concern_when_its_end_is_near() {
        let at = |second| {
            let mut snapshot = well();
            snapshot.time = UnixTime(second);
            unwell(&snapshot)
        };
        assert_eq!(at(799), (true, vec![]));
        let (ready, parts) = at(800);
        assert!(ready && parts[0].1 == Light::Warning, "{parts:?}");
        assert_eq!(parts[0].2, "expires soon: `bot` for auth on 1970-01-01T00:16:40Z");
        let (ready, parts) = at(1001);
        assert!(!ready && parts[0].1 == Light::Down, "{parts:?}");
        // Behind the end of the last CA no server is trusted.
        let mut snapshot = well();
        let (not_after, warn_from) = (UnixTime(900), UnixTime(400));
        let subject = "CA".to_owned();
        let authority = Certificate { subject, not_after, warn_from, ..Certificate::default() };
        snapshot.sinks[0].authority = Some(authority);
        let reason = "expires soon: `CA` for the server of fluentd on 1970-01-01T00:15:00Z";
        check(&snapshot, true, "credentials", Light::Warning, reason);
    }

    #[test]
    fn a_refusal_is_told_until_the_right_decoder_is_there() {
        let mut snapshot = well();
        snapshot.decoder.artifacts.refused = 4;
        let none = "4 signed decoders were refused, and there is none yet; the log says why";
        check(&snapshot, true, "decoder", Light::Warning, none);
        snapshot.decoder.in_use = Some("pending".to_owned());
        let pending = "the one for this version of Auth is on its way; 4 signed ones were refused, \
                       the log says why";
        check(&snapshot, true, "decoder", Light::Warning, pending);
        snapshot.decoder.in_use = Some("exact: module 18.0.1".to_owned());
        assert_eq!(unwell(&snapshot), (true, vec![]));
    }

    #[test]
    fn a_watch_that_has_ended_is_told() {
        let mut snapshot = well();
        snapshot.unwatched = vec!["fluentd".to_owned()];
        let reason = "nobody looks for new files any more: fluentd";
        check(&snapshot, true, "credentials", Light::Warning, reason);
    }
}
