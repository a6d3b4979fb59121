//! Holds the frames of one connection against the checks.

use super::checks::Checks;
use super::tally::{Received, Tally, Violation};
use crate::model::{ConnectionType, ServiceId, Value};
use crate::wire::{DecodeError, Decoded, FormRule, Heartbeat, Message};

/// What joins the frames of one connection.
pub(super) struct Judge {
    connection: u64,
    destination: ConnectionType,
    frames: u64,
    records: u64,
    heartbeats: u64,
    last_heartbeat: i64,
    was_late: bool,
    service: Option<ServiceId>,
    /// Where the frame that is judged starts.
    offset: u64,
}

impl Judge {
    pub(super) fn new(connection: u64, destination: ConnectionType) -> Self {
        Self {
            connection,
            destination,
            frames: 0,
            records: 0,
            heartbeats: 0,
            last_heartbeat: 0,
            was_late: false,
            service: None,
            offset: 0,
        }
    }

    /// Records of the connection.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    fn violation(&self, at: usize, rule: &'static str, detail: String) -> Violation {
        let offset = self.offset + u64::try_from(at).unwrap_or_default();
        Violation { connection: self.connection, frame: self.frames, offset, rule, detail }
    }

    /// Judges a frame at this offset of the connection, and gives its messages.
    pub(super) fn frame(
        &mut self,
        offset: u64,
        decoded: Decoded,
        checks: &Checks,
        tally: &mut Tally,
    ) -> Vec<Received> {
        self.offset = offset;
        let Decoded { messages, departures, more_departures, .. } = decoded;
        let counts = |rule| !(rule == FormRule::MapOrder && checks.any_map_order);
        for departure in departures.into_iter().filter(|departure| counts(departure.rule)) {
            let rule = departure.rule.name();
            tally.violation(self.violation(departure.offset, rule, departure.detail));
        }
        for (rule, more) in more_departures.into_iter().filter(|(rule, _)| counts(*rule)) {
            tally.violation(self.violation(0, rule.name(), format!("{more} more of them")));
            tally.violations += more.saturating_sub(1);
        }
        if messages.is_empty() || messages.len() > 1 && !checks.multi_entry {
            let detail = format!("{} entries in a frame", messages.len());
            tally.violation(self.violation(0, "entries", detail));
        }
        for message in &messages {
            self.message(message, checks, tally);
        }
        tally.frames += 1;
        let (connection, frame) = (self.connection, self.frames);
        self.frames += 1;
        messages.into_iter().map(|message| Received { connection, frame, message }).collect()
    }

    /// A frame that cannot be read.
    pub(super) fn unreadable(&mut self, offset: u64, error: &DecodeError, tally: &mut Tally) {
        self.offset = offset;
        let rule = if error.is_skippable() { "unreadable" } else { "framing" };
        tally.violation(self.violation(error.offset(), rule, error.kind().to_string()));
        tally.unreadable += 1;
        self.frames += 1;
    }

    fn message(&mut self, message: &Message, checks: &Checks, tally: &mut Tally) {
        if let Some(service) = message.service() {
            self.service(*service, checks, tally);
        }
        for problem in checks.rules.iter().flat_map(|rules| message.problems(rules)) {
            tally.violation(self.violation(0, "content", problem.to_string()));
        }
        match message {
            Message::Record { .. } => {
                if self.records > 0 && self.heartbeats == 0 && !self.was_late {
                    self.was_late = true;
                    let detail = "no heartbeat behind the first record".to_owned();
                    tally.violation(self.violation(0, "heartbeat-late", detail));
                }
                self.records += 1;
                tally.records += 1;
            }
            Message::Heartbeat { seconds, heartbeat } => {
                self.heartbeat(*seconds, heartbeat, checks, tally);
            }
            Message::Diagnostic { .. } => {
                let detail = "a client sends no diagnostic messages".to_owned();
                tally.violation(self.violation(0, "diagnostic", detail));
            }
        }
    }

    fn service(&mut self, service: ServiceId, checks: &Checks, tally: &mut Tally) {
        let wanted = checks.service.or(self.service);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != service) {
            let detail = format!("service `{service}` instead of `{wanted}`");
            tally.violation(self.violation(0, "service-id", detail));
        }
        self.service.get_or_insert(service);
    }

    fn heartbeat(&mut self, at: i64, heartbeat: &Heartbeat, checks: &Checks, tally: &mut Tally) {
        if self.records == 0 {
            let detail = "a heartbeat in front of any record".to_owned();
            tally.violation(self.violation(0, "heartbeat-early", detail));
        }
        if let Some(interval) = checks.heartbeat_interval
            && self.heartbeats > 0
        {
            let least = i64::try_from(interval.mul_f64(0.9).as_secs()).unwrap_or(i64::MAX);
            let after = at.saturating_sub(self.last_heartbeat);
            if after < least {
                let detail = format!("{after} s behind the last");
                tally.violation(self.violation(0, "heartbeat-repeat", detail));
            }
        }
        if heartbeat.destination != self.destination {
            let detail = format!("{} instead of {}", heartbeat.destination, self.destination);
            tally.violation(self.violation(0, "destination", detail));
        }
        let Heartbeat { audit_version, os_version, language, .. } = heartbeat;
        if [audit_version, os_version, language].iter().any(|text| text.is_empty()) {
            let detail = "an empty text in a heartbeat".to_owned();
            tally.violation(self.violation(0, "content", detail));
        }
        self.heartbeats += 1;
        self.last_heartbeat = at;
        tally.heartbeats += 1;
    }
}

/// The number of a record: a whole number of any width, or one in digits.
pub(super) fn number(message: &Message, key: &str) -> Option<u64> {
    match message.record()?.custom_data.get(key)? {
        Value::U8(it) => Some((*it).into()),
        Value::U16(it) => Some((*it).into()),
        Value::U32(it) => Some((*it).into()),
        Value::U64(it) => Some(*it),
        Value::I8(it) => (*it).try_into().ok(),
        Value::I16(it) => (*it).try_into().ok(),
        Value::I32(it) => (*it).try_into().ok(),
        Value::I64(it) => (*it).try_into().ok(),
        Value::Str(it) => it.parse().ok(),
        _ => None,
    }
}
