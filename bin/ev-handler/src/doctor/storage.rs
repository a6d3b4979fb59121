//! The storage directory: whether it can be written to and lasts, room on the disk, who has it
//! open, and what is in it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use ev_core::StateError;
use ev_state::StateReader;
use rustix::fs::{Access, access, statvfs};

use super::finding::{Findings, Step};
use crate::chain::Chain;
use crate::storage;

/// With less than this the next commits fail: a commit may hold 1 MiB of parked events, and its
/// log is copied into the database.
const FAILS_BELOW: u64 = 16 << 20;
/// With less than this somebody should look: parked events alone may need it.
const SMALL_BELOW: u64 = 512 << 20;
/// What is written to see whether writing works.
const SAMPLE: &[u8] = b"a probe of `ev-handler doctor`; it can be deleted\n";

/// The cluster that the state belongs to, if there is a state that says so.
pub(super) struct Owner {
    pub(super) cluster: String,
}

pub(super) fn examine(path: &Path, findings: &mut Findings) -> Option<Owner> {
    let rest = [Step::Space, Step::Lock, Step::State];
    let Some(existing) = path.ancestors().find(|path| path.exists()) else {
        findings.problem(Step::Storage, format!("`{}` leads nowhere", path.display()), WRITABLE);
        findings.not_tried(&rest, NOT_THERE);
        return None;
    };
    let is_there = existing == path;
    if let Err(what) = writable(existing, is_there) {
        let cure = match what.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ROOM,
            ErrorKind::FileTooLarge => {
                "lift the limit on the size of files (`LimitFSIZE`, `ulimit -f`)"
            }
            ErrorKind::ReadOnlyFilesystem => {
                "mount the file system so that it can be written to; in a container mount a \
                 volume there, and in a unit name the directory as `StateDirectory`"
            }
            _ => WRITABLE,
        };
        findings.problem(
            Step::Storage,
            format!("`{}` cannot be written to: {what}", existing.display()),
            cure,
        );
    } else if is_there {
        findings.ok(Step::Storage, format!("`{}` can be written to", path.display()));
    } else {
        let what = format!("`{}` is not there and can be made", path.display());
        findings.ok(Step::Storage, what);
    }
    if let Some(why) = storage::fleeting(path) {
        let cure = "name a directory on a disk that stays (`storage`), or mount a volume there: a \
                    handler without its state begins anew";
        findings.warning(Step::Storage, format!("`{}`: {why}", path.display()), cure);
    }
    owner_and_mode(path, findings);
    space(existing, findings);
    locked(path, findings);
    state(path, findings)
}

const NOT_THERE: &str = "the storage directory cannot be looked at";
const WRITABLE: &str = "give the directory to the handler's user (`chown`), mode 0700, or name \
                        another one with `storage`";
const ROOM: &str =
    "make room on the disk: nothing is delivered until there is, and nothing is lost";

