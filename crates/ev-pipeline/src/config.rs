//! Settings of the engine, with the reason for each default.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::intake::SESSION_UPLOAD;
use crate::{Overflow, Pulse, Watcher};

/// How the engine behaves. [`Config::default`] is what the binary starts from.
#[derive(Clone, Debug)]
pub struct Config {
    /// A batch that is not full goes out when its first event has waited so long. Default 200 ms:
    /// live events arrive without visible delay, and a batch fills when many come.
    pub batch_age: Duration,
    /// Longest time between two commits while there is something to commit. Default 500 ms: at
    /// most two syncs a second, and half a second of events sent again after a crash.
    pub commit_interval: Duration,
    /// Commit at once when so many events are settled. Default 2,000.
    pub commit_events: usize,
    /// Parked events at most; for what has to be parked beyond see `overflow`. Default 1,000,000.
    pub max_parked_events: u64,
    /// Their bytes at most. Default 1 GiB.
    pub max_parked_bytes: u64,
    /// Where events go that have to be parked beyond those two; `None` (the default) lets them
    /// stand still.
    pub overflow: Option<Arc<dyn Overflow>>,
    /// Commit at once when parked bytes of that size wait for it. Default 1 MiB.
    pub commit_park_bytes: usize,
    /// Events that may be taken and not settled, and resume points that may wait for them, at one
    /// time; the page that crosses it is still taken. Default 16,384.
    pub max_unsettled: usize,
    /// JSON held for delivery at most, in bytes; the page that crosses it is still taken. Default
    /// 16 MiB.
    pub max_held_bytes: usize,
    /// First pause after a failed attempt to deliver; doubles with each further one, with full
    /// jitter. Default 250 ms.
    pub retry_base: Duration,
    /// Longest such pause. Default 15 s.
    pub retry_cap: Duration,
    /// Longest such pause while the receiver refuses us (credentials, path) or all content: only
    /// an operator mends that. Default 60 s.
    pub refused_cap: Duration,
    /// Always as many requests under way as the sink takes at most, however it answers. Default
    /// no: between one and that, by how fast and how well it answers.
    pub fixed_in_flight: bool,
    /// How long reading waits for a decoder that is on its way, before events are parked for it.
    /// Default 1 s: a kept module is compiled in a fraction of that, and parking writes to disk.
    pub decoder_patience: Duration,
    /// Pause between two rounds over the parked events. Default 30 s.
    pub park_retry: Duration,
    /// First pause before a stopped session recording is asked for again; doubles. Default 5 s.
    pub reopen_base: Duration,
    /// Longest such pause. Default 15 min: some 200 attempts in 48 h.
    pub reopen_cap: Duration,
    /// Pause before a recording that has been unreadable for longer than `recording_patience` is
    /// asked for again. Default 6 h.
    pub set_aside_pause: Duration,
    /// A recording that is missing is given up, with an alarm, when no event of it has come for so
    /// long and it was asked for at least ten times; `None` never gives up. Default 48 h, as long
    /// as the reference handler waits at most (it forgets one after three attempts too). Over
    /// restarts. One that is there and cannot be read (damaged, or not allowed) is never given up:
    /// behind that time there is the same alarm, and it is asked for rarely. When one that was
    /// there is missing, the time begins anew. That one was given up is remembered for 90 days.
    pub recording_patience: Option<Duration>,
    /// How long a stop waits for requests under way. Default 20 s, below the 30 s after which
    /// Kubernetes kills.
    pub grace: Duration,
    /// Event types that are not sent; exact names.
    pub skip_event_types: BTreeSet<String>,
    /// Whether the recordings that delivered events announce are read too. Default yes; whoever
    /// sends a part of the log once more may not want all of them again.
    pub recordings: bool,
    /// Event types inside session recordings that are not sent; exact names.
    pub skip_session_types: BTreeSet<String>,
    /// Stop when the tip is reached and everything, recordings included, is settled. Recordings
    /// that were asked for three times in vain are left to the next run.
    pub exit_on_last_event: bool,
    /// Whether the log says each minute how much was done. Default no.
    pub tell_rates: bool,
    /// Whether it then says too how far it is behind while it catches up. Default yes; whoever shows
    /// that all the time need not have it in the log.
    pub tell_headway: bool,
    /// Who looks on while events are taken. Default nobody.
    pub watcher: Option<Arc<dyn Watcher>>,
    /// By which others see that the engine turns, also while it waits for its state.
    pub pulse: Pulse,
}

impl Config {
    /// Whether recordings are read: for that, the events that announce them have to be sent.
    pub fn reads_recordings(&self) -> bool {
        self.recordings && !self.skip_event_types.contains(SESSION_UPLOAD)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_age: Duration::from_millis(200),
            commit_interval: Duration::from_millis(500),
            commit_events: 2_000,
            max_parked_events: 1_000_000,
            max_parked_bytes: 1 << 30,
            overflow: None,
            commit_park_bytes: 1 << 20,
            max_unsettled: 16_384,
            max_held_bytes: 16 << 20,
            retry_base: Duration::from_millis(250),
            retry_cap: Duration::from_secs(15),
            refused_cap: Duration::from_secs(60),
            fixed_in_flight: false,
            decoder_patience: Duration::from_secs(1),
            park_retry: Duration::from_secs(30),
            reopen_base: Duration::from_secs(5),
            reopen_cap: Duration::from_secs(15 * 60),
            set_aside_pause: Duration::from_secs(6 * 3600),
            recording_patience: Some(Duration::from_secs(48 * 3600)),
            grace: Duration::from_secs(20),
            skip_event_types: BTreeSet::new(),
            recordings: true,
            skip_session_types: ["print".to_owned(), "desktop.recording".to_owned()].into(),
            exit_on_last_event: false,
            tell_rates: false,
            tell_headway: true,
            watcher: None,
            pulse: Pulse::default(),
        }
    }
}
