//! Tools that the steps need and this project does not bring along: found, or brought here.
//!
//! What can live below the target directory does (`target/tools`), so that a run leaves the
//! machine as it was; only what Debian must install as a whole goes through `apt-get install`, and
//! only as root. A tool that cannot be had is no error here: its step says
//! `skipped: <tool>` through [`Steps::tool`], and the run fails at its end unless
//! `docs/coverage.md` names the tool among those that cannot be had.
//!
//! [`Steps::tool`]: crate::steps::Steps::tool

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure as check};

use crate::cargo;

/// A program, or whatever else a step needs that is a file or a folder.
pub(crate) struct Tool {
    /// As it is called in `skipped: <name>` and in `docs/coverage.md`.
    pub(crate) name: &'static str,
    /// The name of the program in a folder of programs.
    pub(crate) program: &'static str,
    /// How it gets here when it is not.
    pub(crate) how: How,
}

/// Where a tool comes from. Versions are fixed where the source keeps more than one.
#[allow(dead_code, reason = "each step names the ways it needs")]
pub(crate) enum How {
    /// `go install <package>@<version>` into the folder of tools. A copy on the search path is
    /// taken only when that fails, since its version is not known.
    Go { package: &'static str, version: &'static str },
    /// `cargo install --locked <package>@<version>` into the folder of tools, otherwise as `Go`.
    Cargo { package: &'static str, version: &'static str },
    /// A Debian package that needs nothing but libc: fetched and unpacked below the folder of
    /// tools, without its services being started and without being root.
    Unpacked { package: &'static str },
    /// A Debian package that is installed with all it depends on, which only root can do.
    Installed { package: &'static str },
    /// A target of the compiler; what is found is the folder of its libraries.
    Target { triple: &'static str },
    /// Anything else: a function that is given the folder of tools and returns what it made. It is
    /// called each time and has to see for itself what is there already.
    Made(fn(&Path) -> Result<PathBuf>),
}

/// What became of looking for a tool.
pub(crate) enum State {
    /// It is here.
    Found(PathBuf),
    /// It is not, for this reason, in one line.
    Missing(String),
}

/// Debian's own is too old for what is built with it here, so that it is not brought.
pub(crate) const GO: Tool = Tool { name: "go", program: "go", how: How::Made(|_| go()) };

pub(crate) const HELM: Tool = Tool {
    name: "helm",
    program: "helm",
    how: How::Go { package: "helm.sh/helm/v3/cmd/helm", version: "v3.19.2" },
};

pub(crate) const PROMTOOL: Tool =
    Tool { name: "promtool", program: "promtool", how: How::Unpacked { package: "prometheus" } };

pub(crate) const CHROMIUM: Tool =
    Tool { name: "chromium", program: "chromium", how: How::Installed { package: "chromium" } };

pub(crate) const SYSTEMD_ANALYZE: Tool = Tool {
    name: "systemd-analyze",
    program: "systemd-analyze",
    how: How::Installed { package: "systemd" },
};

pub(crate) const FLUENT_SERVER: Tool =
    Tool { name: "fluent-server", program: "fluent-server", how: How::Made(fluent_server) };

/// The npm package with an independent receiver of the Forward protocol, below the folder of
/// tools, of the version that its lock file names.
fn fluent_server(home: &Path) -> Result<PathBuf> {
    for program in ["node", "npm"] {
        check!(on_search_path(program).is_some(), "there is no `{program}`");
    }
    let folder = home.join("fluent-server");
    fs::create_dir_all(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        let from = crate::root().join("crates/ev-sink-forward/tests/peer").join(file);
        let wanted = fs::read(&from).with_context(|| from.display().to_string())?;
        let to = folder.join(file);
        if fs::read(&to).is_ok_and(|there| there == wanted) {
            continue;
        }
        // What was installed by another lock file is not what is meant.
        drop(fs::remove_dir_all(folder.join("node_modules")));
        fs::write(to, wanted)?;
    }
    if !folder.join("node_modules/@fluent-org/logger/package.json").is_file() {
        let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run(Command::new("npm").args(options).current_dir(&folder))?;
    }
    Ok(folder)
}

/// Finds a tool, or brings it here.
pub(crate) fn ensure(tool: &Tool) -> State {
    match find(tool).map_or_else(|| bring(tool), Ok) {
        Ok(path) => State::Found(path),
        // Better one of an unknown version than none.
        Err(error) => on_search_path(tool.program)
            .map_or_else(|| State::Missing(format!("{error:#}").replace('\n', " ")), State::Found),
    }
}

fn find(tool: &Tool) -> Option<PathBuf> {
    let ours = |folder: &str| Some(home().join(folder).join(tool.program)).filter(|p| p.is_file());
    match &tool.how {
        How::Go { version, .. } | How::Cargo { version, .. } => {
            ours(&format!("{}-{version}/bin", tool.name))
        }
        How::Unpacked { .. } => {
            ours(&format!("{}/usr/bin", tool.name)).or_else(|| on_search_path(tool.program))
        }
        How::Installed { .. } => on_search_path(tool.program),
        How::Target { triple } => libraries(triple).ok(),
        How::Made(_) => None,
    }
}

fn bring(tool: &Tool) -> Result<PathBuf> {
    let home = home();
    fs::create_dir_all(&home).with_context(|| home.display().to_string())?;
    match &tool.how {
        How::Go { package, version } => {
            let bin = home.join(format!("{}-{version}/bin", tool.name));
            let package = format!("{package}@{version}");
            run(Command::new(go()?).args(["install", &package]).env("GOBIN", &bin))?;
        }
        How::Cargo { package, version } => {
            let folder = home.join(format!("{}-{version}", tool.name));
            let package = format!("{package}@{version}");
            let install = ["install", "--locked", "--quiet", &package, "--root"];
            run(cargo::command().args(install).arg(&folder))?;
        }
        How::Unpacked { package } => unpack(package, &home.join(tool.name))?,
        How::Installed { package } => {
            check!(is_root()?, "`{package}` can be installed by root only");
            with_lists(&["install", "--yes", "--no-install-recommends", package], Path::new("/"))?;
        }
        How::Target { triple } => {
            // In the workspace, whose toolchain it is for.
            run(Command::new("rustup").args(["target", "add", triple]).current_dir(crate::root()))?;
        }
        How::Made(make) => return make(&home),
    }
    find(tool).with_context(|| format!("what was installed has no `{}`", tool.program))
}

/// Go, which is often installed beside the search path.
fn go() -> Result<PathBuf> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    let found = on_search_path("go").or(Some(usual).filter(|path| path.is_file()));
    found.context("there is no Go, see https://go.dev/dl")
}

fn unpack(package: &str, into: &Path) -> Result<()> {
    let fetched = tempfile::tempdir()?;
    with_lists(&["download", package], fetched.path())?;
    let archive = fs::read_dir(fetched.path())?.next().context("nothing was fetched")??.path();
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(into))
}

/// Runs `apt-get`, and once more with fresh lists of packages when it fails: they may be too old
/// to find anything, or not there at all.
fn with_lists(args: &[&str], folder: &Path) -> Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(folder).env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
        // Otherwise `download` complains that another user cannot write here.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        apt
    };
    let first = run(apt().args(args));
    if first.is_ok() || !is_root()? {
        return first;
    }
    run(apt().arg("update"))?;
    run(apt().args(args))
}

