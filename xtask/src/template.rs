//! Builds the guest template that decoder modules are made of, or proves that the one checked in is
//! what the sources give, in any folder.
//!
//! The same sources and toolchain give the same bytes anywhere: the guest is a member of the
//! workspace, so the paths in it are relative, and its profile leaves nothing to chance. The check
//! builds twice, here and from a copy of the sources elsewhere.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::root;

const PACKAGE: &str = "ev-decoder-module";
const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "guest";
const BUILT: &str = "ev_decoder_module.wasm";

/// Relative to the root of the workspace.
const TEMPLATE: &str = "crates/ev-decoder-module/template/decoder-template.wasm";

/// Anything that would change the guest's code from outside of the sources.
const FOREIGN_FLAGS: &[&str] =
    &["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WRAPPER"];

/// Builds the template and writes it with its digest; with `check`, compares instead.
///
/// # Errors
///
/// The target is not installed, the build fails, or, with `check`, the template checked in is not
/// what was built, or not what is built from a copy of the sources in another folder.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = root();
    require_target()?;
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        // A folder of its own: cargo holds a lock on the one that it builds this tool in.
        .join("guest-template");
    let built = build(&root, &target)?;
    let template = root.join(TEMPLATE);
    let digest = digest_path(&template);
    if !check {
        let folder = template.parent().unwrap_or(&root);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        write(&template, &built)?;
        write(&digest, digest_line(&built).as_bytes())?;
        print!("{TEMPLATE}: {} bytes, {}", built.len(), digest_line(&built));
        return Ok(());
    }
    let kept = read(&template)?;
    ensure!(
        read(&digest)? == digest_line(&kept).into_bytes(),
        "{} is not the digest of {TEMPLATE}; run `cargo xtask template`",
        digest.display()
    );
    ensure!(
        kept == built,
        "{TEMPLATE} is not what the sources give ({} bytes checked in, {} built); \
         run `cargo xtask template`",
        kept.len(),
        built.len()
    );
    let elsewhere = tempfile::tempdir().context("make a folder elsewhere")?;
    let copy = elsewhere.path().join("another folder");
    copy_sources(&root, &copy)?;
    ensure!(
        build(&copy, &elsewhere.path().join("target"))? == built,
        "the guest built in {} differs from the one built in {}: its bytes depend on the folder",
        copy.display(),
        root.display()
    );
    Ok(())
}

/// Copies what is not built and not git's.
pub(crate) fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".git" || source.join("CACHEDIR.TAG").exists() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_sources(&source, &copy)?;
        } else {
            fs::copy(&source, &copy).with_context(|| format!("copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// The contents of the digest's file, in the form of `sha256sum`.
fn digest_line(template: &[u8]) -> String {
    let hex: String =
        ev_modules::sha256(template).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}  decoder-template.wasm\n")
}

fn digest_path(template: &Path) -> PathBuf {
    template.with_extension("wasm.sha256")
}

/// Without its standard library the target cannot be built for.
fn require_target() -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("run rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    bail!("the target {TARGET} is not installed; run `rustup target add {TARGET}`")
}

fn build(root: &Path, target: &Path) -> Result<Vec<u8>> {
    let mut command = crate::cargo::command();
    command
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--package", PACKAGE])
        .args(["--profile", PROFILE, "--target", TARGET])
        .arg("--target-dir")
        .arg(target);
    for name in FOREIGN_FLAGS {
        command.env_remove(name);
    }
    let status = command.status().context("run cargo")?;
    ensure!(status.success(), "failed to build {PACKAGE}");
    let built = read(&target.join(TARGET).join(PROFILE).join(BUILT))?;
    // A path of this machine in the bytes would give other bytes on the next one.
    for folder in [Some(root.to_owned()), env::home_dir()].into_iter().flatten() {
        let text = folder.display().to_string();
        let found = text.len() > 1 && built.windows(text.len()).any(|at| at == text.as_bytes());
        ensure!(!found, "the template holds the path {text}; its bytes depend on the machine");
    }
    Ok(built)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
