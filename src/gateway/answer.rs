//! One place turns a refusal into a response, and one place writes the access line.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde_json::json;

use super::{Data, Snapshot, profile};
use crate::config::Profile;
use crate::policy::route::Route;
use crate::policy::{Challenge, Refusal};
use crate::proxy::{body::BodyFault, relay::ResponseBody};
use crate::telemetry::Limit;

/// The decision code of a request that passed.
pub const PASS: &str = "pass";

/// The status in the access line of a request whose client left before it was answered: nothing was sent, and
/// no status says so; the number is the one that readers of nginx's logs know.
const STATUS_CLIENT_GONE: u16 = 499;

/// How long a client is asked to wait when too much is in progress.
const RETRY_AFTER_OVERLOADED_S: u64 = 1;

/// What is known of a request, for its access line and its counters. Written once, when it is dropped: when the
/// response has ended, however it ended, or when the client left before there was one.
#[derive(Debug)]
pub struct Record {
    data: Arc<Data>,
    snapshot: Arc<Snapshot>,
    started: Instant,
    /// The route that matched.
    pub route: Option<Arc<Route>>,
    /// [`PASS`] or the code of a refusal.
    pub decision: &'static str,
    /// What the profile says of this very request.
    pub told: Option<String>,
    /// On a route in report mode: the code that the policy would have answered with.
    pub reported: Option<&'static str>,
    line: Option<Box<Line>>,
    status: u16,
    bytes: u64,
}

/// What only the access line needs.
#[derive(Debug, Default)]
pub struct Line {
    /// The request id.
    pub request_id: String,
    /// The client's address.
    pub client: String,
    /// The method, as sent; `-` when the head was refused.
    pub method: String,
    /// The canonical path, `-` when the asked one is refused; never the query, which may hold secrets.
    pub path: String,
    /// `sub` of a token that passed.
    pub subject: Option<String>,
}

impl Record {
    /// Opens the record of a request.
    pub fn open(data: &Arc<Data>, snapshot: &Arc<Snapshot>, line: Option<Line>) -> Record {
        Record {
            data: Arc::clone(data),
            snapshot: Arc::clone(snapshot),
            started: Instant::now(),
            route: None,
            decision: PASS,
            told: None,
            reported: None,
            line: line.map(Box::new),
            status: STATUS_CLIENT_GONE,
            bytes: 0,
        }
    }

    /// The part that only the access line needs; `None` when there is no access log.
    pub fn line(&mut self) -> Option<&mut Line> {
        self.line.as_deref_mut()
    }

    /// Binds the record to its response: the record is written when the body has ended or was given up.
    pub fn follow(mut self, response: Response<ResponseBody>) -> Response<Answer> {
        self.status = response.status().as_u16();
        response.map(|body| Answer { body, record: self })
    }

    /// The answer under way was given up: the client sees its connection end in the middle.
    fn cut(&self, fault: BodyFault) {
        if fault == BodyFault::UpstreamStalled {
            self.snapshot.metrics.limit_reached(Limit::ResponseIdle);
        }
        if fault.is_the_backends() {
            let route = self.route.as_deref();
            tracing::warn!(
                request_id = self.line.as_ref().map_or("-", |line| line.request_id.as_str()),
                upstream.name =
                    route.and_then(|route| self.snapshot.config.upstream_name(route)).unwrap_or("-"),
                %fault,
                "an answer was cut"
            );
        }
    }

    fn write(&self) {
        let elapsed = self.started.elapsed();
        self.data.meter.duration.observe(elapsed.as_secs_f64());
        let meter = match &self.route {
            Some(route) => &self.snapshot.meters[route.index],
            None => &self.snapshot.no_route,
        };
        meter.count(self.decision);
        if let Some(code) = self.reported {
            meter.report(code);
        }
        if let Some(line) = &self.line {
            self.write_line(line, elapsed);
        }
    }

