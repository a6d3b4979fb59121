//! Several endpoints, over real sockets and made-up ones.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ev_audit::ConnectionType;
use ev_audit::transport::{
    AllFailed, ConnectError, Connected, Connecting, Failover, TcpTransport, Transport,
    UnixTransport,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::advance;

/// An endpoint that does as it is told and counts how often it is asked.
struct Fake {
    name: &'static str,
    way: Way,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Way {
    Works,
    Hangs,
    Fails(Option<Duration>),
    FailsForEver,
}

fn fake(name: &'static str, way: Way) -> (Fake, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Fake { name, way, asked: Arc::clone(&asked) }, asked)
}

impl Transport for Fake {
    fn connect(&mut self) -> Connecting<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            let source = ErrorKind::ConnectionRefused.into();
            let peer = self.name.to_owned();
            match self.way {
                Way::Works => {
                    let (stream, _) = tokio::io::duplex(64);
                    Ok(Connected::new(stream, ConnectionType::UNKNOWN, self.name))
                }
                Way::Hangs => std::future::pending().await,
                Way::Fails(retry_after) => Err(ConnectError::Retry { peer, retry_after, source }),
                Way::FailsForEver => Err(ConnectError::permanent(peer, source)),
            }
        })
    }
}

async fn peer(failover: &mut Failover) -> String {
    failover.connect().await.expect("an endpoint").peer
}

#[tokio::test]
async fn the_first_endpoint_that_can_be_reached_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let mut failover = Failover::new(UnixTransport::at(&path))
        .or(TcpTransport::new(&address))
        .settled_after(Duration::ZERO);
    let connected = failover.connect().await.unwrap();
    assert_eq!((connected.peer, connected.destination), (address, ConnectionType::TCP));
    let _agent = UnixListener::bind(&path).unwrap();
    let connected = failover.connect().await.unwrap();
    assert_eq!(connected.peer, path.display().to_string(), "preferred again when it is there");
    assert_eq!(connected.destination, ConnectionType::UNIX_DOMAIN_SOCKET);
}

#[tokio::test]
async fn the_error_names_each_endpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut failover = Failover::new(UnixTransport::at(&path)).or(TcpTransport::new(&address));
    let error = failover.connect().await.expect_err("nobody listens");
    let ConnectError::Retry { peer, source, retry_after: None } = error else { panic!("{error}") };
    assert_eq!(peer, format!("{}, {address}", path.display()));
    let text = source.to_string();
    assert!(text.starts_with("no endpoint could be reached: "), "{text}");
    assert!(text.contains(&format!("{}: No such file", path.display())), "{text}");
    assert!(text.contains(&format!("; {address}: Connection refused")), "{text}");
    let all = source.get_ref().and_then(|cause| cause.downcast_ref::<AllFailed>());
    assert_eq!(all.expect("each is there").failures().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_answer_holds_the_next_one_up_for_its_limit_only() {
    let (hangs, asked) = fake("hangs", Way::Hangs);
    let mut failover = Failover::new(hangs)
        .or(fake("works", Way::Works).0)
        .limit(Duration::from_secs(2))
        .settled_after(Duration::from_secs(10));
    let begun = tokio::time::Instant::now();
    assert_eq!(peer(&mut failover).await, "works");
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_goes_on_behind_the_endpoint_it_stood_at() {
    let mut failover = Failover::new(fake("hangs", Way::Hangs).0).or(fake("works", Way::Works).0);
    let given_up = tokio::time::timeout(Duration::from_secs(1), failover.connect()).await;
    assert!(given_up.is_err());
    let begun = tokio::time::Instant::now();
    assert_eq!(peer(&mut failover).await, "works");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_closes_at_once_does_not_hide_the_next() {
    let mut failover = Failover::new(fake("first", Way::Works).0)
        .or(fake("second", Way::Works).0)
        .or(fake("broken", Way::Fails(None)).0);
    assert_eq!(peer(&mut failover).await, "first");
    advance(Duration::from_secs(9)).await;
    assert_eq!(peer(&mut failover).await, "second");
    advance(Duration::from_secs(9)).await;
    assert_eq!(peer(&mut failover).await, "first", "round, and past the broken one");
    advance(Duration::from_secs(10)).await;
    assert_eq!(peer(&mut failover).await, "first", "it was a good one");
}

#[tokio::test]
async fn all_ways_are_impossible_only_when_each_is() {
    let seconds = |seconds| Way::Fails(Some(Duration::from_secs(seconds)));
    let check = async |ways: [Way; 2], expected: Option<Option<u64>>| {
        let [first, second] = ways;
        let mut failover = Failover::new(fake("a", first).0).or(fake("b", second).0);
        let error = failover.connect().await.expect_err("none works");
        assert_eq!(error.is_retryable(), expected.is_some());
        let pause = expected.flatten().map(Duration::from_secs);
        assert_eq!(error.retry_after(), pause);
    };
    check([Way::FailsForEver, Way::FailsForEver], None).await;
    check([Way::FailsForEver, Way::Fails(None)], Some(None)).await;
    check([Way::FailsForEver, seconds(7)], Some(Some(7))).await;
    check([seconds(9), seconds(4)], Some(Some(4))).await;
    check([seconds(9), Way::Fails(None)], Some(None)).await;
}
