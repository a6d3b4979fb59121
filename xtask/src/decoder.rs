//! Building, signing, verifying and listing decoder artifacts: the same command as `ev-handler decoder`.

use std::time::SystemTime;

pub(crate) use ev_modules::cli::Command;

/// Runs the command and prints what came of it.
#[expect(clippy::disallowed_methods, reason = "a tool for people: now is now")]
pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    print!("{}", ev_modules::cli::run(&command, SystemTime::now())?);
    Ok(())
}
