//! TCP through an HTTP proxy, by CONNECT.

use ev_core::chain;
use ev_dial::BoxStream;
use http::header::PROXY_AUTHORIZATION;
use http::{Method, StatusCode, Uri};
use http_body_util::Empty;
use tracing::debug;

use super::Dialler;
use super::error::DialError;
use super::http1::{self, Switched};
use crate::address::Address;
use crate::surroundings::HttpProxy;

/// A connection to `address` that `proxy` makes for us. The login is sent at once: to be asked for
/// it first would only cost a round trip.
pub(super) async fn through(
    dialler: &Dialler,
    proxy: &HttpProxy,
    address: &Address,
) -> Result<BoxStream, DialError> {
    let failed =
        |what| DialError::Connect { proxy: proxy.to_string(), variable: proxy.variable, what };
    let tcp = dialler.tcp_itself(&proxy.address).await;
    let tcp = tcp.map_err(|error| failed(error.describe()))?;
    let stream: BoxStream = if proxy.tls {
        let tls = dialler.web_tls().await?;
        let stream = tls.connect(&proxy.address, &[], Box::new(tcp)).await;
        stream.map_err(|error| failed(error.describe()))?
    } else {
        Box::new(tcp)
    };
    let target = Uri::builder().authority(address.to_string()).build();
    let target = target.map_err(|_| failed(format!("`{address}` is no address for it")))?;
    let mut request = http1::begin(address).method(Method::CONNECT).uri(target);
    if let Some(login) = &proxy.login {
        request = request.header(PROXY_AUTHORIZATION, login.clone());
    }
    let request = request.body(Empty::new());
    let request = request.map_err(|_| failed(format!("`{address}` is no address for it")))?;
    match http1::switch(stream, request).await {
        Ok(Switched::Yes(_, stream)) => {
            debug!(%proxy, %address, "the HTTP proxy has connected");
            Ok(stream)
        }
        Ok(Switched::No(StatusCode::PROXY_AUTHENTICATION_REQUIRED)) => {
            let what = "it answers 407: it wants a login, in the form `http://user:password@host`";
            let refused = "it answers 407: it refuses the login that is set";
            let what = if proxy.login.is_some() { refused } else { what };
            Err(failed(what.to_owned()))
        }
        Ok(Switched::No(status)) => {
            Err(failed(format!("it answers {status} when asked for `{address}`")))
        }
        Err(error) => Err(failed(chain(&error))),
    }
}
