//! The server.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::handshake::{helo, judge};
use super::msgpack::{Value, parse, text};
use crate::Error;
use crate::door::{Door, Serve, Transport, until};

/// How a receiver is set up.
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// TLS with client certificates; `None` is plain TCP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The key that senders have to know; `None` goes without a handshake.
    pub shared_key: Option<String>,
    /// Users and passwords; empty asks for none.
    pub users: Vec<(String, String)>,
    /// Whether senders are told that they may keep a connection.
    pub keep_alive: bool,
    /// Answers the handshake with another key: an impostor.
    pub answers_with_key: Option<String>,
    /// Does not look at the handshake, and answers with the sender's own name and digest: an
    /// impostor that need not know any key.
    pub mirrors: bool,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self {
            tls: None,
            shared_key: None,
            users: Vec::new(),
            keep_alive: true,
            answers_with_key: None,
            mirrors: false,
        }
    }
}

/// What goes wrong from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardSwitches {
    /// Stores nothing and closes the connection, as Fluentd with a full buffer.
    pub refuse: bool,
    /// The same for chunks with a record whose JSON holds this.
    pub poison: Option<String>,
    /// Chunks with more events than this are dropped without a word, as Fluentd does with those
    /// above `chunk_size_limit`.
    pub most_events: Option<usize>,
    /// So many chunks are stored, and their connections closed instead of an acknowledgement.
    pub close_after_store: u64,
    /// So many chunks are stored and acknowledged with the id of another.
    pub wrong_ack: u64,
    /// So many chunks are stored and acknowledged twice.
    pub double_ack: u64,
    /// So many chunks are stored and never acknowledged; the connection stays open.
    pub no_ack: u64,
    /// As long as this is set, nothing is read.
    pub frozen: bool,
}

/// An event as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardReceived {
    /// Tag of its chunk.
    pub tag: String,
    /// Seconds and nanoseconds of its `EventTime`; `None` for any other time.
    pub time: Option<(u32, u32)>,
    /// The record as JSON, members in their order, no spaces.
    pub json: Bytes,
    /// Id of its chunk.
    pub chunk: String,
    /// Whether the chunk was compressed.
    pub compressed: bool,
}

/// Counts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardTally {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that went through the handshake.
    pub greeted: u64,
    /// Connections that were refused in the handshake.
    pub refused: u64,
    /// Messages that made no sense.
    pub malformed: u64,
    /// Chunks stored.
    pub chunks: u64,
    /// Events stored.
    pub events: u64,
    /// Acknowledgements sent.
    pub acks: u64,
    /// Chunks dropped without a word.
    pub dropped: u64,
}

/// A running receiver. Dropping it closes everything.
pub struct FakeForward {
    shared: Arc<Shared>,
    door: Door,
    tls: bool,
}

impl FakeForward {
    /// Starts a receiver on `listener`. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn start(listener: std::net::TcpListener, config: ForwardConfig) -> Result<Self, Error> {
        let tls = config.tls.clone();
        let shared =
            Arc::new(Shared { config, inner: Mutex::default(), changed: watch::Sender::new(0) });
        let serving: Arc<dyn Serve> = shared.clone();
        let has_tls = tls.is_some();
        Ok(Self { door: Door::open(listener, tls, serving)?, shared, tls: has_tls })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// Its address as a setting.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "tls" } else { "tcp" };
        format!("{scheme}://localhost:{}", self.addr().port())
    }

    /// Counts so far.
    pub fn tally(&self) -> ForwardTally {
        let mut tally = self.shared.lock().tally.clone();
        tally.connections = self.door.accepted();
        tally
    }

    /// Everything stored, in order of arrival.
    pub fn received(&self) -> Vec<ForwardReceived> {
        self.shared.lock().received.clone()
    }

    /// Changes the switches.
    pub fn set(&self, change: impl FnOnce(&mut ForwardSwitches)) {
        self.shared.change(|inner| change(&mut inner.switches));
    }

    /// Waits until the counts fulfil `condition`. The count of connections is not watched.
    pub async fn wait(&self, condition: impl FnMut(&ForwardTally) -> bool) -> ForwardTally {
        until(&self.shared.changed, || self.tally(), condition).await
    }

    /// Cuts every connection and says how many there were.
    pub async fn drop_connections(&self) -> usize {
        self.door.drop_connections().await
    }

    /// Refuses connections from now on and cuts those there are.
    pub async fn stop(&self) {
        self.door.close().await;
    }

    /// Accepts connections again, on the same address.
    ///
    /// # Errors
    ///
    /// When somebody else has taken the port meanwhile.
    pub async fn start_again(&self) -> Result<(), Error> {
        self.door.reopen().await
    }
}

#[derive(Default)]
struct Inner {
    switches: ForwardSwitches,
    tally: ForwardTally,
    received: Vec<ForwardReceived>,
}

struct Shared {
    config: ForwardConfig,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

/// What is done about a chunk.
enum Fate {
    Ack(Vec<u8>),
    Silence,
    Close,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
        result
    }

