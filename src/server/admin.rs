//! The operator's listener: health, readiness, metrics. Never on the public one, so that no request from
//! outside can ask for them (oauth2-proxy CVE-2026-34457).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::gateway::Snapshot;
use crate::telemetry;
use crate::token::UnixTime;

/// How long an operator's tool may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the operator's listener looks at.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The world, for its metrics and its store.
    pub world: Arc<ArcSwap<Snapshot>>,
    /// True once the gateway is shutting down.
    pub draining: watch::Receiver<bool>,
}

impl Admin {
    /// Serves until the runtime ends.
    pub async fn run(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = self.clone();
                    tokio::spawn(async move { admin.serve(stream).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener could not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: tokio::net::TcpStream) {
        let service = service_fn(|request| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(&request).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "an admin connection ended early");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        const JSON: &str = "application/json";
        const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return reply(
                StatusCode::METHOD_NOT_ALLOWED,
                JSON,
                json!({"error": "GET only"}).to_string(),
            );
        }
        match request.uri().path() {
            "/healthz" => reply(StatusCode::OK, JSON, json!({"status": "ok"}).to_string()),
            "/readyz" => self.readiness().await,
            "/metrics" => reply(StatusCode::OK, OPENMETRICS, self.world.load().metrics.render()),
            _ => {
                let paths = ["/healthz", "/readyz", "/metrics"];
                reply(
                    StatusCode::NOT_FOUND,
                    JSON,
                    json!({"error": "no such page", "pages": paths}).to_string(),
                )
            }
        }
    }

    /// 503 once shutting down; degraded, but still in service, while the state store is away.
    async fn readiness(&self) -> Response<Full<Bytes>> {
        const JSON: &str = "application/json";
        if *self.draining.borrow() {
            let text = json!({"status": "draining"}).to_string();
            return reply(StatusCode::SERVICE_UNAVAILABLE, JSON, text);
        }
        let state = Arc::clone(&self.world.load().state);
        let now = UnixTime::of(telemetry::clock());
        // Any question will do: the store answers, or it does not.
        let status = match state.session("readyz", now).await {
            Ok(_) => json!({"status": "ready"}),
            Err(_) => json!({"status": "degraded", "away": ["state store"]}),
        };
        reply(StatusCode::OK, JSON, status.to_string())
    }
}

fn reply(status: StatusCode, kind: &'static str, mut text: String) -> Response<Full<Bytes>> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
