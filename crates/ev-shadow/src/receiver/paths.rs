//! Which requests carry which events.

use ev_core::{Route, SessionId};
use http::Uri;

use crate::Error;

/// Where the other handler posts to: the paths of its `url` and `session-url`. Host and port are
/// of no interest, as it is this receiver that is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    audit: String,
    session: String,
}

/// What a request's path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Audit,
    Session(SessionId),
    Elsewhere,
}

impl Paths {
    /// The paths of two addresses.
    ///
    /// # Errors
    ///
    /// [`Error::Url`].
    pub fn new(url: &str, session_url: &str) -> Result<Self, Error> {
        let path = |setting, url: &str| -> Result<String, Error> {
            let wrong = |what| Error::Url { setting, url: ev_dial::without_secrets(url), what };
            let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
            // Ours alone: the other handler puts the id behind the address, whatever it is.
            if uri.path_and_query().is_some_and(|path| path.as_str().contains("{session-id}")) {
                return Err(wrong(
                    "has `{session-id}`, which the other handler does not know: \
                                  give the address that it is given",
                ));
            }
            Ok(uri.path_and_query().map_or("/", |path| path.as_str()).to_owned())
        };
        Ok(Self { audit: path("url", url)?, session: path("session-url", session_url)? })
    }

    pub(crate) fn place(&self, uri: &Uri) -> Place {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if path == self.audit {
            return Place::Audit;
        }
        // The reference handler puts `.<session id>.log` behind the address, whatever it is.
        let session = path.strip_prefix(&self.session).and_then(|rest| rest.strip_prefix('.'));
        let session = session.and_then(|rest| rest.strip_suffix(".log"));
        match session.map(|session| SessionId::try_new(session.as_bytes())) {
            Some(Ok(session)) => Place::Session(session),
            _ => Place::Elsewhere,
        }
    }
}

impl Place {
    pub(crate) fn route(&self) -> Option<Route> {
        match self {
            Self::Audit => Some(Route::Audit),
            Self::Session(session) => Some(Route::Session(session.clone())),
            Self::Elsewhere => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_settings() {
        let paths = Paths::new("https://f:8888/test.log", "https://f:8888/session").unwrap();
        let place = |path: &str| paths.place(&path.parse().unwrap());
        let session = |id: &str| Place::Session(SessionId::try_new(id.as_bytes()).unwrap());
        assert_eq!(place("/test.log"), Place::Audit);
        assert_eq!(place("/session.1b4e-f158.log"), session("1b4e-f158"));
        assert_eq!(place("https://elsewhere/session.a.b.log"), session("a.b"));
        for other in ["/", "/test.log/", "/test.log?x", "/session", "/session..log", "/session.a"] {
            assert_eq!(place(other), Place::Elsewhere, "{other}");
        }
        assert_eq!(place("/session.a%2fb.log"), Place::Elsewhere);
        for own in ["https://f/s/{session-id}/x", "https://f/s?id={session-id}"] {
            let error = Paths::new("https://f/t", own).unwrap_err().to_string();
            assert!(error.starts_with("`session-url` is not usable"), "{error}");
            assert!(error.contains("{session-id}"), "{error}");
        }
        let error = Paths::new("https://u:secret@f x/", "https://f/s").unwrap_err().to_string();
        assert!(error.starts_with("`url` is not usable") && !error.contains("secret"), "{error}");
    }
}
