//! From an address to a connection that can carry a chunk.

use std::sync::Arc;

use ev_core::{Env, Verdict, within};
use ev_dial::{BoxStream, secure, tcp};
use ev_tls::ClientTls;

use crate::connection::Connection;
use crate::handshake::{Failure, Ourselves, handshake};
use crate::target::Server;
use crate::{Config, ForwardSink};

/// No connection was made, so certainly nothing was delivered.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nobody is there, or it does not make sense.
    Unreachable(String),
    /// The receiver refuses us.
    Refused(String),
}

impl ConnectError {
    pub(crate) fn what(&self) -> &str {
        match self {
            Self::Unreachable(what) | Self::Refused(what) => what,
        }
    }

    pub(crate) fn verdict(self, url: &str) -> Verdict {
        match self {
            Self::Unreachable(what) => Verdict::Unreachable { detail: format!("`{url}`: {what}") },
            Self::Refused(what) => Verdict::Refused { detail: format!("`{url}`: {what}") },
        }
    }
}

impl ForwardSink {
    /// Opens a new connection, and goes through the handshake if there is a shared key.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let Self { config, server, env, .. } = self;
        let stream = dial(server, self.live.tls(), config, &**env).await;
        let stream = stream.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        let mut connection = Connection::new(stream);
        let Some(shared_key) = &config.shared_key else { return Ok(connection) };
        let salt = format!("{:016x}{:016x}", env.random(), env.random());
        // No receiver has a name with this in it, so one with ours is a mirror.
        let hostname = format!("{}-{:016x}", config.hostname, env.random());
        let us = Ourselves {
            hostname: &hostname,
            shared_key,
            login: config.login.as_ref(),
            salt: &salt,
        };
        let limit = config.timeouts.handshake;
        match within(&**env, limit, handshake(&mut connection, &us)).await {
            Some(Ok(())) => Ok(connection),
            Some(Err(Failure::Refused(what))) => Err(ConnectError::Refused(what)),
            Some(Err(Failure::Broken(what))) => Err(ConnectError::Unreachable(what)),
            None => Err(ConnectError::Unreachable(format!(
                "no HELO and PONG within {limit:?}: does the receiver have a `<security>` section?"
            ))),
        }
    }
}

async fn dial(
    server: &Server,
    tls: Option<&Arc<ClientTls>>,
    config: &Config,
    env: &dyn Env,
) -> Result<BoxStream, ev_dial::Error> {
    let Server { host, port, .. } = server;
    let stream = tcp(host, *port, config.timeouts.connect, env).await?;
    Ok(match tls {
        Some(tls) => Box::new(secure(stream, host, tls, config.timeouts.handshake, env).await?),
        None => Box::new(stream),
    })
}
