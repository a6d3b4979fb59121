//! Who may read a file that holds a private key.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

const ROOT: u32 = 0;

/// The mode of a file that others than those it is meant for may read, write or execute; `None`
/// when nobody else may, or when that cannot be told.
///
/// It is meant for its owner. One of root's that its group may read, and nothing more, is meant for
/// that group when somebody else reads it: so a system hands keys to a service, Kubernetes with
/// `fsGroup` or Debian with its group `ssl-cert`.
pub fn open_mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o7777;
    is_open(mode, metadata.uid(), rustix::process::geteuid().as_raw()).then_some(mode)
}

fn is_open(mode: u32, owner: u32, reader: u32) -> bool {
    let handed_over = owner == ROOT && reader != ROOT && mode & 0o077 == 0o040;
    mode & 0o077 != 0 && !handed_over
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_hands_to_the_group_of_a_service_is_for_it() {
        assert!(!is_open(0o640, ROOT, 65532) && !is_open(0o440, ROOT, 65532));
        // More than reading, and more than the group.
        for mode in [0o660, 0o650, 0o644, 0o604] {
            assert!(is_open(mode, ROOT, 65532), "{mode:o}");
        }
        assert!(is_open(0o640, ROOT, ROOT) && is_open(0o640, 65532, 65532));
        assert!(is_open(0o640, 1000, 65532), "of another user");
        assert!(!is_open(0o600, ROOT, 65532) && !is_open(0o400, 65532, 65532));
    }
}
