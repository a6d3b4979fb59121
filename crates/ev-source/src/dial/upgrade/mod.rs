//! A connection to a Proxy behind something that ends TLS and forgets ALPN: an HTTP request turns
//! it into a stream of bytes, and whatever TLS routing expects is spoken inside.

mod frames;
mod pings;
#[cfg(test)]
mod tests;
mod websocket;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ev_core::Env;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Uri};
use http_body_util::Empty;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use self::frames::Framed;
use self::pings::Pings;
use self::websocket::WebSocket;
use super::Dialler;
use super::error::DialError;
use super::http1::{self, Switched};
use crate::address::Address;
use ev_dial::BoxStream;

const TELEPORT_UPGRADE: HeaderName = HeaderName::from_static("x-teleport-upgrade");
/// The Proxy sends pings, so that nobody between thinks the connection idle.
const WITH_PINGS: &str = "alpn-ping";
const WITHOUT_PINGS: &str = "alpn";
const WEBSOCKET: &str = "websocket";
/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

impl Dialler {
    /// A stream to the Proxy's ALPN router, through the web service at `address`.
    pub(super) async fn upgraded(&self, address: &Address) -> Result<BoxStream, DialError> {
        let stream = self.tcp(address).await?;
        let tls = self.web_tls().await?;
        let stream = tls.connect(address, &[], stream).await?;
        let key = new_key(&*self.env);
        // WebSocket first, as balancers know it. Versions of the Proxy that do not, take the
        // second.
        let request = http1::begin(address)
            .uri(Uri::from_static("/webapi/connectionupgrade"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, WEBSOCKET)
            .header(UPGRADE, WITH_PINGS)
            .header(TELEPORT_UPGRADE, WITH_PINGS)
            .header(SEC_WEBSOCKET_PROTOCOL, WITH_PINGS)
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .body(Empty::new())
            .map_err(|_| bad("the address cannot stand in a request"))?;
        let (headers, stream) = match http1::switch(stream, request).await? {
            Switched::Yes(headers, stream) => (headers, stream),
            Switched::No(status) => return Err(DialError::NoUpgrade { status }),
        };
        self.wrap(&headers, &key, stream)
    }

    /// Takes the form that the Proxy chose.
    fn wrap(
        &self,
        headers: &HeaderMap,
        key: &str,
        stream: BoxStream,
    ) -> Result<BoxStream, DialError> {
        let is = |name: &HeaderName, value: &str| {
            headers.get(name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        };
        if is(&UPGRADE, WEBSOCKET) {
            if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|v| *v != *accept(key)) {
                return Err(bad("the WebSocket accept key is not the one for our key"));
            }
            if !is(&SEC_WEBSOCKET_PROTOCOL, WITH_PINGS) {
                return Err(bad("another WebSocket sub-protocol was chosen than offered"));
            }
            return Ok(Box::new(Framed::new(stream, WebSocket::new(self.env.clone()))));
        }
        if is(&UPGRADE, WITH_PINGS) {
            return Ok(Box::new(Framed::new(stream, Pings)));
        }
        if is(&UPGRADE, WITHOUT_PINGS) {
            return Ok(stream);
        }
        Err(bad("to something that was not offered"))
    }
}

fn bad(what: &str) -> DialError {
    DialError::BadUpgrade { what: what.to_owned() }
}

/// Sixteen bytes by chance, in base64.
fn new_key(env: &dyn Env) -> String {
    let bytes = [env.random().to_be_bytes(), env.random().to_be_bytes()].concat();
    STANDARD.encode(bytes)
}

/// How a server shows that it has read `key` and knows WebSocket.
fn accept(key: &str) -> String {
    let text = format!("{key}{ACCEPT_SUFFIX}");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}
