//! The directories in a storage directory that a reference handler may have written.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Error;

/// A directory that a reference handler wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Its name, `<host>_<port>`.
    pub name: String,
    /// When one of its files was written last, by the file system's clock.
    pub changed: Option<SystemTime>,
}

/// The name of the directory for an address `<host>:<port>`: cut at the last colon, without the
/// blanks around either part. `None` without a colon, or with nothing on both sides.
pub fn directory_name(addr: &str) -> Option<String> {
    let (host, port) = addr.rsplit_once(':')?;
    let (host, port) = (host.trim(), port.trim());
    if host.is_empty() && port.is_empty() || host.contains('/') || port.contains('/') {
        return None;
    }
    Some(format!("{host}_{port}"))
}

/// All directories under `storage` that hold state of a reference handler, the one written last in
/// front. What a dry run left behind is none.
///
/// # Errors
///
/// When the storage directory or one of them cannot be read. One that is not there holds none.
pub fn candidates(storage: &Path) -> Result<Vec<Candidate>, Error> {
    let entries = match fs::read_dir(storage) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::read(storage)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::read(storage))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        if !is_name(&name) || !path.is_dir() {
            continue;
        }
        if let Some(changed) = last_change(&path)? {
            found.push(Candidate { path, name, changed });
        }
    }
    found.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// Whether an address could have made it: something, an underscore, a number.
fn is_name(name: &str) -> bool {
    let port = name.rsplit_once('_').map(|(_, port)| port);
    port.is_some_and(|port| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a name in such a directory belongs to the state.
fn is_state(name: &str) -> bool {
    matches!(name, "start_time" | "window_time" | "cursor" | "id" | "cursor_v2")
        || name.starts_with("session")
        || name.starts_with("missing_recording")
}

/// When something of the state was written last; `None` if there is nothing of it, and `Some(None)`
/// where the file system does not tell times.
#[expect(clippy::option_option, reason = "whether there is a state, and whether its time is known")]
fn last_change(path: &Path) -> Result<Option<Option<SystemTime>>, Error> {
    let mut found = None;
    for entry in fs::read_dir(path).map_err(Error::read(path))? {
        let entry = entry.map_err(Error::read(path))?;
        if entry.file_name().to_str().is_some_and(is_state) {
            let newest = newest(&entry.path(), 2);
            found = Some(found.flatten().max(newest));
        }
    }
    Ok(found)
}

/// The newest change of a file, or of anything in a directory, `levels` deep.
fn newest(path: &Path, levels: u8) -> Option<SystemTime> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let mut newest_change = metadata.modified().ok();
    if metadata.is_dir() && levels > 0 {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            newest_change = newest_change.max(newest(&entry.path(), levels - 1));
        }
    }
    newest_change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_cut_at_the_last_colon() {
        let name = |addr| directory_name(addr);
        assert_eq!(name("127.0.0.1:3025").as_deref(), Some("127.0.0.1_3025"));
        assert_eq!(name(" proxy.example.com : 443 ").as_deref(), Some("proxy.example.com_443"));
        assert_eq!(name("[::1]:3025").as_deref(), Some("[::1]_3025"));
        assert_eq!(name("auth.example.com"), None);
        assert_eq!(name(":"), None);
        assert_eq!(name("../x:1"), None);
    }

    #[test]
    fn only_what_a_reference_handler_wrote_is_found() {
        let storage = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = storage.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("can be made");
            fs::write(path, "").expect("can be written");
        };
        for name in ["ev-state/lock", "profiles/1-cpu.profile", "a_1/other", "b_2/dry_run/x/cursor"]
        {
            make(name);
        }
        assert_eq!(candidates(storage.path()).expect("readable"), []);
        assert_eq!(candidates(&storage.path().join("none")).expect("none"), []);
        make("auth.example.com_3025/start_time");
        make("c_x/start_time");
        let found = candidates(storage.path()).expect("readable");
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["auth.example.com_3025"]);
    }

    #[test]
    fn the_one_written_last_comes_first() {
        let storage = tempfile::tempdir().expect("a folder");
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for (name, seconds) in [("a_1", 100), ("b_2", 300), ("c_3", 200)] {
            let date = storage.path().join(name).join("cursor_v2/2026-11-17");
            fs::create_dir_all(&date).expect("can be made");
            fs::write(date.join("completed-chunks"), "x\n").expect("can be written");
            for path in [
                date.join("completed-chunks"),
                date.clone(),
                storage.path().join(name).join("cursor_v2"),
            ] {
                let file = fs::File::open(path).expect("is there");
                file.set_modified(at(seconds)).expect("times can be set");
            }
        }
        let found = candidates(storage.path()).expect("readable");
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.changed)).collect();
        assert_eq!(names, [("b_2", Some(at(300))), ("c_3", Some(at(200))), ("a_1", Some(at(100)))]);
    }
}
