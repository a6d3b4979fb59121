//! A listening socket whose connections can be cut, and which can be closed and opened again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::Error;

/// What carries the bytes of an accepted connection.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// What is done with a connection.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Asked before the handshake; `false` closes the connection at once.
    fn admit(&self) -> bool {
        true
    }

    /// Awaited before the handshake.
    fn ready(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }

    /// Serves one connection to its end. Dropping the future cuts it.
    fn serve(
        self: Arc<Self>,
        stream: Box<dyn Transport>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

enum Order {
    Drop(oneshot::Sender<usize>),
    Close(oneshot::Sender<()>),
}

/// The door: one accept loop, which owns the task of every connection.
pub(crate) struct Door {
    addr: SocketAddr,
    serve: Arc<dyn Serve>,
    counts: Arc<Counts>,
    state: Mutex<State>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    handshakes_failed: AtomicU64,
}

struct State {
    tls: Option<Arc<ServerConfig>>,
    open: Option<(mpsc::Sender<Order>, JoinHandle<()>)>,
}

impl Door {
    /// Starts accepting on `listener`. Needs a running tokio runtime.
    pub(crate) fn open(
        listener: std::net::TcpListener,
        tls: Option<Arc<ServerConfig>>,
        serve: Arc<dyn Serve>,
    ) -> Result<Self, Error> {
        let what = "listen";
        listener.set_nonblocking(true).map_err(Error::io(what))?;
        let listener = TcpListener::from_std(listener).map_err(Error::io(what))?;
        let addr = listener.local_addr().map_err(Error::io(what))?;
        let door = Self {
            addr,
            serve,
            counts: Arc::default(),
            state: Mutex::new(State { tls, open: None }),
        };
        door.run(listener);
        Ok(door)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Connections whose TLS handshake failed.
    pub(crate) fn handshakes_failed(&self) -> u64 {
        self.counts.handshakes_failed.load(Ordering::SeqCst)
    }

    /// Cuts every connection and says how many there were; new ones are accepted.
    pub(crate) async fn drop_connections(&self) -> usize {
        let (answer, dropped) = oneshot::channel();
        let Some(orders) = self.orders() else { return 0 };
        if orders.send(Order::Drop(answer)).await.is_err() {
            return 0;
        }
        dropped.await.unwrap_or(0)
    }

    /// Refuses new connections and cuts those there are.
    pub(crate) async fn close(&self) {
        let open = self.lock().open.take();
        let Some((orders, task)) = open else { return };
        let (answer, closed) = oneshot::channel();
        if orders.send(Order::Close(answer)).await.is_ok() {
            let _closed = closed.await;
        }
        let _ended = task.await;
    }

    /// Accepts again, on the same address.
    pub(crate) async fn reopen(&self) -> Result<(), Error> {
        if self.lock().open.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.addr).await.map_err(Error::io("listen again"))?;
        self.run(listener);
        Ok(())
    }

    /// Another certificate for the connections to come, behind the next [`Door::reopen`].
    pub(crate) fn set_tls(&self, tls: Arc<ServerConfig>) {
        self.lock().tls = Some(tls);
    }

    fn run(&self, listener: TcpListener) {
        let mut state = self.lock();
        let (orders, inbox) = mpsc::channel(4);
        let acceptor = state.tls.clone().map(TlsAcceptor::from);
        let task = tokio::spawn(accept(
            listener,
            acceptor,
            self.serve.clone(),
            self.counts.clone(),
            inbox,
        ));
        state.open = Some((orders, task));
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        self.lock().open.as_ref().map(|(orders, _)| orders.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some((_, task)) = self.lock().open.take() {
            task.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    serve: Arc<dyn Serve>,
    counts: Arc<Counts>,
    mut inbox: mpsc::Receiver<Order>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            order = inbox.recv() => match order {
                Some(Order::Drop(answer)) => {
                    while connections.try_join_next().is_some() {}
                    let count = connections.len();
                    connections.shutdown().await;
                    let _gone = answer.send(count);
                }
                Some(Order::Close(answer)) => {
                    drop(listener);
                    connections.shutdown().await;
                    let _gone = answer.send(());
                    return;
                }
                None => return,
            },
            accepted = listener.accept() => {
                // A failed accept concerns one connection that is gone already.
                let Ok((stream, _)) = accepted else { continue };
                counts.accepted.fetch_add(1, Ordering::SeqCst);
                if serve.admit() {
                    connections.spawn(connection(
                        stream,
                        acceptor.clone(),
                        serve.clone(),
                        counts.clone(),
                    ));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    serve: Arc<dyn Serve>,
    counts: Arc<Counts>,
) {
    Arc::clone(&serve).ready().await;
    if stream.set_nodelay(true).is_err() {
        // It is gone already.
        counts.handshakes_failed.fetch_add(1, Ordering::SeqCst);
        return;
    }
    let Some(acceptor) = acceptor else { return serve.serve(Box::new(stream)).await };
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => serve.serve(Box::new(stream)).await,
        Err((_, stream)) => {
            counts.handshakes_failed.fetch_add(1, Ordering::SeqCst);
            // However it ends.
            let _told: io::Result<()> = let_read_the_alert(stream).await;
        }
    }
}

/// Takes what a client has sent that does not know yet that it is refused: closed with that unread,
/// the connection would be reset, and the alert that says why lost or not as it happens.
async fn let_read_the_alert(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// A listener on the loopback interface, on a port of the system's choice.
///
/// # Errors
///
/// When the system has no port left.
pub fn loopback() -> Result<std::net::TcpListener, Error> {
    std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(Error::io("listen on loopback"))
}

/// Waits until what `look` sees fulfils `condition`; it is looked at now and with each change.
pub(crate) async fn until<T>(
    changed: &watch::Sender<u64>,
    look: impl Fn() -> T,
    mut condition: impl FnMut(&T) -> bool,
) -> T {
    let mut changed = changed.subscribe();
    loop {
        changed.borrow_and_update();
        let seen = look();
        if condition(&seen) {
            return seen;
        }
        // Whoever lent the sender keeps it alive, so this cannot fail.
        let _alive = changed.changed().await;
    }
}
