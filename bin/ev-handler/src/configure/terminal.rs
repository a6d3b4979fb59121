//! The operator and the resolver.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use ev_configure::{Answer, Host, Passphrase};

use crate::text::is_yes;

/// Asks and shows on stderr, so that a redirected stdout has neither in it, and reads from stdin.
pub(super) struct Terminal;

impl Host for Terminal {
    fn resolve(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut ips = Vec::new();
        for address in (name, 0).to_socket_addrs()? {
            if !ips.contains(&address.ip()) {
                ips.push(address.ip());
            }
        }
        Ok(ips)
    }

    fn may_overwrite(&mut self, files: &[PathBuf]) -> Answer {
        let (stdin, mut stderr) = (io::stdin(), io::stderr());
        if !stdin.is_terminal() || !stderr.is_terminal() {
            return Answer::CannotAsk;
        }
        let mut question = "These files are there already:\n".to_owned();
        for file in files {
            question.push_str(&format!("  {}\n", file.display()));
        }
        question.push_str("Do you want to overwrite all of them? [y/N] ");
        let mut answer = String::new();
        let asked = stderr
            .write_all(question.as_bytes())
            .and_then(|()| stderr.flush())
            .and_then(|()| stdin.lock().read_line(&mut answer));
        match asked {
            Ok(_) if is_yes(&answer) => Answer::Yes,
            // As in the reference handler, all else is a no.
            _ => Answer::No,
        }
    }

    /// Only where somebody looks: what a script keeps of our output is no place for it.
    fn show_passphrase(&mut self, passphrase: &Passphrase) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            let line = format!(
                "The passphrase of the server's key, which is shown this once: {}\n\n",
                passphrase.reveal()
            );
            // It stands in `fluent.conf` too.
            stderr.write_all(line.as_bytes()).unwrap_or_default();
        }
    }
}
