//! A client over pipes in memory, whose far ends the test holds, in a runtime whose clock stands
//! still while anything can run.

#![expect(clippy::unwrap_used, reason = "a panic in here is a failed test")]

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ev_audit::transport::{ConnectError, Connected, Connecting, Transport};
use ev_audit::{
    Caller, CallerIdentityType, Client, ClientBuilder, ConnectionType, Ledger, Message, Operation,
    OperationCategory, OperationType, Plane, Record, ServiceId, Target, Value,
};
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) fn service() -> ServiceId {
    "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().unwrap()
}

/// A typical record with a number.
pub(crate) fn record(seq: u64) -> Record {
    let address = std::net::Ipv4Addr::new(192, 168, 0, 1);
    let caller = Caller::new(address, "Agent", "AccessLevel").identity(
        CallerIdentityType::UPN,
        "user1@domain.com",
        "Description",
    );
    let operation = Operation::new("Operation", OperationCategory::USER_MANAGEMENT, "AccessLevel")
        .of_type(OperationType::READ)
        .succeeded();
    Record::builder()
        .caller(caller)
        .operation(operation)
        .target("ResourceType", Target::new("Name"))
        .custom("seq", i64::try_from(seq).unwrap())
        .build()
}

/// The number of a record made by [`record`].
pub(crate) fn seq(record: &Record) -> u64 {
    match record.custom_data.get("seq") {
        Some(Value::I64(seq)) => u64::try_from(*seq).unwrap(),
        other => panic!("no number: {other:?}"),
    }
}

/// What a connection attempt meets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// A pipe.
    Accept,
    /// A pipe whose far end is closed at once.
    AcceptAndClose,
    /// A pipe, after this time.
    AcceptAfter(Duration),
    /// A refusal that may pass.
    Refuse,
    /// A refusal that asks for a pause.
    RefuseFor(Duration),
    /// A refusal that will not pass.
    Forbid,
    /// No answer at all.
    Hang,
}

/// What the test decides about connections.
#[derive(Debug)]
pub(crate) struct Agent {
    script: Arc<Script>,
    accepted: mpsc::Receiver<DuplexStream>,
}

#[derive(Debug)]
struct Script {
    /// For the next attempts, then `always`.
    next: Mutex<VecDeque<Answer>>,
    always: Mutex<Answer>,
    attempts: Mutex<Vec<Instant>>,
    gone: AtomicBool,
}

pub(crate) struct PipeTransport {
    script: Arc<Script>,
    accepted: mpsc::Sender<DuplexStream>,
    pipe_bytes: usize,
    destination: ConnectionType,
}

impl PipeTransport {
    /// The same, which says that it is of that type.
    pub(crate) fn over(self, destination: ConnectionType) -> Self {
        let Self { ref script, ref accepted, pipe_bytes, .. } = self;
        Self { script: script.clone(), accepted: accepted.clone(), pipe_bytes, destination }
    }
}

impl Drop for PipeTransport {
    fn drop(&mut self) {
        self.script.gone.store(true, Ordering::Relaxed);
    }
}

/// A transport over pipes that hold `pipe_bytes`, and their far ends.
pub(crate) fn pipes(pipe_bytes: usize) -> (PipeTransport, Agent) {
    let (sender, accepted) = mpsc::channel(100_000);
    let script = Arc::new(Script {
        next: Mutex::default(),
        always: Mutex::new(Answer::Accept),
        attempts: Mutex::default(),
        gone: AtomicBool::new(false),
    });
    let destination = ConnectionType::UNIX_DOMAIN_SOCKET;
    let transport =
        PipeTransport { script: script.clone(), accepted: sender, pipe_bytes, destination };
    (transport, Agent { script, accepted })
}

impl Agent {
    /// What all attempts meet from now on, behind what was planned with [`next`](Self::next).
    pub(crate) fn always(&self, answer: Answer) {
        *self.script.always.lock().unwrap() = answer;
    }

    /// What the next attempts meet.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.next.lock().unwrap().extend(answers);
    }

    /// When attempts were made.
    pub(crate) fn attempts(&self) -> Vec<Instant> {
        self.script.attempts.lock().unwrap().clone()
    }

    /// Whether the client let go of its transport.
    pub(crate) fn is_left(&self) -> bool {
        self.script.gone.load(Ordering::Relaxed)
    }

    /// The far end of the next connection.
    pub(crate) async fn accept(&mut self) -> FarEnd {
        FarEnd { pipe: self.accepted.recv().await.unwrap(), bytes: Vec::new() }
    }
}

impl Transport for PipeTransport {
    fn connect(&mut self) -> Connecting<'_> {
        self.script.attempts.lock().unwrap().push(Instant::now());
        let planned = self.script.next.lock().unwrap().pop_front();
        let answer = planned.unwrap_or(*self.script.always.lock().unwrap());
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        Box::pin(async move {
            if let Answer::AcceptAfter(time) = answer {
                tokio::time::sleep(time).await;
            }
            match answer {
                Answer::Accept | Answer::AcceptAfter(_) | Answer::AcceptAndClose => {
                    let (near, far) = tokio::io::duplex(self.pipe_bytes);
                    if !matches!(answer, Answer::AcceptAndClose) {
                        self.accepted.send(far).await.expect("the test holds the other end");
                    }
                    Ok(Connected::new(near, self.destination, "pipe"))
                }
                Answer::Refuse => Err(ConnectError::retry("pipe", refused())),
                Answer::RefuseFor(pause) => Err(ConnectError::Retry {
                    peer: "pipe".to_owned(),
                    retry_after: Some(pause),
                    source: refused(),
                }),
                Answer::Forbid => Err(ConnectError::permanent("pipe", refused())),
                Answer::Hang => std::future::pending().await,
            }
        })
    }
}

/// The agent's end of one connection.
#[derive(Debug)]
pub(crate) struct FarEnd {
    pub(crate) pipe: DuplexStream,
    /// Read and not decoded yet.
    bytes: Vec<u8>,
}

impl FarEnd {
    /// The next message; none at the end of the connection, whole frames or not.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((message, length)) = ev_audit::wire::decode(&self.bytes).unwrap() {
                self.bytes.drain(..length);
                return Some(message);
            }
            let mut more = vec![0; 64 * 1024];
            match self.pipe.read(&mut more).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.bytes.extend_from_slice(&more[..count]),
            }
        }
    }

    /// The numbers of the next `count` records; heartbeats are passed over.
    pub(crate) async fn seqs(&mut self, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            match self.message().await {
                Some(Message::Record { record, .. }) => seqs.push(seq(&record)),
                Some(_) => {}
                None => break,
            }
        }
        seqs
    }

    /// Reads to the record with that number and says how many it read.
    pub(crate) async fn rest_until(&mut self, last: u64) -> u64 {
        let mut count = 0;
        loop {
            count += 1;
            if self.seqs(1).await == [last] {
                return count;
            }
        }
    }

    /// The numbers of all further records until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u64> {
        self.seqs(usize::MAX).await
    }
}

/// Builds the client and runs its sender in the present runtime.
pub(crate) fn start(builder: ClientBuilder) -> Client {
    let (client, driver) = builder.build_detached().unwrap();
    tokio::spawn(driver);
    client
}

/// Sends the numbers, each of which must be accepted.
pub(crate) fn send_all(client: &Client, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        client.send(Plane::Data, record(seq)).unwrap();
    }
}

/// Lets everything run that can run now; the clock stands.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// The ledger, which balances.
pub(crate) fn ledger(client: &Client) -> Ledger {
    let ledger = client.ledger();
    assert!(ledger.is_balanced(), "{ledger:?}");
    ledger
}
