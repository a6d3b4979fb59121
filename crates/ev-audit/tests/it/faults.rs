//! Faults of an agent at a real socket: nothing is lost that the ledger does not name.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ev_audit::receiver::{Cut, CutAt, Faults, HalfClose, Receiver, Side, Tally};
use ev_audit::transport::{
    Connected, Connecting, TcpTransport, TlsTransport, Transport, UnixTransport,
};
use ev_audit::{Client, EventKind, Ledger, Plane, Retry};
use ev_tls::{ClientOptions, CredentialFiles};

use crate::pki::Ca;
use crate::rig::{record, send_all, seq, service};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses as short as the spacing of attempts allows.
const QUICK: Retry = Retry {
    first: Duration::from_millis(1),
    longest: Duration::from_millis(1),
    proven_bytes: 1,
    proven_after: Duration::ZERO,
};

fn socket(dir: &Path) -> std::path::PathBuf {
    dir.join("agent.socket")
}

fn client(transport: impl Transport, retain: usize) -> Client {
    let builder = Client::builder(service(), transport).retry(QUICK).retain_bytes(retain);
    builder.build().expect("right settings")
}

fn unix(dir: &Path) -> (Receiver, Client) {
    let receiver = Receiver::unix(socket(dir)).start().expect("a new socket");
    (receiver, client(UnixTransport::at(socket(dir)), 512 * 1024))
}

fn tcp() -> (Receiver, Client) {
    let receiver = Receiver::tcp().start().expect("a free port");
    let address = receiver.address().expect("it is TCP").to_string();
    (receiver, client(TcpTransport::new(address), 8 * 1024 * 1024))
}

/// A receiver behind TLS.
fn tls(dir: &Path) -> (Receiver, Client) {
    let ca = Ca::new("audit CA");
    let leaf = ca.issue("127.0.0.1");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der()], leaf.key())
        .expect("a server");
    let receiver = Receiver::tcp().tls(Arc::new(config)).start().expect("a free port");
    let address = receiver.address().expect("it is TCP").to_string();
    std::fs::write(dir.join("ca.pem"), &ca.pem).expect("a file");
    let files = CredentialFiles { ca: Some(dir.join("ca.pem")), ..Default::default() };
    let transport = TlsTransport::new(address, files, ClientOptions::default());
    (receiver, client(transport.expect("good credentials"), 8 * 1024 * 1024))
}

/// All of them came, in order, and twice only as the ledger says.
fn check(receiver: &Receiver, client: &Client, count: u64) -> (Tally, Ledger) {
    let left = client.close(PATIENCE);
    assert!(left.is_empty(), "{left:?}");
    let tally = receiver.wait(PATIENCE, |tally| tally.unique == count && tally.open == 0);
    let tally =
        tally.unwrap_or_else(|tally| panic!("{tally:?}, missing {:?}", receiver.missing(count)));
    assert_eq!(tally.violations, 0, "{:?}", tally.first_violations);
    assert_eq!(tally.out_of_order, 0);
    assert!(left.ledger.is_balanced(), "{:?}", left.ledger);
    assert!(tally.duplicates <= left.ledger.resent, "{} of {:?}", tally.duplicates, left.ledger);
    assert_eq!((left.ledger.written, left.ledger.unconfirmed), (count, 0));
    (tally, left.ledger)
}

#[test]
fn five_thousand_and_one_records_arrive_equal_over_unix_and_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let unix_receiver = Receiver::unix(socket(dir.path())).keep(6_000).start().unwrap();
    let tcp_receiver = Receiver::tcp().keep(6_000).start().unwrap();
    let address = tcp_receiver.address().unwrap().to_string();
    let over_unix = client(UnixTransport::at(socket(dir.path())), 0);
    let over_tcp = client(TcpTransport::new(address), 0);
    for (receiver, client) in [(unix_receiver, over_unix), (tcp_receiver, over_tcp)] {
        send_all(&client, 0..5_001);
        let (tally, ledger) = check(&receiver, &client, 5_001);
        assert_eq!((tally.records, tally.heartbeats, tally.connections), (5_001, 1, 1));
        assert_eq!((ledger.heartbeats, ledger.resent), (1, 0));
        let received = receiver.received();
        let records = received.iter().filter_map(|received| received.message.record());
        for (number, received) in records.enumerate() {
            assert_eq!(*received, record(number as u64));
        }
    }
}

