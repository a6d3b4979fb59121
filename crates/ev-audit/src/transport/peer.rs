//! A Unix socket behind which only the right process may listen.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::{ConnectError, Connected, Connecting, Transport, UnixTransport};
use crate::model::ConnectionType;

/// Who may be the agent behind a Unix socket.
///
/// Each rule that is given has to hold; without any, everybody may. The rules about the path are
/// looked at before a connection is made, and those about the process before anything is written
/// to it. A process inside a user namespace is seen under the ids of ours, which are 65534 for
/// those that are not mapped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerRules {
    uids: Vec<u32>,
    gids: Vec<u32>,
    owners: Vec<u32>,
    mode: Option<u32>,
}

/// Why the process behind a Unix socket is not taken for the agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerRefused {
    /// The process that listens runs under another user.
    #[error("socket is served by user {found}, allowed are {allowed:?}")]
    User {
        /// Its user id.
        found: u32,
        /// Those that are allowed.
        allowed: Vec<u32>,
    },
    /// The process that listens runs under another group.
    #[error("socket is served by group {found}, allowed are {allowed:?}")]
    Group {
        /// Its group id.
        found: u32,
        /// Those that are allowed.
        allowed: Vec<u32>,
    },
    /// The socket's path belongs to another user.
    #[error("socket belongs to user {found}, allowed are {allowed:?}")]
    Owner {
        /// The owner.
        found: u32,
        /// Those that are allowed.
        allowed: Vec<u32>,
    },
    /// The socket's path gives more rights than it may.
    #[error("socket has mode {found:04o}, at most {allowed:04o} is allowed")]
    Mode {
        /// Its permission bits.
        found: u32,
        /// Those that are allowed.
        allowed: u32,
    },
    /// The path is no socket.
    #[error("path is no socket")]
    NoSocket,
}

impl PeerRules {
    /// No rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process that listens runs under this user, or another one that is named so.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.uids.push(uid);
        self
    }

    /// The process that listens runs under this group, or another one that is named so.
    #[must_use]
    pub fn group(mut self, gid: u32) -> Self {
        self.gids.push(gid);
        self
    }

    /// The socket's path belongs to this user, or another one that is named so.
    #[must_use]
    pub fn owner(mut self, uid: u32) -> Self {
        self.owners.push(uid);
        self
    }

    /// The socket's path has no permission bits besides these, for instance `0o660`.
    #[must_use]
    pub fn mode(mut self, most: u32) -> Self {
        self.mode = Some(most);
        self
    }

    fn check_path(&self, path: &Path) -> io::Result<()> {
        if self.owners.is_empty() && self.mode.is_none() {
            return Ok(());
        }
        let metadata = fs::metadata(path)?;
        if !metadata.file_type().is_socket() {
            return Err(refused(PeerRefused::NoSocket));
        }
        if !allows(&self.owners, metadata.uid()) {
            let (found, allowed) = (metadata.uid(), self.owners.clone());
            return Err(refused(PeerRefused::Owner { found, allowed }));
        }
        let found = metadata.mode() & 0o7777;
        match self.mode {
            Some(allowed) if found & !allowed != 0 => {
                Err(refused(PeerRefused::Mode { found, allowed }))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_process(&self, stream: &tokio::net::UnixStream) -> io::Result<()> {
        if self.uids.is_empty() && self.gids.is_empty() {
            return Ok(());
        }
        let peer = stream.peer_cred()?;
        if !allows(&self.uids, peer.uid()) {
            let (found, allowed) = (peer.uid(), self.uids.clone());
            return Err(refused(PeerRefused::User { found, allowed }));
        }
        if !allows(&self.gids, peer.gid()) {
            let (found, allowed) = (peer.gid(), self.gids.clone());
            return Err(refused(PeerRefused::Group { found, allowed }));
        }
        Ok(())
    }
}

fn allows(allowed: &[u32], found: u32) -> bool {
    allowed.is_empty() || allowed.contains(&found)
}

fn refused(why: PeerRefused) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Connects to the agent's Unix socket, if it is the agent's.
///
/// A refusal is tried again like any failure: the agent may come back in place of whoever sits
/// there. Its cause is an [`io::Error`] that holds a [`PeerRefused`].
///
/// ```
/// use ev_audit::transport::{CheckedUnixTransport, PeerRules, UnixTransport};
///
/// let rules = PeerRules::new().user(0).owner(0).mode(0o666);
/// let transport = CheckedUnixTransport::new(UnixTransport::new(), rules);
/// ```
#[derive(Debug, Clone)]
pub struct CheckedUnixTransport {
    socket: UnixTransport,
    rules: PeerRules,
}

impl CheckedUnixTransport {
    /// To `socket`, under `rules`.
    pub fn new(socket: UnixTransport, rules: PeerRules) -> Self {
        Self { socket, rules }
    }
}

impl Transport for CheckedUnixTransport {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            let before = self.socket.path().to_owned();
            let name = |path: &Path| path.display().to_string();
            self.rules
                .check_path(&before)
                .map_err(|source| ConnectError::retry(name(&before), source))?;
            let (stream, path) = self.socket.open().await?;
            // The path that was used may be another one than the path that was looked at, as one
            // may have appeared between; and the process behind it is known only now.
            let checked = if path == before { Ok(()) } else { self.rules.check_path(&path) };
            checked
                .and_then(|()| self.rules.check_process(&stream))
                .map_err(|source| ConnectError::retry(name(&path), source))?;
            Ok(Connected::new(stream, ConnectionType::UNIX_DOMAIN_SOCKET, name(&path)))
        })
    }
}
