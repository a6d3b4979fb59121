//! What a Proxy says of itself: `GET /webapi/find`.

use http::Uri;
use http_body_util::Empty;
use serde::Deserialize;
use tracing::debug;

use super::Dialler;
use super::error::DialError;
use super::http1;
use crate::address::Address;
use ev_core::chain;

/// Largest answer that is taken. Real ones are a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Where a Proxy's web service is if it does not say.
const WEB_PORT: u16 = 443;

/// What is used of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) tls_routing: bool,
    /// Where it takes connections to be routed, by its own word.
    pub(super) tunnel: Option<Address>,
    pub(super) version: Option<String>,
    /// Newer versions tell it.
    pub(super) cluster: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    proxy: Option<ProxyPart>,
    #[serde(default)]
    server_version: String,
    #[serde(default)]
    cluster_name: String,
}

#[derive(Default, Deserialize)]
struct ProxyPart {
    #[serde(default)]
    tls_routing_enabled: bool,
    #[serde(default)]
    ssh: Ssh,
}

#[derive(Default, Deserialize)]
struct Ssh {
    #[serde(default)]
    public_addr: String,
    #[serde(default)]
    web_listen_addr: String,
}

impl Dialler {
    /// Asks what is at `address` whether it is a Proxy, and of which kind.
    pub(super) async fn find(&self, address: &Address) -> Result<Found, DialError> {
        let of_no_use = |what| DialError::Find { address: address.clone(), what };
        let stream = self.tcp(address).await?;
        let tls = self.web_tls().await?;
        let stream = tls.connect(address, &["http/1.1"], stream).await;
        let stream = stream.map_err(|error| of_no_use(error.describe()))?;
        let request = http1::begin(address)
            .uri(Uri::from_static("/webapi/find"))
            .body(Empty::new())
            .map_err(|_| of_no_use("the address cannot stand in a request".to_owned()))?;
        let answer = http1::ask(stream, request, MAX_ANSWER).await;
        let (status, body) = answer.map_err(|error| of_no_use(chain(&error)))?;
        // What counts is what it says, not the status: some balancers change that.
        let found = Found::read(&body).map_err(|what| of_no_use(format!("{status}, {what}")))?;
        debug!(%address, ?found, "the proxy has told about itself");
        Ok(found)
    }
}

impl Found {
    fn read(body: &[u8]) -> Result<Self, &'static str> {
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| "and not in the words of a Teleport Proxy")?;
        let proxy = answer.proxy.ok_or("and nothing about a Teleport Proxy")?;
        let own = |text: String| (!text.is_empty() && is_harmless(&text)).then_some(text);
        let web = &proxy.ssh.web_listen_addr;
        let web_address = Address::parse_loosely(web, WEB_PORT).filter(|_| !web.is_empty());
        let web_port = web_address.as_ref().map_or(WEB_PORT, |address| address.port);
        let tunnel = Address::parse_loosely(&proxy.ssh.public_addr, web_port)
            // Where it listens is of use to others only if it is a host that can be dialled.
            .or(web_address.filter(|address| !matches!(&*address.host, "0.0.0.0" | "::")));
        Ok(Self {
            tls_routing: proxy.tls_routing_enabled,
            tunnel,
            version: own(answer.server_version),
            cluster: own(answer.cluster_name),
        })
    }
}

/// It goes into log lines, so it has to be what a name is.
fn is_harmless(text: &str) -> bool {
    text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_say_is_read() {
        let check = |json: &str, routing: bool, tunnel: Option<&str>, cluster: Option<&str>| {
            let found = Found::read(json.as_bytes()).expect("a proxy");
            assert_eq!(found.tls_routing, routing, "{json}");
            let at = found.tunnel.map(|address| address.to_string());
            assert_eq!(at.as_deref(), tunnel, "{json}");
            assert_eq!(found.cluster.as_deref(), cluster, "{json}");
        };
        check(
            r#"{"proxy":{"kube":{},"ssh":{"listen_addr":"0.0.0.0:3023","public_addr":"p.example.com:443","web_listen_addr":"0.0.0.0:3080"},"tls_routing_enabled":true},"server_version":"18.1.0","cluster_name":"c"}"#,
            true,
            Some("p.example.com:443"),
            Some("c"),
        );
        check(
            r#"{"proxy":{"ssh":{"public_addr":"p","web_listen_addr":"0.0.0.0:3080"},"tls_routing_enabled":true}}"#,
            true,
            Some("p:3080"),
            None,
        );
        check(
            r#"{"proxy":{"ssh":{"web_listen_addr":"10.0.0.5:3080"}}}"#,
            false,
            Some("10.0.0.5:3080"),
            None,
        );
        check(r#"{"proxy":{"ssh":{"web_listen_addr":"[::]:3080"}}}"#, false, None, None);
        check(r#"{"proxy":{}}"#, false, None, None);
        check(r#"{"proxy":{},"cluster_name":"two words"}"#, false, None, None);
    }

    #[test]
    fn what_is_no_proxy_is_told() {
        for body in ["", "<html>", "[]", "{}", r#"{"proxy":null}"#, r#"{"proxy":5}"#] {
            Found::read(body.as_bytes()).expect_err(body);
        }
    }
}
