//! What follows from a search that failed, whoever has asked for it: what is told, what the window
//! does about it, and how long to wait before the next one.

use std::fmt::Display;
use std::time::Duration;

use ev_core::Env;
use tonic::Status;
use tracing::warn;

use crate::backoff::Backoff;
use crate::budget::Budget;
use crate::link::Troubles;
use crate::rpc::{self, Trouble};
use crate::window::{Narrowed, Window};

/// Pause before a search is begun anew for the second time; it doubles with each time.
const RESTART_PAUSE: Duration = Duration::from_secs(30);

/// How somebody's searches go on failing.
#[derive(Debug, Default)]
pub(crate) struct Failing {
    pub(crate) backoff: Backoff,
    pub(crate) trouble: Troubles,
    /// How often the search was begun anew because Auth refused its key.
    restarts: u32,
}

/// Whose search it was.
pub(crate) struct Asker<'a> {
    /// For the log.
    pub(crate) name: &'a dyn Display,
    pub(crate) budget: &'a Budget,
    pub(crate) env: &'a dyn Env,
}

/// A search that failed.
pub(crate) struct Failed {
    pub(crate) kind: Trouble,
    /// What Auth said, or what happened on the way.
    pub(crate) reason: String,
    /// Before the next one; zero if that may be made at once.
    pub(crate) pause: Duration,
    /// What the window did about it.
    pub(crate) narrowed: Narrowed,
}

impl Failing {
    /// Auth has answered.
    pub(crate) fn answered(&mut self) {
        self.backoff.reset();
        self.trouble.clear();
    }

    /// A search of a window failed. `proven`: Auth had answered the control question just before.
    pub(crate) fn of_window(
        &mut self,
        window: &mut Window,
        status: &Status,
        proven: bool,
        asker: &Asker<'_>,
    ) -> Failed {
        window.lost();
        let now = asker.env.now().seconds();
        match Trouble::of(status) {
            Trouble::TooLarge => {
                let narrowed = window.too_large(now);
                if narrowed == Narrowed::Part {
                    // The next one asks for less.
                    let (kind, reason) = (Trouble::TooLarge, rpc::describe(status));
                    return Failed { kind, reason, pause: Duration::ZERO, narrowed };
                }
                Failed { narrowed, ..self.of_search(status, asker) }
            }
            Trouble::Invalid if window.restart() => self.anew(status, asker),
            Trouble::Invalid | Trouble::Failed => {
                let narrowed = window.failed(now, proven);
                if narrowed == Narrowed::Part {
                    // Auth is not asked ever more slowly for ever less.
                    self.backoff.reset();
                }
                Failed { narrowed, ..self.of_search(status, asker) }
            }
            _ => self.of_search(status, asker),
        }
    }

    /// Any search failed, and the same is asked for again.
    pub(crate) fn of_search(&mut self, status: &Status, asker: &Asker<'_>) -> Failed {
        let (kind, reason) = (Trouble::of(status), rpc::describe(status));
        let news = self.trouble.is_news(&reason);
        let (lane, env) = (asker.name, asker.env);
        let pause = match kind {
            // Whoever connects tells of it.
            Trouble::Connection | Trouble::TooLarge => self.backoff.next(env),
            Trouble::Busy => {
                asker.budget.refused();
                if news {
                    warn!(%lane, reason, "auth takes fewer searches at once, slowing down");
                }
                self.backoff.next(env)
            }
            Trouble::Denied => {
                if news {
                    warn!(
                        %lane, reason,
                        "auth does not let us read events: give the user a role that allows \
                         `list` and `read` on `event` and `session`"
                    );
                }
                self.backoff.slow(env)
            }
            Trouble::Invalid | Trouble::Missing | Trouble::Failed | Trouble::Other => {
                if news {
                    warn!(%lane, reason, "search failed, trying again");
                }
                self.backoff.next(env)
            }
        };
        Failed { kind, reason, pause, narrowed: Narrowed::Not }
    }

    /// Auth refuses a key, and the window searches anew: the first time soon. Should it not be the
    /// key, the window is not read again and again.
    fn anew(&mut self, status: &Status, asker: &Asker<'_>) -> Failed {
        let (kind, reason) = (Trouble::of(status), rpc::describe(status));
        warn!(lane = %asker.name, reason, "auth refuses the page key, searching anew");
        let pause = match self.restarts {
            0 => self.backoff.next(asker.env),
            restarts => RESTART_PAUSE.saturating_mul(1 << (restarts - 1).min(7)),
        };
        self.restarts = self.restarts.saturating_add(1);
        Failed { kind, reason, pause, narrowed: Narrowed::Not }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::{BoxFuture, Timestamp};

    use super::*;
    use crate::road::SearchRoad;
    use crate::token::{Search, WindowToken};

    /// A clock that stands, and chance that is as unkind as may be.
    struct Standing;

    impl Env for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::new(1000, 0)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }

        fn random(&self) -> u64 {
            u64::MAX
        }

        fn jitter(&self, limit: Duration) -> Duration {
            limit
        }
    }

    /// In the middle of a search.
    fn window() -> Window {
        let search = Search { start: 0, end: Some(900), bare_start: false, types: Vec::new() };
        let token = WindowToken { search, key: "a key".to_owned(), opened: None };
        Window::resume(SearchRoad::Typed, token, true, &[], 10)
    }

    fn fail(failing: &mut Failing, window: &mut Window, status: &Status) -> Failed {
        let budget = Budget::new(11);
        let asker = Asker { name: &"test", budget: &budget, env: &Standing };
        failing.of_window(window, status, false, &asker)
    }

    #[test]
    fn a_search_that_is_begun_anew_again_and_again_has_longer_and_longer_pauses() {
        let refused = Status::invalid_argument("invalid start key");
        let mut failing = Failing::default();
        let pauses: Vec<f32> = (0..12)
            .map(|_| {
                let failed = fail(&mut failing, &mut window(), &refused);
                // What Auth answers from the beginning of the search is no sign that all is well.
                failing.answered();
                failed.pause.as_secs_f32()
            })
            .collect();
        let doubled = [0.5, 30., 60., 120., 240., 480., 960., 1920., 3840., 3840., 3840., 3840.];
        assert_eq!(pauses, doubled);
    }

    #[test]
    fn what_only_has_to_be_asked_for_in_parts_is_asked_for_at_once() {
        let too_large =
            Status::invalid_argument("event of 9 bytes is larger than a page of results");
        let mut failing = Failing::default();
        let failed = fail(&mut failing, &mut window(), &too_large);
        assert_eq!((failed.narrowed, failed.pause), (Narrowed::Part, Duration::ZERO));
        let failed = fail(&mut failing, &mut window(), &Status::permission_denied("no"));
        assert_eq!(failed.pause, Duration::from_secs(30));
    }
}
