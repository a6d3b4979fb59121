use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Regular files of a directory, with what they hold.
fn content(directory: &Path) -> BTreeMap<String, String> {
    let mut content = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        content.insert(name, fs::read_to_string(entry.path()).unwrap_or_default());
    }
    content
}

fn map(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn new_files() -> Vec<files::File> {
    ["a", "b", "c"].map(|name| files::File::new(name, format!("new {name}"))).into()
}

const NEW: &[(&str, &str)] = &[("a", "new a"), ("b", "new b"), ("c", "new c")];
/// `b` is not there before.
const OLD: &[(&str, &str)] = &[("a", "old a"), ("c", "old c"), ("other", "untouched")];

/// Steps of three files: each is kept, the journal, each is renamed, the journal again.
const STEPS: usize = 8;

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in OLD {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[test]
fn all_files_are_put_in_place_for_their_owner_alone() {
    let directory = directory();
    let place = Place::open(directory.path()).unwrap();
    let files = new_files();
    let staged = place.stage(&files).unwrap();
    assert_eq!(content(&staged.folder()), map(NEW));
    let mut steps = 0;
    staged
        .commit_with(&mut |_| {
            steps += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(steps, STEPS);
    let mut expected = map(NEW);
    expected.insert("other".to_owned(), "untouched".to_owned());
    assert_eq!(content(directory.path()), expected, "and no folder is left");
    for (name, _) in NEW {
        let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_failure_at_any_step_leaves_what_was_there() {
    for fail_at in 0..STEPS {
        let directory = directory();
        let place = Place::open(directory.path()).unwrap();
        let files = new_files();
        let mut step = 0;
        let error = place
            .stage(&files)
            .unwrap()
            .commit_with(&mut |_| {
                step += 1;
                if step == fail_at + 1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            })
            .unwrap_err();
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(content(directory.path()), map(OLD), "step {fail_at}");
    }
}

#[test]
fn a_run_killed_at_any_step_is_undone_by_the_next() {
    for kill_at in 0..STEPS {
        let directory = directory();
        {
            let place = Place::open(directory.path()).unwrap();
            let files = new_files();
            let staged = place.stage(&files).unwrap();
            let mut step = 0;
            staged
                .swap(&mut |_| {
                    step += 1;
                    if step == kill_at + 1 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
                })
                .unwrap_err();
            // Nothing that a living process would do any more.
            std::mem::forget(staged);
        }
        assert!(directory.path().join(FOLDER).exists());
        let place = Place::open(directory.path()).unwrap();
        // The journal is written ahead of the fifth step.
        assert_eq!(place.was_mended(), kill_at > 3, "step {kill_at}");
        assert_eq!(content(directory.path()), map(OLD), "step {kill_at}");
        drop(place);
        assert!(!Place::open(directory.path()).unwrap().was_mended(), "once is enough");
    }
}

#[test]
fn a_repair_that_is_killed_too_is_finished_by_the_next() {
    let directory = directory();
    let place = Place::open(directory.path()).unwrap();
    let files = new_files();
    let staged = place.stage(&files).unwrap();
    let mut step = 0;
    staged
        .swap(&mut |_| {
            step += 1;
            if step == STEPS { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        })
        .unwrap_err();
    std::mem::forget(staged);
    // Half of the repair: one file is put back, another is taken away.
    place.undo(&Entry { name: "a", replaces: true }).unwrap();
    place.undo(&Entry { name: "b", replaces: false }).unwrap();
    drop(place);
    assert!(Place::open(directory.path()).unwrap().was_mended());
    assert_eq!(content(directory.path()), map(OLD));
}

#[test]
fn files_that_are_not_wanted_after_all_are_taken_away() {
    let directory = directory();
    let place = Place::open(directory.path()).unwrap();
    drop(place.stage(&new_files()).unwrap());
    assert_eq!(content(directory.path()), map(OLD));
}

#[test]
fn two_runs_are_kept_apart() {
    let directory = directory();
    let place = Place::open(directory.path()).unwrap();
    assert!(matches!(Place::open(directory.path()), Err(Error::Busy { .. })));
    drop(place);
    Place::open(directory.path()).unwrap();
}

#[test]
fn what_is_there_is_told() {
    let directory = directory();
    std::os::unix::fs::symlink("/nowhere", directory.path().join("link")).unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    let place = Place::open(directory.path()).unwrap();
    let names = ["a", "b", "link", "other"];
    assert_eq!(place.existing(names.into_iter()).unwrap(), ["a", "link", "other"]);
    let error = place.existing(["folder"].into_iter()).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }));
}

#[test]
fn a_directory_that_cannot_be_used_is_told() {
    let directory = directory();
    for name in ["nowhere", "a"] {
        let error = Place::open(&directory.path().join(name)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Whatever stands in a journal, nothing outside of the directory is touched.
#[test]
fn a_journal_reaches_no_other_directory() {
    let outer = directory();
    let inner = outer.path().join("inner");
    fs::create_dir_all(inner.join(FOLDER).join("old")).unwrap();
    fs::write(inner.join(FOLDER).join("old").join("x"), "old x").unwrap();
    let journal = "new ../a\nnew /etc/passwd\nold ../c\ngarbage\n\nnew ..\nold x\n";
    fs::write(inner.join(FOLDER).join(JOURNAL), journal).unwrap();
    assert!(Place::open(&inner).unwrap().was_mended());
    assert_eq!(content(&inner), map(&[("x", "old x")]));
    assert_eq!(fs::read_to_string(outer.path().join("a")).unwrap(), "old a");
    assert_eq!(fs::read_to_string(outer.path().join("c")).unwrap(), "old c");
}
