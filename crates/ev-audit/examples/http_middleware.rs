//! An HTTP server whose requests are audited by a layer around its service: who called from where,
//! what was asked for, and how it ended. No request ever waits for the agent.
//!
//! ```text
//! cargo run -p ev-audit --example http_middleware
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "shows what happens")]

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use ev_audit::transport::MemoryTransport;
use ev_audit::{
    Caller, CallerIdentityType, Client, Operation, OperationCategory, OperationType, Plane, Record,
    Rules, Target,
};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Audits every request that the service inside answers.
struct Audit<S> {
    inside: S,
    client: Client,
    /// The far end of the connection.
    caller: IpAddr,
}

impl<S, B> Service<Request<Incoming>> for Audit<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (client, caller) = (self.client.clone(), self.caller);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let headers = request.headers().clone();
        let answer = self.inside.call(request);
        Box::pin(async move {
            let response = answer.await?;
            let record = record(caller, &headers, &method, path, response.status());
            // Returns at once. Whether a request that cannot be audited should fail is for the
            // service to decide; this one goes on and tells.
            if let Err(refused) = client.send(Plane::Data, record) {
                eprintln!("not audited: {refused}");
            }
            Ok(response)
        })
    }
}

fn record(
    caller: IpAddr,
    headers: &HeaderMap,
    method: &Method,
    path: String,
    status: StatusCode,
) -> Record {
    let header = |name: &str, absent: &str| {
        let text = headers.get(name).and_then(|value| value.to_str().ok());
        text.filter(|text| !text.is_empty()).unwrap_or(absent).to_owned()
    };
    let caller = Caller::new(caller, header("user-agent", "unknown"), "Reader").identity(
        CallerIdentityType::USERNAME,
        header("x-user", "anonymous"),
        "as the proxy in front says",
    );
    let what = match *method {
        Method::POST => OperationType::CREATE,
        Method::PUT | Method::PATCH => OperationType::UPDATE,
        Method::DELETE => OperationType::DELETE,
        _ => OperationType::READ,
    };
    let name = format!("{method} {path}");
    let operation =
        Operation::new(name, OperationCategory::CUSTOMER_FACING, "Reader").of_type(what);
    let operation = match status.is_success() {
        true => operation.succeeded(),
        false => operation.failed(status.to_string()),
    };
    Record::builder()
        .caller(caller)
        .operation(operation)
        .target("Path", Target::new(path))
        .custom("status", status.as_u16())
        .build()
}

/// The service itself, which knows nothing of auditing.
async fn answer(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut response = Response::new("hello\n".to_owned());
    if request.uri().path() != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A service has `UnixTransport::new()` here, and no callers on its own machine.
    let (transport, audited) = MemoryTransport::new();
    let service = "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse()?;
    let client =
        Client::builder(service, transport).rules(Rules::default().with_loopback()).build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let asks = ask(listener.local_addr()?);
    let serves = async {
        let (stream, peer) = listener.accept().await?;
        let inside = service_fn(answer);
        let service = Audit { inside, client: client.clone(), caller: peer.ip() };
        let connection = hyper::server::conn::http1::Builder::new();
        connection.serve_connection(TokioIo::new(stream), service).await?;
        Ok(())
    };
    tokio::try_join!(serves, asks)?;

    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(5))).await;
    for audited in audited.records() {
        println!("audited: {:?}", audited.record);
    }
    println!("{left:?}");
    Ok(())
}

/// Two requests over one connection.
async fn ask(address: std::net::SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let head = "Host: example\r\nUser-Agent: portal/2.1\r\nX-User: alice\r\n";
    let first = format!("GET / HTTP/1.1\r\n{head}\r\n");
    let second = format!("DELETE /users/7 HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
    stream.write_all((first + &second).as_bytes()).await?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await?;
    println!("{answers}");
    Ok(())
}
