//! `cargo xtask api`: what the library crates offer to others, as one page of text each in
//! `docs/api/`, compared by `ci`, so that a change of it is seen by whoever reads the change.
//!
//! The pages are made from the sources alone: names are followed through modules and re-exports,
//! bodies and private parts left out. What macros make and what the compiler derives by itself (as
//! `Send`) is not in them.

mod bare;
mod names;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::root;

/// Relative to the root of the workspace.
const FOLDER: &str = "docs/api";

/// Crates that nobody outside uses: for tests only, and the guest.
const INSIDE: [&str; 3] = ["ev-decoder-module", "ev-oracle", "ev-test-support"];

/// Writes the pages, or with `check` compares them and fails on a difference.
pub(crate) fn run(check: bool) -> Result<()> {
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("crates"))? {
        let krate = entry?;
        let name = krate.file_name().to_string_lossy().into_owned();
        if INSIDE.contains(&&*name) || !krate.path().join("src/lib.rs").is_file() {
            continue;
        }
        let page = page(&krate.path()).with_context(|| format!("read the sources of {name}"))?;
        let file = folder.join(format!("{name}.txt"));
        names.insert(format!("{name}.txt"));
        if !check {
            fs::write(&file, page).with_context(|| file.display().to_string())?;
        } else if fs::read_to_string(&file).ok().is_none_or(|found| found != page) {
            wrong.push(name);
        }
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if names.contains(&name) {
            continue;
        }
        if check {
            wrong.push(name);
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    let what = wrong.join(", ");
    ensure!(
        wrong.is_empty(),
        "{FOLDER} is not what the crates offer ({what}): run `cargo xtask api`"
    );
    Ok(())
}

/// What a crate offers.
fn page(krate: &Path) -> Result<String> {
    let source = source::Module::read(&krate.join("src/lib.rs"))?;
    let items = names::offered(&source)?;
    let file = syn::File { shebang: None, attrs: Vec::new(), items };
    Ok(prettyplease::unparse(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(files: &[(&str, &str)]) -> Result<String> {
        let krate = tempfile::tempdir()?;
        for (name, text) in files {
            let path = krate.path().join("src").join(name);
            fs::create_dir_all(path.parent().unwrap())?;
            fs::write(path, text)?;
        }
        page(krate.path())
    }

    #[test]
    fn names_are_followed_and_private_parts_left_out() {
        let lib = "//! Front page.\nmod inner;\nmod seal;\npub mod open { pub const N: u8 = 3; }\n\
                   pub use inner::{Given, Shape as Form};\npub use other::Thing;\n\
                   #[cfg(test)] mod tests;\npub(crate) fn hidden() {}\n";
        let inner = "mod deep;\npub use self::deep::Given;\nuse crate::seal::Sealed;\n\
                     pub enum Shape { Round, Flat(u8) }\npub struct Unseen;\n\
                     impl Sealed for Shape {}\n\
                     impl Clone for Shape { fn clone(&self) -> Self { Self::Round } }\n";
        let deep = "/// Told.\n#[derive(Debug)]\npub struct Given { pub a: u8, b: u8 }\n\
                    impl Given {\n    /// Makes one.\n    pub fn new(mut a: u8) -> Self { todo!() }\n\
                        fn secret(&self) {}\n}\n\
                    impl Iterator for Given { type Item = u8; fn next(&mut self) -> Option<u8> { None } }\n";
        let files = [
            ("lib.rs", lib),
            ("inner/mod.rs", inner),
            ("inner/deep.rs", deep),
            ("seal.rs", "pub trait Sealed {}"),
        ];
        let expected = "pub use other::Thing;\npub enum Form {\n    Round,\n    Flat(u8),\n}\n\
                        impl Clone for Shape {}\n/// Has private fields.\n#[derive(Debug)]\n\
                        pub struct Given {\n    pub a: u8,\n}\n\
                        impl Given {\n    pub fn new(a: u8) -> Self {}\n}\n\
                        impl Iterator for Given {\n    type Item = u8;\n}\n\
                        pub mod open {\n    pub const N: u8 = _;\n}\n";
        assert_eq!(page_of(&files).unwrap(), expected);
    }

    #[test]
    fn a_name_that_leads_nowhere_is_an_error() {
        let error = page_of(&[("lib.rs", "mod a {}\npub use a::Gone;")]).unwrap_err();
        assert_eq!(error.to_string(), "`a::Gone` leads nowhere");
    }
}
