//! From resolved options to settings: ranges, and what must or must not stand together.

mod address;
mod audit;
mod file;
mod fluentd;
mod forward;
mod lock;
mod receiver;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::address::{check_address, check_url};
use crate::duration::{format_duration, parse_duration};
use crate::event_types;
use crate::finding::Finding;
use crate::load::Whereabouts;
use crate::options::{Kind, Toml};
use crate::origin::Origin;
use crate::resolve::{Resolved, Setting};
use crate::settings::{
    ArtifactPlace, ClientCertificate, Credentials, Decoder, Downgrade, EmbeddedTables, Exactness,
    Export, Ingest, Json, JsonFlavour, LogFormat, Road, Settings, Teleport, Unknown, VersionPolicy,
};
use crate::value::{Value, quoted, redacted};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// Auth gives no larger pages.
const MAX_PAGE: i64 = 5_000;
/// Streams that Auth allows on one connection.
const MAX_CONCURRENCY: i64 = 1_000;
const MAX_RESCANS: usize = 8;
const MAX_PARKED_EVENTS: i64 = 1_000_000_000;
const MAX_PARKED_BYTES: i64 = 1 << 40;

/// Builds the settings; `None` when there are problems, all of which are then in `resolved`.
pub(crate) fn build(resolved: &mut Resolved) -> Option<Settings> {
    let mut build = Build { resolved };
    // Everything is built before anything is judged, so that all problems are told at once.
    let storage = build.storage();
    let diag_addr = build.diag_addr();
    let teleport = build.teleport();
    let ingest = build.ingest();
    // What is not set at all is not there; but one of them has to be.
    let forward = build.is_set("forward-url").then(|| build.forward());
    let file = build.is_set("file-path").then(|| build.file());
    let is_beside = forward.is_some() || file.is_some();
    let fluentd = (!is_beside || build.wants_fluentd()).then(|| build.fluentd(!is_beside));
    build.orphans();
    let decoder = build.decoder();
    let lock = build.lock();
    let audit = build.audit();
    let settings = Settings {
        storage: storage?,
        debug: build.switch("debug"),
        log_format: match build.choice("log-format") {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        diag_addr,
        teleport: teleport?,
        fluentd: all_or_none(fluentd)?,
        forward: all_or_none(forward)?,
        file: all_or_none(file)?,
        ingest: ingest?,
        json: Json {
            flavour: match build.choice("json-flavour") {
                "go" => JsonFlavour::Go,
                "struct" => JsonFlavour::Struct,
                _ => JsonFlavour::Auto,
            },
            print_data: build.switch("print-data"),
        },
        decoder: decoder?,
        lock,
        audit,
        dry_run: build.switch("dry-run"),
        dry_run_print: build.switch("dry-run-print"),
    };
    resolved.problems.is_empty().then_some(settings)
}

/// Nothing if it was not asked for, and nothing at all if it could not be built.
fn all_or_none<T>(built: Option<Option<T>>) -> Option<Option<T>> {
    match built {
        None => Some(None),
        Some(None) => None,
        Some(Some(built)) => Some(Some(built)),
    }
}

/// The little that is needed to find a handler.
pub(crate) fn whereabouts(resolved: &mut Resolved) -> Whereabouts {
    let mut build = Build { resolved };
    Whereabouts { storage: build.storage(), diag_addr: build.diag_addr() }
}

struct Build<'a> {
    resolved: &'a mut Resolved,
}

