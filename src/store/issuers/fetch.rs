//! One fetch of a key set: the request, and what makes its answer a good one. Every other answer is a failure.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri};

use crate::store::outbound::{Budget, Outbound, shown};
use crate::token::keys::{Algorithm, RemoteSet};

/// Bytes of the largest key set.
pub const SET_BYTES_MAX: usize = 256 * 1024;
/// How long a fetch may take, from the lookup to the last byte.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) const BUDGET: Budget = Budget { timeout: FETCH_TIMEOUT, body_max: SET_BYTES_MAX };

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) set: RemoteSet,
    /// How long it says it may be kept.
    pub(super) max_age: Option<Duration>,
}

/// Fetches and reads the set at `url`.
///
/// # Errors
/// What went wrong, in a sentence for operators that names the URL.
pub(super) async fn fetch(
    client: &Outbound,
    url: &Uri,
    algorithms: &[Algorithm],
    budget: Budget,
) -> Result<Answer, String> {
    let request = Request::get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(ACCEPT_ENCODING, "identity")
        .body(Bytes::new())
        .map_err(|error| format!("{}: {error}", shown(url)))?;
    let response = client.send(request, budget).await.map_err(|fault| fault.to_string())?;
    let set = read(&response, algorithms).map_err(|why| format!("{}: {why}", shown(url)))?;
    Ok(Answer { set, max_age: max_age(response.headers()) })
}

fn read(response: &Response<Bytes>, algorithms: &[Algorithm]) -> Result<RemoteSet, String> {
    let status = response.status();
    if status.is_redirection() {
        return Err(format!("it answered {}; no redirect is followed", status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(format!("it answered {}, not 200", status.as_u16()));
    }
    let headers = response.headers();
    let packed = |value: &str| !value.eq_ignore_ascii_case("identity");
    if text(headers, &CONTENT_ENCODING).is_some_and(packed) {
        return Err("the answer is compressed, which nobody asked for".to_owned());
    }
    let html = |value: &str| value.trim_start().to_ascii_lowercase().starts_with("text/html");
    if text(headers, &CONTENT_TYPE).is_some_and(html) {
        return Err("the answer is a page (text/html), not a key set".to_owned());
    }
    RemoteSet::read(response.body(), algorithms).map_err(|fault| fault.to_string())
}

/// The freshness lifetime that is left (RFC 9111 §4.2): `max-age` less `Age`. Of several, the shortest.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| {
            let (name, value) = directive.split_once('=')?;
            let is_max_age = name.trim().eq_ignore_ascii_case("max-age");
            is_max_age.then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
        })
        .min()?;
    let age = text(headers, &AGE).and_then(|age| age.trim().parse::<u64>().ok());
    Some(Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
