//! Counters through the `metrics` facade: the ledger, kept up to date there.

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::{Mutex, PoisonError};

    use metrics::{counter, gauge};

    use crate::queue::Ledger;

    pub(crate) const ENABLED: bool = true;

    /// What was published so far. Counters go up by what is new, so that several clients of a
    /// process add up.
    #[derive(Debug, Default)]
    pub(crate) struct Published(Mutex<Ledger>);

    impl Published {
        #[expect(clippy::cast_precision_loss, reason = "gauges are doubles, and 2^53 is far away")]
        pub(crate) fn publish(&self, ledger: &Ledger) {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let news = |now: u64, before: u64| now.saturating_sub(before);
            macro_rules! count {
                ($($name:literal $(, $reason:expr)? => $($field:ident).+;)*) => {$(
                    let new = news(ledger.$($field).+, last.$($field).+);
                    if new > 0 {
                        counter!($name $(, "reason" => $reason)?).increment(new);
                    }
                )*};
            }
            count! {
                "ev_audit_records_accepted_total" => accepted;
                "ev_audit_records_written_total" => written;
                "ev_audit_records_resent_total" => resent;
                "ev_audit_records_unconfirmed_total" => unconfirmed;
                "ev_audit_records_recovered_total" => recovered;
                "ev_audit_records_dropped_total", "displaced" => dropped.displaced;
                "ev_audit_records_dropped_total", "expired" => dropped.expired;
                "ev_audit_records_dropped_total", "unreadable" => dropped.unreadable;
                "ev_audit_records_dropped_total", "closed" => dropped.closed;
                "ev_audit_sends_refused_total", "invalid" => refused.invalid;
                "ev_audit_sends_refused_total", "hook" => refused.hook;
                "ev_audit_sends_refused_total", "queue_full" => refused.queue_full;
                "ev_audit_sends_refused_total", "timed_out" => refused.timed_out;
                "ev_audit_sends_refused_total", "closed" => refused.closed;
                "ev_audit_heartbeats_written_total" => heartbeats;
                "ev_audit_heartbeats_failed_total" => heartbeats_failed;
                "ev_audit_written_bytes_total" => bytes_written;
                "ev_audit_writes_total" => writes;
                "ev_audit_connections_total" => connections;
                "ev_audit_connect_failures_total" => connect_failures;
                "ev_audit_disconnects_total" => disconnects;
            }
            gauge!("ev_audit_pending_records").set(ledger.pending as f64);
            gauge!("ev_audit_pending_bytes").set(ledger.pending_bytes as f64);
            gauge!("ev_audit_spilled_records").set(ledger.spilled as f64);
            *last = *ledger;
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use crate::queue::Ledger;

    pub(crate) const ENABLED: bool = false;

    #[derive(Debug, Default)]
    pub(crate) struct Published(());

    impl Published {
        #[expect(clippy::unused_self, reason = "the same call as with the feature")]
        pub(crate) fn publish(&self, _: &Ledger) {}
    }
}

pub(crate) use facade::{ENABLED, Published};
