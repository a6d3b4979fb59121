//! From files to values.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use ev_core::{Date, SessionId, Timestamp};
use serde::Deserialize;

use crate::{Chunks, Error, Finding, MissingRecording, State};

/// Longest content of a single file that is taken: page keys are the longest by far, and no real
/// one comes near.
const MAX_FILE: u64 = 1 << 20;
/// The same for lists of chunks: a name is about 40 bytes, so a million chunks of a date.
const MAX_LIST: u64 = 64 << 20;
/// Longest id that is taken.
const MAX_ID: usize = 256;

/// Reads the directory of an address. What is odd about its files comes beside it, in the order of
/// their names.
///
/// # Errors
///
/// When the system refuses to let a file or directory be read.
pub fn read(directory: &Path) -> Result<(State, Vec<Finding>), Error> {
    let mut reader = Reader { directory, findings: Vec::new() };
    let mut state = State {
        start_time: reader.time("start_time")?,
        window_time: reader.time("window_time")?,
        cursor: reader.cursor()?,
        id: reader.id()?,
        ..State::default()
    };
    for name in names(directory)? {
        if let Some(id) = name.strip_prefix("missing_recording") {
            if let Some(session) = reader.session_id(&name, id) {
                let missing = reader.missing(&name)?;
                state.missing.extend(missing.map(|missing| (session, missing)));
            }
        } else if let Some(id) = name.strip_prefix("session")
            && let Some(session) = reader.session_id(&name, id)
        {
            state.sessions.extend(reader.index(&name)?.map(|index| (session, index)));
        }
    }
    reader.dates(&mut state)?;
    reader.findings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((state, reader.findings))
}