/// Fetches a package of another architecture than this machine's and unpacks it. Lists of its own
/// are used for that, so that the machine's are as before.
pub(crate) fn fetch_foreign(package: &str, architecture: &str, into: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for folder in ["lists/partial", "cache/archives/partial", "fetched"] {
        fs::create_dir_all(scratch.path().join(folder))?;
    }
    let fetched = scratch.path().join("fetched");
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.current_dir(&fetched).arg("--quiet").args(["-o", "APT::Sandbox::User=root"]);
        for (option, folder) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            apt.arg("-o").arg(format!("{option}={}", scratch.path().join(folder).display()));
        }
        apt.arg("-o").arg(format!("APT::Architectures::={architecture}"));
        run(apt.args(args))
    };
    apt(&["update"])?;
    apt(&["download", &format!("{package}:{architecture}")])?;
    let archive = fs::read_dir(&fetched)?.next().context("nothing was fetched")??.path();
    run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(into))
}

fn libraries(triple: &str) -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(crate::root()).args(["--print", "target-libdir", "--target", triple]);
    let output = rustc.output().context("failed to start `rustc`")?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    check!(output.status.success() && folder.is_dir(), "the target `{triple}` is not installed");
    Ok(folder)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start `{program}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program}` failed: {}", said.lines().last().unwrap_or("it says nothing"));
    }
    Ok(())
}

fn on_search_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("failed to start `id`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// The folder of tools. Beside what cargo builds, so that removing that removes all of it.
pub(crate) fn home() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    crate::root().join(target).join("tools")
}

/// The section of `docs/coverage.md` that lists the tools that cannot be had, and why.
const SECTION: &str = "## Tools that cannot be had";

/// Reads that list. A row is `` | `tool` | reason | ``; a row without a reason is an error.
pub(crate) fn cannot_be_had() -> Result<Vec<String>> {
    let page = "docs/coverage.md";
    let text = fs::read_to_string(crate::root().join(page)).with_context(|| page.to_owned())?;
    listed(&text).with_context(|| format!("failed to read `{page}`"))
}

fn listed(text: &str) -> Result<Vec<String>> {
    let section = text.lines().skip_while(|line| *line != SECTION).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## "));
    let mut tools = Vec::new();
    for row in rows.filter(|row| row.starts_with("| `")) {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let tool = cells.next().unwrap_or_default().trim_matches('`');
        check!(cells.next().is_some_and(|why| !why.is_empty()), "`{tool}` is listed without why");
        tools.push(tool.to_owned());
    }
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(program: &'static str, how: How) -> Tool {
        Tool { name: program, program, how }
    }

    #[test]
    fn what_is_on_the_search_path_is_found() {
        let State::Found(path) = ensure(&tool("sh", How::Installed { package: "dash" })) else {
            panic!("there is a shell on every machine that can run this");
        };
        assert!(path.is_file());
    }

    #[test]
    fn what_is_made_is_found_and_what_cannot_be_made_has_a_reason() {
        let made = tool("nothing of that name", How::Made(|home| Ok(home.join("it"))));
        assert!(matches!(ensure(&made), State::Found(path) if path == home().join("it")));
        let failing = tool("nothing of that name", How::Made(|_| bail!("first\nsecond")));
        assert!(matches!(ensure(&failing), State::Missing(why) if why == "first second"));
    }

    #[test]
    fn the_list_is_read_from_its_section_only() {
        let page = "| `early` | x |\n## Tools that cannot be had\n\n| tool | why |\n|---|---|\n\
                    | `one` | no network |\n| `two` | no such package |\n\n## Next\n| `late` | x |\n";
        assert_eq!(listed(page).unwrap(), ["one", "two"]);
        assert_eq!(listed("no such section").unwrap(), [""; 0]);
        let bare = "## Tools that cannot be had\n| `one` |  |\n";
        assert!(listed(bare).unwrap_err().to_string().contains("`one` is listed without why"));
    }

    #[test]
    fn the_page_can_be_read() {
        cannot_be_had().unwrap();
    }
}