#[test]
fn an_agent_that_is_missing_at_the_start_and_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let client = client(UnixTransport::at(socket(dir.path())), 0);
    let events = client.events();
    send_all(&client, 0..1_000);
    let failed = events.next_timeout(PATIENCE).unwrap();
    assert_eq!(failed.kind, EventKind::ConnectFailed);
    let receiver = Receiver::unix(socket(dir.path())).start().unwrap();
    check(&receiver, &client, 1_000);
}

#[test]
fn an_agent_that_restarts_with_a_new_socket_file() {
    let dir = tempfile::tempdir().unwrap();
    let (receiver, client) = unix(dir.path());
    for round in 0..5 {
        send_all(&client, round * 100..(round + 1) * 100);
        receiver.wait(PATIENCE, |tally| tally.unique == (round + 1) * 100).unwrap();
        receiver.unlink().unwrap();
        receiver.cut(false).unwrap();
        receiver.wait(PATIENCE, |tally| tally.cut == round + 1).unwrap();
        receiver.listen().unwrap();
    }
    send_all(&client, 500..600);
    let (tally, _) = check(&receiver, &client, 600);
    assert_eq!(tally.connections, 6);
}

#[test]
fn an_open_connection_survives_the_end_of_its_listener() {
    let dir = tempfile::tempdir().unwrap();
    let (receiver, client) = unix(dir.path());
    send_all(&client, 0..1);
    receiver.wait(PATIENCE, |tally| tally.records == 1).unwrap();
    receiver.unlink().unwrap();
    for number in 1..101 {
        send_all(&client, number..number + 1);
        receiver.wait(PATIENCE, |tally| tally.records == number + 1).unwrap();
    }
    let (tally, ledger) = check(&receiver, &client, 101);
    assert_eq!((tally.connections, ledger.connect_failures), (1, 0));
}

#[test]
fn an_agent_that_accepts_and_closes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::unix(socket(dir.path()))
        .faults(Faults { close_accepted: 5, ..Faults::default() })
        .start()
        .unwrap();
    let client = client(UnixTransport::at(socket(dir.path())), 512 * 1024);
    send_all(&client, 0..1_000);
    let (tally, _) = check(&receiver, &client, 1_000);
    assert_eq!(tally.closed_accepted, 5);
}

#[test]
fn an_agent_that_accepts_and_never_reads_is_left_and_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::unix(socket(dir.path()))
        .faults(Faults { stalled: true, ..Faults::default() })
        .start()
        .unwrap();
    let client = Client::builder(service(), UnixTransport::at(socket(dir.path())))
        .retry(QUICK)
        .retain_bytes(512 * 1024)
        .write_deadline(Duration::from_millis(200))
        .build()
        .unwrap();
    let events = client.events();
    send_all(&client, 0..5_000);
    let stalled = std::iter::from_fn(|| events.next_timeout(PATIENCE))
        .find(|event| event.kind == EventKind::Stalled);
    assert!(stalled.is_some());
    receiver.resume();
    let left = client.close(PATIENCE);
    assert!(left.is_empty());
    let tally = receiver.wait(PATIENCE, |tally| tally.unique == 5_000 && tally.open == 0).unwrap();
    assert_eq!(tally.violations, 0, "{:?}", tally.first_violations);
    // The connection that was left is read to its end too, some time later.
    assert!(tally.duplicates <= left.ledger.resent, "{tally:?}");
    assert!(left.ledger.is_balanced());
}

#[test]
fn an_agent_that_is_slow_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (receiver, client) = unix(dir.path());
    let slow = Faults { chunk: 8 * 1024, delay: Duration::from_millis(1), ..Faults::default() };
    receiver.set_faults(slow);
    send_all(&client, 0..2_000);
    let (tally, ledger) = check(&receiver, &client, 2_000);
    assert_eq!((tally.connections, ledger.disconnects), (1, 0));
}

#[test]
fn resets_in_mid_frame() {
    let dir = tempfile::tempdir().unwrap();
    for (receiver, client) in [unix(dir.path()), tcp(), tls(dir.path())] {
        let at = CutAt::MidFrame { records: 700, bytes: 100 };
        receiver.set_faults(Faults { cut: Some(Cut::reset(at).times(5)), ..Faults::default() });
        send_all(&client, 0..10_000);
        let (tally, ledger) = check(&receiver, &client, 10_000);
        assert_eq!((tally.cut, tally.connections), (5, 6));
        assert!(ledger.disconnects >= 5, "{ledger:?}");
    }
}

