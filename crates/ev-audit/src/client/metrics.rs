//! Counters and gauges through the `metrics` facade: the ledger, kept up to date there.

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::{Mutex, PoisonError};

    use metrics::{counter, gauge};

    use crate::queue::Ledger;

    pub(crate) const ENABLED: bool = true;

    /// What was published so far. Counters and gauges move by what is new, so that several clients
    /// of a process add up. With a client go its records in the gauges.
    #[derive(Debug, Default)]
    pub(crate) struct Published(Mutex<Ledger>);

    impl Published {
        /// Publishes the ledger that `read` gives, and returns it. It is read while nobody else
        /// publishes: an older one that came behind a newer one would count things twice.
        pub(crate) fn publish(&self, read: impl FnOnce() -> Ledger) -> Ledger {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let ledger = read();
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
            shift(&last, &ledger);
            *last = ledger;
            ledger
        }
    }

    impl Drop for Published {
        fn drop(&mut self) {
            let last = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            // What lies on disk is told by whoever opens the directory next.
            shift(last, &Ledger::default());
        }
    }

    /// Moves the gauges from one ledger to the next.
    fn shift(last: &Ledger, ledger: &Ledger) {
        #[expect(clippy::cast_precision_loss, reason = "gauges are doubles, and 2^53 is far away")]
        let shift = |gauge: metrics::Gauge, before: u64, now: u64| {
            if now > before {
                gauge.increment((now - before) as f64);
            } else if now < before {
                gauge.decrement((before - now) as f64);
            }
        };
        shift(gauge!("ev_audit_pending_records"), last.pending, ledger.pending);
        shift(gauge!("ev_audit_pending_bytes"), last.pending_bytes, ledger.pending_bytes);
        shift(gauge!("ev_audit_spilled_records"), last.spilled, ledger.spilled);
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
        pub(crate) fn publish(&self, read: impl FnOnce() -> Ledger) -> Ledger {
            read()
        }
    }
}

pub(crate) use facade::{ENABLED, Published};
