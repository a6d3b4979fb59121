//! One line at the foot of a terminal, below the log: how far long work has come.
//!
//! The terminal has one owner, the thread that writes the log: in front of what is logged it clears
//! the line, and when nothing more is to be logged it writes the line again. So neither garbles the
//! other, and nobody waits for a terminal that stands still.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_appender::non_blocking::NonBlocking;

/// To the first column, and nothing from there to the end of the line (ECMA-48: EL).
const CLEAR: &[u8] = b"\r\x1b[K";
/// How long a terminal is waited for that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// The line, for those who have something to show.
#[derive(Clone)]
pub(crate) struct Foot {
    shared: Arc<Shared>,
    /// To the owner of the terminal.
    log: NonBlocking,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The line was written or cleared.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What should be there.
    wanted: Option<String>,
    /// For how many it must not be there at the moment.
    aside: usize,
    /// Whether it is there.
    is_there: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Foot {
    /// Shows that text, without line ends, in the place of what was there.
    pub(crate) fn show(&self, text: String) {
        self.change(|state| state.wanted = Some(text));
    }

    /// Shows nothing any more.
    pub(crate) fn hide(&self) {
        self.change(|state| state.wanted = None);
    }

    /// Does `work`, which writes to the terminal by another way, while the line is not there. It is
    /// waited for until it has gone.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.change(|state| state.aside += 1);
        let state = self.shared.state();
        // It is no harm if it is there still: then the terminal takes nothing anyway.
        drop(self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.is_there));
        let done = work();
        self.change(|state| state.aside -= 1);
        done
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state());
        // Nothing to be logged, so that its owner looks what should be there. If there is no room
        // even for that, it will look when it has come so far.
        drop(self.log.clone().write_all(b""));
    }
}

/// Writes to a terminal.
pub(super) struct Owner<W> {
    out: W,
    /// Columns of the terminal, as far as it tells.
    width: fn() -> usize,
    shared: Arc<Shared>,
    there: Option<String>,
}

impl<W: Write + Send + 'static> Owner<W> {
    /// Makes the line, and has the terminal owned by what `log` makes.
    pub(super) fn begin<G>(
        out: W,
        width: fn() -> usize,
        log: impl FnOnce(Self) -> (NonBlocking, G),
    ) -> (Foot, NonBlocking, G) {
        let shared = Arc::<Shared>::default();
        let (log, guard) = log(Self { out, width, shared: Arc::clone(&shared), there: None });
        (Foot { shared, log: log.clone() }, log, guard)
    }
}

/// What is logged.
impl<W: Write> Write for Owner<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.there.take().is_some() {
            self.out.write_all(CLEAR)?;
        }
        self.out.write_all(line)?;
        Ok(line.len())
    }

    /// Nothing more is to be logged for now.
    fn flush(&mut self) -> io::Result<()> {
        let wanted = {
            let mut state = self.shared.state();
            let wanted = state.wanted.clone().filter(|_| state.aside == 0);
            // Before it is, so that nobody takes it to be away while it is written.
            state.is_there |= wanted.is_some();
            wanted
        };
        if wanted != self.there {
            let mut bytes = CLEAR.to_vec();
            if let Some(text) = &wanted {
                // Behind the last column some terminals begin a new line.
                let room = (self.width)().saturating_sub(1);
                bytes.extend(text.chars().take(room).collect::<String>().into_bytes());
            }
            self.there = wanted;
            self.out.write_all(&bytes)?;
        }
        self.out.flush()?;
        self.shared.state().is_there = self.there.is_some();
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// Columns of the terminal behind stderr; 80 where it does not know.
pub(super) fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        Ok(_) | Err(_) => 80,
    }
}

/// Whether a terminal of that kind can clear a line.
pub(super) fn can_clear(term: Option<&std::ffi::OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> (Arc<Shared>, Owner<Vec<u8>>) {
        let shared = Arc::<Shared>::default();
        (Arc::clone(&shared), Owner { out: Vec::new(), width: || 12, shared, there: None })
    }

    fn written(owner: &mut Owner<Vec<u8>>) -> String {
        String::from_utf8(std::mem::take(&mut owner.out)).unwrap()
    }

    fn want(shared: &Shared, text: &str) {
        shared.state().wanted = Some(text.to_owned());
    }

    #[test]
    fn what_is_logged_stands_above_the_line() {
        let (shared, mut owner) = owner();
        owner.write_all(b"one\n").unwrap();
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "one\n");
        want(&shared, "10 events/s");
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[K10 events/s");
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "", "it is there");
        owner.write_all(b"two\n").unwrap();
        owner.write_all(b"three\n").unwrap();
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[Ktwo\nthree\n\r\x1b[K10 events/s");
        want(&shared, "11 events/s, a minute left");
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[K11 events/s", "as far as there is room");
        shared.state().wanted = None;
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[K");
        owner.write_all(b"four\n").unwrap();
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "four\n");
    }

    #[test]
    fn it_is_away_while_somebody_writes_by_another_way() {
        let (shared, mut owner) = owner();
        want(&shared, "ten");
        owner.flush().unwrap();
        assert!(shared.state().is_there);
        shared.state().aside += 1;
        owner.flush().unwrap();
        assert!(!shared.state().is_there);
        want(&shared, "eleven");
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[Kten\r\x1b[K");
        shared.state().aside -= 1;
        owner.flush().unwrap();
        assert_eq!(written(&mut owner), "\r\x1b[Keleven");
    }

    #[test]
    fn a_terminal_that_cannot_clear_a_line_is_known() {
        let check = |term: &str, can| assert_eq!(can_clear(Some(term.as_ref())), can);
        check("xterm-256color", true);
        check("dumb", false);
        check("", false);
        assert!(!can_clear(None));
    }
}
