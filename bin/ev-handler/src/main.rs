//! The event forwarder. Everything is in the library, so that tests can run it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ev_handler::run(std::env::args_os()).into()
}
