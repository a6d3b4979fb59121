//! The log: on stderr, text for people or JSON for machines.

use ev_config::LogFormat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging for the rest of the process. Only the first call has an effect, so that tests
/// may start the program several times.
pub(crate) fn init(format: LogFormat, debug: bool) {
    let level = if debug { "debug" } else { "info" };
    // Other people's crates speak up from `warn` on, or every request would fill the log.
    let filter = EnvFilter::new(format!(
        "warn,ev_handler={level}{}",
        OURS.map(|name| format!(",{name}={level}")).concat()
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(BoxMakeWriter::new(std::io::stderr));
    let started = match format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            builder.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Somebody else has set up logging in this process; theirs is as good.
    drop(started);
}

/// Our crates that log.
const OURS: [&str; 7] = [
    "ev_modules",
    "ev_pipeline",
    "ev_sink_fluentd",
    "ev_source",
    "ev_state",
    "ev_tls",
    "ev_wasm_host",
];
