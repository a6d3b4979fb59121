//! A Fluentd receiver for tests and demonstrations, as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use ev_test_support::certs::Leaf;
use ev_test_support::process::{Ready, listen, told_to_end};
use ev_test_support::{Error, FakeFluentd, FluentdConfig, TlsVersions, server_config};

/// A receiver that behaves as Fluentd's `in_http`, driven over HTTP on loopback.
#[derive(Parser)]
struct Args {
    /// Address of the receiver; loopback only.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the admin calls; loopback only.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// The server's certificate, PEM; without one it speaks plain HTTP.
    #[arg(long, requires = "key", requires = "client_ca")]
    cert: Option<PathBuf>,
    /// Its key, PKCS#8 PEM.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Certificate of the authority that signs clients, PEM.
    #[arg(long)]
    client_ca: Option<PathBuf>,
    /// TLS versions; Fluentd's default is 1.2 alone.
    #[arg(long, value_enum, default_value_t = Tls::Only12)]
    tls: Tls,
    /// Close idle connections after so many milliseconds.
    #[arg(long, default_value_t = 10_000)]
    keep_alive_ms: u64,
    /// Write addresses and process id here as JSON when ready.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    end_with_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tls {
    /// 1.2 alone.
    #[value(name = "1.2")]
    Only12,
    /// 1.3 alone.
    #[value(name = "1.3")]
    Only13,
    /// Both.
    Both,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    ev_test_support::process::report(run(Args::parse()).await)
}

async fn run(args: Args) -> Result<(), Error> {
    let versions = match args.tls {
        Tls::Only12 => TlsVersions::Only12,
        Tls::Only13 => TlsVersions::Only13,
        Tls::Both => TlsVersions::Both,
    };
    let tls = match (&args.cert, &args.key, &args.client_ca) {
        (Some(cert), Some(key), Some(client_ca)) => {
            let clients = ev_test_support::certs::load(client_ca)?;
            Some(server_config(&Leaf::load(cert, key)?, &clients, versions, &[])?)
        }
        _ => None,
    };
    let fluentd = Arc::new(FakeFluentd::start(
        listen(args.listen)?,
        FluentdConfig {
            tls,
            keep_alive: Duration::from_millis(args.keep_alive_ms),
            ..FluentdConfig::default()
        },
    )?);
    let admin = fluentd.serve_admin(listen(args.admin)?)?;
    if let Some(path) = &args.ready_file {
        let pid = std::process::id();
        Ready { addr: fluentd.addr(), admin: admin.addr(), pid }.write(path)?;
    }
    told_to_end(args.end_with_stdin).await
}