    fn write_line(&self, line: &Line, elapsed: Duration) {
        let route = self.route.as_deref();
        tracing::info!(
            target: "freshgate::access",
            request_id = line.request_id,
            client = line.client,
            method = line.method,
            path = line.path,
            route.id = route.map_or("-", |route| route.id.as_str()),
            policy = route.map_or("-", |route| route.requirement.name()),
            decision = self.decision,
            reported = self.reported,
            subject = line.subject.as_deref().unwrap_or("-"),
            status = self.status,
            bytes = self.bytes,
            duration_ms = milliseconds(elapsed),
            upstream.name = route.and_then(|route| self.snapshot.config.upstream_name(route)).unwrap_or("-"),
            "request"
        );
    }
}

/// To the microsecond, without the digits that binary fractions bring.
fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write();
    }
}

/// A response body that writes its record when it ends.
#[derive(Debug)]
pub struct Answer {
    body: ResponseBody,
    record: Record,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(fault))) => self.record.cut(*fault),
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The response to a refused request, as the profile has it. `told` is its text for this very request.
pub fn refuse(
    refusal: Refusal,
    profile: Profile,
    told: Option<String>,
    request_id: &HeaderValue,
) -> Response<ResponseBody> {
    let mut response = match profile {
        Profile::Standard => problem(refusal, request_id),
        Profile::FlaskJwtExtended => message(refusal, told),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(crate::proxy::headers::REQUEST_ID, request_id.clone());
    if let Some(seconds) = retry_after(refusal) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if closes(refusal) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// One member and no challenge: what Flask-JWT-Extended answers.
fn message(refusal: Refusal, told: Option<String>) -> Response<ResponseBody> {
    let (status, text) = profile::flask(refusal);
    let message = json!({ "msg": told.as_deref().unwrap_or(text) });
    let mut response = Response::new(ResponseBody::full(format!("{message}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A problem document with its challenge (RFC 9457, RFC 6750 §3, RFC 9470 §3).
fn problem(refusal: Refusal, request_id: &HeaderValue) -> Response<ResponseBody> {
    let (status, code, challenge, sentence) = refusal.parts();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut problem = json!({
        "type": format!("urn:freshgate:refusal:{code}"),
        "title": sentence,
        "status": status.as_u16(),
        "code": code,
        "request_id": request_id.to_str().unwrap_or_default(),
    });
    if let Challenge::StepUp(Some(max_age)) = challenge {
        problem["max_age"] = json!(max_age.as_secs());
    }
    let mut response = Response::new(ResponseBody::full(format!("{problem}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(value) = challenge_value(challenge, sentence) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// The answer to a request whose URL holds a token: nobody keeps it, and no page that it is tells others the URL
/// (RFC 6750 §2.3, RFC 9111 §5.2.2, RFC 9213 §2.2).
pub fn keep_private(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for targeted in ["cdn-cache-control", "surrogate-control"] {
        headers.remove(targeted);
    }
}

fn challenge_value(challenge: Challenge, sentence: &str) -> Option<HeaderValue> {
    const SCHEME: &str = "Bearer realm=\"freshgate\"";
    let text = match challenge {
        Challenge::None => return None,
        Challenge::Bare => SCHEME.to_owned(),
        Challenge::Error(error) => {
            format!("{SCHEME}, error=\"{error}\", error_description=\"{sentence}\"")
        }
        Challenge::StepUp(max_age) => {
            let age = max_age.map(|age| format!(", max_age=\"{}\"", age.as_secs()));
            format!(
                "{SCHEME}, error=\"insufficient_user_authentication\", \
                 error_description=\"{sentence}\"{}",
                age.unwrap_or_default()
            )
        }
    };
    HeaderValue::try_from(text).ok()
}

fn retry_after(refusal: Refusal) -> Option<u64> {
    match refusal {
        Refusal::LoginThrottled { retry_after } => Some(retry_after.as_secs().max(1)),
        Refusal::Overloaded => Some(RETRY_AFTER_OVERLOADED_S),
        _ => None,
    }
}

/// After these the rest of the connection cannot be trusted, or is not worth reading.
fn closes(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::BadTarget
            | Refusal::BadHeader
            | Refusal::BadMethod
            | Refusal::TargetTooLong
            | Refusal::HeaderTooLarge
            | Refusal::RequestTimeout
            | Refusal::BodyTooLarge
            | Refusal::Internal
    )
}
