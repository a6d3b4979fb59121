//! Streams with buffers of their own, as that of TLS is one: what they took and did not let go of
//! when a connection ends was not written.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ev_audit::transport::{Connected, Connecting, Transport};
use ev_audit::{Client, ConnectionType, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::rig::{ledger, send_all, seq, service, settle, start};

/// What a connection does with the first write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It lets go of it at once, and the agent closes its side in the same moment.
    EndsWithIt,
    /// It keeps it.
    Keeps,
    /// It lets go of everything.
    Plain,
}

#[derive(Default)]
struct Agent {
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

struct Stream {
    manner: Manner,
    took: bool,
    agent: Arc<Mutex<Agent>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.took && self.manner == Manner::EndsWithIt {
            return Poll::Ready(Ok(()));
        }
        self.agent.lock().expect("no panic").waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.took = true;
        if self.manner != Manner::Keeps {
            self.agent.lock().expect("no panic").bytes.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.manner {
            Manner::Keeps => Poll::Pending,
            Manner::EndsWithIt | Manner::Plain => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One connection for each manner, then plain ones, to an agent that remembers all of them.
struct Buffering {
    manners: VecDeque<Manner>,
    agents: Arc<Mutex<Vec<Arc<Mutex<Agent>>>>>,
}

impl Transport for Buffering {
    fn connect(&mut self) -> Connecting<'_> {
        let manner = self.manners.pop_front().unwrap_or(Manner::Plain);
        let agent = Arc::new(Mutex::new(Agent::default()));
        self.agents.lock().expect("no panic").push(agent.clone());
        let stream = Stream { manner, took: false, agent };
        Box::pin(async { Ok(Connected::new(stream, ConnectionType::UNIX_DOMAIN_SOCKET, "buffer")) })
    }
}

type Agents = Arc<Mutex<Vec<Arc<Mutex<Agent>>>>>;

fn buffering<const N: usize>(manners: [Manner; N]) -> (Buffering, Agents) {
    let agents = Agents::default();
    (Buffering { manners: manners.into(), agents: agents.clone() }, agents)
}

/// The numbers of all records that came over any connection.
fn seqs(agents: &Agents) -> Vec<u64> {
    let mut seqs = Vec::new();
    for agent in agents.lock().expect("no panic").iter() {
        let bytes = &agent.lock().expect("no panic").bytes;
        let mut at = 0;
        while let Some((message, length)) = ev_audit::wire::decode(&bytes[at..]).expect("frames") {
            if let Message::Record { record, .. } = message {
                seqs.push(seq(&record));
            }
            at += length;
        }
    }
    seqs
}

#[tokio::test(start_paused = true)]
async fn what_left_the_buffers_is_written_though_the_agent_ends_in_the_same_moment() {
    for (retain, twice, unconfirmed) in [(0, 0, 1), (512 * 1024, 1, 0)] {
        let (transport, agents) = buffering([Manner::EndsWithIt]);
        let client = start(Client::builder(service(), transport).retain_bytes(retain));
        send_all(&client, 0..10);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let ledger = ledger(&client);
        let mut came = seqs(&agents);
        let all = came.len();
        came.sort_unstable();
        came.dedup();
        assert_eq!(came, (0..10).collect::<Vec<_>>());
        let duplicates = (all - came.len()) as u64;
        assert_eq!((duplicates, ledger.resent), (twice, twice), "{ledger:?}");
        assert_eq!((ledger.written, ledger.unconfirmed), (10, unconfirmed));
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_in_the_buffers_is_not_written() {
    let (transport, agents) = buffering([Manner::Keeps]);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..10);
    settle().await;
    assert_eq!(ledger(&client).written, 0);
    let left = client.close_wait_until(tokio::time::sleep(Duration::from_secs(3))).await;
    assert_eq!((left.records.len(), left.ledger.written), (10, 0));
    assert!(left.ledger.is_balanced() && seqs(&agents).is_empty());

    // A connection that is given up goes out anew.
    let (transport, agents) = buffering([Manner::Keeps]);
    let client = start(Client::builder(service(), transport));
    send_all(&client, 0..10);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(seqs(&agents), (0..10).collect::<Vec<_>>());
    let ledger = ledger(&client);
    assert_eq!((ledger.written, ledger.disconnects, ledger.resent), (10, 1, 0));
}
