//! The Auth server's admin calls.
//!
//! `GET /tally` · `GET /calls` · `GET /switches` · `POST /switches` (members to change) ·
//! `POST /upgrade` (`version`; cuts every connection) · `POST /append` and `POST /append-in-place`
//! (JSON lines as in the data file) · `POST /offer` (`directory`, or `artifact` and `envelope` as
//! paths) · `POST /withdraw` · `POST /drop` · `POST /stop` · `POST /start`

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::artifacts::Artifact;
use super::server::FakeAuth;
use crate::Error;
use crate::admin::{self, AdminServer, Answer, Calls};
use crate::lines::read_lines;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Offer {
    Directory { directory: PathBuf },
    Files { artifact: PathBuf, envelope: PathBuf },
}

impl Calls for FakeAuth {
    fn call(
        self: Arc<Self>,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(async move {
            match (method.as_str(), path.as_str()) {
                ("GET", "/tally") => Answer::json(&self.tally()),
                ("GET", "/calls") => Answer::json(&self.calls()),
                ("GET", "/switches") => Answer::json(&self.switches()),
                ("POST", "/switches") => {
                    Answer::merge(&body, |change| self.set(|switches| change(switches)))
                }
                ("POST", "/upgrade") => match serde_json::from_slice::<Upgrade>(&body) {
                    Ok(upgrade) => {
                        self.upgrade(&upgrade.version).await;
                        Answer::ok()
                    }
                    Err(error) => Answer::Bad(error.to_string()),
                },
                ("POST", "/append") => self.take(&body, false),
                ("POST", "/append-in-place") => self.take(&body, true),
                ("POST", "/offer") => Answer::read(&body, |offer| self.load(offer)),
                ("POST", "/withdraw") => {
                    self.withdraw_artifacts();
                    Answer::ok()
                }
                ("POST", "/drop") => {
                    Answer::json(&json!({ "dropped": self.drop_connections().await }))
                }
                ("POST", "/stop") => {
                    self.stop().await;
                    Answer::ok()
                }
                ("POST", "/start") => Answer::done(self.start_again().await),
                _ => Answer::NotFound,
            }
        })
    }
}

impl FakeAuth {
    /// Takes admin calls on `listener` as long as the returned value lives.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn serve_admin(self: &Arc<Self>, listener: TcpListener) -> Result<AdminServer, Error> {
        admin::serve(listener, self.clone())
    }

    fn take(&self, body: &[u8], in_place: bool) -> Answer {
        match read_lines(body, "request".as_ref()) {
            Ok(lines) => {
                let counts = self.store(|store| lines.put_into(store, in_place));
                Answer::json(&json!({ "log": counts.0, "recorded": counts.1 }))
            }
            Err(error) => Answer::Bad(error.chain()),
        }
    }

    fn load(&self, offer: Offer) -> Answer {
        let loaded = match offer {
            Offer::Directory { directory } => Artifact::load_directory(&directory),
            Offer::Files { artifact, envelope } => {
                Artifact::load(&artifact, &envelope).map(|artifact| vec![artifact])
            }
        };
        Answer::done(loaded.map(|artifacts| artifacts.into_iter().for_each(|one| self.offer(one))))
    }
}
