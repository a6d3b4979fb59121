//! What the Auth server can be told, and what it counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the server behaves.
///
/// As the body of the admin call `POST /switches`, members that are absent stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSwitches {
    /// What `Ping` answers as the server's version.
    pub version: String,
    /// Most events in a page, whatever is asked for.
    pub page_cap: usize,
    /// Most bytes of events in a page; a real server has 1 MiB.
    pub page_bytes: usize,
    /// An event larger than a page is refused, as by a real server; else it comes alone.
    pub refuse_large: bool,
    /// Wait so long before each answer, in milliseconds.
    pub latency_ms: u64,
    /// Calls that are to fail; the first rule that fits is taken.
    pub fail: Vec<CallFault>,
    /// So many searches (of either kind) more are answered, all others refused as too many: a bucket that whoever
    /// tests fills. `None` is no limit.
    pub searches: Option<u64>,
    /// Methods that are answered `UNIMPLEMENTED`; those of `AuditLogService` by default. See
    /// [`AuthSwitches::offer_only`].
    pub unimplemented: Vec<String>,
    /// Session streams break off with `UNAVAILABLE` after so many events.
    pub break_sessions_after: Option<usize>,
    /// Session streams that have sent so many events send nothing more, and stay open, until this
    /// changes.
    pub hold_sessions_after: Option<usize>,
    /// Recordings that cannot be read to their end; the first that fits is taken.
    pub damaged_recordings: Vec<DamagedRecording>,
    /// Events of a chunk of the bulk export.
    pub export_chunk: usize,
    /// Streams of the bulk export break off with `UNAVAILABLE` after so many events.
    pub break_exports_after: Option<usize>,
    /// The events of chunks come without the cursor behind them.
    pub omit_cursors: bool,
    /// Chunks, as `<date>/<name>`, whose streams break off with `INTERNAL` behind its first event.
    pub bad_chunks: Vec<String>,
    /// Dates, as `YYYY-MM-DD`, whose lists of chunks break off with `INTERNAL` behind the first name.
    pub bad_lists: Vec<String>,
    /// Searches whose page would hold an event of one of these seconds, since
    /// 1970-01-01T00:00:00Z, fail with `INTERNAL`.
    pub bad_seconds: Vec<i64>,
    /// So many answers to searches with a key are the answer before it once more.
    pub repeat_pages: u64,
    /// So many answers to searches with a key name that same key as the next one.
    pub stick_keys: u64,
    /// So many empty pages, each with a key of its own, come in front of every page but the first.
    pub empty_pages: u64,
    /// Artifacts are sent with one byte flipped.
    pub flip_artifact_byte: bool,
    /// Artifacts are not offered.
    pub withhold_artifacts: bool,
    /// The `date` of answers to `Ping`, when not empty; else the machine's own.
    pub date: String,
}

impl Default for AuthSwitches {
    fn default() -> Self {
        Self {
            version: "13.3.8".to_owned(),
            page_cap: 5_000,
            page_bytes: 1 << 20,
            refuse_large: true,
            latency_ms: 0,
            fail: Vec::new(),
            searches: None,
            unimplemented: unimplemented_but(&[Api::Typed]),
            break_sessions_after: None,
            hold_sessions_after: None,
            damaged_recordings: Vec::new(),
            export_chunk: 500,
            break_exports_after: None,
            omit_cursors: false,
            bad_chunks: Vec::new(),
            bad_lists: Vec::new(),
            bad_seconds: Vec::new(),
            repeat_pages: 0,
            stick_keys: 0,
            empty_pages: 0,
            flip_artifact_byte: false,
            withhold_artifacts: false,
            date: String::new(),
        }
    }
}

/// Calls that are answered with an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallFault {
    /// gRPC status code as a number (14 is `UNAVAILABLE`).
    pub code: i32,
    /// So many calls; for ever when absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only this method, by its short name; every method when empty.
    #[serde(default)]
    pub method: String,
    /// Text of the status.
    #[serde(default)]
    pub message: String,
}

/// A recording whose streams break off at one of its events, wherever they begin in front of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DamagedRecording {
    /// Its session; every recording when empty.
    pub session: String,
    /// Index of the first event that is not sent.
    pub at: i64,
    /// So many streams; for ever when absent.
    pub count: Option<u64>,
    /// gRPC status code as a number; `INTERNAL` (13) unless told otherwise.
    pub code: i32,
    /// Text of the status.
    pub message: String,
}