    async fn thawed(&self) {
        let mut changed = self.changed.subscribe();
        while self.lock().switches.frozen {
            let _alive = changed.changed().await;
        }
    }

    async fn talk(&self, mut stream: Box<dyn Transport>) -> io::Result<()> {
        let mut buffer = Vec::new();
        if let Some(key) = &self.config.shared_key {
            stream.write_all(&helo(&self.config)).await?;
            let Some(ping) = next(&mut stream, &mut buffer).await? else { return Ok(()) };
            let judged = judge(&ping, key, &self.config);
            self.change(|inner| match judged {
                Ok(_) => inner.tally.greeted += 1,
                Err(_) => inner.tally.refused += 1,
            });
            match judged {
                Ok(pong) => stream.write_all(&pong).await?,
                Err(pong) => {
                    stream.write_all(&pong).await?;
                    return stream.shutdown().await;
                }
            }
        }
        loop {
            self.thawed().await;
            let Some(message) = next(&mut stream, &mut buffer).await? else { return Ok(()) };
            self.thawed().await;
            match self.change(|inner| take(inner, &message)) {
                Fate::Ack(answer) => stream.write_all(&answer).await?,
                Fate::Silence => {}
                Fate::Close => return Ok(()),
            }
        }
    }
}

/// The next message; `None` at the end.
async fn next(stream: &mut Box<dyn Transport>, buffer: &mut Vec<u8>) -> io::Result<Option<Value>> {
    loop {
        if let Some((value, length)) = parse(buffer) {
            buffer.drain(..length);
            return Ok(Some(value));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn take(inner: &mut Inner, message: &Value) -> Fate {
    let Some((chunk, events)) = chunk(message) else {
        inner.tally.malformed += 1;
        return Fate::Close;
    };
    let switches = &mut inner.switches;
    let poisoned = |event: &ForwardReceived| {
        let poison = switches.poison.as_deref();
        poison.is_some_and(|poison| String::from_utf8_lossy(&event.json).contains(poison))
    };
    if switches.refuse || events.iter().any(poisoned) {
        return Fate::Close;
    }
    if switches.most_events.is_some_and(|most| events.len() > most) {
        inner.tally.dropped += 1;
        return Fate::Silence;
    }
    inner.tally.chunks += 1;
    inner.tally.events += events.len() as u64;
    inner.received.extend(events);
    let count_down = |counter: &mut u64| {
        let before = *counter;
        *counter = before.saturating_sub(1);
        before > 0
    };
    if count_down(&mut switches.close_after_store) {
        return Fate::Close;
    }
    if count_down(&mut switches.no_ack) {
        return Fate::Silence;
    }
    let Some(chunk) = chunk else { return Fate::Silence };
    let wrong = count_down(&mut switches.wrong_ack);
    let mut answer = ack(if wrong { b"another" } else { &chunk });
    if count_down(&mut switches.double_ack) {
        answer.extend_from_slice(&ack(&chunk));
    }
    inner.tally.acks += 1;
    Fate::Ack(answer)
}

fn ack(chunk: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81];
    text(&mut out, b"ack");
    text(&mut out, chunk);
    out
}

/// The id and the events of a message in the forms `PackedForward` and
/// `CompressedPackedForward`.
fn chunk(message: &Value) -> Option<(Option<Vec<u8>>, Vec<ForwardReceived>)> {
    let [tag, entries, options] = message.array()? else { return None };
    let tag = String::from_utf8(tag.bytes()?.to_vec()).ok()?;
    let id = options.member("chunk").and_then(Value::bytes).map(<[u8]>::to_vec);
    let compressed = options.member("compressed").and_then(Value::bytes);
    let plain = match compressed {
        None | Some(b"text") => entries.bytes()?.to_vec(),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            MultiGzDecoder::new(entries.bytes()?).read_to_end(&mut plain).ok()?;
            plain
        }
        Some(_) => return None,
    };
    let mut rest = &plain[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (entry, length) = parse(rest)?;
        rest = &rest[length..];
        let [time, record @ Value::Map(_)] = entry.array()? else { return None };
        events.push(ForwardReceived {
            tag: tag.clone(),
            time: event_time(time),
            json: record.to_json().into(),
            chunk: String::from_utf8_lossy(id.as_deref().unwrap_or_default()).into_owned(),
            compressed: compressed == Some(b"gzip"),
        });
    }
    let size = options.member("size")?;
    (*size == Value::Unsigned(events.len() as u64)).then_some((id, events))
}

fn event_time(value: &Value) -> Option<(u32, u32)> {
    let Value::Extension(0, bytes) = value else { return None };
    let bytes: [u8; 8] = bytes.as_slice().try_into().ok()?;
    let [a, b, c, d, e, f, g, h] = bytes;
    Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
}

impl Serve for Shared {
    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // A connection that broke is the peer's business.
            let _ended = self.talk(stream).await;
        })
    }
}
