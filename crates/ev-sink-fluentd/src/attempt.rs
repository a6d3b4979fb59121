//! One attempt: a batch becomes a request, its answer a verdict.

use std::slice::from_ref;
use std::sync::{Mutex, PoisonError};

use ev_core::{Batch, Entry, Framing, Route, Verdict};
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request};
use tracing::debug;

use crate::answer::verdict;
use crate::body::Parts;
use crate::connect::connect;
use crate::connection::{Answer, Connection, Failure};
use crate::form::write;
use crate::ids::event_id;
use crate::reasons::denies;
use crate::request::{BATCH_ID, EVENT_ID, request};
use crate::stats::count;
use crate::target::Target;
use crate::{FluentdSink, Form};

/// A request that can be sent more than once.
struct Call<'a> {
    target: &'a Target,
    url: &'a str,
    head: Request<()>,
    body: Parts,
    /// The body before it was compressed.
    plain: Parts,
    events: usize,
    compressed: bool,
    /// The token with which the receiver refused it.
    denied: Mutex<Option<HeaderValue>>,
}

impl FluentdSink {
    /// Sends a batch and says what came of it.
    pub(crate) async fn send_batch(&self, batch: &Batch) -> Verdict {
        let target = match batch.route {
            Route::Audit => &self.audit,
            Route::Session(_) => &self.session,
        };
        let (path, url) = target.of(&batch.route);
        match self.config.framing {
            Framing::Array => {
                let body = match self.config.form {
                    Form::Json => Parts::array(batch.stretches()),
                    _ => self.formed(batch, &batch.entries),
                };
                let head = self.head(path, batch, None);
                self.post(target, &url, head, body, batch.entries.len()).await
            }
            Framing::Single => {
                // One entry, as the shape asks for; with more the first that is not delivered
                // decides.
                for entry in &batch.entries {
                    let json = batch.body.slice(entry.json.start as usize..entry.json.end as usize);
                    let head = self.head(path.clone(), batch, Some(&json));
                    let body = match self.config.form {
                        Form::Json => Parts::object(json),
                        _ => self.formed(batch, from_ref(entry)),
                    };
                    match self.post(target, &url, head, body, 1).await {
                        Verdict::Delivered => {}
                        other => return other,
                    }
                }
                Verdict::Delivered
            }
        }
    }

    fn formed(&self, batch: &Batch, entries: &[Entry]) -> Parts {
        Parts::object(write(self.config.form, batch, entries, self.env.now()))
    }

    fn head(&self, path: PathAndQuery, batch: &Batch, single: Option<&[u8]>) -> Request<()> {
        let mut head = request(Method::POST, path, &self.config.form.content_type());
        if self.config.id_headers {
            // Hexadecimal digits and dashes, so this cannot fail; without ids the request is good
            // all the same.
            if let Ok(id) = HeaderValue::try_from(self.ids.of(batch)) {
                head.headers_mut().insert(BATCH_ID, id);
            }
            let event = single.and_then(event_id);
            if let Some(Ok(id)) = event.map(HeaderValue::from_str) {
                head.headers_mut().insert(EVENT_ID, id);
            }
        }
        head
    }

    async fn post(
        &self,
        target: &Target,
        url: &str,
        mut head: Request<()>,
        body: Parts,
        events: usize,
    ) -> Verdict {
        // The semaphore is never closed; were it, an attempt without a permit would do no harm.
        let _permit = self.permits.acquire().await.ok();
        let plain = body.clone();
        // Compressed once; the second try on a new connection sends the same bytes.
        let (body, compressed) = match self.zipper.zip(&body).await {
            Some(zipped) => {
                count(&self.counters.gzip_in_bytes, body.len());
                count(&self.counters.gzip_out_bytes, zipped.len());
                head.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                (zipped, true)
            }
            None => (body, false),
        };
        let denied = Mutex::new(None);
        let call = Call { target, url, head, body, plain, events, compressed, denied };
        let verdict = self.call(&call).await;
        let denied = call.denied.lock().unwrap_or_else(PoisonError::into_inner).take();
        match denied {
            // Refused, so nothing was stored. Whoever replaces a token may end the old one at once,
            // and that should not stop a stream.
            Some(denied) if self.has_other_token(&denied).await => self.call(&call).await,
            _ => verdict,
        }
    }