impl Build<'_> {
    fn storage(&mut self) -> Option<PathBuf> {
        let path = self.required("storage", "").and_then(|value| match value {
            Value::Path(path) => Some(path),
            _ => None,
        })?;
        let setting = self.setting("storage");
        let is_relative =
            setting.shown.as_deref().is_some_and(|text| !text.starts_with(['/', '~']));
        if is_relative {
            let message =
                format!("is relative to the working directory: `{}` is used", path.display());
            self.note("storage", message);
        }
        Some(path)
    }

    /// As Go's `net.Listen` takes it, of names only `localhost`.
    fn diag_addr(&mut self) -> Option<SocketAddr> {
        let text = self.text("diag-addr")?;
        let (host, port) = text.rsplit_once(':').unwrap_or((&text, ""));
        let spelt = match host {
            "" => format!("0.0.0.0:{port}"),
            "localhost" => format!("127.0.0.1:{port}"),
            _ => text.clone(),
        };
        match spelt.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = format!(
                    "`{text}` is no address with a port: give one like `127.0.0.1:3000`, \
                     `[::1]:3000` or `:3000`"
                );
                self.problem("diag-addr", message);
                None
            }
        }
    }

    fn teleport(&mut self) -> Option<Teleport> {
        let addr = self.text("teleport-addr");
        if let Some(Err(message)) = addr.as_deref().map(check_address) {
            self.problem("teleport-addr", message);
        }
        let interval = self.duration("teleport-refresh-interval", 1, i64::MAX);
        let refresh = self.switch("teleport-refresh-enabled").then_some(interval);
        let credentials = self.credentials();
        Some(Teleport {
            addr: addr?,
            credentials: credentials?,
            refresh,
            proxy_ca: self.path("teleport-proxy-ca"),
        })
    }

    fn credentials(&mut self) -> Option<Credentials> {
        const FILES: [&str; 3] = ["teleport-cert", "teleport-key", "teleport-ca"];
        let is_given = |name: &&str| self.setting(name).origin.is_given();
        let names = |which: &[&str]| {
            let names: Vec<_> = which.iter().map(|name| self.setting(name).named()).collect();
            names.join(", ")
        };
        let (given, missing): (Vec<_>, Vec<_>) = FILES.into_iter().partition(is_given);
        if is_given(&"teleport-identity") {
            if !given.is_empty() {
                let message = format!(
                    "an identity file and key files exclude each other; remove it or {}",
                    names(&given)
                );
                self.problem("teleport-identity", message);
            }
            return self.path("teleport-identity").map(Credentials::Identity);
        }
        if given.is_empty() {
            let message = format!(
                "neither an identity file nor key files are configured; set this one, or all of \
                 {}",
                names(&FILES)
            );
            self.problem("teleport-identity", message);
            return None;
        }
        if let (Some(first), false) = (given.first(), missing.is_empty()) {
            let message = format!(
                "certificate, key and CA go together; given: {}; missing: {}",
                names(&given),
                names(&missing)
            );
            self.problem(first, message);
        }
        Some(Credentials::Files {
            cert: self.path("teleport-cert")?,
            key: self.path("teleport-key")?,
            ca: self.path("teleport-ca")?,
        })
    }

    fn client_certificate(&mut self, cert: &str, key: &str) -> Option<ClientCertificate> {
        for (one, other) in [(cert, key), (key, cert)] {
            if self.setting(one).origin.is_given() && !self.setting(other).origin.is_given() {
                let missing = self.setting(other).named();
                self.problem(one, format!("certificate and key go together; missing: {missing}"));
            }
        }
        Some(ClientCertificate { cert: self.path(cert)?, key: self.path(key)? })
    }

    fn ingest(&mut self) -> Option<Ingest> {
        let page_size = self.clamped("batch", 1, MAX_PAGE);
        let concurrency = self.clamped("concurrency", 1, MAX_CONCURRENCY);
        let poll_interval = self.duration("timeout", 1, i64::MAX);
        let window_size = self.duration("window-size", SECOND, i64::MAX);
        let types = self.list("types");
        let skip_event_types = self.list("skip-event-types");
        let skip_session_types = self.list("skip-session-types");

        if self.setting("skip-session-types").origin.is_given() && skip_session_types.is_empty() {
            let message = "nothing is skipped: what was on terminals is sent too (`print` events); \
                           remove the setting to skip `print` and `desktop.recording`";
            self.note("skip-session-types", message.to_owned());
        }
        for name in ["types", "skip-event-types", "skip-session-types"] {
            self.warn_of_odd_types(name);
        }
        let upload = || "session.upload".to_owned();
        let hidden = if !types.is_empty() && !types.contains(&upload()) {
            Some("types")
        } else {
            skip_event_types.contains(&upload()).then_some("skip-event-types")
        };
        if let Some(name) = hidden {
            let message = "leaves out `session.upload`, so no session recording is sent";
            self.note(name, message.to_owned());
        }
        Some(Ingest {
            page_size: u16::try_from(page_size).unwrap_or(1),
            types,
            skip_event_types,
            skip_session_types,
            cursor: self.text("cursor"),
            start_time_unix_secs: match self.setting("start-time").value {
                Some(Value::Time(seconds)) => Some(seconds),
                _ => None,
            },
            poll_interval,
            window_size,
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            exit_on_last_event: self.switch("exit-on-last-event"),
            rescan: self.rescan(),
            recording_patience: Some(self.duration("recording-patience", 0, i64::MAX))
                .filter(|patience| !patience.is_zero()),
            max_parked_events: self.parked("parked-max-events", 1, MAX_PARKED_EVENTS),
            max_parked_bytes: self.parked("parked-max-bytes", 1024, MAX_PARKED_BYTES),
            export_parked: self.choice("parked-overflow") == "export",
            source: self.source(),
            export: self.export(concurrency),
        })
    }

    fn export(&mut self, concurrency: i64) -> Export {
        let is_given = self.setting("export-chunks").value.is_some();
        let chunks = match is_given {
            true => self.ranged("export-chunks", 1, 1000),
            // As the reference handler.
            false => (concurrency / 4).max(3),
        };
        let backlog = self.ranged("export-backlog", 0, 31);
        Export {
            chunks: usize::try_from(chunks).unwrap_or(1),
            backlog: usize::try_from(backlog).unwrap_or_default(),
            poll: self.duration("export-poll", 1, i64::MAX),
        }
    }

    /// Names are compared as they are, so one that no event can have filters nothing, or all.
    fn warn_of_odd_types(&mut self, name: &str) {
        for word in self.list(name) {
            if word.contains(['*', '?']) {
                self.warn(name, format!("`{word}`: names are exact, there are no wildcards"));
            } else if let Some(known) = event_types::misspelt(&word) {
                let message =
                    format!("`{word}` is no event type known here; did you mean `{known}`?");
                self.warn(name, message);
            }
        }
    }

    fn parked(&mut self, name: &str, min: i64, max: i64) -> u64 {
        u64::try_from(self.ranged(name, min, max)).unwrap_or(1)
    }

    fn rescan(&mut self) -> Vec<Duration> {
        let mut delays = Vec::new();
        for text in self.list("rescan") {
            match parse_duration(&text) {
                Ok(nanos) if (SECOND..=720 * HOUR).contains(&nanos) => {
                    delays.push(Duration::from_nanos(nanos.unsigned_abs()));
                }
                Ok(_) => self.problem("rescan", format!("{text} is not in the range 1s to 720h")),
                Err(error) => self.problem("rescan", format!("`{text}` {error}")),
            }
        }
        if !delays.is_sorted() {
            self.problem("rescan", "the shortest delay comes first".to_owned());
        }
        if delays.len() > MAX_RESCANS {
            self.problem("rescan", format!("more than {MAX_RESCANS} delays"));
        }
        delays
    }

    fn source(&mut self) -> Road {
        match self.choice("source") {
            "typed" => Road::Typed,
            "unstructured" => self.road_of_json(Road::Unstructured),
            "export" => self.road_of_json(Road::Export),
            _ => Road::Auto,
        }
    }

    /// A road on which Auth makes the JSON, which has one flavour.
    fn road_of_json(&mut self, road: Road) -> Road {
        if self.choice("json-flavour") == "go" {
            let flavour = self.setting("json-flavour").named();
            let message = format!(
                "brings the JSON that Auth has made, which is the flavour `struct`; remove {flavour}, \
                 or use `typed`"
            );
            self.problem("source", message);
        }
        road
    }

    fn decoder(&mut self) -> Option<Decoder> {
        let trust = self.path("decoder-trust");
        let artifacts = self.artifact_place();
        let version_policy = match self.choice("decoder-version-policy") {
            "nearest-newer-in-major" => VersionPolicy::NearestNewerInMajor,
            _ => VersionPolicy::Exact,
        };
        if version_policy != VersionPolicy::Exact
            && !self.setting("decoder-artifacts").origin.is_given()
        {
            let artifacts = self.setting("decoder-artifacts").named();
            let message = format!("has no effect on what Auth itself offers; set {artifacts}");
            self.warn("decoder-version-policy", message);
        }
        if artifacts.is_some() && !self.setting("decoder-trust").origin.is_given() {
            let trust = self.setting("decoder-trust").named();
            let message = format!("has no effect without keys to trust; set {trust}");
            self.warn("decoder-artifacts", message);
        }
        Some(Decoder {
            trust,
            artifacts,
            version_policy,
            exactness: match self.choice("decoder-exactness") {
                "known-native" => Exactness::KnownNative,
                _ => Exactness::Auth,
            },
            unknown: match self.choice("decoder-unknown") {
                "park" => Unknown::Park,
                "incomplete" => Unknown::Incomplete,
                _ => Unknown::Auto,
            },
            artifact_wait: self.duration("decoder-artifact-wait", 0, 24 * HOUR),
            embedded: match self.choice("decoder-embedded") {
                "oldest" => EmbeddedTables::Oldest,
                _ => EmbeddedTables::All,
            },
            downgrade: match self.choice("decoder-downgrade") {
                "within-minor" => Downgrade::WithinMinor,
                "never" => Downgrade::Never,
                _ => Downgrade::Always,
            },
            allow_wasi_modules: self.switch("allow-wasi-modules"),
        })
    }

    fn artifact_place(&mut self) -> Option<ArtifactPlace> {
        const TLS: [&str; 3] =
            ["decoder-artifacts-ca", "decoder-artifacts-cert", "decoder-artifacts-key"];
        let client = self.client_certificate(TLS[1], TLS[2]);
        let place = match self.setting("decoder-artifacts").value.clone() {
            Some(Value::Text(url)) => {
                if let Err(message) = check_url(&url) {
                    let message = format!("`{}` {message}", redacted(&url));
                    self.problem("decoder-artifacts", message);
                }
                Some(ArtifactPlace::Https { url, ca: self.path(TLS[0]), client })
            }
            Some(Value::Path(path)) => Some(ArtifactPlace::Directory(path)),
            _ => None,
        };
        let is_https = match &place {
            Some(ArtifactPlace::Https { url, .. }) => url.starts_with("https://"),
            _ => false,
        };
        for name in TLS {
            if !is_https && self.setting(name).origin.is_given() {
                let artifacts = self.setting("decoder-artifacts").named();
                let message = format!("has no effect, because {artifacts} is no `https` address");
                self.warn(name, message);
            }
        }
        place
    }

    fn is_set(&self, name: &str) -> bool {
        self.setting(name).origin.is_given()
    }

    fn setting(&self, name: &str) -> &Setting {
        &self.resolved.settings[name]
    }

    fn problem(&mut self, name: &str, message: String) {
        let finding = self.setting(name).finding(message);
        self.resolved.problems.push(finding);
    }

    fn warn(&mut self, name: &str, message: String) {
        let finding = self.setting(name).finding(message);
        self.resolved.warnings.push(finding);
    }

    /// A warning about what is odd, but meant by some.
    fn note(&mut self, name: &str, message: String) {
        let finding = self.setting(name).finding(message).choice();
        self.resolved.warnings.push(finding);
    }

    /// The value of an option that has no default; `hint` is said behind the ways to give it. One
    /// that cannot be read was told already.
    fn required(&mut self, name: &str, hint: &str) -> Option<Value> {
        let setting = self.setting(name);
        if !setting.origin.is_given() {
            let message = format!("is required; set {}{hint}", setting.ways());
            self.problem(name, message);
            return None;
        }
        setting.value.clone()
    }

    fn switch(&self, name: &str) -> bool {
        matches!(self.setting(name).value, Some(Value::Bool(true)))
    }

    /// The word chosen; empty when it could not be read.
    fn choice(&self, name: &str) -> &'static str {
        match self.setting(name).value {
            Some(Value::Choice(word)) => word,
            _ => "",
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        match &self.setting(name).value {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match &self.setting(name).value {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        match &self.setting(name).value {
            Some(Value::Path(path)) => Some(path.clone()),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> i64 {
        match self.setting(name).value {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    /// A number that must lie in a range. 0 if it does not, or cannot be read.
    fn ranged(&mut self, name: &str, min: i64, max: i64) -> i64 {
        match self.setting(name).value {
            Some(Value::Number(number)) if (min..=max).contains(&number) => number,
            Some(Value::Number(number)) => {
                self.problem(name, format!("{number} is not in the range {min} to {max}"));
                0
            }
            _ => 0,
        }
    }

    /// A number of the reference handler, which knows no upper end: more than `max` is cut to it,
    /// because it would have no effect.
    fn clamped(&mut self, name: &str, min: i64, max: i64) -> i64 {
        match self.setting(name).value {
            Some(Value::Number(number)) if number > max => {
                self.warn(name, format!("{number} is more than is of use; {max} is used"));
                max
            }
            _ => self.ranged(name, min, max),
        }
    }

    /// A duration within a range of nanoseconds, both ends included.
    fn duration(&mut self, name: &str, min: i64, max: i64) -> Duration {
        let nanos = match self.setting(name).value {
            Some(Value::Duration(nanos)) => nanos,
            // Told already.
            _ => return Duration::ZERO,
        };
        if !(min..=max).contains(&nanos) {
            let range = match (min, max) {
                (1, i64::MAX) => "must be more than 0s".to_owned(),
                (_, i64::MAX) => format!("must be at least {}", format_duration(min)),
                _ => format!(
                    "is not in the range {} to {}",
                    format_duration(min),
                    format_duration(max)
                ),
            };
            self.problem(name, format!("{} {range}", format_duration(nanos)));
        }
        Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }
}

impl Setting {
    fn finding(&self, message: String) -> Finding {
        Finding::new(self.option.setting(), &self.origin, message)
    }

    /// Its name, and where its value stands if it has one.
    fn named(&self) -> String {
        match &self.origin {
            Origin::Default => format!("`{}`", self.option.setting()),
            origin => format!("`{}` ({origin})", self.option.setting()),
        }
    }

    /// All the ways to give it.
    fn ways(&self) -> String {
        let mut ways = vec![format!("--{}", self.option.name)];
        if self.option.toml != Toml::No {
            let setting = self.option.setting();
            ways.push(match setting.rsplit_once('.') {
                Some((table, key)) => format!("[{table}] {key}"),
                None => setting,
            });
        }
        ways.extend(self.option.env.first().map(ToString::to_string));
        debug_assert_ne!(self.option.kind, Kind::Switch, "a switch is never required");
        let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
        quoted(&ways)
    }
}