/// Names of a directory in their order; those that are no text are nobody's. None if there is no
/// such directory.
fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(source) => return Err(Error::read(directory)(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::read(directory))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

struct Reader<'a> {
    directory: &'a Path,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn found(&mut self, path: PathBuf, message: impl Into<String>) {
        self.findings.push(Finding { path, message: message.into() });
    }

    /// The content of a file, at most `most` bytes of it; `None` if there is no such file.
    fn content(&mut self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, Error> {
        // Looked at before it is opened: opening a pipe waits for somebody to write to it.
        let opened = fs::metadata(path).and_then(|metadata| match metadata.is_file() {
            true => File::open(path).map(Some),
            false => Ok(None),
        });
        let file = match opened {
            Ok(Some(file)) => file,
            Ok(None) => {
                self.found(path.to_owned(), "is no file and was passed over");
                return Ok(None);
            }
            Err(error) if is_absent(&error) => return Ok(None),
            Err(source) => return Err(Error::read(path)(source)),
        };
        let mut content = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(Error::read(path))?;
        if content.len() as u64 > most {
            self.found(path.to_owned(), format!("is larger than {most} bytes and was passed over"));
            return Ok(None);
        }
        Ok(Some(content))
    }

    /// The text of a file without the blanks around it; `None` if there is none.
    fn text(&mut self, path: &Path, empty: &str) -> Result<Option<String>, Error> {
        let Some(content) = self.content(path, MAX_FILE)? else { return Ok(None) };
        let Ok(text) = String::from_utf8(content) else {
            self.found(path.to_owned(), "is no text and was passed over");
            return Ok(None);
        };
        let text = text.trim();
        if text.is_empty() {
            self.found(path.to_owned(), empty);
            return Ok(None);
        }
        Ok(Some(text.to_owned()))
    }

    fn time(&mut self, name: &str) -> Result<Option<i64>, Error> {
        let path = self.directory.join(name);
        let Some(text) = self.text(&path, "is empty, as a crash leaves it: no time is known")?
        else {
            return Ok(None);
        };
        let time = Timestamp::parse(&text);
        if time.is_none() {
            self.found(path, "holds no time of the form RFC 3339 and was passed over");
        }
        Ok(time.map(Timestamp::seconds))
    }

    fn cursor(&mut self) -> Result<Option<String>, Error> {
        let empty = "is empty: the first page of a search, or what a crash left";
        self.text(&self.directory.join("cursor"), empty)
    }

    fn id(&mut self) -> Result<Option<String>, Error> {
        let path = self.directory.join("id");
        let id = self.text(&path, "is empty, as a crash leaves it: the last event is not known")?;
        let is_id = |id: &String| {
            id.len() <= MAX_ID && !id.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            self.found(path, "holds no id of an event and was passed over");
            return Ok(None);
        }
        Ok(id)
    }

    fn session_id(&mut self, name: &str, id: &str) -> Option<SessionId> {
        let session = SessionId::try_new(id.as_bytes());
        if session.is_err() {
            let path = self.directory.join(name);
            self.found(path, "is named after no session and was passed over");
        }
        session.ok()
    }

    fn index(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let path = self.directory.join(name);
        let Some(content) = self.content(&path, MAX_FILE)? else { return Ok(None) };
        if let Ok(bytes) = <[u8; 8]>::try_from(&content[..]) {
            let index = u64::from_be_bytes(bytes);
            if i32::try_from(index).is_ok() {
                return Ok(Some(index));
            }
            self.found(path, "holds an index that no recording has: it is sent from its beginning");
            return Ok(Some(0));
        }
        let message = match content.len() {
            0 => "is empty, as a crash leaves it: the recording is sent from its beginning".into(),
            len => {
                format!("has {len} bytes instead of 8: the recording is sent from its beginning")
            }
        };
        self.found(path, message);
        Ok(Some(0))
    }

    /// A record that cannot be read still names a recording that was not delivered.
    fn missing(&mut self, name: &str) -> Result<Option<MissingRecording>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Record {
            #[serde(default)]
            index: u64,
            #[serde(default)]
            attempt: u64,
            #[serde(default)]
            timestamp: Option<String>,
        }
        let path = self.directory.join(name);
        let Some(content) = self.content(&path, MAX_FILE)? else { return Ok(None) };
        let usable = |record: &Record| i32::try_from(record.index).is_ok();
        let record = serde_json::from_slice::<Record>(&content).ok().filter(usable);
        let Some(Record { index, attempt, timestamp: time }) = record else {
            self.found(path, "is damaged: the recording is asked for from its beginning");
            return Ok(Some(MissingRecording::default()));
        };
        let uploaded = time.as_deref().and_then(Timestamp::parse);
        let uploaded = uploaded.filter(|time| *time != Timestamp::ZERO_YEAR_ONE);
        Ok(Some(MissingRecording { index, attempt, uploaded }))
    }

    fn dates(&mut self, state: &mut State) -> Result<(), Error> {
        let root = self.directory.join("cursor_v2");
        for name in names(&root)? {
            let path = root.join(&name);
            let Some(date) = Date::parse(&name) else {
                self.found(path, "is named after no date and was passed over");
                continue;
            };
            if !path.is_dir() {
                self.found(path, "is no directory and was passed over");
                continue;
            }
            let chunks = self.chunks(&path)?;
            state.dates.insert(date, chunks);
        }
        Ok(())
    }

    fn chunks(&mut self, date: &Path) -> Result<Chunks, Error> {
        let mut chunks = Chunks::default();
        for name in names(date)? {
            let path = date.join(&name);
            if name == "completed-chunks" {
                let Some(content) = self.content(&path, MAX_LIST)? else { continue };
                self.completed(&path, &content, &mut chunks);
            } else if let Some(chunk) = name.strip_suffix(".chunk").filter(|c| !c.is_empty()) {
                let empty = "is empty, as a crash leaves it: the chunk is sent from its beginning";
                if let Some(cursor) = self.text(&path, empty)? {
                    chunks.partial.insert(chunk.to_owned(), cursor);
                }
            } else {
                self.found(path, "is no file of a chunk and was passed over");
            }
        }
        let Chunks { completed, partial } = &mut chunks;
        // Killed between the two steps of finishing a chunk.
        partial.retain(|chunk, _| !completed.contains(chunk));
        Ok(chunks)
    }

    /// A last name without its line end may be the beginning of a longer one. Taken as it stands it
    /// does no harm: Auth has no chunk of that name then.
    fn completed(&mut self, path: &Path, content: &[u8], chunks: &mut Chunks) {
        let lines = content.strip_suffix(b"\n").unwrap_or(content).split(|byte| *byte == b'\n');
        let mut has_blank = false;
        for line in lines {
            let mut words =
                line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).peekable();
            has_blank |= words.peek().is_none();
            for word in words {
                match std::str::from_utf8(word) {
                    Ok(name) => drop(chunks.completed.insert(name.to_owned())),
                    Err(_) => self.found(path.to_owned(), "has a name that is no text"),
                }
            }
        }
        if has_blank {
            self.found(path.to_owned(), "is empty or has empty lines, as a crash leaves it");
        }
    }
}
