//! The log: on stderr, text for people or JSON for machines.

mod foot;
mod one_line;

use std::io::{IsTerminal as _, LineWriter, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ev_audit::AuditLayer;
use ev_config::LogFormat;
use ev_diag::Recent;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::foot::Owner;
use self::one_line::OneLine;
use crate::printing::GoingOn;

pub(crate) use self::foot::Foot;

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
            let has_colours = std::io::stderr().is_terminal();
            let inner = if has_colours { terminal() } else { writer() };
            let writer = OneLine { inner, has_colours };
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

/// The line below the log, where there is one.
static FOOT: OnceLock<Foot> = OnceLock::new();

/// The line below the log: where that is for people, on a terminal that can clear a line.
pub(crate) fn foot() -> Option<Foot> {
    FOOT.get().cloned()
}

/// stdout, a line at a time, each written while there is no such line on the same terminal. What
/// nobody reads any more is left out.
pub(crate) fn stdout() -> LineWriter<GoingOn<Stdout>> {
    LineWriter::new(GoingOn(Stdout(std::io::stdout())))
}

/// See [`stdout`].
pub(crate) struct Stdout(std::io::Stdout);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut written = || {
            let written = self.0.write(bytes)?;
            self.0.flush().map(|()| written)
        };
        match FOOT.get() {
            Some(foot) if std::io::stdout().is_terminal() => foot.aside(written),
            Some(_) | None => written(),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Hands lines to a thread of their own: whoever reads the log may be slow, or stand still, and
/// events have to go on. Of lines that nobody takes, 128,000 are kept and newer ones left out.
fn writer() -> NonBlocking {
    let (writer, guard) = NonBlockingBuilder::default().finish(std::io::stderr());
    keep(guard);
    writer
}

/// The same of a terminal, with a line below the log if it can clear one.
fn terminal() -> NonBlocking {
    if !foot::can_clear(std::env::var_os("TERM").as_deref()) {
        return writer();
    }
    let log = |owner| NonBlockingBuilder::default().finish(owner);
    let (foot, writer, guard) = Owner::begin(std::io::stderr(), foot::columns, log);
    if keep(guard) {
        drop(FOOT.set(foot));
    }
    writer
}

/// Keeps the thread, if it is the first: of several calls only the first has an effect, and its
/// thread is to stay.
fn keep(guard: WorkerGuard) -> bool {
    let mut writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let is_first = writing.is_none();
    if is_first {
        *writing = Some(guard);
    }
    is_first
}

/// Waits shortly for lines that are not written yet: the last thing that a process does.
pub(crate) fn end() {
    if let Some(foot) = FOOT.get() {
        foot.hide();
    }
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
