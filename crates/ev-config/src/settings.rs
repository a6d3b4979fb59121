//! The settings of `start`: plain data, checked, every path absolute.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `start` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the state; need not exist.
    pub storage: PathBuf,
    /// Log in detail.
    pub debug: bool,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Where metrics, health and status are served; `None` serves nothing.
    pub diag_addr: Option<SocketAddr>,
    /// The Auth service.
    pub teleport: Teleport,
    /// The receiver by HTTP. Of this and the next two, at least one is there.
    pub fluentd: Option<Fluentd>,
    /// The receiver by the Forward protocol.
    pub forward: Option<Forward>,
    /// Files and stdout.
    pub file: Option<FileOutput>,
    /// What is read.
    pub ingest: Ingest,
    /// The JSON.
    pub json: Json,
    /// Decoders and artifacts.
    pub decoder: Decoder,
    /// Locking users out after failed logins; `None` when that is not asked for.
    pub lock: Option<Lock>,
    /// Where its own security events go; `None` when nobody takes them.
    pub audit: Option<Audit>,
    /// Do everything but sending, locking, and moving the resume point.
    pub dry_run: bool,
    /// Print what would be sent in a dry run.
    pub dry_run_print: bool,
}

/// Locking users out after failed logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Failed logins within the period that go unpunished, at least 1; the next one locks.
    pub failed_attempts: u32,
    /// Time within which failed logins count, more than zero.
    pub period: Duration,
    /// How long a lock holds; `None` means for ever.
    pub lock_for: Option<Duration>,
}

/// Where security events of the handler itself go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The agent.
    pub endpoint: AuditEndpoint,
    /// Service tree id: a GUID in lower case, not all zeros.
    pub service: String,
    /// Of the data plane, not the control plane.
    pub is_data_plane: bool,
    /// The handler's address; `None` for that from which Auth is reached.
    pub caller: Option<IpAddr>,
}

/// How the agent is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEndpoint {
    /// By the sockets where it usually is.
    UsualSockets,
    /// By the socket at this path.
    Socket(PathBuf),
    /// At `host:port`.
    Tcp(String),
}

/// Form of the log lines on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// The Auth service and who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teleport {
    /// `host:port`; an IPv6 host stands in brackets.
    pub addr: String,
    /// Who we are.
    pub credentials: Credentials,
    /// How often the files are looked at for changes; `None` when that is turned off.
    pub refresh: Option<Duration>,
    /// CA certificates of a Proxy's web service; `None` means the system's.
    pub proxy_ca: Option<PathBuf>,
}

/// Who we are. The files exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// An identity file.
    Identity(PathBuf),
    /// PEM files.
    Files {
        /// Client certificate.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
        /// CA certificates of Auth.
        ca: PathBuf,
    },
}

/// The receiver by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fluentd {
    /// Where audit events go; `http` or `https`.
    pub url: String,
    /// Where recordings go; `.<session id>.log` is put behind it, or the id in the place of
    /// `{session-id}`.
    pub session_url: String,
    /// CA certificates; `None` means the system's.
    pub ca: Option<PathBuf>,
    /// Certificate and key that we show.
    pub client: Option<ClientCertificate>,
    /// File with the passphrase of an encrypted key.
    pub key_passphrase_file: Option<PathBuf>,
    /// Environment variable with that passphrase, where there is no file.
    pub key_passphrase_variable: String,
    /// How often the certificate files are looked at for changes, one second to one hour.
    pub refresh: Duration,
    /// Most requests at one time, at least 1.
    pub max_connections: usize,
    /// How many of them are under way.
    pub in_flight: InFlight,
    /// What a request holds.
    pub batching: Batching,
    /// Headers that every request has.
    pub headers: Vec<Header>,
    /// Where the token of `Authorization` is.
    pub token: Option<Token>,
    /// Whether requests carry the ids of their batch and event in headers.
    pub id_headers: bool,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Whether the receiver is examined at the start.
    pub probe: bool,
}

