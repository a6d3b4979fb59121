//! Several endpoints, of which the first one that can be reached is used.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{ConnectError, Connected, Connecting, Transport};

/// Tries several ways to the agent, each in its turn.
///
/// An attempt begins with the first endpoint and goes on to the next when one fails or takes too
/// long. An endpoint whose connection ended before it had lived for a while is passed over in the
/// next attempt, so that one that accepts and closes does not hide those behind it; and an
/// attempt that was given up goes on behind the endpoint at which it stood.
///
/// ```
/// use ev_audit::transport::{Failover, TcpTransport, UnixTransport};
///
/// let transport = Failover::new(UnixTransport::new()).or(TcpTransport::new("audit.example:4420"));
/// ```
pub struct Failover {
    endpoints: Vec<Box<dyn Transport>>,
    limit: Duration,
    settled_after: Duration,
    /// Where the next attempt begins.
    begin: usize,
    /// The endpoint of the last connection, and when it was made.
    last: Option<(usize, Instant)>,
}

/// No endpoint could be reached.
#[derive(Debug)]
pub struct AllFailed {
    failures: Vec<ConnectError>,
}

impl AllFailed {
    /// What each endpoint answered, in the order in which they were tried.
    pub fn failures(&self) -> &[ConnectError] {
        &self.failures
    }
}

impl fmt::Display for AllFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no endpoint could be reached")?;
        for (index, failure) in self.failures.iter().enumerate() {
            let (ConnectError::Retry { peer, source, .. }
            | ConnectError::Permanent { peer, source }) = failure;
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{peer}: {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AllFailed {}

impl Failover {
    /// Time that one endpoint has to answer, unless another is set.
    pub const DEFAULT_LIMIT: Duration = Duration::from_secs(3);
    /// Life time from which on a connection was a good one, unless another is set.
    pub const DEFAULT_SETTLED_AFTER: Duration = Duration::from_secs(10);

    /// The endpoint that is preferred.
    pub fn new(first: impl Transport) -> Self {
        Self {
            endpoints: vec![Box::new(first)],
            limit: Self::DEFAULT_LIMIT,
            settled_after: Self::DEFAULT_SETTLED_AFTER,
            begin: 0,
            last: None,
        }
    }

    /// Another endpoint, behind those before it.
    #[must_use]
    pub fn or(mut self, next: impl Transport) -> Self {
        self.endpoints.push(Box::new(next));
        self
    }

    /// Time that one endpoint has to answer. Default: 3 s. All together have no longer than the
    /// client's own limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A connection that lived so long was a good one, and its endpoint is not passed over.
    /// Default: 10 s.
    #[must_use]
    pub fn settled_after(mut self, settled_after: Duration) -> Self {
        self.settled_after = settled_after;
        self
    }

    async fn attempt(&mut self) -> Result<Connected, ConnectError> {
        let count = self.endpoints.len();
        if let Some((endpoint, since)) = self.last.take() {
            self.begin = if since.elapsed() < self.settled_after { endpoint + 1 } else { 0 };
        }
        let begin = self.begin;
        let mut failures = Vec::with_capacity(count);
        for index in (begin..begin + count).map(|index| index % count) {
            // If this attempt is dropped while it waits, the next one begins behind it.
            self.begin = index + 1;
            let endpoint = &mut self.endpoints[index];
            match timeout(self.limit, endpoint.connect()).await {
                Ok(Ok(connected)) => {
                    self.last = Some((index, Instant::now()));
                    return Ok(connected);
                }
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => {
                    let what = format!("no connection within {:?}", self.limit);
                    let source = io::Error::new(io::ErrorKind::TimedOut, what);
                    failures.push(ConnectError::retry(format!("endpoint {}", index + 1), source));
                }
            }
        }
        self.begin = 0;
        Err(all(failures))
    }
}

/// One error of all of them: it is permanent when each is, and asks for the shortest pause when
/// each asks for one.
fn all(failures: Vec<ConnectError>) -> ConnectError {
    let names = failures.iter().map(|failure| {
        let (ConnectError::Retry { peer, .. } | ConnectError::Permanent { peer, .. }) = failure;
        peer.as_str()
    });
    let peer = names.collect::<Vec<_>>().join(", ");
    let retryable = || failures.iter().filter(|failure| failure.is_retryable());
    let is_permanent = retryable().next().is_none();
    let pauses: Option<Vec<Duration>> = retryable().map(ConnectError::retry_after).collect();
    let retry_after = pauses.and_then(|pauses| pauses.into_iter().min());
    let source = io::Error::other(AllFailed { failures });
    if is_permanent {
        return ConnectError::Permanent { peer, source };
    }
    ConnectError::Retry { peer, retry_after, source }
}

impl Transport for Failover {
    fn connect(&mut self) -> Connecting<'_> {
        Box::pin(self.attempt())
    }
}

impl fmt::Debug for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover")
            .field("endpoints", &self.endpoints.len())
            .field("limit", &self.limit)
            .field("settled_after", &self.settled_after)
            .finish_non_exhaustive()
    }
}
