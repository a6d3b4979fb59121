//! Parts of tests that need a process of their own: to be killed, or with limits of its own.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Names the directory that the process works in; without it, it does nothing.
const DIRECTORY: &str = "EV_STATE_TEST_DIRECTORY";

/// The directory that this process is to work in, if it is such a part.
pub(crate) fn directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// A command that runs the test `name`, which is ignored otherwise, in `directory`, below the
/// program and arguments of `wrapper`.
pub(crate) fn command(wrapper: &[&str], name: &str, directory: impl AsRef<OsStr>) -> Command {
    let this = std::env::current_exe().expect("a test has a program");
    let arguments = ["--exact", name, "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = match wrapper {
        [] => Command::new(this),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(this);
            command
        }
    };
    command.args(arguments).env(DIRECTORY, directory).stdin(Stdio::null());
    command
}

/// Runs a command to its end, which must be a good one, and returns what it printed.
#[track_caller]
pub(crate) fn run(mut command: Command) -> String {
    let output = command.output().expect("can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{errors}", output.status);
    assert!(out.contains("test result: ok. 1 passed"), "{command:?} ran no test: {out}");
    out
}

/// A directory where syncing costs nothing, for what is not about the disk itself.
pub(crate) fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("temporary directories can be made")
}