/// The receiver by the Forward protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// `tls://host:port` or `tcp://host:port`; the rest of its form is the sink's to judge.
    pub url: String,
    /// Tag of audit events.
    pub tag: String,
    /// Tag of recordings; `.<session id>.log` is put behind it, or the id in the place of
    /// `{session-id}`.
    pub session_tag: String,
    /// CA certificates; `None` means the system's.
    pub ca: Option<PathBuf>,
    /// Certificate and key that we show.
    pub client: Option<ClientCertificate>,
    /// File with the passphrase of an encrypted key.
    pub key_passphrase_file: Option<PathBuf>,
    /// How often these files are looked at for changes, one second to one hour.
    pub refresh: Duration,
    /// What both sides know.
    pub shared_key: Option<SecretText>,
    /// Who we are to the receiver; there only together with the shared key.
    pub login: Option<ForwardLogin>,
    /// Most chunks under way at one time, at least 1.
    pub max_connections: usize,
    /// Most events in a chunk, 1 to 10,000.
    pub max_events: usize,
    /// Most bytes in a chunk, 1,024 to 33,554,432.
    pub max_bytes: usize,
    /// Longest time that an event waits for its chunk to fill, up to one minute.
    pub max_age: Duration,
    /// Which chunks are compressed.
    pub gzip: Gzip,
    /// How long to wait for what; the response is the acknowledgement.
    pub timeouts: Timeouts,
}

/// A user of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardLogin {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: SecretText,
}

/// A text that nobody may see, or where it is. Printing shows nothing of the text, not even its
/// length.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretText {
    /// The text.
    Known(String),
    /// A file whose content it is, but for one line end.
    File(PathBuf),
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_) => f.write_str("Known(not shown)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Files and stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutput {
    /// The file of audit events; `-` is stdout.
    pub path: PathBuf,
    /// The files of recordings, with the id in the place of `{session-id}`; `-` is stdout.
    pub session_path: PathBuf,
    /// Size in bytes at which a file is put aside; `None` is never.
    pub rotate_bytes: Option<u64>,
    /// Age at which a file is put aside; `None` is never.
    pub rotate_age: Option<Duration>,
    /// When the disk has to have what was written.
    pub sync: FileSync,
    /// Longest time that an event waits for its batch to fill, up to one minute.
    pub max_age: Duration,
}

/// When the disk has to have what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSync {
    /// After each event.
    Always,
    /// After each batch.
    Batch,
    /// When the operating system thinks so.
    Never,
}

/// How many requests are under way at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// Between one and the most, by how fast and how well the receiver answers.
    Adaptive,
    /// The most.
    Fixed,
}

/// How long to wait for what, each from 100 milliseconds to 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution and TCP connect together.
    pub connect: Duration,
    /// TLS handshake.
    pub handshake: Duration,
    /// Until the whole request has been taken by the network.
    pub request: Duration,
    /// From then until the whole answer is there.
    pub response: Duration,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Certificate and its chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// What a request to the receiver holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// One event, or an array of them.
    pub mode: BatchMode,
    /// How they stand in the body.
    pub body: Body,
    /// Why it is this mode.
    pub reason: BatchModeReason,
    /// Most events in an array, 1 to 10,000.
    pub max_events: usize,
    /// Most bytes in an array, 1,024 to 33,554,432.
    pub max_bytes: usize,
    /// Longest time that an event waits for its array to fill, up to one minute.
    pub max_age: Duration,
    /// Which requests are compressed.
    pub gzip: Gzip,
}

/// Which requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// None.
    Off,
    /// Those larger than a bound, if they shrink.
    Auto {
        /// The bound, in bytes, up to 33,554,432.
        above_bytes: usize,
    },
    /// All.
    Always,
}

/// Form of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchMode {
    /// One JSON object, byte for byte as the reference handler sends it.
    Single,
    /// A JSON array of objects.
    Array,
}

impl BatchMode {
    /// The word in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Array => "array",
        }
    }
}

/// How the events of a request stand in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// As a JSON object, or an array of them.
    Json,
    /// A line each.
    Ndjson,
    /// As Splunk's HTTP event collector takes them.
    SplunkHec,
    /// As a push to Loki.
    Loki,
}

/// A header of the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// As it was written.
    pub name: String,
    /// Often a secret.
    pub value: String,
}

impl fmt::Debug for Header {
    /// Without its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A token in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Holds it and nothing else.
    pub file: PathBuf,
    /// What stands in front of it.
    pub scheme: String,
}

/// Why a batch mode was chosen. Where it stands is told by [`crate::Loaded`]: settings that say the
/// same are equal, wherever they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchModeReason {
    /// Somebody set it.
    Set,
    /// No setting of ours is used that is about what is sent: whoever receives may know single
    /// objects only. Worth a log line about what arrays would bring.
    OnlyReferenceSettings,
    /// One is used, so the configuration was written for this program.
    OwnSetting,
}

