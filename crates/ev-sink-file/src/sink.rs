//! The sink: batches in, verdicts out.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ev_core::{
    Batch, BoxFuture, Env, Framing, Ordering, Shape, Sink, SinkError, Timestamp, Verdict, within,
};

use rustix::io::Errno;

use crate::file::{self, Failure};
use crate::look::look;
use crate::place::{Place, Places};
use crate::writer::Writer;
use crate::{Config, Error, stdout};

/// How long a write is waited for before it is told that there is trouble. It goes on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes batches as lines.
///
/// One batch is written at a time. A dropped call is carried out to its end all the same, and so is
/// one that takes longer than is waited for: that is [`Verdict::Busy`], and the same batch brought
/// again is not written twice.
///
/// ```
/// use std::sync::Arc;
///
/// use ev_core::{Env, Sink};
/// use ev_sink_file::{Config, Error, FileSink};
///
/// fn sink(env: Arc<dyn Env>) -> Result<Box<dyn Sink>, Error> {
///     Ok(Box::new(FileSink::new(Config::new("/var/lib/events/events.ndjson"), env)?))
/// }
/// ```
pub struct FileSink {
    shared: Arc<Shared>,
    writer: Writer,
    env: Arc<dyn Env>,
}

struct Shared {
    config: Config,
    places: Places,
}

impl FileSink {
    /// Checks the settings; opens and makes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NoFile`], [`Error::SameFile`] and [`Error::OutOfRange`], each naming the setting.
    pub fn new(config: Config, env: Arc<dyn Env>) -> Result<Self, Error> {
        let places = Places::new(&config.path, &config.session_path)?;
        let least_one = [("batch-events", config.max_events), ("batch-bytes", config.max_bytes)];
        for (setting, value) in least_one {
            if value == 0 {
                return Err(Error::OutOfRange { setting });
            }
        }
        let shared = Arc::new(Shared { config, places });
        Ok(Self { shared, writer: Writer::default(), env })
    }
}

impl FileSink {
    fn takes_long(&self, batch: &Batch) -> Verdict {
        let (place, seconds) = (self.shared.places.of(&batch.route), PATIENCE.as_secs());
        let detail = match place {
            Place::Stdout => format!("stdout takes nothing for {seconds} s: does nobody read it?"),
            Place::File(path) => format!(
                "a write to `{}` has taken {seconds} s and goes on: does the file system answer, \
                 does somebody read the pipe, or does another process hold the lock?",
                path.display()
            ),
        };
        Verdict::Busy { after: None, suspect: false, detail }
    }
}

impl Shared {
    fn write(&self, batch: &Batch, now: Timestamp) -> Verdict {
        let lines = match lines(batch) {
            Ok(lines) => lines,
            Err(index) => {
                let detail = "the event has more than one line".to_owned();
                return Verdict::Guilty { index: Some(index), detail };
            }
        };
        match self.places.of(&batch.route) {
            Place::Stdout => match stdout::print(&lines) {
                Ok(()) => Verdict::Delivered,
                Err(error) => verdict("write", Path::new("-"), &error),
            },
            Place::File(path) => {
                let Config { rotation, sync, .. } = self.config;
                match file::add(&path, &lines, rotation, sync, now) {
                    Ok(()) => Verdict::Delivered,
                    Err(Failure::Io { what, source }) => verdict(what, &path, &source),
                    Err(Failure::Foreign) => {
                        let path = path.display();
                        let detail = format!(
                            "`{path}` ends in something that is no part of an event: is it \
                             another program's file?"
                        );
                        Verdict::Refused { detail }
                    }
                }
            }
        }
    }

    /// Whether audit events could be written, without writing one.
    fn probe(&self) -> Result<(), SinkError> {
        let Place::File(path) = self.places.audit() else { return Ok(()) };
        look(path).map_err(|failure| {
            let path = path.display();
            match failure {
                Failure::Io { what, source } => SinkError {
                    message: format!("cannot {what} `{path}`"),
                    source: Some(source.into()),
                },
                Failure::Foreign => SinkError {
                    message: format!("`{path}` ends in something that is no part of an event"),
                    source: None,
                },
            }
        })
    }
}

/// The events of a batch, one a line; the first that is more than one is refused.
fn lines(batch: &Batch) -> Result<Vec<u8>, usize> {
    let size: usize = batch.entries.iter().map(|entry| entry.json.len() + 1).sum();
    let mut lines = Vec::with_capacity(size);
    for (index, entry) in batch.entries.iter().enumerate() {
        let event = entry.json.of(&batch.body);
        if event.contains(&b'\n') {
            return Err(index);
        }
        lines.extend_from_slice(event);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// What an error means: somebody has to mend the settings, or it may be over in a while.
fn verdict(what: &str, path: &Path, error: &io::Error) -> Verdict {
    let detail = format!("cannot {what} `{}`: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::InvalidFilename
        | ErrorKind::BrokenPipe => Verdict::Refused { detail },
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Verdict::Refused { detail }
        }
        _ => Verdict::Busy { after: None, suspect: false, detail },
    }
}

impl Sink for FileSink {
    fn shape(&self) -> Shape {
        Shape {
            framing: Framing::Array,
            max_events: self.shared.config.max_events,
            max_bytes: self.shared.config.max_bytes,
            // What is written stays in order, and a disk does not become faster by more.
            max_in_flight: 1,
            ordering: Ordering::PerRoute,
        }
    }

    fn send(&self, batch: Batch) -> BoxFuture<'_, (Batch, Verdict)> {
        Box::pin(async move {
            let (shared, now) = (Arc::clone(&self.shared), self.env.now());
            let copy = batch.clone();
            let written = self.writer.carry_out(&batch, move || shared.write(&copy, now));
            let verdict = match within(&*self.env, PATIENCE, written).await {
                Some(verdict) => verdict,
                None => self.takes_long(&batch),
            };
            (batch, verdict)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.shared);
            match tokio::task::spawn_blocking(move || shared.probe()).await {
                Ok(outcome) => outcome,
                Err(error) => Err(SinkError {
                    message: "looking at the file was ended".to_owned(),
                    source: Some(error.into()),
                }),
            }
        })
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_waited_for_and_a_wrong_setting_is_not() {
        let of = |error: io::Error| verdict("write", Path::new("/x"), &error);
        // ENOSPC, EIO, EDQUOT, ENODEV, ESTALE.
        for code in [28, 5, 122, 19, 116] {
            let verdict = of(io::Error::from_raw_os_error(code));
            assert!(matches!(verdict, Verdict::Busy { suspect: false, .. }), "{code}: {verdict:?}");
        }
        // EACCES, ENOTDIR, EISDIR, EROFS, EPIPE, ELOOP.
        for code in [13, 20, 21, 30, 32, 40] {
            let verdict = of(io::Error::from_raw_os_error(code));
            assert!(matches!(verdict, Verdict::Refused { .. }), "{code}: {verdict:?}");
        }
    }
}
