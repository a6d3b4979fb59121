//! The commands by which `docs/distribution.md` has people check what they were given, run on what
//! was made.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::build::Built;
use super::sums;
use crate::root;
use crate::tools::{How, Tool};

/// Relative to the root of the workspace.
const PAGE: &str = "docs/distribution.md";

const SECTION: &str = "\n### Check what you were given\n";

pub(crate) static JQ: Tool =
    Tool { name: "jq", program: "jq", how: How::Installed { package: "jq" } };

/// Runs them in the folder of the results.
pub(crate) fn check(native: &Built, folder: &Path) -> Result<()> {
    let page = fs::read_to_string(root().join(PAGE)).with_context(|| PAGE.to_owned())?;
    let (_, section) = page.split_once(SECTION).with_context(|| format!("{PAGE}{SECTION}"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let blocks = section.split("```sh\n").skip(1).filter_map(|text| text.split("```").next());
    let mut said = Vec::new();
    for block in blocks {
        let output = Command::new("sh").args(["-ec", block]).current_dir(folder).output()?;
        ensure!(output.status.success(), "`{}` of {PAGE} fails: {output:?}", block.trim());
        said.push(String::from_utf8(output.stdout)?);
    }
    let [sums_said, digest] = &said[..] else {
        anyhow::bail!("{PAGE} has {} commands where two are known", said.len())
    };
    ensure!(sums_said.lines().count() > 1, "no sum was checked: {sums_said}");
    ensure!(sums_said.lines().all(|line| line.ends_with(": OK")), "{sums_said}");
    ensure!(digest.trim() == sums::hex(&native.bytes), "`{digest}` is of another program");
    Ok(())
}
