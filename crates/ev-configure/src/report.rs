//! What was done, in the words of the reference handler.

use std::path::{Path, PathBuf};

use crate::files::{self, Files};

/// Where the guide is that says how to go on.
const GUIDE: &str = "https://goteleport.com/docs/management/export-audit-events/fluentd/";

/// What one step wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the files are.
    pub what: &'static str,
    /// The files, absolute.
    pub paths: Vec<PathBuf>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    steps: Vec<Step>,
    passphrase_in: PathBuf,
    was_generated: bool,
    was_mended: bool,
}

impl Report {
    pub(crate) fn written(directory: &Path, files: &Files, generated: bool, mended: bool) -> Self {
        let step = |what, names: &[&str]| Step { what, paths: Files::paths(directory, names) };
        let steps = vec![
            step("Generated mTLS Fluentd certificates", &files.certificates()),
            step("Generated sample teleport-event-handler role and user file", &[files::ROLE]),
            step("Generated sample fluentd configuration file", &[files::FLUENT_CONF]),
            step("Generated plugin configuration file", &[files::HANDLER_TOML]),
            step("Generated plugin helm configuration file", &[files::HELM_VALUES]),
        ];
        let passphrase_in = directory.join(files::FLUENT_CONF);
        Self { steps, passphrase_in, was_generated: generated, was_mended: mended }
    }

    pub(crate) fn left_alone(directory: &Path, mended: bool) -> Self {
        let passphrase_in = directory.join(files::FLUENT_CONF);
        Self { steps: Vec::new(), passphrase_in, was_generated: false, was_mended: mended }
    }

    /// What was written; nothing when all files were there and to be left as they are.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The text for the terminal. Paths are shown relative to `cwd` where they are below it.
    pub fn to_text(&self, cwd: &Path) -> String {
        let mut text = String::new();
        if self.was_mended {
            text.push_str("A run that was interrupted has been undone first.\n\n");
        }
        if self.steps.is_empty() {
            text.push_str("All files are there already; nothing was changed.\n");
            return text;
        }
        for (at, step) in self.steps.iter().enumerate() {
            let paths: Vec<_> = step.paths.iter().map(|path| shown(path, cwd)).collect();
            text.push_str(&format!("[{}] {} {}\n", at + 1, step.what, paths.join(", ")));
        }
        let made = if self.was_generated { " was made at random and" } else { "" };
        text.push_str(&format!(
            "\nThe certificates have been checked with a handshake in memory. The passphrase of the \
             server's key{made} stands in {}.\n\nHow to go on is told in the guide:\n{GUIDE}\n",
            shown(&self.passphrase_in, cwd),
        ));
        text
    }
}

fn shown(path: &Path, cwd: &Path) -> String {
    path.strip_prefix(cwd).unwrap_or(path).display().to_string()
}
