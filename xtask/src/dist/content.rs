//! `deploy/docker/content.txt`: what the image holds and how it is started.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::tar::{Access, Tar};
use crate::root;

/// Relative to the root of the workspace.
const LIST: &str = "deploy/docker/content.txt";

/// The list, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// The user and the group that the program runs as, as numbers.
    pub(crate) user: String,
    pub(crate) entrypoint: String,
    pub(crate) workdir: String,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder { path: String, access: Access },
    File { path: String, access: Access, source: Source },
    Link { path: String, to: String },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Program,
    /// Of the repository or, when absolute, of this machine.
    Path(String),
}

impl Content {
    /// Reads the list of the repository.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(root().join(LIST)).with_context(|| LIST.to_owned())?;
        Self::parse(&text).with_context(|| format!("failed to read `{LIST}`"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut content = Self::default();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["user", user] => content.user = user.to_owned(),
                ["entrypoint", path] => content.entrypoint = path.to_owned(),
                ["workdir", path] => content.workdir = path.to_owned(),
                ["dir", mode, owner, path] => {
                    let access = access(mode, owner)?;
                    content.entries.push(Entry::Folder { path: path.to_owned(), access });
                }
                ["file", mode, owner, path, source] => {
                    let (access, path) = (access(mode, owner)?, path.to_owned());
                    let source = match source {
                        "program" => Source::Program,
                        path => Source::Path(path.to_owned()),
                    };
                    content.entries.push(Entry::File { path, access, source });
                }
                ["link", path, to] => {
                    content.entries.push(Entry::Link { path: path.to_owned(), to: to.to_owned() });
                }
                _ => bail!("`{line}` says nothing known"),
            }
        }
        let Self { user, entrypoint, workdir, .. } = &content;
        ensure!(![user, entrypoint, workdir].iter().any(|one| one.is_empty()), "a line is missing");
        Ok(content)
    }

    /// The files as one archive.
    pub(crate) fn tar(&self, program: &[u8]) -> Result<Vec<u8>> {
        let mut tar = Tar::default();
        for entry in &self.entries {
            match entry {
                Entry::Folder { path, access } => tar.folder(path, *access)?,
                Entry::Link { path, to } => tar.link(path, to)?,
                Entry::File { path, access, source: Source::Program } => {
                    tar.file(path, *access, program)?;
                }
                Entry::File { path, access, source: Source::Path(from) } => {
                    let from = root().join(Path::new(from));
                    let bytes = fs::read(&from).with_context(|| from.display().to_string())?;
                    tar.file(path, *access, &bytes)?;
                }
            }
        }
        Ok(tar.finish())
    }
}

fn access(mode: &str, owner: &str) -> Result<Access> {
    let (user, group) = owner.split_once(':').context("an owner is `<user>:<group>`")?;
    let mode = u32::from_str_radix(mode, 8).with_context(|| format!("`{mode}` is no mode"))?;
    Ok(Access { mode, user: user.parse()?, group: group.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_repository_is_read() {
        let content = Content::read().unwrap();
        assert_ne!(content.user.split(':').next(), Some("0"), "the image runs as the superuser");
        let is_program =
            |entry: &&Entry| matches!(entry, Entry::File { source: Source::Program, .. });
        assert_eq!(content.entries.iter().filter(is_program).count(), 1);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let whole = "user 1:1\nentrypoint /a\nworkdir /\n";
        assert!(Content::parse(whole).is_ok());
        let check = |line: &str| Content::parse(&format!("{whole}{line}\n")).unwrap_err();
        check("dir 0755 etc");
        check("dir 0799 0:0 etc");
        check("file 0644 0 etc/passwd x");
        check("socket 0644 0:0 x");
        assert!(Content::parse("user 1:1\n").is_err());
    }
}
