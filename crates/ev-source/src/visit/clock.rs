//! What time it is there.
//!
//! HTTP servers date their answers (RFC 9110, section 6.6.1) to the second. Auth's gRPC leaves that
//! out, but on the same port Auth answers HTTP/1.1 for whoever asks for it by ALPN, and so does the
//! web service of a Proxy.

use std::time::Duration;

use ev_core::{Timestamp, within};
use ev_dial::BoxStream;
use http::{Method, Uri};
use http_body_util::Empty;

use crate::connection::Connection;
use crate::dial::{Dialler, Way, http1};
use crate::rpc;

/// Nobody waits longer for a date.
const LIMIT: Duration = Duration::from_secs(5);

impl Dialler {
    /// Seconds since 1970-01-01T00:00:00Z by the clock of Auth, or of the Proxy in front of it.
    pub(super) async fn date(&self, connection: &Connection, way: &Way) -> Option<i64> {
        let asked = async {
            if let Some(date) = rpc::date(connection).await {
                return Some(date);
            }
            let (address, stream) = match way {
                Way::Direct => (&self.address, self.own_http1().await?),
                Way::Routed { address, .. } | Way::Upgraded { address, .. } => {
                    (address, self.web_http1(address).await?)
                }
            };
            let request = http1::begin(address)
                .method(Method::HEAD)
                .uri(Uri::from_static("/webapi/find"))
                .body(Empty::new())
                .ok()?;
            // Whatever it answers, it is dated.
            http1::date(stream, request).await
        };
        let date: Option<String> = within(&*self.env, LIMIT, asked).await.flatten();
        seconds(&date?)
    }

    async fn own_http1(&self) -> Option<BoxStream> {
        let tcp = self.tcp(&self.address).await.ok()?;
        self.own_tls(tcp, b"http/1.1").await.ok()
    }

    async fn web_http1(&self, address: &crate::address::Address) -> Option<BoxStream> {
        let tcp = self.tcp(address).await.ok()?;
        self.web_tls().await.ok()?.connect(address, &["http/1.1"], tcp).await.ok()
    }
}

/// An IMF-fixdate, the only form that is written today: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = date.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    let at = MONTHS.find(month).filter(|at| month.len() == 3 && at % 3 == 0)?;
    Some(Timestamp::parse(&format!("{year}-{:02}-{day}T{time}Z", at / 3 + 1))?.seconds())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::address::Address;

    /// Whatever the server thinks of the request, its answer is dated.
    #[tokio::test]
    async fn any_answer_tells_the_time() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let address = Address { host: "auth.example.com".to_owned(), port: 3025 };
        let request = http1::begin(&address)
            .method(Method::HEAD)
            .uri(Uri::from_static("/webapi/find"))
            .body(Empty::new())
            .expect("a request");
        let server = async {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(theirs.read_u8().await.expect("the request"));
            }
            assert!(asked.starts_with(b"HEAD /webapi/find HTTP/1.1\r\n"));
            let answer = b"HTTP/1.1 404 Not Found\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
            theirs.write_all(answer).await.expect("somebody reads");
        };
        let (date, ()) = tokio::join!(http1::date(Box::new(ours), request), server);
        assert_eq!(date.as_deref().and_then(seconds), Some(784_111_777));
    }

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for odd in ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 anF 1994 08:49:37 GMT"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }
}
