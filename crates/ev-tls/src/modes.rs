//! Who may read a file that holds a private key.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tracing::warn;

/// The mode of a file that somebody other than its owner may read, write or execute; `None` when
/// nobody may, or when that cannot be told.
pub fn open_mode(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Warns when others than its owner may use a file that holds a private key or a passphrase.
pub fn warn_if_open(path: &Path) {
    if let Some(mode) = open_mode(path) {
        let (path, mode) = (path.display(), format!("{mode:04o}"));
        warn!(
            %path,
            mode,
            "a secret file can be used by others than its owner, give it mode 0600"
        );
    }
}
