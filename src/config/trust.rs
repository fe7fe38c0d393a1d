//! What `[[tokens.trust]]` means: another issuer, and where its keys are.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use crate::token::keys::KeyRing;
use crate::token::trust;

/// One `[[tokens.trust]]`.
#[derive(Clone, Debug)]
pub struct Trust {
    /// What its tokens must say, and what they then mean.
    pub rules: Arc<trust::Trust>,
    /// Where its keys are.
    pub keys: TrustKeys,
}

/// Where the keys of another issuer are.
#[derive(Clone, Debug)]
pub enum TrustKeys {
    /// In a file, which was read with the configuration.
    File {
        /// The file, as written.
        name: String,
        /// The keys; `None` in an outline, which reads no files.
        ring: Option<Arc<KeyRing>>,
    },
    /// At a URL, which is asked while the gateway runs.
    Url(JwksUrl),
}

/// A JWK set at a URL, and how it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// `https://…`, or `http://` with an address of `allow_private`.
    pub url: Uri,
    /// From one fetch to the next.
    pub refresh: Duration,
    /// Shortest time between two fetches for keys that are not known.
    pub refetch_min: Duration,
    /// How long keys are used that cannot be fetched again.
    pub stale_max: Duration,
    /// Networks that are not public and may be led to.
    pub allow_private: Vec<IpNet>,
    /// Certificates in PEM that are believed besides the system's.
    pub ca: Option<Vec<u8>>,
}

impl TrustKeys {
    /// As the configuration has it, for messages.
    pub fn origin(&self) -> String {
        match self {
            TrustKeys::File { name, .. } => format!("file {name}"),
            TrustKeys::Url(at) => format!("URL {}", at.url),
        }
    }
}

/// Why a URL that the gateway itself is to ask cannot be used, as far as its text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlFault {
    /// No URL.
    NoUrl,
    /// Without scheme or host.
    NotWhole,
    /// With a part that is never sent.
    UserOrFragment,
    /// Nobody can be found by it.
    NoHost,
    /// `http://`, and not to an address that is listed.
    NoTls,
    /// Another scheme.
    NotHttps,
}
