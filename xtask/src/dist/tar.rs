//! Writes tar archives that depend on nothing but what is put in: no times, no names of users.
//!
//! The format is POSIX ustar: a header of 512 bytes for each entry, its contents padded to 512, two
//! empty blocks at the end.
//! <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06>

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};

const BLOCK: usize = 512;

/// An archive in the making. Entries stand in the order they are added.
#[derive(Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

/// Who an entry belongs to, and what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Access {
    /// Of the superuser.
    pub(crate) fn root(mode: u32) -> Self {
        Self { mode, user: 0, group: 0 }
    }
}

impl Tar {
    pub(crate) fn file(&mut self, path: &str, access: Access, contents: &[u8]) -> Result<()> {
        self.header(path, access, b'0', contents.len(), "")?;
        self.bytes.extend_from_slice(contents);
        self.pad();
        Ok(())
    }

    pub(crate) fn folder(&mut self, path: &str, access: Access) -> Result<()> {
        self.header(&format!("{path}/"), access, b'5', 0, "")
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) -> Result<()> {
        self.header(path, Access::root(0o777), b'2', 0, to)
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK]);
        self.bytes
    }

    fn header(&mut self, path: &str, access: Access, kind: u8, len: usize, to: &str) -> Result<()> {
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, room: usize, text: &str| -> Result<()> {
            ensure!(text.len() <= room, "`{text}` does not fit into the header of `{path}`");
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
            Ok(())
        };
        put(0, 100, path)?;
        put(100, 7, &format!("{:07o}", access.mode))?;
        put(108, 7, &format!("{:07o}", access.user))?;
        put(116, 7, &format!("{:07o}", access.group))?;
        put(124, 11, &format!("{len:011o}"))?;
        put(136, 11, "00000000000")?;
        // The sum is made with its own place full of spaces.
        put(148, 8, "        ")?;
        put(157, 100, to)?;
        put(257, 8, "ustar\x0000")?;
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
        Ok(())
    }

    fn pad(&mut self) {
        let len = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(len, 0);
    }
}

/// Packs bytes, always into the same ones.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    writer.write_all(bytes).and_then(|()| writer.finish()).context("failed to compress")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn another_program_reads_what_is_written() {
        let mut tar = Tar::default();
        tar.folder("a", Access { mode: 0o750, user: 7, group: 8 }).unwrap();
        tar.file("a/odd", Access::root(0o644), &[b'x'; 513]).unwrap();
        tar.file("a/empty", Access::root(0o755), b"").unwrap();
        tar.link("a/link", "odd").unwrap();
        let packed = gzip(&tar.finish()).unwrap();
        let list = ["--list", "--verbose", "--gzip", "--numeric-owner", "--utc", "--file=-"];
        let mut child = Command::new("tar")
            .args(list)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&packed).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "drwxr-x--- 7/8 0 1970-01-01 00:00 a/",
                "-rw-r--r-- 0/0 513 1970-01-01 00:00 a/odd",
                "-rwxr-xr-x 0/0 0 1970-01-01 00:00 a/empty",
                "lrwxrwxrwx 0/0 0 1970-01-01 00:00 a/link -> odd",
            ]
        );
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let long = "x".repeat(101);
        let error = Tar::default().file(&long, Access::root(0o644), b"").unwrap_err();
        assert!(error.to_string().contains("does not fit"), "{error}");
    }
}
