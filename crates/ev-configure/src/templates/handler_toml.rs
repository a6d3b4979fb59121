//! The handler's settings.

use super::{Context, EVENTS};
use crate::quote;

/// The port in `fluent.conf`.
const PORT: u16 = 8888;

pub(super) fn render(context: &Context<'_>) -> String {
    let files = context.files;
    let path = |name: &str| quote::basic(&context.path(name));
    let (ca, certificate) = (path(&files.ca_certificate), path(&files.client_certificate));
    let key = path(&files.client_key);
    let host = context.names.url_host();
    let url = quote::basic(&format!("https://{host}:{PORT}/{EVENTS}"));
    let session_url = quote::basic(&format!("https://{host}:{PORT}/session"));
    let addr = quote::basic(&context.config.addr);
    format!(
        "# Settings of the event handler:
#
#   ev-handler start --config teleport-event-handler.toml

# Directory for the state: where to go on after a restart.
storage = \"./storage\"

# Pause between two looks at the end of the log.
timeout = \"10s\"

# Events in one page when searching the log.
batch = 20

# Session recordings that are read at one time.
# concurrency = 5

# Stretch of time that one search covers; less is easier on a slow event store.
# window-size = \"24h\"

# Event types to send, for instance \"user.login,access_request.create\"; all when empty.
# types = \"\"

# Event types not to send, for instance [\"app.delete\"].
# skip-event-types = []

# Event types inside of session recordings not to send. Without this line those are skipped that
# hold what was on terminals and desktops; an empty list sends them too.
# skip-session-types = [\"print\", \"desktop.recording\"]

# Where to begin at the first start; now when it is not set.
# start-time = \"2026-01-31T00:00:00Z\"

[forward.fluentd]
ca = {ca}
cert = {certificate}
key = {key}

# The path is Fluentd's tag, which a <match> in fluent.conf has to take.
url = {url}

# `.<session id>.log` is put behind it: `session.<session id>.log` is the tag.
session-url = {session_url}

# Up to 500 events in one request. Fluentd takes such arrays; for a receiver that does not, and for
# the requests of Teleport's own event handler, it is \"single\".
batch-mode = \"array\"

[teleport]
# Auth, usually port 3025, or a Proxy with its HTTPS port, 443 or 3080.
addr = {addr}

# As `tctl auth sign --format=file` or `tbot` writes it.
identity = \"identity\"

# Read the identity again when it changes.
refresh.enabled = true
"
    )
}
