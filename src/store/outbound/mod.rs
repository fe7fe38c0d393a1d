//! The one client for requests that the gateway itself sends: key sets of other issuers, the login of a legacy
//! application, events. Control side only; nothing on the way of a proxied request waits for it.
//!
//! One connection for one request, closed after it: nothing is left over from who asked before, no request is ever sent
//! twice, and a dropped future is a closed socket. TLS resumes sessions. It never follows a redirect (the
//! caller sees it), asks no proxy, whatever the environment says, and unpacks nothing. `guard` says which addresses may
//! be reached, `connect` reaches only what it passed, `tls` checks certificate and name, `target` reads the URL.

mod connect;
mod fault;
mod guard;
#[cfg(test)]
pub(in crate::store) mod rig_tests;
mod target;
#[cfg(test)]
mod tests;
mod tls;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use connect::Connector;
pub use fault::{OptionsFault, OutboundFault, Why};
use guard::AddressGuard;
use target::Target;
pub use target::shown;
use tls::Tls;

/// How long a connection may take to open, TLS included, where nothing else is said.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the lookup of a name may take.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Most lookups that one client has under way, those included that nobody waits for any longer.
pub const LOOKUPS_MAX: usize = 8;
/// Bytes of the largest head of an answer.
pub const HEAD_MAX: usize = 32 * 1024;
/// Most fields in the head of an answer.
pub const HEAD_FIELDS_MAX: usize = 100;

/// Who we are to others (RFC 9110 §10.1.5).
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("freshgate/", env!("CARGO_PKG_VERSION")));

/// What a client may reach, and whom it believes.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a connection may take to open, TLS included; looking up its name is not.
    pub connect_timeout: Duration,
    /// Networks that may be reached although they are private, loopback or special in another way.
    pub allow_private: Vec<IpNet>,
    /// Certificates in PEM that are roots besides those of the system.
    pub ca: Option<Vec<u8>>,
}

impl Default for Options {
    /// Ordinary addresses only, the system's roots only.
    fn default() -> Options {
        Options { connect_timeout: CONNECT_TIMEOUT, allow_private: Vec::new(), ca: None }
    }
}

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// From the lookup to the last byte of the answer.
    pub timeout: Duration,
    /// Bytes of the largest body of an answer.
    pub body_max: usize,
}

/// The client. Works on any runtime with time and I/O; belongs to none.
pub struct Outbound {
    connector: Connector,
    connect_timeout: Duration,
    tls: Tls,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbound")
    }
}

impl Outbound {
    /// Makes a client. Reads the roots of the system, which takes some milliseconds.
    ///
    /// # Errors
    /// [`OptionsFault`]: `ca` is not what it should be.
    pub fn new(options: Options) -> Result<Outbound, OptionsFault> {
        let Options { connect_timeout, allow_private, ca } = options;
        let connector = Connector::new(AddressGuard::new(allow_private), LOOKUP_TIMEOUT);
        Ok(Outbound { connector, connect_timeout, tls: tls::config(ca.as_deref())? })
    }

    /// Sends the request to the host of its URL, which is absolute, and collects the answer, whatever its status.
    /// `Host`, `Content-Length` and `Connection` are written here.
    ///
    /// # Errors
    /// [`OutboundFault`]: there is no whole answer within the budget. Whether the request arrived is not known, unless
    /// the fault is one of before.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        budget: Budget,
    ) -> Result<Response<Bytes>, OutboundFault> {
        let url = target::shown(request.uri());
        let answer = timeout(budget.timeout, self.ask(request, budget.body_max)).await;
        let answer = answer.unwrap_or(Err(Why::Timeout(budget.timeout)));
        answer.map_err(|why| OutboundFault { url, why })
    }

    async fn ask(&self, request: Request<Bytes>, body_max: usize) -> Result<Response<Bytes>, Why> {
        let target = Target::parse(request.uri())?;
        let request = prepared(request, &target)?;
        let addresses = self.connector.addresses(&target).await?;
        let limit = self.connect_timeout;
        let late = Err(Why::ConnectTimeout(limit));
        let open = connect::connect(&addresses, limit);
        if !target.tls {
            return exchange(open.await?, request, body_max).await;
        }
        let secure = async { tls::handshake(&self.tls, target.host.text(), open.await?).await };
        let stream = timeout(limit, secure).await.unwrap_or(late)?;
        exchange(stream, request, body_max).await
    }
}

/// The request as it goes over the wire.
fn prepared(request: Request<Bytes>, target: &Target) -> Result<Request<Full<Bytes>>, Why> {
    if request.method() == Method::CONNECT {
        return Err(Why::Url("`CONNECT` is no request to a server"));
    }
    let (mut parts, body) = request.into_parts();
    parts.uri = target.path.clone();
    parts.version = Version::HTTP_11;
    // The length of the body is told by the library, from the body.
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.insert(HOST, target.authority.clone());
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    parts.headers.entry(USER_AGENT).or_insert(AGENT);
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// One request and its answer on a fresh connection, which ends with this future.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Full<Bytes>>,
    body_max: usize,
) -> Result<Response<Bytes>, Why> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_MAX).max_header_size(HEAD_MAX).max_headers(HEAD_FIELDS_MAX);
    let opened = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|error| broken(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        collected(response, body_max).await
    };
    // Driven here and not in a task of its own: what is given up is closed at once. How it ended, the answer tells.
    let driven = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    first(answer, driven).await
}

/// The answer, while the connection is driven beside it.
async fn first<T>(answer: impl Future<Output = T>, driven: impl Future<Output = Infallible>) -> T {
    tokio::select! {
        answer = answer => answer,
        never = driven => match never {},
    }
}

/// The answer with its whole body; of a larger one never more than the limit is held, and none of it when it
/// says its length.
async fn collected(response: Response<Incoming>, max: usize) -> Result<Response<Bytes>, Why> {
    let (parts, mut body) = response.into_parts();
    if body.size_hint().lower() > max as u64 {
        return Err(Why::BodyTooLarge(max));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are of no use to any caller.
        let Ok(piece) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        if piece.len() > max - whole.len() {
            return Err(Why::BodyTooLarge(max));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Response::from_parts(parts, whole.freeze()))
}

fn broken(error: &hyper::Error) -> Why {
    if error.is_parse_too_large() {
        return Why::HeadTooLarge;
    }
    match std::error::Error::source(error) {
        Some(cause) => Why::Broken(format!("{error}: {cause}")),
        None => Why::Broken(error.to_string()),
    }
}
