//! The operator's listener: health, readiness, metrics, reload. Never on the public one, so that no request from
//! outside can ask for them (oauth2-proxy CVE-2026-34457).

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::accept::ACCEPT_PAUSE;
use super::issuers;
use super::reload::Reload;
use crate::gateway::Snapshot;
use crate::telemetry;
use crate::token::UnixTime;

/// How long an operator's tool may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one of its connections may last: longer than any answer takes, so that nobody keeps one by not reading.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Connections at once; more are closed unanswered. They have descriptors that the public listener needs.
const CONNECTIONS_MAX: usize = 256;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operator's listener looks at.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The world, for its metrics and its store.
    pub world: Arc<ArcSwap<Snapshot>>,
    /// True once the gateway is shutting down.
    pub draining: watch::Receiver<bool>,
    /// Where to ask for a reload.
    pub reload: Reload,
}

impl Admin {
    /// Serves until the runtime ends.
    pub async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let admin = self.clone();
                    tokio::spawn(async move {
                        let _late = timeout(CONNECTION_MAX, admin.serve(stream)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener could not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, stream: tokio::net::TcpStream) {
        let local = stream.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let service = service_fn(|request: Request<Incoming>| {
            let admin = self.clone();
            async move {
                let rebound = local && request.headers().contains_key(HOST);
                Ok::<_, Infallible>(match rebound && !is_by_address(request.headers()) {
                    true => forbidden(),
                    false => admin.answer(&request).await,
                })
            }
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
        let reads = request.method() == Method::GET || request.method() == Method::HEAD;
        match request.uri().path() {
            "/healthz" if reads => json_reply(StatusCode::OK, &json!({"status": "ok"})),
            "/readyz" if reads => self.readiness().await,
            "/metrics" if reads => {
                issuers::count(&self.world.load(), UnixTime::of(telemetry::clock()));
                reply(StatusCode::OK, OPENMETRICS, self.world.load().metrics.render())
            }
            "/reload" if request.method() == Method::POST => self.reload(request).await,
            "/healthz" | "/readyz" | "/metrics" | "/reload" => {
                let error = "another method: GET /healthz, /readyz, /metrics; POST /reload";
                json_reply(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": error}))
            }
            _ => {
                let pages = ["/healthz", "/readyz", "/metrics", "/reload"];
                let error = json!({"error": "no such page", "pages": pages});
                json_reply(StatusCode::NOT_FOUND, &error)
            }
        }
    }

    async fn reload(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_operator(request.headers()) {
            return forbidden();
        }
        match self.reload.ask_and_wait().await {
            Ok(hash) => {
                let done = json!({"status": "reloaded", "configuration": {"hash": hash}});
                json_reply(StatusCode::OK, &done)
            }
            Err(diagnostics) => {
                let refused = json!({"status": "refused", "diagnostics": diagnostics});
                json_reply(StatusCode::UNPROCESSABLE_ENTITY, &refused)
            }
        }
    }

    /// 503 once shutting down, and while no token is believed; degraded, but still in service, while the state store is
    /// away or another issuer has no keys here.
    async fn readiness(&self) -> Response<Full<Bytes>> {
        if *self.draining.borrow() {
            return json_reply(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "draining"}));
        }
        let world = self.world.load_full();
        let state = Arc::clone(&world.state);
        let (issuers, mut away) = issuers::told(&world);
        if state.probe(UnixTime::of(telemetry::clock())).await.is_err() {
            away.insert(0, "state store".to_owned());
        }
        let stale = state.revocations().is_stale(UnixTime::of(telemetry::clock()));
        let (code, mut answer) = match away.is_empty() {
            _ if stale => {
                let answer = json!({"status": "stale", "away": ["state store"]});
                (StatusCode::SERVICE_UNAVAILABLE, answer)
            }
            true => (StatusCode::OK, json!({"status": "ready"})),
            false => (StatusCode::OK, json!({"status": "degraded", "away": away})),
        };
        if !issuers.is_empty() {
            answer["issuers"] = json!(issuers);
        }
        let status = self.reload.status.load();
        answer["configuration"] = json!({"hash": status.hash, "since": status.since.0});
        if let Some((at, diagnostics)) = &status.refused {
            answer["configuration"]["refused"] = json!({"at": at.0, "diagnostics": diagnostics});
        }
        json_reply(code, &answer)
    }
}

/// A browser says where it comes from (Caddy CVE-2026-27589).
fn is_operator(headers: &HeaderMap) -> bool {
    let from_a_page = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    !from_a_page && is_by_address(headers)
}

/// Whether `Host` is an address or `localhost`: a page that reached us by a name of its own (DNS rebinding) says that
/// name. Where we listen on this machine alone nobody else has reason to.
fn is_by_address(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let by_address = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    by_address || host.split(':').next() == Some("localhost")
}

fn forbidden() -> Response<Full<Bytes>> {
    let error = "not from a web page, and by address or as localhost";
    json_reply(StatusCode::FORBIDDEN, &json!({"error": error}))
}

fn json_reply(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    reply(status, "application/json", value.to_string())
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
