//! `cargo package` for each crate that another project may depend on, and for the program.
//!
//! None of them is published, and cargo packages for a registry; so a copy of the sources is
//! packaged in which they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{cargo, root, template};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<About>,
}

#[derive(Deserialize)]
struct About {
    name: String,
    version: String,
    description: Option<String>,
    license: Option<String>,
    readme: Option<String>,
    rust_version: Option<String>,
    keywords: Vec<String>,
    categories: Vec<String>,
    manifest_path: std::path::PathBuf,
}

/// Packages them all without compiling, and looks at what they say of themselves.
pub(super) fn check() -> Result<()> {
    let metadata = cargo::command()
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()?;
    ensure!(metadata.status.success(), "`cargo metadata` failed");
    let Metadata { packages } = serde_json::from_slice(&metadata.stdout)?;
    let is_given = |about: &About| {
        let folder = about.manifest_path.strip_prefix(root()).unwrap_or(&about.manifest_path);
        folder.starts_with("crates") || folder.starts_with("bin")
    };
    let (given, others): (Vec<About>, Vec<About>) = packages.into_iter().partition(is_given);
    let mut wrong = Vec::new();
    for about in &given {
        about.complete(&mut wrong);
        within(about, &mut wrong)?;
    }
    ensure!(wrong.is_empty(), "packages are not complete:\n  {}", wrong.join("\n  "));

    let copy = tempfile::tempdir()?;
    template::copy_sources(&root(), copy.path())?;
    publish(&copy.path().join("Cargo.toml"))?;
    let mut command = cargo::command();
    command
        .current_dir(copy.path())
        .args(["package", "--workspace", "--no-verify", "--allow-dirty", "--offline", "--quiet"])
        .arg("--target-dir")
        .arg(copy.path().join("target"));
    for other in &others {
        command.args(["--exclude", &other.name]);
    }
    let output = command.output().context("failed to start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "`cargo package` failed:\n{said}");
    let made: BTreeSet<String> = fs::read_dir(copy.path().join("target/package"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    for About { name, version, .. } in &given {
        ensure!(made.contains(&format!("{name}-{version}.crate")), "{name} was not packaged");
    }
    println!("{} packages", given.len());
    Ok(())
}

impl About {
    fn complete(&self, wrong: &mut Vec<String>) {
        let texts = [
            ("description", &self.description),
            ("license", &self.license),
            ("readme", &self.readme),
            ("rust-version", &self.rust_version),
        ];
        for (key, _) in texts.iter().filter(|(_, value)| value.is_none()) {
            wrong.push(format!("{}: no `{key}`", self.name));
        }
        // The package has to hold the text, and cargo takes only what is below the crate.
        let beside = self.manifest_path.with_file_name("LICENSE");
        if fs::read(&beside).ok() != fs::read(root().join("LICENSE")).ok() {
            wrong.push(format!("{}: no LICENSE; link `../../LICENSE`", self.name));
        }
        for (key, list) in [("keywords", &self.keywords), ("categories", &self.categories)] {
            if list.is_empty() {
                wrong.push(format!("{}: no `{key}`", self.name));
            }
        }
    }
}

/// What is compiled in has to be in the package: a path that leads out of it is there only as long
/// as the whole repository is.
fn within(about: &About, wrong: &mut Vec<String>) -> Result<()> {
    let folder = about.manifest_path.parent().context("a manifest is in a folder")?;
    let mut folders = vec![folder.join("src")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path)?;
                for included in included(&text) {
                    let depth = path.strip_prefix(folder)?.components().count() - 1;
                    let up = Path::new(included)
                        .components()
                        .take_while(|part| *part == std::path::Component::ParentDir);
                    if up.count() > depth {
                        wrong.push(format!(
                            "{}: `{included}` is not in the package",
                            path.display()
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The paths that `include_bytes!` and `include_str!` name.
fn included(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("include_").skip(1);
    after.filter_map(|text| {
        let text = text.strip_prefix("bytes!(").or_else(|| text.strip_prefix("str!("))?;
        text.trim_start().strip_prefix('"')?.split('"').next()
    })
}

fn publish(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let changed = text.replace("\npublish = false\n", "\npublish = true\n");
    ensure!(changed != text, "the workspace's packages are published");
    fs::write(manifest, changed).context("Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_compiler_is_the_pinned_one() {
        let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
        let toolchain = read("rust-toolchain.toml");
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
        let line = format!("\nrust-version = {channel}\n");
        assert!(read("Cargo.toml").contains(&line), "Cargo.toml does not say {line:?}");
        for page in ["README.md", "docs/distribution.md"] {
            assert!(read(page).contains(channel.trim_matches('"')), "{page} states another one");
        }
    }

    #[test]
    fn what_is_compiled_in_is_found() {
        let text =
            "include_str!(\"a.txt\") include_bytes!(\n    \"../../b\"\n) include_dir!(\"c\")";
        assert_eq!(included(text).collect::<Vec<_>>(), ["a.txt", "../../b"]);
    }
}
