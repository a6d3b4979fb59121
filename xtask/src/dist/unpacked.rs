//! Runs the image as a container would: its layer unpacked, the root read-only, another user, a
//! folder of the operator's mounted, the host's network. It takes the kernel's namespaces and no
//! daemon.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::archive::{OTHER_NAMES, unpack};
use super::build::{Built, PACKAGE};
use super::{guide, image, trial};
use crate::tools::{How, Tool};

/// Where the guide's `docker run` line mounts the folder it stands in.
const MOUNTED: &str = "opt/teleport-plugin";

/// Mounts, and starts the program in place of itself. The arguments: root, folder to mount, user,
/// group, then the command.
const SCRIPT: &str = r#"
mount --bind "$1" "$1"
mount --options remount,bind,ro "$1"
mount --bind "$2" "$1/opt/teleport-plugin"
root=$1 user=$3 group=$4
shift 4
exec setpriv --clear-groups --no-new-privs \
    unshare --root "$root" --wd /opt/teleport-plugin --setgid "$group" --setuid "$user" "$@"
"#;

/// Mounting is for the superuser, and some sandboxes forbid it to that one too.
pub(crate) static NAMESPACES: Tool =
    Tool { name: "mount namespaces", program: "unshare", how: How::Made(namespaces) };

fn namespaces(_: &Path) -> Result<PathBuf> {
    let try_it = ["--mount", "--propagation", "private", "mount", "--bind", "/", "/mnt"];
    let output =
        Command::new("unshare").args(try_it).output().context("failed to start `unshare`")?;
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "{why}");
    Ok("unshare".into())
}

/// The unpacked image.
pub(super) struct Container {
    root: PathBuf,
    /// What is mounted; belongs to the user.
    work: PathBuf,
    user: u32,
    group: u32,
    entrypoint: String,
}

/// Runs the image of the program that this machine can run.
pub(crate) fn check(built: &Built, layout: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Others have to come through to what they own below it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let container = Container::unpack(built, layout, folder.path())?;
    container.names()?;
    container.decodes()?;
    container.is_confined()?;
    guide::check(&container)
}

impl Container {
    fn unpack(built: &Built, layout: &Path, folder: &Path) -> Result<Self> {
        let top: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
        let index: Value = serde_json::from_slice(&image::fetch(layout, &top["manifests"][0])?)?;
        let of_target = |one: &&Value| one["platform"]["architecture"] == built.target.architecture;
        let manifest = index["manifests"].as_array().into_iter().flatten().find(of_target);
        let manifest = manifest.context("the image is not for this machine")?;
        let manifest: Value = serde_json::from_slice(&image::fetch(layout, manifest)?)?;
        let config: Value = serde_json::from_slice(&image::fetch(layout, &manifest["config"])?)?;
        let layer = folder.join("layer.tar.gz");
        fs::write(&layer, image::fetch(layout, &manifest["layers"][0])?)?;
        let (root, work) = (folder.join("root"), folder.join("work"));
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&work)?;
        unpack(&layer, &root)?;
        // Whoever runs containers makes the folders to mount on, and the names of hosts.
        fs::create_dir_all(root.join(MOUNTED))?;
        fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
        let user = config["config"]["User"].as_str().context("the image names a user")?;
        let (user, group) = user.split_once(':').context("the image names a group")?;
        let (user, group) = (user.parse()?, group.parse()?);
        chown(&work, Some(user), Some(group))?;
        fs::set_permissions(&work, fs::Permissions::from_mode(0o700))?;
        let entrypoint = config["config"]["Entrypoint"][0].as_str();
        let entrypoint = entrypoint.context("the image names its program")?.to_owned();
        Ok(Self { root, work, user, group, entrypoint })
    }

    /// What runs a program of the image, as `docker run --workdir` with its arguments.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", SCRIPT, "sh"]);
        command.arg(&self.root).arg(&self.work);
        command.args([self.user.to_string(), self.group.to_string()]);
        command.arg(program).args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What runs the image with these arguments.
    pub(super) fn start(&self, args: &[&str]) -> Command {
        self.command(&self.entrypoint, args)
    }

    /// The mounted folder, from outside.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Puts a file into the mounted folder that only the user may read.
    pub(super) fn give(&self, name: &str, text: &str) -> Result<()> {
        let path = self.work.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(chown(&path, Some(self.user), Some(self.group))?)
    }

    /// An error unless the file is there and belongs to the user.
    pub(super) fn owns(&self, name: &str) -> Result<()> {
        let about = fs::metadata(self.work.join(name)).with_context(|| format!("no `{name}`"))?;
        let owner = (about.uid(), about.gid());
        ensure!(owner == (self.user, self.group), "`{name}` belongs to {owner:?}");
        Ok(())
    }

    fn run(&self, args: &[&str], input: &str) -> Result<Output> {
        trial::output(&mut self.start(args), input)
    }

    fn names(&self) -> Result<()> {
        for name in [PACKAGE, OTHER_NAMES[0], OTHER_NAMES[1]] {
            let mut command = self.command(&format!("/usr/local/bin/{name}"), &["version"]);
            let output = trial::output(&mut command, "")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(text.starts_with(&format!("{name} v")), "`{name} version`: {output:?}");
        }
        Ok(())
    }

    fn decodes(&self) -> Result<()> {
        let recorded = trial::recorded()?;
        let output = self.run(&["decode", "--schema", "v18dev"], &recorded.events)?;
        ensure!(output.stdout == recorded.json.as_bytes(), "the image decodes to other bytes");
        Ok(())
    }

    /// It may write where it was given a folder and nowhere else, reads nothing of the superuser's,
    /// and has nothing that a shell could be made of.
    fn is_confined(&self) -> Result<()> {
        let output = self.run(&["decoder", "keygen", "--out", "."], "")?;
        ensure!(output.status.success(), "nothing can be written into the mount: {output:?}");
        self.owns("decoder-key.pem")?;
        for folder in ["/tmp", "/var/lib/ev-handler", "/"] {
            let output = self.run(&["decoder", "keygen", "--out", folder], "")?;
            let says = String::from_utf8_lossy(&output.stderr).into_owned();
            let refused = !output.status.success() && says.contains("Read-only file system");
            ensure!(refused, "written to `{folder}`: {says}");
        }
        let secret = self.work.join("secret");
        fs::write(&secret, "")?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        let output = self.run(&["decode", "secret"], "")?;
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(says.contains("Permission denied"), "the superuser's file was read: {says}");
        let programs = programs(&self.root)?;
        ensure!(programs == [format!("usr/local/bin/{PACKAGE}")], "programs: {programs:?}");
        Ok(())
    }
}

/// The files that can be started, relative to the root.
fn programs(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.is_file() && about.permissions().mode() & 0o111 != 0 {
                found.push(entry.path().strip_prefix(root)?.display().to_string());
            }
        }
    }
    Ok(found)
}
