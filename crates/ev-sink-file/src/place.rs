//! Where the events of a route go.

use std::path::{Path, PathBuf};

use ev_core::Route;

use crate::Error;

/// What stands for a session's id in a path.
const PLACEHOLDER: &str = "{session-id}";

/// A file, or stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Stdout,
    File(PathBuf),
}

impl Place {
    fn new(setting: &'static str, path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        // `a/..` and `/` have no name, and `a/` is a directory.
        let is_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match path.file_name() {
            Some(_) if !is_directory => Ok(Self::File(path.to_owned())),
            _ => Err(Error::NoFile { setting, path: path.to_owned() }),
        }
    }
}

/// The places of both routes.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    audit: Place,
    session: Place,
}

impl Places {
    pub(crate) fn new(audit: &Path, session: &Path) -> Result<Self, Error> {
        let places = Self {
            audit: Place::new("path", audit)?,
            session: Place::new("session-path", session)?,
        };
        match &places.audit {
            Place::File(path) if places.audit == places.session => {
                Err(Error::SameFile { path: path.clone() })
            }
            _ => Ok(places),
        }
    }

    /// The file of audit events, if it is one.
    pub(crate) fn audit(&self) -> &Place {
        &self.audit
    }

    pub(crate) fn of(&self, route: &Route) -> Place {
        match (route, &self.session) {
            (Route::Audit, _) => self.audit.clone(),
            (Route::Session(_), Place::Stdout) => Place::Stdout,
            // An id holds nothing that has a meaning in a path, and begins with no dot.
            (Route::Session(id), Place::File(path)) => Place::File(
                path.components()
                    .map(|part| match part.as_os_str().to_str() {
                        Some(part) => PathBuf::from(part.replace(PLACEHOLDER, id.as_str())),
                        None => PathBuf::from(part.as_os_str()),
                    })
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use ev_core::SessionId;

    use super::*;

    #[test]
    fn a_recording_has_its_own_file_if_that_is_wanted() {
        let id = SessionId::try_new(b"1b4e-f158").expect("an id");
        let check = |session: &str, expected: &str| {
            let places = Places::new(Path::new("/e/events"), Path::new(session)).expect("good");
            let place = places.of(&Route::Session(id.clone()));
            assert_eq!(place, Place::File(expected.into()));
            assert_eq!(places.of(&Route::Audit), Place::File("/e/events".into()));
        };
        check("/e/s/{session-id}.ndjson", "/e/s/1b4e-f158.ndjson");
        check("/e/{session-id}/{session-id}", "/e/1b4e-f158/1b4e-f158");
        check("/e/sessions", "/e/sessions");
    }

    #[test]
    fn stdout_takes_both_or_one() {
        let route = Route::Session(SessionId::try_new(b"id").expect("an id"));
        let places = Places::new(Path::new("-"), Path::new("-")).expect("good");
        assert_eq!((places.of(&Route::Audit), places.of(&route)), (Place::Stdout, Place::Stdout));
        let places = Places::new(Path::new("-"), Path::new("/s")).expect("good");
        assert_eq!(places.of(&route), Place::File("/s".into()));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        for path in ["", "/", "/a/..", "/a/"] {
            let error = Places::new(Path::new(path), Path::new("/s")).expect_err("no file");
            assert!(error.to_string().starts_with("`path` names no file"), "{error}");
        }
        let error = Places::new(Path::new("/s"), Path::new("/s")).expect_err("the same");
        assert!(error.to_string().contains("the same file"), "{error}");
    }
}
