//! By which name the program was called, and which one it is.

use std::ffi::OsStr;
use std::path::Path;

/// Its own name.
pub(crate) const NAME: &str = "ev-handler";

/// Names by which units, images and charts of the reference handler call it.
const OTHER_NAMES: [&str; 2] = ["teleport-event-handler", "teleport-plugin"];

/// The name for usage and messages: the one it was called by if that is one of its names.
pub(crate) fn name(called: Option<&OsStr>) -> &'static str {
    let file = called.and_then(|path| Path::new(path).file_name());
    let other = OTHER_NAMES.into_iter().find(|name| file == Some(OsStr::new(name)));
    other.unwrap_or(NAME)
}

/// One line with the release, the commit if it is known, and the compiler, in the order of the
/// reference handler.
pub(crate) fn version(name: &str) -> String {
    let reference =
        option_env!("EV_GIT_REF").map(|reference| format!(" git:{reference}")).unwrap_or_default();
    format!("{name} v{}{reference} rust{}", env!("CARGO_PKG_VERSION"), env!("EV_RUSTC_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_it_was_called_by() {
        let check = |called: &str, expected| assert_eq!(name(Some(OsStr::new(called))), expected);
        check("ev-handler", "ev-handler");
        check("/usr/local/bin/teleport-event-handler", "teleport-event-handler");
        check("/usr/local/bin/teleport-plugin", "teleport-plugin");
        check("./renamed", "ev-handler");
        assert_eq!(name(None), "ev-handler");
    }
}
