//! What Auth serves, and what must therefore arrive.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use ev_test_support::data::{Made, Maker, Recording, Vector, read_vectors};
use ev_test_support::{Event, UtcTime, write_line};

/// Tag of audit events.
pub(super) const TAG: &str = "audit.log";
/// What tags of recordings begin with; `.<session id>.log` follows.
pub(super) const SESSION_TAG: &str = "session";

/// Type of the recorded events that the handler leaves out by default.
const LEFT_OUT: &str = "print";
/// Recorded events larger than this are left out of the demo: few, and only there for depth.
const MAX_EVENT: usize = 8 << 10;
const DAY: i128 = 86_400 * SECOND;
const SECOND: i128 = 1_000_000_000;

/// Events of one version of Auth.
pub(super) struct Phase {
    pub(super) version: &'static str,
    /// As the Auth server reads them.
    pub(super) lines: Vec<u8>,
    /// Events in the audit log.
    pub(super) log: u64,
    /// Events in recordings.
    pub(super) recorded: u64,
    /// Recordings.
    pub(super) sessions: u64,
    /// Of all: those that the handler leaves out.
    pub(super) left_out: u64,
    /// Tag and body of what must arrive.
    pub(super) expected: Vec<(String, Vec<u8>)>,
}

/// All of the story.
pub(super) struct Plan {
    /// When the handler is to start reading.
    pub(super) start: UtcTime,
    pub(super) phases: [Phase; 3],
}

impl Plan {
    /// Makes all events; the newest are of `now`.
    pub(super) fn new(golden: &Path, now: UtcTime) -> Result<Self> {
        let read = |name: &str| -> Result<Vec<Vector>> {
            let path = golden.join(format!("{name}.jsonl.gz"));
            read_vectors(&path).with_context(|| format!("failed to read `{}`", path.display()))
        };
        let (v13, v15, v18) = (read("v13")?, read("v15dev")?, read("v18dev")?);
        let realistic = read("realistic-v18dev")?;
        let ago = |nanos: i128| now.plus_nanos(-nanos);
        let mut maker = Maker::new(0x00de_0000 | u32::try_from(now.seconds & 0xffff)?);

        let mut old = Phase::new("13.3.8");
        let span = (ago(3 * DAY), ago(900 * SECOND));
        let mut log = maker.events(&templates(&v13), 9_000, span.0, span.1)?;
        let parts = ["session.start", "resize", "session.leave", "session.end"];
        let parts = parts.map(|kind| find(&v13, |one| one.kind == kind));
        let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
        for number in 0..6 {
            let at = ago(2 * DAY - number * 3_600 * SECOND);
            let recording = maker.recording(upload(&v13)?, &parts, 40, at)?;
            old.record(&recording);
            log.push(recording.upload);
        }
        old.log(log);
        // Not changed at all, and served again, byte for byte, by the later versions: Auth makes
        // other JSON of them there.
        for name in ["WindowsDesktopSessionStart", "SSMRun", "SAMLConnectorCreate"] {
            old.as_recorded(empty(&v13, name)?, ago(DAY));
        }

        let mut middle = Phase::new("15.0.0-dev");
        let span = (ago(20 * SECOND), ago(11 * SECOND));
        middle.log(maker.events(&templates(&v15), 4_000, span.0, span.1)?);
        middle.as_recorded(empty(&v15, "WindowsDesktopSessionStart")?, ago(10 * SECOND));

        let mut new = Phase::new("18.0.0-dev");
        let span = (ago(9 * SECOND), ago(SECOND));
        let mut log = maker.events(&templates(&v18), 3_000, span.0, span.1)?;
        let common = templates(&realistic);
        log.extend(maker.events(&common, 4_000, span.0, span.1)?);
        for recording in recordings(&realistic, &mut maker, ago(SECOND))? {
            new.record(&recording);
            log.push(recording.upload);
        }
        new.log(log);
        for name in ["SSMRun", "SAMLConnectorCreate"] {
            new.as_recorded(empty(&v18, name)?, now);
        }
        let start = UtcTime::from_seconds(ago(3 * DAY + 3_600 * SECOND).seconds);
        Ok(Self { start, phases: [old, middle, new] })
    }

    /// All that must arrive, by tag and body; nothing is expected twice.
    pub(super) fn expected(&self) -> Result<BTreeMap<(&str, &[u8]), &'static str>> {
        let mut all = BTreeMap::new();
        for phase in &self.phases {
            for (tag, body) in &phase.expected {
                let before = all.insert((tag.as_str(), &body[..]), phase.version);
                ensure!(before.is_none(), "two events would have the same body");
            }
        }
        Ok(all)
    }
}

