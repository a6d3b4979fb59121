//! Serves a directory of signed decoder artifacts over gRPC, as `ev.decoder.v1` has it.
//!
//! It shows how little a server needs: add [`DecoderModuleServer`] to any tonic server. It holds
//! no key and verifies nothing; whoever receives an artifact does.
//!
//! ```sh
//! serve-decoder --dir /var/lib/ev-artifacts --listen 0.0.0.0:9443 \
//!     --cert server.crt --key server.key --client-ca clients.crt
//! ```
//!
//! Without a certificate it serves this machine alone. The address in use is the first line on
//! stdout; SIGINT and SIGTERM end it.

#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ev_modules::serve::{DecoderModuleServer, ServeLimits};
use ev_modules::{Directory, SizeLimits};
use ev_pipeline::TokioEnv;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// Serve a directory of signed decoder artifacts over gRPC.
#[derive(Debug, Parser)]
struct Args {
    /// Directory with a folder for each Auth version
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9443")]
    listen: SocketAddr,
    /// Certificate of the server and its chain, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Serve only clients with a certificate of this CA, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    client_ca: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    if !args.dir.is_dir() {
        return Err(format!("`{}` is not a directory", args.dir.display()).into());
    }
    let tls = tls(&args)?;
    if tls.is_none() && !args.listen.ip().is_loopback() {
        let listen = args.listen;
        return Err(
            format!("`{listen}` is not on this machine alone: give --cert and --key").into()
        );
    }

    // The largest that a handler takes; it is sent piece by piece, so that memory does not depend
    // on it.
    let directory = Directory::new(&args.dir, SizeLimits::default().with_wasi().module);
    let env = Arc::new(TokioEnv::new());
    let service = DecoderModuleServer::new(directory, ServeLimits::default(), env);

    // Caught before anybody is told that this runs.
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = TcpListener::bind(args.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tell(&format!("listening on {scheme}://{}", listener.local_addr()?));
    let mut server = Server::builder()
        // A client needs one stream; each is an answer that it may leave lying about.
        .max_concurrent_streams(4)
        .http2_keepalive_interval(Some(Duration::from_secs(30)));
    if let Some(tls) = tls {
        server = server.tls_config(tls)?;
    }
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let told_to_end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    server.add_service(service).serve_with_incoming_shutdown(incoming, told_to_end).await?;
    Ok(())
}

fn tls(args: &Args) -> Result<Option<ServerTlsConfig>, Box<dyn Error>> {
    let (Some(cert), Some(key)) = (&args.cert, &args.key) else { return Ok(None) };
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(read(cert)?, read(key)?));
    if let Some(ca) = &args.client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(read(ca)?));
    }
    Ok(Some(tls))
}

fn read(path: &PathBuf) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("failed to read `{}`: {error}", path.display()))
}

#[expect(clippy::print_stdout, reason = "a program for people and scripts")]
fn tell(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "a program for people and scripts")]
fn report(error: &dyn Error) {
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
}
