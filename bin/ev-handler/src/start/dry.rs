//! A dry run: everything but sending, locking, and moving the resume point.
//!
//! It goes on from where the handler stands, with a copy of the state in a temporary directory
//! that is deleted at the end. Nothing under the storage directory is changed, but that what is going
//! on is written down there when SIGUSR1 asks for it.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ev_core::{
    Batch, BoxError, BoxFuture, Framing, Ordering, Shape, Sink, SinkError, StateError, Verdict,
};
use ev_reference_state::candidates;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Error;

/// Events that are taken at one time.
const MAX_EVENTS: usize = 500;
/// And their bytes.
const MAX_BYTES: usize = 1 << 20;

/// A copy of a state, until this is dropped.
pub(crate) struct Throwaway(TempDir);

impl Throwaway {
    /// A temporary directory of its own, empty.
    ///
    /// # Errors
    ///
    /// [`StateError::Storage`] if there is no room for one.
    pub(crate) fn empty(prefix: &str) -> Result<Self, StateError> {
        let directory = tempfile::Builder::new().prefix(prefix).tempdir();
        directory.map(Self).map_err(|error| {
            let place = std::env::temp_dir();
            failed(&format!("make a temporary directory in `{}`", place.display()), error)
        })
    }

    /// The same with all that a handler would go on from: our state, and that of the reference
    /// handler.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or written.
    pub(crate) fn copy_of(storage: &Path) -> Result<Self, StateError> {
        let copy = Self::empty("ev-handler-dry-run-")?;
        let found = ev_state::copy_state(storage, copy.path())?;
        let of_reference = copy.add_reference(storage)?;
        info!(
            copy = %copy.path().display(),
            found,
            of_reference,
            "dry run: the state is copied, and the copy is deleted at the end"
        );
        Ok(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Copies what the reference handler keeps; says in how many directories.
    fn add_reference(&self, storage: &Path) -> Result<usize, StateError> {
        let failed = |source: BoxError| StateError::Storage {
            message: format!("failed to copy from `{}`", storage.display()),
            source: Some(source),
        };
        let found = candidates(storage).map_err(|error| failed(error.into()))?;
        for one in &found {
            let copied = copy_tree(&one.path, &self.path().join(&one.name));
            copied.map_err(|error| failed(error.into()))?;
        }
        Ok(found.len())
    }
}

/// Files and directories, without the dry runs of the reference handler, and with their times: by
/// them the last of several states is known.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_file() {
            fs::copy(entry.path(), to.join(&name))?;
            copy_time(&entry.path(), &to.join(&name))?;
        } else if kind.is_dir() && name != "dry_run" {
            copy_tree(&entry.path(), &to.join(&name))?;
        }
    }
    // Behind what was put into it, which changes it.
    copy_time(from, to)
}

fn copy_time(from: &Path, to: &Path) -> io::Result<()> {
    let times = FileTimes::new().set_modified(fs::metadata(from)?.modified()?);
    File::open(to)?.set_times(times)
}

fn failed(what: &str, error: io::Error) -> StateError {
    StateError::Storage { message: format!("failed to {what}"), source: Some(error.into()) }
}

/// Takes everything and sends nothing; prints it if that is asked for.
pub(super) struct DrySink {
    /// Cancelled when nothing more can be printed.
    print: Option<CancellationToken>,
    /// Why, unless whoever reads has only gone away, as `head` does when it has enough.
    failure: Mutex<Option<io::Error>>,
}

impl DrySink {
    pub(super) fn silent() -> Self {
        Self { print: None, failure: Mutex::default() }
    }

    /// Prints the body of each event to stdout, one a line.
    pub(super) fn printing(stop: CancellationToken) -> Self {
        Self { print: Some(stop), failure: Mutex::default() }
    }

    /// Why not all could be printed.
    ///
    /// # Errors
    ///
    /// That of the system.
    pub(super) fn printed(&self) -> Result<(), Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), |error| {
            Err(Error::system("what would be sent cannot be printed", error))
        })
    }
}

