//! Calling cargo from a program that cargo runs.

use std::ffi::OsString;
use std::process::Command;

/// Cargo, without the variables by which `cargo run` tells this program about itself. Build
/// scripts look at some of them, so with them the called cargo and the calling one would build
/// the same packages over and over, each in the other's place.
pub(crate) fn command() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    clean(Command::new(cargo))
}

/// Takes the variables away from any command.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_us(name)) {
        command.env_remove(name);
    }
    command
}

fn is_about_us(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    let single = ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    of_package.iter().any(|prefix| name.starts_with(prefix)) || single.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_this_package_is_taken_away() {
        let is = |name: &str| is_about_us(&name.into());
        assert!(is("CARGO_MANIFEST_DIR") && is("CARGO_PKG_VERSION_MAJOR") && is("OUT_DIR"));
        assert!(!is("CARGO_HOME") && !is("CARGO_TARGET_DIR") && !is("PATH") && !is("RUSTFLAGS"));
    }
}