#[test]
fn half_closed_connections() {
    for side in [Side::Write, Side::Read] {
        let dir = tempfile::tempdir().unwrap();
        for (receiver, client) in [unix(dir.path()), tcp(), tls(dir.path())] {
            let half = HalfClose { side, records: 300, times: 2 };
            receiver.set_faults(Faults { half_close: Some(half), ..Faults::default() });
            send_all(&client, 0..10_000);
            let (tally, _) = check(&receiver, &client, 10_000);
            assert_eq!(tally.half_closed, 2, "{side:?}");
        }
    }
}

#[test]
fn one_hundred_thousand_records_over_connections_that_die_every_ten_thousand() {
    let dir = tempfile::tempdir().unwrap();
    // Over TCP far more is sent again: fewer records show the same, and a connection that dies
    // takes more than may be unread.
    for ((receiver, client), count, each) in
        [(unix(dir.path()), 100_000, 10_000), (tcp(), 50_000, 20_000)]
    {
        let at = CutAt::Records(each);
        receiver.set_faults(Faults { cut: Some(Cut::reset(at)), ..Faults::default() });
        for number in 0..count {
            client.send_timeout(Plane::Data, record(number), PATIENCE).unwrap();
        }
        check(&receiver, &client, count);
    }
}

#[test]
fn an_agent_without_a_retain_window_loses_what_the_ledger_calls_unconfirmed() {
    let dir = tempfile::tempdir().unwrap();
    let over_unix = Receiver::unix(socket(dir.path())).start().unwrap();
    let over_tcp = Receiver::tcp().start().unwrap();
    let address = over_tcp.address().unwrap().to_string();
    for (receiver, client) in [
        (over_unix, client(UnixTransport::at(socket(dir.path())), 0)),
        (over_tcp, client(TcpTransport::new(address), 0)),
    ] {
        let cut = Cut::reset(CutAt::Records(1_000)).times(1);
        receiver.set_faults(Faults { cut: Some(cut), ..Faults::default() });
        send_all(&client, 0..10_000);
        let left = client.close(PATIENCE);
        assert!(left.is_empty());
        let tally = receiver.wait(PATIENCE, |tally| tally.cut == 1 && tally.open == 0).unwrap();
        let ledger = left.ledger;
        assert_eq!((ledger.written, ledger.resent), (10_000, 0), "written, whatever became of it");
        let missing = 10_000 - tally.unique;
        assert!(missing <= ledger.unconfirmed, "{missing} missing, {ledger:?}");
        assert_eq!(tally.duplicates, 0);
    }
}

/// Counts the streams that are open.
struct Counted {
    inner: UnixTransport,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct CountedStream(
    tokio::net::UnixStream,
    #[expect(dead_code, reason = "counts while it is there")] Open,
);

impl tokio::io::AsyncRead for CountedStream {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for CountedStream {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Transport for Counted {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(async {
            let (stream, path) = self.inner.open().await?;
            let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(open, Ordering::Relaxed);
            let counted = CountedStream(stream, Open(self.open.clone()));
            Ok(Connected::new(
                counted,
                ev_audit::ConnectionType::UNIX_DOMAIN_SOCKET,
                path.display().to_string(),
            ))
        })
    }
}

/// The agent is in the same runtime, whose clock runs ahead while nothing else can: the pauses
/// between ten thousand attempts take no time.
#[tokio::test(start_paused = true)]
async fn ten_thousand_reconnects_leave_no_descriptor_open() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(socket(dir.path())).unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let transport = Counted {
        inner: UnixTransport::at(socket(dir.path())),
        open: open.clone(),
        most: most.clone(),
    };
    let builder = Client::builder(service(), transport).retry(QUICK);
    let client = crate::rig::start(builder);
    send_all(&client, 0..10);
    for _ in 0..10_000 {
        drop(listener.accept().await.unwrap());
    }
    let left = client.close_wait_until(std::future::ready(())).await;
    assert!(left.ledger.connections >= 10_000, "{:?}", left.ledger);
    assert!(left.ledger.is_balanced());
    assert_eq!((open.load(Ordering::Relaxed), most.load(Ordering::Relaxed)), (0, 1));
    let unsent: Vec<u64> = left.records.iter().map(|unsent| seq(&unsent.record)).collect();
    assert!(unsent.len() as u64 == 10 - left.ledger.written);
}
