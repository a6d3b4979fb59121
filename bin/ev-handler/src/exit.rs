//! How the process ends.

use std::process::ExitCode;

/// Documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went as asked.
    Success,
    /// Something failed: the message is on stderr or in the log. Also wrong use of the command
    /// line, as the reference handler has it.
    Failure,
    /// What was to be checked could not be, so that nothing is known of it; or there are warnings
    /// alone.
    Unchecked,
    /// What was checked may still change, so that nothing is proved of it, and nothing speaks against
    /// it.
    Open,
    /// The configuration is wrong (`EX_CONFIG` of sysexits).
    Config,
    /// `configure` failed; the reference handler's code for it.
    Configure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Unchecked => 2,
            Exit::Open => 3,
            Exit::Config => 78,
            Exit::Configure => 255,
        })
    }
}
