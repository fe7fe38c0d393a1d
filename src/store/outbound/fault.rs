//! Why a request of our own got no answer: a closed list, each with a sentence for operators. Never says what a query
//! or a user's part of a URL holds.

use std::net::IpAddr;
use std::time::Duration;

use super::{HEAD_FIELDS_MAX, HEAD_MAX};

/// A request that got no whole answer, and where it was going.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {why}")]
pub struct OutboundFault {
    /// Scheme, host, port and path: what may be logged.
    pub url: String,
    /// What went wrong.
    pub why: Why,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The request cannot be sent as it is; nothing was.
    #[error("this URL cannot be asked: {0}")]
    Url(&'static str),
    /// The system could not find the name.
    #[error("the name cannot be looked up: {0}")]
    Lookup(String),
    /// The system took too long to find the name.
    #[error("the name was not looked up within {}", span(.0))]
    LookupTimeout(Duration),
    /// The address guard refused every address of the name.
    #[error("this leads to {address}, {kind}; if that is meant, list it in `allow_private`")]
    Refused {
        /// The first address that was refused.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// No address took a connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No connection, its TLS included, in time.
    #[error("no connection within {}", span(.0))]
    ConnectTimeout(Duration),
    /// The server did not prove that it is the one of the URL, or speaks no TLS of today.
    #[error("TLS: {0}")]
    Tls(String),
    /// The answer was not whole in time.
    #[error("no whole answer within {}", span(.0))]
    Timeout(Duration),
    /// The head of the answer is larger than [`HEAD_MAX`] or has more than [`HEAD_FIELDS_MAX`] fields.
    #[error("the answer's head has more than {HEAD_MAX} bytes or {HEAD_FIELDS_MAX} fields")]
    HeadTooLarge,
    /// The body of the answer is larger than this many bytes.
    #[error("the answer has more than {0} bytes")]
    BodyTooLarge(usize),
    /// The connection ended before the answer did, or what came is not HTTP/1.1.
    #[error("the answer broke off or is not HTTP: {0}")]
    Broken(String),
}

/// Why a client cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsFault {
    /// The PEM text of further roots holds no certificate.
    #[error("there is no certificate in PEM in it")]
    NoCertificate,
    /// One of its certificates cannot be read, or cannot be a root.
    #[error("certificate {0} in it cannot be read")]
    Certificate(usize),
    /// The cryptographic library offers no version of TLS.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

fn span(span: &Duration) -> humantime::FormattedDuration {
    humantime::format_duration(*span)
}
