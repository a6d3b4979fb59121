//! The operator and the resolver.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use ev_configure::{Answer, Host};

use crate::text::is_yes;

/// Asks on stderr, so that a redirected stdout has no question in it, and reads from stdin.
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
}
