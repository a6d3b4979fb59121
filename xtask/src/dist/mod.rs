//! `cargo xtask dist`: what is handed to others: static programs for both architectures, their bill
//! of materials, checksums, and the container image.
//!
//! Nothing in it depends on when, where or by whom it is made: no times, no owners, no paths of the
//! building machine, everything in a fixed order.

mod archive;
mod build;
mod content;
mod guide;
mod image;
pub(crate) mod packages;
mod page;
mod sbom;
mod sums;
mod tar;
pub(crate) mod target;
mod trial;
mod unpacked;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::build::{Built, Profile};
use self::target::{TARGETS, Target};
use crate::steps::Steps;
use crate::tools::{self, State};

/// Bytes that the image may have when it is unpacked.
const IMAGE_LIMIT: u64 = 30_000_000;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Compile fast, to look at and not to ship
    #[arg(long, global = true)]
    quick: bool,
    /// Only for this target; may be given more than once
    #[arg(long, global = true, value_name = "TRIPLE")]
    target: Vec<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Write the container image as an OCI image layout, without a daemon
    Image,
    /// Compile fast, and try everything that comes of it
    Check,
}

/// Builds and writes into `target/shipped`, and says whether all is well.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if let Some(What::Check) = args.what {
        let mut steps = Steps::default();
        add(&mut steps)?;
        return steps.report();
    }
    let profile = if args.quick { Profile::Quick } else { Profile::Dist };
    let built = targets(&args.target)?
        .into_iter()
        .map(|target| build::program(target, target.tools()?, profile))
        .collect::<Result<Vec<_>>>()?;
    let folder = empty_folder(profile)?;
    match args.what {
        Some(What::Image) => {
            let image = image::write(&built, &folder.join("image"))?;
            println!("{}: {}", folder.join("image").display(), image.digest);
        }
        _ => artifacts(&built, &folder)?,
    }
    Ok(true)
}

/// Writes an archive and a bill of materials for each program, and the sums of all.
fn artifacts(built: &[Built], folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for one in built {
        let linked = packages::linked(one.target.triple)?;
        let name = format!("{}.cdx.json", one.name());
        fs::write(folder.join(&name), sbom::document(one, &linked)?)?;
        names.push(name);
        let name = format!("{}.tar.gz", one.name());
        fs::write(folder.join(&name), archive::release(one)?)?;
        names.push(name);
    }
    sums::write(folder, &names)?;
    for name in &names {
        println!("{}", folder.join(name).display());
    }
    Ok(())
}

/// The steps of `ci`: both programs are built fast, started, and looked at.
pub(crate) fn add(steps: &mut Steps) -> Result<()> {
    let mut built = Vec::new();
    for target in TARGETS {
        let Some(tools) = needed(steps, target) else { continue };
        let mut one = None;
        steps.check(&format!("build of {}", target.triple), || {
            one = Some(build::program(target, tools, Profile::Quick)?);
            Ok(())
        })?;
        built.extend(one);
    }
    if built.is_empty() {
        return Ok(());
    }
    let folder = empty_folder(Profile::Quick)?;
    steps.check("archives, bills and sums", || {
        artifacts(&built, &folder)?;
        archive::check(&built, &folder)?;
        sbom::check(&built, &folder)?;
        sums::check(&folder)
    })?;
    let emulator = match built.iter().any(|one| one.target.emulator.is_some()) {
        true => steps.tool(&target::QEMU),
        false => None,
    };
    steps.check("the programs started", || trial::check(&built, emulator.as_deref()))?;
    let native = built.iter().find(|one| one.target.emulator.is_none());
    if let (Some(native), Some(_)) = (native, steps.tool(&page::JQ)) {
        steps.check("commands of the page", || page::check(native, &folder))?;
    }
    let mut image = None;
    steps.check("image", || {
        let folder = folder.join("image");
        image::write(&built, &folder)?;
        image::check(&built, &folder)?;
        image = Some(folder);
        Ok(())
    })?;
    if let (Some(native), Some(image), Some(_)) = (native, image, steps.tool(&unpacked::NAMESPACES))
    {
        steps.check("the image run", || unpacked::check(native, &image))?;
    }
    Ok(())
}

/// The step of the slow tests: the image as it is shipped, and its size.
pub(crate) fn add_slow(steps: &mut Steps) -> Result<()> {
    for target in TARGETS {
        let Some(tools) = needed(steps, target) else { continue };
        steps.check(&format!("size of the image of {}", target.triple), || {
            let built = build::program(target, tools, Profile::Dist)?;
            let folder = empty_folder(Profile::Dist)?.join("image");
            let image = image::write(&[built], &folder)?;
            println!("{} bytes unpacked, {} packed", image.unpacked, image.packed);
            ensure!(image.unpacked < IMAGE_LIMIT, "the limit is {IMAGE_LIMIT} bytes");
            Ok(())
        })?;
    }
    Ok(())
}

/// What a target is built with, or nothing when something of it cannot be had.
fn needed(steps: &mut Steps, target: &'static Target) -> Option<Vec<PathBuf>> {
    // Each is looked for, so that all that are missing are told.
    let found: Vec<_> = target.needs().map(|tool| steps.tool(tool)).collect();
    found.into_iter().collect()
}

fn targets(names: &[String]) -> Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let known = |name: &String| {
        let found = TARGETS.iter().find(|target| target.triple == name);
        found.with_context(|| format!("`{name}` is not built for"))
    };
    names.iter().map(known).collect()
}

impl Target {
    fn tools(&'static self) -> Result<Vec<PathBuf>> {
        let found = self.needs().map(|tool| match tools::ensure(tool) {
            State::Found(path) => Ok(path),
            State::Missing(why) => Err(anyhow::anyhow!("`{}` cannot be had: {why}", tool.name)),
        });
        found.collect()
    }
}

/// Where the results go; what an earlier run left there is removed.
fn empty_folder(profile: Profile) -> Result<PathBuf> {
    // Beside the folders that cargo calls by the names of profiles.
    let name = match profile {
        Profile::Dist => "shipped",
        Profile::Quick => "shipped-quick",
    };
    let folder = build::target_folder().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