impl Default for DamagedRecording {
    fn default() -> Self {
        let message = "session record is corrupted".to_owned();
        Self { session: String::new(), at: 0, count: None, code: 13, message }
    }
}

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthTally {
    /// Connections accepted.
    pub connections: u64,
    /// Connections whose TLS handshake failed.
    pub handshakes_failed: u64,
    /// Calls by the short name of their method.
    pub methods: BTreeMap<String, MethodTally>,
    /// Events in the log.
    pub log: u64,
    /// Of those: sent at least once.
    pub log_served: u64,
    /// Streams of the bulk export that are open, and how many there were at most.
    pub exports_open: u64,
    /// See [`Self::exports_open`].
    pub exports_most_open: u64,
    /// Streams of recordings that are open, and how many there were at most.
    #[serde(default)]
    pub sessions_open: u64,
    /// See [`Self::sessions_open`].
    #[serde(default)]
    pub sessions_most_open: u64,
    /// Of the streams of recordings that are closed: left by the client in front of their end.
    #[serde(default)]
    pub sessions_cancelled: u64,
    /// Bytes of artifacts sent, envelopes not counted.
    pub artifact_bytes: u64,
    /// Artifacts sent whole.
    pub artifacts_sent: u64,
    /// Artifacts sent with a byte flipped.
    pub artifacts_flipped: u64,
    /// Locks set, each time counted.
    #[serde(default)]
    pub locks_set: u64,
    /// Answers of `Ping`, by the version they named.
    pub pings: BTreeMap<String, u64>,
    /// The version as it is now.
    pub version: String,
}

/// Counts of one method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodTally {
    /// Calls.
    pub calls: u64,
    /// Of those: answered with an error.
    pub errors: u64,
    /// Events sent, repetitions included.
    pub events: u64,
}

/// A call as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenCall {
    /// Short name of the method.
    pub method: String,
    /// What was asked, for people and assertions.
    pub request: serde_json::Value,
}

/// A family of calls by which events can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `GetEvents` and `StreamSessionEvents`.
    Typed,
    /// `GetUnstructuredEvents` and `StreamUnstructuredSessionEvents`.
    Unstructured,
    /// `GetEventExportChunks` and `ExportUnstructuredEvents`.
    Export,
}

impl Api {
    const ALL: [Self; 3] = [Self::Typed, Self::Unstructured, Self::Export];

    /// Short names of its methods.
    pub fn methods(self) -> [&'static str; 2] {
        match self {
            Self::Typed => ["GetEvents", "StreamSessionEvents"],
            Self::Unstructured => ["GetUnstructuredEvents", "StreamUnstructuredSessionEvents"],
            Self::Export => ["GetEventExportChunks", "ExportUnstructuredEvents"],
        }
    }
}

fn unimplemented_but(offered: &[Api]) -> Vec<String> {
    let missing = Api::ALL.into_iter().filter(|api| !offered.contains(api));
    missing.flat_map(Api::methods).map(str::to_owned).collect()
}

impl AuthSwitches {
    /// Offers these calls and answers `UNIMPLEMENTED` to the others by which events can be read.
    pub fn offer_only(&mut self, apis: &[Api]) {
        let all: Vec<&str> = Api::ALL.into_iter().flat_map(Api::methods).collect();
        self.unimplemented.retain(|name| !all.contains(&name.as_str()));
        self.unimplemented.extend(unimplemented_but(apis));
    }

    /// The fault for a call of `method`, counting it down.
    pub(crate) fn fault(&mut self, method: &str) -> Option<CallFault> {
        let is_search = matches!(method, "GetEvents" | "GetUnstructuredEvents");
        if let Some(left) = self.searches.as_mut().filter(|_| is_search) {
            let message = "rate limit exceeded for searching events".to_owned();
            let method = method.to_owned();
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => return Some(CallFault { code: 8, count: None, method, message }),
            }
        }
        let fault = self.fail.iter_mut().find(|fault| {
            fault.count != Some(0) && (fault.method.is_empty() || fault.method == method)
        })?;
        if let Some(count) = &mut fault.count {
            *count -= 1;
        }
        Some(fault.clone())
    }
}
