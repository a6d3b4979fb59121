//! What is answered on which path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ev_core::within;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

use crate::asker::Stranger;
use crate::page::{PAGE, POLICY};
use crate::server::Views;
use crate::{Readiness, Snapshot, metrics};

/// How long the snapshot may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Response<Full<Bytes>>;

/// The answer to one question of that peer.
pub(crate) async fn answer(
    views: &dyn Views,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let path = request.uri().path();
    let stranger = Stranger::of(peer, request.uri(), request.headers());
    let mut answer = match (path, stranger) {
        _ if !is_read => {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
        // Nothing is learnt from it, and a supervisor restarts what does not say it.
        ("/healthz", _) => health(views),
        (_, Some(stranger)) => text(stranger.status(), format!("{stranger}\n")),
        ("/", _) => of(StatusCode::OK, "text/html; charset=utf-8", PAGE),
        ("/metrics", _) => {
            let text = metrics::openmetrics(snapshot(views).await);
            of(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        ("/readyz", _) => {
            let readiness = Readiness::of(&snapshot(views).await);
            let status = match readiness.ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            json(status, &readiness)
        }
        ("/status.json", _) => {
            let snapshot = snapshot(views).await;
            json(StatusCode::OK, &Status { readiness: Readiness::of(&snapshot), snapshot })
        }
        _ => {
            let paths = "there are / /status.json /metrics /healthz /readyz\n";
            text(StatusCode::NOT_FOUND, paths.to_owned())
        }
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// What `/status.json` holds.
#[derive(Serialize)]
struct Status {
    readiness: Readiness,
    #[serde(flatten)]
    snapshot: Snapshot,
}

/// The snapshot; an empty one if even that does not come.
async fn snapshot(views: &dyn Views) -> Snapshot {
    within(views.env(), PATIENCE, views.snapshot()).await.unwrap_or_default()
}

fn health(views: &dyn Views) -> Answer {
    let stalled = views.watchdog().stalled(views.env().monotonic());
    if stalled.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    let said: Vec<String> = stalled
        .iter()
        .map(|(name, age)| format!("{name} has not turned for {} s\n", age.as_secs()))
        .collect();
    text(StatusCode::SERVICE_UNAVAILABLE, said.concat())
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(text) => of(status, "application/json", text + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    of(status, "text/plain; charset=utf-8", body)
}

fn of(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