impl Phase {
    fn new(version: &'static str) -> Self {
        Self {
            version,
            lines: Vec::new(),
            log: 0,
            recorded: 0,
            sessions: 0,
            left_out: 0,
            expected: Vec::new(),
        }
    }

    /// Adds events to the audit log, by ascending time.
    fn log(&mut self, mut events: Vec<Made>) {
        events.sort_by_key(|event| event.time);
        for event in events {
            self.add(&event.event(), event.json.to_vec(), TAG.to_owned(), None);
        }
    }

    /// Adds a recorded event as it is; Auth finds it at `time`, whatever it says itself.
    fn as_recorded(&mut self, vector: &Vector, time: UtcTime) {
        self.add(&vector.event(time), vector.json.to_vec(), TAG.to_owned(), None);
    }

    fn record(&mut self, recording: &Recording) {
        self.sessions += 1;
        for event in &recording.events {
            let tag = format!("{SESSION_TAG}.{}.log", recording.session);
            self.add(&event.event(), event.json.to_vec(), tag, Some(&recording.session));
        }
    }

    fn add(&mut self, event: &Event, json: Vec<u8>, tag: String, session: Option<&str>) {
        write_line(&mut self.lines, event, session);
        if session.is_some() {
            self.recorded += 1;
        } else {
            self.log += 1;
        }
        if session.is_some() && event.kind == LEFT_OUT {
            self.left_out += 1;
        } else {
            self.expected.push((tag, json));
        }
    }
}

/// What events of the audit log can be made of. Uploads are made together with their recordings.
fn templates(vectors: &[Vector]) -> Vec<&Vector> {
    vectors
        .iter()
        .filter(|one| one.recording.is_empty() && one.type_name != "SessionUpload")
        .filter(|one| one.oneof.len() <= MAX_EVENT && one.is_template())
        .collect()
}

fn find(vectors: &[Vector], fits: impl Fn(&Vector) -> bool) -> Result<&Vector> {
    let mut with = vectors.iter().filter(|one| one.recording.is_empty() && one.is_template());
    with.find(|one| fits(one)).context("a recorded event is not there")
}

fn upload(vectors: &[Vector]) -> Result<&Vector> {
    find(vectors, |one| one.type_name == "SessionUpload")
}

/// The recorded event of that type with nothing in it.
fn empty<'a>(vectors: &'a [Vector], type_name: &str) -> Result<&'a Vector> {
    let mut with = vectors.iter().filter(|one| one.type_name == type_name && one.case == "zero");
    with.next().with_context(|| format!("there is no empty `{type_name}`"))
}

/// A recording like each of those in the realistic set.
fn recordings(vectors: &[Vector], maker: &mut Maker, at: UtcTime) -> Result<Vec<Recording>> {
    let mut sessions: BTreeMap<&str, Vec<&Vector>> = BTreeMap::new();
    for vector in vectors.iter().filter(|one| !one.recording.is_empty()) {
        sessions.entry(&vector.recording).or_default().push(vector);
    }
    let upload = upload(vectors)?;
    let made = sessions.values().map(|events| maker.recording(upload, events, events.len(), at));
    Ok(made.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_twenty_thousand_events_and_no_body_twice() {
        let now = UtcTime { seconds: 1_795_000_000, nanos: 123_456_789 };
        let plan = Plan::new(&crate::root().join("testdata/golden"), now).expect("a plan");
        let expected = plan.expected().expect("no body twice");
        let served: u64 = plan.phases.iter().map(|phase| phase.log + phase.recorded).sum();
        let left_out: u64 = plan.phases.iter().map(|phase| phase.left_out).sum();
        assert!((20_000..22_000).contains(&served), "{served}");
        assert_eq!(expected.len() as u64, served - left_out);
        assert!(left_out > 0 && plan.phases.iter().all(|phase| phase.log > 3_000));
        assert!(plan.phases[0].sessions > 0 && plan.phases[2].sessions > 0);
    }

    #[test]
    fn the_same_bytes_have_another_body_under_a_newer_version() {
        let now = UtcTime::from_seconds(1_795_000_000);
        let plan = Plan::new(&crate::root().join("testdata/golden"), now).expect("a plan");
        let find = |phase: &Phase, key: &str| {
            let has = |body: &[u8]| body.windows(key.len()).any(|part| part == key.as_bytes());
            phase.expected.iter().filter(|(_, body)| body.len() < 300 && has(body)).count()
        };
        let key = "\"allow_user_creation\":false";
        assert_eq!((find(&plan.phases[0], key), find(&plan.phases[1], key)), (0, 1));
    }
}