impl Sink for DrySink {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: MAX_EVENTS,
            max_bytes: MAX_BYTES,
            // What is printed stays in order.
            max_in_flight: 1,
            ordering: Ordering::PerRoute,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            let Some(stop) = &self.print else { return (batch, Verdict::Delivered) };
            let lines = lines(&batch);
            // Whoever reads may be slow.
            let printed = tokio::task::spawn_blocking(move || print(&lines)).await;
            match printed.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(()) => (batch, Verdict::Delivered),
                Err(error) => {
                    let detail = error.to_string();
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        debug!("nobody reads what would be sent any more, stopping");
                    } else {
                        if !stop.is_cancelled() {
                            warn!(%error, "what would be sent cannot be printed any more, stopping");
                        }
                        let mut failure =
                            self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                        failure.get_or_insert(error);
                    }
                    stop.cancel();
                    (batch, Verdict::Unreachable { detail })
                }
            }
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The events of a batch, one a line. JSON has no line end in it but between tokens, and what our
/// decoders write has none there.
fn lines(batch: &Batch) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in &batch.entries {
        lines.extend_from_slice(entry.json.of(&batch.body));
        lines.push(b'\n');
    }
    lines
}

fn print(lines: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use ev_core::{BatchId, Entry, Route, Span};

    use super::*;

    #[test]
    fn only_what_the_handlers_go_on_from_is_copied() {
        let storage = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = storage.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        let kept = [
            "auth.example.com_3025/cursor",
            "auth.example.com_3025/cursor_v2/2026-11-18/a.chunk",
            "10.0.0.1_443/id",
        ];
        kept.iter().for_each(|name| write(name));
        for other in ["auth.example.com_3025/dry_run/x/id", "profiles/1-state.json", "my_3/a_b/c"] {
            write(other);
        }
        write("other_file");
        let copy = Throwaway::copy_of(storage.path()).unwrap();
        let there = |name: &str| fs::read_to_string(copy.path().join(name)).ok();
        for name in kept {
            assert_eq!(there(name).as_deref(), Some(name));
        }
        let names: BTreeSet<_> = fs::read_dir(copy.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["10.0.0.1_443", "auth.example.com_3025"].map(String::from).into());
        assert!(!copy.path().join("auth.example.com_3025/dry_run").exists());
        let path = copy.path().to_owned();
        drop(copy);
        assert!(!path.exists(), "nothing is left");
    }

    #[test]
    fn a_copy_is_as_old_as_what_was_copied() {
        let storage = tempfile::tempdir().unwrap();
        let at = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        // In the order in which they are copied, whatever that is, they would be the other way.
        for (name, days) in [("a.example.com_1", 100), ("b.example.com_1", 300), ("c_1", 200)] {
            let date = storage.path().join(name).join("cursor_v2/2026-11-17");
            fs::create_dir_all(&date).unwrap();
            fs::write(date.join("completed-chunks"), "x\n").unwrap();
            for path in [date.join("completed-chunks"), date.clone(), date.parent().unwrap().into()]
            {
                File::open(path).unwrap().set_modified(at(days)).unwrap();
            }
        }
        let copy = Throwaway::copy_of(storage.path()).unwrap();
        let known = |storage: &Path| -> Vec<_> {
            let found = candidates(storage).unwrap();
            found.into_iter().map(|one| (one.name, one.changed)).collect()
        };
        assert_eq!(known(copy.path())[0], ("b.example.com_1".to_owned(), Some(at(300))));
        assert_eq!(known(copy.path()), known(storage.path()));
    }

    #[test]
    fn events_are_printed_one_a_line() {
        let body = Bytes::from_static(b"{\"a\":1},{\"x\":2},{\"b\":3},");
        let entry = |start, end| Entry { json: Span::new(start, end), ticket: 0 };
        let entries = vec![entry(0, 7), entry(16, 23)];
        let batch = Batch { id: BatchId(1), route: Route::Audit, body, entries };
        assert_eq!(lines(&batch), b"{\"a\":1}\n{\"b\":3}\n");
    }
}
