//! The Unix socket of the local agent.

use std::path::{Path, PathBuf};

#[cfg(unix)]
use super::Connected;
use super::{ConnectError, Connecting, Transport};
#[cfg(unix)]
use crate::model::ConnectionType;

/// Connects to the agent's Unix socket.
///
/// The path is looked at in every attempt: a socket that was replaced is found under its new
/// inode. Of several paths the first one that exists is used; when none does, the last one is
/// tried, so that the error names it.
#[derive(Debug, Clone)]
pub struct UnixTransport {
    paths: Vec<PathBuf>,
}

impl UnixTransport {
    /// Where agents listen: the path of the security monitoring tenant first, then the general
    /// one.
    pub const DEFAULT_PATHS: [&str; 2] =
        ["/var/run/mdsd/asa/default_fluent.socket", "/var/run/mdsd/default_fluent.socket"];

    /// The two default paths, in their order.
    pub fn new() -> Self {
        Self::in_order(Self::DEFAULT_PATHS)
    }

    /// One path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { paths: vec![path.into()] }
    }

    /// Several paths, of which the first one that exists is used.
    ///
    /// An empty list stands for the default paths.
    pub fn in_order<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        if paths.is_empty() {
            paths.extend(Self::DEFAULT_PATHS.map(PathBuf::from));
        }
        Self { paths }
    }

    /// The path that an attempt made now would use.
    pub fn path(&self) -> &Path {
        let last = self.paths.last().map_or(Path::new(""), PathBuf::as_path);
        self.paths.iter().map(PathBuf::as_path).find(|path| path.exists()).unwrap_or(last)
    }

    /// Opens the stream alone, with the path it leads to, for transports that look at the peer
    /// before they use it. Waits for the agent for as long as the system does.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Retry`] with what the system answered.
    #[cfg(unix)]
    pub async fn open(&self) -> Result<(tokio::net::UnixStream, PathBuf), ConnectError> {
        let path = self.path().to_owned();
        match tokio::net::UnixStream::connect(&path).await {
            Ok(stream) => Ok((stream, path)),
            Err(source) => Err(ConnectError::retry(path.display().to_string(), source)),
        }
    }
}

impl Default for UnixTransport {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(unix)]
impl Transport for UnixTransport {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            let (stream, path) = self.open().await?;
            Ok(Connected::new(
                stream,
                ConnectionType::UNIX_DOMAIN_SOCKET,
                path.display().to_string(),
            ))
        })
    }
}

#[cfg(not(unix))]
impl Transport for UnixTransport {
    fn connect(&mut self) -> Connecting<'_> {
        let peer = self.path().display().to_string();
        let missing = std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "audit agents are reached by a Unix socket on Unix systems only",
        );
        Box::pin(async { Err(ConnectError::permanent(peer, missing)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_path_that_exists_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let transport = UnixTransport::in_order([&first, &second]);

        assert_eq!(transport.path(), second, "none exists: the last one is named");
        std::fs::write(&second, "").unwrap();
        assert_eq!(transport.path(), second);
        std::fs::write(&first, "").unwrap();
        assert_eq!(transport.path(), first, "looked at anew each time");
        std::fs::remove_file(&second).unwrap();
        assert_eq!(transport.path(), first);
    }

    #[test]
    fn the_default_paths_are_those_of_the_agent() {
        let nothing: [&str; 0] = [];
        for transport in [UnixTransport::new(), UnixTransport::in_order(nothing)] {
            assert_eq!(
                transport.paths,
                [
                    Path::new("/var/run/mdsd/asa/default_fluent.socket"),
                    Path::new("/var/run/mdsd/default_fluent.socket"),
                ],
            );
        }
    }
}