    async fn call(&self, call: &Call<'_>) -> Verdict {
        let Call { target, url, .. } = *call;
        let (timeouts, env) = (&self.config.timeouts, &*self.env);
        let mut may_have_arrived = None;

        let reused = self.pool.take(&target.server, env.monotonic(), timeouts.idle).await;
        if let Some(mut connection) = reused {
            match self.exchange(&mut connection, call).await {
                Ok(answer) => return self.settle(connection, &answer, call),
                Err(failure) if failure.read || failure.timed_out => return failed(url, failure),
                Err(failure) => {
                    // The receiver has closed an idle connection while the request was on its
                    // way, or has restarted; then its other connections are gone too.
                    debug!(url, reason = failure.what, "sent again on a new connection");
                    self.pool.clear();
                    count(&self.counters.resent, 1);
                    if failure.written {
                        count(&self.counters.possible_duplicates, 1);
                        count(&self.counters.possible_duplicate_events, call.events as u64);
                        may_have_arrived = Some(failure.what);
                    }
                }
            }
        }

        let generation = self.pool.generation();
        let verdict = match connect(&target.server, self.live.tls(), timeouts, env).await {
            Ok(mut connection) => {
                count(&self.counters.connections_opened, 1);
                connection.generation = generation;
                match self.exchange(&mut connection, call).await {
                    Ok(answer) => self.settle(connection, &answer, call),
                    Err(failure) => failed(url, failure),
                }
            }
            Err(error) => {
                count(&self.counters.connections_failed, 1);
                Verdict::Unreachable { detail: format!("`{url}`: {}", error.what) }
            }
        };
        match (verdict, may_have_arrived) {
            (Verdict::Unreachable { detail }, Some(before)) => {
                Verdict::Unknown { detail: format!("{detail}; before that: {before}") }
            }
            (verdict, _) => verdict,
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        call: &Call<'_>,
    ) -> Result<Answer, Failure> {
        let (counters, env) = (&self.counters, &*self.env);
        count(&counters.requests, 1);
        count(&counters.events, call.events as u64);
        count(&counters.body_bytes, call.body.len());
        let begun = env.monotonic();
        let (mut head, body) = (call.head.clone(), call.body.clone());
        self.dress(&mut head);
        let shown = head.headers().get(AUTHORIZATION).cloned();
        let timeouts = &self.config.timeouts;
        let mut sent = connection.exchange(head, call.target, body, timeouts, env).await;
        match &mut sent {
            Ok(answer) => {
                // Nothing is told of what was taken, and looking for echoes takes a while.
                if !answer.status.is_success() || denies(self.config.form, &answer.body) {
                    self.hear(answer, &call.plain, shown.as_ref());
                }
                if self.token.is_some() && matches!(answer.status.as_u16(), 401 | 403) {
                    *call.denied.lock().unwrap_or_else(PoisonError::into_inner) = shown;
                }
                let after = env.monotonic().saturating_sub(begun);
                counters.answered(answer.status.as_u16(), after);
            }
            Err(failure) if failure.timed_out => count(&counters.timeouts, 1),
            Err(_) => count(&counters.broken, 1),
        }
        sent
    }

    fn settle(&self, connection: Connection, answer: &Answer, call: &Call<'_>) -> Verdict {
        if answer.reusable {
            let (server, generation) = (call.target.server.clone(), connection.generation);
            self.pool.put(server, connection, generation, self.env.monotonic());
        }
        let Call { url, events, compressed, .. } = *call;
        verdict(answer, url, events, compressed, self.config.form, self.env.now())
    }
}

/// The verdict when no answer came.
fn failed(url: &str, failure: Failure) -> Verdict {
    let detail = format!("`{url}`: {}", failure.what);
    if failure.written && !failure.refused_us {
        Verdict::Unknown { detail }
    } else {
        Verdict::Unreachable { detail }
    }
}
