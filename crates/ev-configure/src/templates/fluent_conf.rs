//! Fluentd's configuration (1.12.4 and newer).
//!
//! Where it differs from the reference handler's, that one loses data: its `<buffer>` stands in
//! `<source>`, where Fluentd ignores it; its time format cuts fractions off and takes the zone of
//! the machine; its `<parse>` takes `time` out of the record; and its patterns miss the tags of
//! its own newer addresses, which Fluentd answers with 200 and drops.

use super::{Context, EVENTS, OLD_EVENTS};
use crate::quote;

/// Where the files are inside of the container.
const FOLDER: &str = "/keys";

pub(super) fn render(context: &Context<'_>) -> String {
    let files = context.files;
    let path = |name: &str| quote::fluentd(&format!("{FOLDER}/{name}"));
    let (ca, certificate) = (path(&files.ca_certificate), path(&files.server_certificate));
    let key = path(&files.server_key);
    let passphrase = quote::fluentd(context.passphrase.reveal());
    let events = match_section(&format!("{EVENTS} {OLD_EVENTS}"), "events");
    let sessions = match_section("session.**", "sessions");
    format!(
        "# Fluentd as the receiver of Teleport's audit events, for 1.12.4 and newer. In a container,
# with the directory of these files as {FOLDER}:
#
#   docker run -u $(id -u ${{USER}}):$(id -g ${{USER}}) -p 8888:8888 -v $(pwd):{FOLDER} \\
#     -v $(pwd)/fluent.conf:/fluentd/etc/fluent.conf fluent/fluentd:edge
#
# The passphrase of the server's key stands below, and nowhere else.

<source>
  @type http
  port 8888

  <transport tls>
    client_cert_auth true
    ca_path {ca}
    cert_path {certificate}
    private_key_path {key}
    private_key_passphrase {passphrase}
    # Without both of these lines Fluentd speaks TLS 1.2 alone.
    # min_version TLS1_2
    # max_version TLS1_3
  </transport>

  <parse>
    @type json
    json_parser oj

    # `time` is a text with fraction and zone. Without a format for texts Fluentd refuses every
    # event; `keep_time_key` leaves `time` in the record.
    time_type string
    time_format %iso8601
    keep_time_key true
  </parse>
</source>

# What no <match> takes is answered with 200 all the same, and dropped: whoever sends to another
# tag adds it here. A <buffer> belongs into <match>; in <source> Fluentd ignores it.

# Audit events: `url` in the handler's settings.
{events}
# Session recordings: `session-url`, with `.<session id>.log` behind it.
{sessions}"
    )
}

/// Keeps what was acknowledged in files until it is passed on. Each section needs a folder of its
/// own.
fn match_section(patterns: &str, folder: &str) -> String {
    format!(
        "<match {patterns}>
  @type stdout

  # What was acknowledged is kept in files, so that a restart loses nothing of it.
  # https://docs.fluentd.org/configuration/buffer-section
  <buffer>
    @type file
    path {FOLDER}/buffer/{folder}
    flush_thread_count 8
    flush_interval 1s
    chunk_limit_size 10M
    queue_limit_length 16
    retry_max_interval 30
    retry_forever true
    # When it is full, the handler is told, and waits.
    overflow_action throw_exception
  </buffer>
</match>
"
    )
}
