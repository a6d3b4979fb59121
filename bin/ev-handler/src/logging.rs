//! The log: on stderr, text for people or JSON for machines.

mod one_line;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ev_audit::AuditLayer;
use ev_config::LogFormat;
use ev_diag::Recent;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::one_line::OneLine;

/// How much is logged, changeable while the process runs.
#[derive(Clone)]
pub(crate) struct Level(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl Level {
    /// In detail, or as usual.
    pub(crate) fn set(&self, debug: bool) {
        (self.0)(filter(debug));
    }
}

/// Starts logging for the rest of the process; `audit` sees the lines too. Only the first call has an effect, so that tests
/// may start the program several times.
pub(crate) fn init(format: LogFormat, debug: bool, audit: Option<AuditLayer>) -> Level {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(debug))
        // Else a line that cannot be written would be told on stderr, which cannot be written.
        .log_internal_errors(false);
    // Somebody else may have set up logging in this process; theirs is as good, and then there is
    // nothing behind the handle.
    match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            let has_colours = std::io::stderr().is_terminal();
            let writer = OneLine { inner: writer(), has_colours };
            let builder = builder
                .with_writer(BoxMakeWriter::new(writer))
                .with_ansi(has_colours)
                .with_filter_reloading();
            let handle = builder.reload_handle();
            drop(builder.finish().with(audit).with(recent().layer()).try_init());
            Level(Arc::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let builder = builder
                .with_writer(BoxMakeWriter::new(writer()))
                .json()
                .flatten_event(true)
                .with_filter_reloading();
            let handle = builder.reload_handle();
            drop(builder.finish().with(audit).with(recent().layer()).try_init());
            Level(Arc::new(move |filter| drop(handle.reload(filter))))
        }
    }
}

/// The last warnings and errors of this process.
pub(crate) fn recent() -> Recent {
    static RECENT: OnceLock<Recent> = OnceLock::new();
    RECENT.get_or_init(Recent::new).clone()
}

/// The thread that writes lines, until the end of the process.
static WRITING: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// Hands lines to a thread of their own: whoever reads the log may be slow, or stand still, and
/// events have to go on. Of lines that nobody takes, 128,000 are kept and newer ones left out.
fn writer() -> NonBlocking {
    let (writer, guard) = NonBlockingBuilder::default().finish(std::io::stderr());
    let mut writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // Of several calls only the first has an effect, and its thread is to stay.
    if writing.is_none() {
        *writing = Some(guard);
    }
    writer
}

/// Waits shortly for lines that are not written yet: the last thing that a process does.
pub(crate) fn end() {
    drop(WRITING.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn filter(debug: bool) -> EnvFilter {
    let level = if debug { "debug" } else { "info" };
    // Other people's crates speak up from `warn` on, or every request would fill the log.
    EnvFilter::new(format!(
        "warn,ev_handler={level}{}",
        OURS.map(|name| format!(",{name}={level}")).concat()
    ))
}

/// Our crates that log, and the target of the line of each delivered event.
const OURS: [&str; 12] = [
    "ev_audit",
    "ev_diag",
    "ev_locking",
    "ev_modules",
    "ev_pipeline",
    "ev_shadow",
    "ev_sink_fluentd",
    "ev_source",
    "ev_state",
    "ev_tls",
    "ev_wasm_host",
    "event_sent",
];
