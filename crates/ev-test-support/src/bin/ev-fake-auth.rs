//! An Auth server for tests and demonstrations, as a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use ev_test_support::certs::Leaf;
use ev_test_support::process::{Ready, listen, told_to_end};
use ev_test_support::{
    Artifact, AuthConfig, AuthSwitches, Error, FakeAuth, TlsVersions, read_lines, server_config,
};

/// An Auth server for tests: gRPC with client certificates, driven over HTTP on loopback.
#[derive(Parser)]
struct Args {
    /// Address of the gRPC server; loopback only.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the admin calls; loopback only.
    #[arg(long, default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// The server's certificate, PEM.
    #[arg(long)]
    cert: PathBuf,
    /// Its key, PKCS#8 PEM.
    #[arg(long)]
    key: PathBuf,
    /// Certificate of the authority that signs clients, PEM.
    #[arg(long)]
    client_ca: PathBuf,
    /// Name of the cluster.
    #[arg(long, default_value = "fake.example.com")]
    cluster: String,
    /// What `Ping` answers as the version.
    #[arg(long, default_value = "13.3.8")]
    server_version: String,
    /// Events as JSON lines: `oneof`, `time`, `event_type`, `index`, `recording`.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Folder of signed artifacts to offer.
    #[arg(long)]
    artifacts: Option<PathBuf>,
    /// Write addresses and process id here as JSON when ready.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    end_with_stdin: bool,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    ev_test_support::process::report(run(Args::parse()).await)
}

async fn run(args: Args) -> Result<(), Error> {
    let leaf = Leaf::load(&args.cert, &args.key)?;
    let clients = ev_test_support::certs::load(&args.client_ca)?;
    let auth = Arc::new(FakeAuth::start(
        listen(args.listen)?,
        AuthConfig {
            tls: server_config(&leaf, &clients, TlsVersions::Both, &["h2"])?,
            cluster: args.cluster,
            switches: AuthSwitches { version: args.server_version, ..AuthSwitches::default() },
        },
    )?);
    for path in &args.data {
        let text = ev_test_support::process::read(path)?;
        let lines = read_lines(&text, path)?;
        auth.store(|store| lines.put_into(store, false));
    }
    if let Some(folder) = &args.artifacts {
        for artifact in Artifact::load_directory(folder)? {
            auth.offer(artifact);
        }
    }
    let admin = auth.serve_admin(listen(args.admin)?)?;
    if let Some(path) = &args.ready_file {
        let pid = std::process::id();
        Ready { addr: auth.addr(), admin: admin.addr(), pid }.write(path)?;
    }
    told_to_end(args.end_with_stdin).await
}
