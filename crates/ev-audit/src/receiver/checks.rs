//! What a receiver demands beyond what it needs to read a frame.

use std::time::Duration;

use crate::model::{Rules, ServiceId};

/// What a receiver demands beyond what it needs to read a frame.
#[derive(Clone, Debug)]
pub struct Checks {
    /// What a client must refuse to send; nothing for the format alone.
    pub rules: Option<Rules>,
    /// Accept identities, resources and custom data in any order, as the client that the format
    /// comes from writes them.
    pub any_map_order: bool,
    /// Accept frames of more than one entry.
    pub multi_entry: bool,
    /// The only service that may send.
    pub service: Option<ServiceId>,
    /// The least time between heartbeats of a connection, by their own times, less a tenth;
    /// nothing for heartbeats at any time.
    pub heartbeat_interval: Option<Duration>,
    /// The longest frame.
    pub max_frame_bytes: usize,
    /// The custom value by which records are counted: a whole number.
    pub sequence_key: String,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            rules: Some(Rules::default()),
            any_map_order: false,
            multi_entry: false,
            service: None,
            heartbeat_interval: Some(Duration::from_secs(30 * 60)),
            max_frame_bytes: 1 << 20,
            sequence_key: "seq".to_owned(),
        }
    }
}