/// What is read, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// Events per page of a search, 1 to 5,000.
    pub page_size: u16,
    /// Event types to read; empty means all.
    pub types: Vec<String>,
    /// Event types not to send.
    pub skip_event_types: Vec<String>,
    /// Event types inside recordings not to send.
    pub skip_session_types: Vec<String>,
    /// Event id or page key behind which a new state starts, as it was written; never empty.
    pub cursor: Option<String>,
    /// Where a new state starts, in seconds since 1970-01-01T00:00:00Z; `None` means now.
    pub start_time_unix_secs: Option<i64>,
    /// Pause between two looks at the end of the log, more than zero.
    pub poll_interval: Duration,
    /// Stretch of time that one search covers, at least one second.
    pub window_size: Duration,
    /// Recordings read at one time, 1 to 1,000.
    pub concurrency: usize,
    /// Stop when the end of the log is reached.
    pub exit_on_last_event: bool,
    /// How long after its end a stretch of the log is read again, shortest first: up to eight, 1 s
    /// to 720 h.
    pub rescan: Vec<Duration>,
    /// How long a recording of which nothing can be read is asked for; `None` means for ever.
    pub recording_patience: Option<Duration>,
    /// Most events parked, at least 1.
    pub max_parked_events: u64,
    /// Most bytes of parked events, at least 1,024.
    pub max_parked_bytes: u64,
    /// Whether events beyond that are written to files; else they stand still.
    pub export_parked: bool,
    /// Calls by which events are read.
    pub source: Road,
    /// How the bulk export is read.
    pub export: Export,
}

/// How the bulk export is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// Chunks of one date that are read at one time, 1 to 1,000.
    pub chunks: usize,
    /// Dates before the newest one at which is looked for late chunks, 0 to 31.
    pub backlog: usize,
    /// Pause between two looks for chunks of a date, more than zero.
    pub poll: Duration,
}

/// Calls by which events are read from Auth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// The best one that Auth offers.
    Auto,
    /// Protobuf events, found by search.
    Typed,
    /// Events that Auth has made JSON of, found by search.
    Unstructured,
    /// Events that Auth has made JSON of, exported in bulk.
    Export,
}

/// The JSON that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json {
    /// Its form.
    pub flavour: JsonFlavour,
    /// Add the terminal's bytes to `print` events in the `go` flavour.
    pub print_data: bool,
}

/// Form of the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFlavour {
    /// That of the state; in a new one that of the reference handler whose state is taken over, or
    /// of its first road.
    Auto,
    /// Go's struct order.
    Go,
    /// Sorted keys.
    Struct,
}

/// Decoders and artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// File with public keys; without it no artifact is trusted.
    pub trust: Option<PathBuf>,
    /// Where artifacts are, asked before Auth.
    pub artifacts: Option<ArtifactPlace>,
    /// Which version of an artifact is taken.
    pub version_policy: VersionPolicy,
    /// Which events need the schema of Auth's version.
    pub exactness: Exactness,
    /// What becomes of events with unknown fields when no artifact is to be had.
    pub unknown: Unknown,
    /// How long events wait for an artifact that is offered but not usable yet.
    pub artifact_wait: Duration,
    /// Built-in schemas to use.
    pub embedded: EmbeddedTables,
    /// Whether artifacts of older versions are taken.
    pub downgrade: Downgrade,
    /// Whether modules that import WASI are taken.
    pub allow_wasi_modules: bool,
}

/// Where artifacts are, besides Auth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactPlace {
    /// An existing directory.
    Directory(PathBuf),
    /// A web server with the layout of such a directory.
    Https {
        /// The base; what stands behind `https://` is the fetcher's to judge.
        url: String,
        /// CA certificates; `None` means the system's.
        ca: Option<PathBuf>,
        /// Certificate and key that we show.
        client: Option<ClientCertificate>,
    },
}

/// Which version of an artifact is taken for a version of Auth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// That very version.
    Exact,
    /// Where it is not offered, the nearest newer one of the same major.
    NearestNewerInMajor,
}

/// Which events need the schema of exactly Auth's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// All of them.
    Auth,
    /// Only those that the nearest built-in schema does not fully know.
    KnownNative,
}

/// What becomes of events with unknown fields when no artifact is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Park when artifacts are offered or configured, else send the known part.
    Auto,
    /// Park.
    Park,
    /// Send the known part, marked.
    Incomplete,
}

/// Built-in schemas to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddedTables {
    /// All.
    All,
    /// The oldest alone: for demonstrations and tests.
    Oldest,
}

/// Whether artifacts of an older version than seen before are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downgrade {
    /// Yes.
    Always,
    /// Within the same minor version.
    WithinMinor,
    /// No.
    Never,
}