/// Writes and deletes a file in the directory, or asks whether it could be made.
fn writable(existing: &Path, is_there: bool) -> io::Result<()> {
    if !existing.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is no directory"));
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK)?;
    if !is_there {
        return Ok(());
    }
    let probe = existing.join(format!(".ev-handler-doctor-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&probe)?;
    let written = write(file);
    let removed = std::fs::remove_file(&probe);
    written.and(removed)
}

fn write(mut file: File) -> io::Result<()> {
    file.write_all(SAMPLE)?;
    file.sync_all()
}

fn owner_and_mode(path: &Path, findings: &mut Findings) {
    let ours = rustix::process::geteuid().as_raw();
    let inside = path.join("ev-state");
    let state = inside.join("state.db");
    for path in [&inside, &state] {
        let Ok(metadata) = std::fs::metadata(path) else { continue };
        if metadata.uid() != ours {
            let what = format!(
                "`{}` belongs to user {}, and this is run by user {ours}",
                path.display(),
                metadata.uid()
            );
            let cure = "run this as the handler's user, so that it sees what the handler sees; or \
                        give the directory to that user, if it is the handler's user that differs";
            findings.warning(Step::Storage, what, cure);
            return;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            let what =
                format!("`{}` is open to others than its owner (mode {mode:04o})", path.display());
            let cure = "the next start takes the rights away; parked events hold what people typed";
            findings.warning(Step::Storage, what, cure);
        }
    }
}

fn space(existing: &Path, findings: &mut Findings) {
    let found = match statvfs(existing) {
        Ok(found) => found,
        Err(error) => {
            let what = format!("the room on the disk cannot be told: {}", io::Error::from(error));
            return findings.note(Step::Space, what);
        }
    };
    let bytes = found.f_bavail.saturating_mul(found.f_frsize);
    // File systems without a fixed number of files say that there are none of them.
    let has_files = found.f_files == 0 || found.f_favail > 8;
    judge_space(bytes, has_files, findings);
}

fn judge_space(bytes: u64, has_files: bool, findings: &mut Findings) {
    let left = format!("{} MiB are free", bytes >> 20);
    if !has_files {
        findings.problem(Step::Space, "no further files can be made (inodes)", ROOM);
    } else if bytes < FAILS_BELOW {
        findings.problem(Step::Space, left, ROOM);
    } else if bytes < SMALL_BELOW {
        let cure = "make room on the disk soon, or bound what is parked (`[parked] max-bytes`)";
        findings.warning(Step::Space, left, cure);
    } else {
        findings.ok(Step::Space, left);
    }
}

fn locked(path: &Path, findings: &mut Findings) {
    match StateReader::is_in_use(path) {
        Ok(true) => findings.note(
            Step::Lock,
            "a process has the state open: the handler runs. A second one would be refused with \
             `in use by another process`; if none should run, look for it with `fuser` or `lsof` \
             on `ev-state/lock`",
        ),
        Ok(false) => findings.ok(Step::Lock, "no process has the state open"),
        Err(error) => findings.problem(Step::Lock, Chain(&error).to_string(), WRITABLE),
    }
}

fn state(path: &Path, findings: &mut Findings) -> Option<Owner> {
    // What cannot be looked at is for the reader to say.
    if let Ok(false) = path.join("ev-state").join("state.db").try_exists() {
        let what = "there is no state yet: the first start makes one";
        findings.ok(Step::State, what);
        return None;
    }
    let found =
        StateReader::open(path).and_then(|reader| Ok((reader.identity()?, reader.sinks()?)));
    match found {
        Ok((Some((cluster, flavour)), sinks)) => {
            findings.ok(Step::State, format!("of cluster `{cluster}`, JSON flavour `{flavour}`"));
            let parked: u64 = sinks.iter().map(|sink| sink.totals.parked).sum();
            if parked > 0 {
                let what = format!("events that could not be decoded or delivered wait: {parked}");
                let cure = "`ev-handler parked list` says why each is parked; they go out by \
                            themselves when the reason is gone";
                findings.warning(Step::State, what, cure);
            }
            Some(Owner { cluster })
        }
        Ok((None, _)) => {
            findings.ok(Step::State, "nothing was read yet");
            None
        }
        Err(error) => {
            let cure = match &error {
                StateError::Damaged { .. } => {
                    "put a backup of the directory in its place, or move it away to begin anew \
                     from `start-time`; save parked events first with `ev-handler parked export`"
                }
                StateError::Mismatch { .. } => "run the release that wrote it, or name another one",
                _ => {
                    "run this as the handler's user, and see what the system's log says of the disk"
                }
            };
            findings.problem(Step::State, Chain(&error).to_string(), cure);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn room_is_judged_by_what_a_commit_needs() {
        let check = |bytes, has_files, expected| {
            let mut findings = Findings::default();
            judge_space(bytes, has_files, &mut findings);
            assert_eq!(findings.0[0].severity, expected, "{bytes}");
            assert_eq!(findings.0[0].cure.is_some(), expected != Severity::Ok, "{bytes}");
        };
        check(0, true, Severity::Problem);
        check(FAILS_BELOW, true, Severity::Warning);
        check(SMALL_BELOW, true, Severity::Ok);
        check(u64::MAX, false, Severity::Problem);
    }
}
