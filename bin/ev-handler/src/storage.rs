//! What kind of place the storage directory is, and folders in it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::statfs;

/// Why what is stored there does not last, if it does not.
///
/// Asks the nearest directory that is there; one that cannot be asked is taken for good.
pub(crate) fn fleeting(storage: &Path) -> Option<&'static str> {
    let existing = storage.ancestors().find(|path| path.exists())?;
    let kind = statfs(existing).ok()?.f_type;
    // The type's width differs between platforms, its values do not.
    #[expect(clippy::useless_conversion, reason = "it is not `i64` everywhere")]
    why(i64::try_from(kind).ok()?)
}

/// Whether a directory can be at that place: it need not be there, as it is made at the first start.
///
/// # Errors
///
/// What stands in its way.
pub(crate) fn check(storage: &Path) -> Result<(), String> {
    match storage.ancestors().find(|path| path.exists()) {
        Some(existing) if !existing.is_dir() => {
            Err(format!("`{}` is no directory", existing.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder for its owner alone, unless it is there; with `parents`, also those above it.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn make_private(folder: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().recursive(parents).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// By the numbers that Linux gives file systems (`linux/magic.h`).
fn why(kind: i64) -> Option<&'static str> {
    match kind {
        0x0102_1994 => Some("it lies in memory (`tmpfs`) and is lost when the machine restarts"),
        0x8584_58f6 => Some("it lies in memory (`ramfs`) and is lost when the machine restarts"),
        0x794c_7630 => Some(
            "it lies in the layer of a container (`overlay`) and is lost with it; mount a volume \
             there",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pain_10_what_is_lost_by_itself_is_known() {
        for (kind, word) in
            [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs"), (0x794c_7630, "overlay")]
        {
            assert!(why(kind).is_some_and(|text| text.contains(word)), "{word}");
        }
        // ext4, xfs, btrfs, nfs.
        for kind in [0xef53, 0x5846_5342, 0x9123_683e, 0x6969] {
            assert_eq!(why(kind), None, "{kind:x}");
        }
    }

    #[test]
    fn pain_10_a_directory_that_is_not_there_is_judged_by_where_it_will_be() {
        // Shared memory lies in memory on every Linux that has it.
        let memory = Path::new("/dev/shm");
        if memory.is_dir() && statfs(memory).is_ok_and(|found| found.f_type == 0x0102_1994) {
            assert!(fleeting(&memory.join("nobody/made/this")).is_some());
        }
        assert_eq!(fleeting(Path::new("/proc/self")), None);
    }
}
