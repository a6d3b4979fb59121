//! The receiver's admin calls.
//!
//! `GET /tally` · `GET /switches` · `POST /switches` (members to change) · `GET /events` (JSON
//! lines: `tag`, `request`, `acknowledged`, `body` as base64) · `GET /bodies` (the bodies, one a
//! line) · `POST /drop` · `POST /stop` · `POST /start` · `POST /clear`

use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::server::FakeFluentd;
use crate::Error;
use crate::admin::{self, AdminServer, Answer, Calls};

impl Calls for FakeFluentd {
    fn call(
        self: Arc<Self>,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            match (method.as_str(), path.as_str()) {
                ("GET", "/tally") => Answer::json(&self.tally()),
                ("GET", "/switches") => Answer::json(&self.switches()),
                ("POST", "/switches") => {
                    Answer::merge(&body, |change| self.set(|switches| change(switches)))
                }
                ("GET", "/events") => Answer::Lines(self.lines()),
                ("GET", "/bodies") => {
                    let received = self.received();
                    Answer::Lines(
                        received
                            .iter()
                            .flat_map(|event| [&event.body[..], b"\n"])
                            .flatten()
                            .copied()
                            .collect(),
                    )
                }
                ("POST", "/drop") => {
                    Answer::json(&json!({ "dropped": self.drop_connections().await }))
                }
                ("POST", "/stop") => {
                    self.stop().await;
                    Answer::ok()
                }
                ("POST", "/start") => Answer::done(self.start_again().await),
                ("POST", "/clear") => {
                    self.clear();
                    Answer::ok()
                }
                _ => Answer::NotFound,
            }
        })
    }
}

impl FakeFluentd {
    /// Takes admin calls on `listener` as long as the returned value lives.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn serve_admin(self: &Arc<Self>, listener: TcpListener) -> Result<AdminServer, Error> {
        admin::serve(listener, self.clone())
    }

    fn lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for event in self.received() {
            let line = json!({
                "tag": event.tag,
                "request": event.request,
                "acknowledged": event.acknowledged,
                "body": STANDARD.encode(&event.body),
            });
            lines.extend(line.to_string().into_bytes());
            lines.push(b'\n');
        }
        lines
    }
}
