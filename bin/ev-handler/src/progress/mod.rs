//! How far long work has come: one line on a terminal, else a line of the log each minute.

mod meter;
mod words;

use std::sync::Arc;
use std::time::Duration;

use ev_core::Env;
use ev_pipeline::{Headway, Mark};
use tracing::info;

use crate::logging::{self, Foot};
use crate::text::time;

pub(crate) use self::meter::{End, Meter};
pub(crate) use self::words::{Words, words};

/// Between two looks at a terminal, and between two lines of the log.
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How far it has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The second of the log where it stands.
    pub(crate) position: Option<i64>,
    /// Seconds of the log that are left, if there is an end.
    pub(crate) left_seconds: Option<i64>,
    /// Events that are done.
    pub(crate) events: u64,
    /// What else is of interest at the moment.
    pub(crate) more: Option<String>,
}

/// Tells how far work has come whose end stands; nothing is shown any more when it is dropped.
pub(crate) struct Progress {
    what: &'static str,
    pub(crate) facts: Facts,
    meter: Meter,
    next: Duration,
    foot: Option<Foot>,
    env: Arc<dyn Env>,
}

impl Progress {
    /// Of work that begins now. `what` is what is done, as in "reading the log".
    pub(crate) fn begin(what: &'static str, env: &Arc<dyn Env>) -> Self {
        let (foot, env) = (logging::foot(), Arc::clone(env));
        let mut this = Self {
            what,
            facts: Facts::default(),
            meter: Meter::new(End::Stands),
            next: Duration::ZERO,
            foot,
            env,
        };
        this.next = this.env.monotonic().saturating_add(this.pause());
        this
    }

    /// Waits until it is time to tell. May be given up at any time.
    pub(crate) async fn due(&self) {
        self.env.sleep(self.next.saturating_sub(self.env.monotonic())).await;
    }

    /// Tells it, if it is time to.
    pub(crate) fn tell(&mut self) {
        let now = self.env.monotonic();
        if now < self.next {
            return;
        }
        self.next = now.saturating_add(self.pause());
        let Facts { position, left_seconds, events, ref more } = self.facts;
        let headway = self.meter.note(Mark { at: now, left_seconds, events });
        match &self.foot {
            Some(foot) => foot.show(words(&Words {
                what: self.what,
                of: None,
                position,
                behind_seconds: None,
                headway,
                more: more.clone(),
            })),
            None => {
                let position = position.map(time);
                let per_second = headway.map(|headway| headway.per_second);
                let remaining = headway.and_then(|Headway { remaining, .. }| remaining);
                let remaining_seconds = remaining.map(|remaining| remaining.as_secs());
                info!(position, events, per_second, remaining_seconds, more, "{}", self.what);
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.foot.is_some() { SECOND } else { MINUTE }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(foot) = &self.foot {
            foot.hide();
        }
    }
}

/// Does `work`, and has it told how far it has come meanwhile.
pub(crate) async fn meanwhile<T>(progress: &mut Progress, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = progress.due() => progress.tell(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use ev_core::{BoxFuture, Timestamp};

    use super::*;

    /// A clock that is set by hand.
    #[derive(Default)]
    struct Clock(AtomicU64);

    impl Env for Clock {
        fn now(&self) -> Timestamp {
            Timestamp::EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn random(&self) -> u64 {
            0
        }
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn without_a_terminal_each_minute_has_a_line_of_the_log() {
        let (log, clock) = (Log::default(), Arc::<Clock>::default());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let env: Arc<dyn Env> = Arc::clone(&clock) as _;
        let mut progress = Progress::begin("comparing with auth's log", &env);
        for second in 0..=185_u64 {
            clock.0.store(second, Ordering::Relaxed);
            progress.facts.events = second * 10;
            progress.facts.position = Some(1_770_000_000);
            progress.facts.left_seconds = Some(36_000 - i64::try_from(second).unwrap() * 60);
            progress.tell();
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |events: u32, rest: &str| {
            format!(
                "INFO comparing with auth's log position=\"2026-02-02T02:40:00Z\" events={events}{rest}"
            )
        };
        let expected = [
            line(600, ""),
            line(1200, " per_second=10.0 remaining_seconds=480"),
            line(1800, " per_second=10.0 remaining_seconds=420"),
        ];
        assert_eq!(lines, expected);
    }
}
