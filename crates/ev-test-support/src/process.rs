//! What the programs have in common: they say where they listen, and end when they are told to or
//! when their parent is gone.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::Error;

/// The content of a ready file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where the fake listens.
    pub addr: SocketAddr,
    /// Where its admin calls go.
    pub admin: SocketAddr,
    /// Its process.
    pub pid: u32,
}

impl Ready {
    /// Writes the file under another name first, so that nobody sees half of it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string(self).expect("numbers and addresses always serialise");
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, text)
            .and_then(|()| std::fs::rename(&unfinished, path))
            .map_err(Error::io(format!("write `{}`", path.display())))
    }

    /// Reads the file; `None` while it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let what = format!("read `{}`", path.display());
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| Error::io(what)(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(what)(error)),
        }
    }
}

/// A listener for a fake. Other addresses than those of the loopback interface are refused: a fake
/// trusts everybody.
///
/// # Errors
///
/// When the address is not one of loopback, or is taken.
pub fn listen(addr: SocketAddr) -> Result<TcpListener, Error> {
    let what = format!("listen on {addr}");
    if !addr.ip().is_loopback() {
        let kind = std::io::ErrorKind::InvalidInput;
        let error = std::io::Error::new(kind, "only loopback addresses are allowed");
        return Err(Error::io(what)(error));
    }
    TcpListener::bind(addr).map_err(Error::io(what))
}

/// Waits for SIGTERM or SIGINT, or, with `stdin`, for the end of standard input: a parent that
/// holds the other end of a pipe need not do anything for its children to end with it.
///
/// # Errors
///
/// When signals cannot be caught.
pub async fn told_to_end(stdin: bool) -> Result<(), Error> {
    let catch = |kind| signal(kind).map_err(Error::io("catch signals"));
    let (mut terminate, mut interrupt) =
        (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_ended(), if stdin => {}
    }
    Ok(())
}

async fn stdin_ended() {
    let (at_end, ended) = oneshot::channel::<()>();
    // A thread of its own: the runtime would wait for a read of standard input at its end.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut scrap = [0; 256];
        while input.read(&mut scrap).is_ok_and(|count| count > 0) {}
        drop(at_end);
    });
    // The sender is only ever dropped.
    let _dropped = ended.await;
}

/// Reads a whole file.
///
/// # Errors
///
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(Error::io(format!("read `{}`", path.display())))
}

/// The end of a program: an error with its causes goes to standard error.
#[expect(clippy::print_stderr, reason = "the programs have no log")]
pub fn report(result: Result<(), Error>) -> std::process::ExitCode {
    let Err(error) = result else { return std::process::ExitCode::SUCCESS };
    eprintln!("{}", error.chain());
    std::process::ExitCode::FAILURE
}
