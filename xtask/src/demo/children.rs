//! Processes that end with the demo, unless they are to be left.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ev_test_support::AdminClient;
use ev_test_support::process::Ready;
use tokio::process::{Child, Command};

/// How often something that cannot announce itself is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// A fake server in a process of its own.
pub(super) struct Fake {
    child: Child,
    pub(super) ready: Ready,
    pub(super) admin: AdminClient,
}

impl Fake {
    /// Starts it and waits until it listens.
    pub(super) async fn start(
        program: &Path,
        args: &[String],
        dir: &Path,
        name: &str,
        keep: bool,
    ) -> Result<Self> {
        let ready_file = dir.join(format!("{name}.ready"));
        let mut command = Command::new(program);
        command.args(args).arg("--ready-file").arg(&ready_file).current_dir(dir);
        command.kill_on_drop(true);
        if keep {
            // In a group of its own it does not get the terminal's Ctrl-C.
            command.stdin(Stdio::null()).process_group(0);
        } else {
            command.arg("--end-with-stdin").stdin(Stdio::piped());
        }
        let mut child = spawn(&mut command, &dir.join(format!("{name}.log")))?;
        loop {
            if let Some(ready) = Ready::read(&ready_file)? {
                return Ok(Self { child, admin: AdminClient::new(ready.admin), ready });
            }
            if let Some(status) = child.try_wait()? {
                bail!("{name} has ended before it was ready ({status})");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends it.
    pub(super) async fn kill(mut self) {
        // It may have ended already.
        drop(self.child.kill().await);
    }

    /// Lets it live on without us.
    pub(super) fn leave(self) {
        // Dropping the child would end it.
        std::mem::forget(self.child);
    }
}

/// The handler's process.
pub(super) struct Handler {
    child: Child,
    pid: u32,
    pub(super) log: PathBuf,
}

impl Handler {
    pub(super) fn start(program: &Path, config: &Path, log: PathBuf) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["start", "--config"]).arg(config).stdin(Stdio::null()).kill_on_drop(true);
        let child = spawn(&mut command, &log)?;
        let pid = child.id().context("the handler has just been started")?;
        Ok(Self { child, pid, log })
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the handler has ended by itself ({status})"),
        }
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("failed to kill the handler")
    }

    /// SIGTERM, and the end that follows.
    pub(super) async fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.pid)])
            .status()
            .await
            .context("failed to run `sh`")?;
        if !sent.success() {
            bail!("the handler could not be told to end");
        }
        tokio::time::timeout(patience, self.child.wait())
            .await
            .context("the handler did not end after SIGTERM")?
            .context("failed to wait for the handler")
    }

    /// The most memory it has had resident so far, in KiB; `None` where the system does not tell.
    pub(super) fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child> {
    let file = File::create(log).with_context(|| format!("failed to write `{}`", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    let program = command.as_std().get_program().to_owned();
    command.spawn().with_context(|| format!("failed to start `{}`", program.display()))
}
