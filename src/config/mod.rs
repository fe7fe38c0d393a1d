//! What `gateway.toml` means: a [`Config`] holds no option that must be set and no string that must parse.
//!
//! `raw` is what the file says, with the place of every word; `lower` turns it into a `Config` or into
//! *all* of its mistakes; `diagnostic` words and draws them; `reference` prints the documentation.
//! Called once at start and once for each reload; never on the way of a request.

mod backend_users;
pub mod database;
pub mod diagnostic;
pub mod events;
pub mod limits_page;
#[cfg(test)]
mod lint_tests;
pub mod lower;
mod macros;
pub mod open;
pub mod query;
pub mod raw;
pub mod raw_test;
pub mod read;
pub mod reference;
pub mod schema;
pub mod secret;
pub mod selftest;
pub mod sessions;
pub mod shared_state;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod values;
pub mod words;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

pub use self::backend_users::{BackendUsers, CookieName, LoginFormat, Success};
pub use self::database::UsersSource;
use self::diagnostic::{Diagnostics, Span};
pub use self::events::EventRules;
pub use self::secret::Resolved;
pub use self::selftest::FileTest;
pub use self::sessions::SessionRules;
pub use self::shared_state::SharedState;
pub use self::trust::{JwksUrl, Trust, TrustKeys};
use crate::policy::path::PathRules;
use crate::policy::route::{Action, Route, RouteTable};
use crate::token::extract::Locations;
use crate::token::keys::{Algorithm, KeySpec};
use crate::token::verify::TokenRules;

/// The file that serves when none is named and none is there: what a newcomer sees first.
pub const DEFAULT: &str = include_str!("../../gateway.toml");

/// The configuration, whole and without mistakes. Made only by [`lower`].
#[derive(Debug)]
pub struct Config {
    /// Where it was read from; `None` for the embedded default.
    pub file: Option<PathBuf>,
    /// The public listener.
    pub listen: SocketAddr,
    /// The operator's listener; `None` when switched off.
    pub admin: Option<SocketAddr>,
    /// Peers whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Named groups of backends; routes hold indices into this list.
    pub upstreams: Vec<Upstream>,
    /// Every route, our endpoints among them.
    pub routes: RouteTable,
    /// What `[paths]` lets pass.
    pub paths: PathRules,
    /// What tokens must say and how long ours live.
    pub tokens: TokenRules,
    /// How sessions go on and end.
    pub sessions: SessionRules,
    /// Whose clients the answers are for.
    pub profile: Profile,
    /// Where tokens are looked for, and by which names.
    pub locations: Locations,
    /// `[[tokens.key]]`, in the order of the file; empty means: use the key made on first run.
    pub keys: Vec<KeySpec>,
    /// `[[tokens.trust]]`, in the order of the file.
    pub trusts: Vec<Trust>,
    /// `[login]`; `None` when `enabled = false`.
    pub login: Option<Login>,
    /// `[identity]`, in the order of the file.
    pub identity: Vec<IdentityHeader>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[state] dir`, absolute or relative to the working directory.
    pub state_dir: PathBuf,
    /// `[state] postgres`; `None`: the state is this gateway's own, in `state_dir`.
    pub shared_state: Option<SharedState>,
    /// `[log]`.
    pub log: Log,
    /// `[events]`.
    pub events: EventRules,
    /// `[[test]]`, in the order of the file. They are run a floor above: `gateway::selftest`.
    pub tests: Vec<FileTest>,
    /// Where each route stands in the file, by its index; `None` for our endpoints.
    pub places: Vec<Option<Span>>,
    /// What was probably not meant, in the order of the file. No errors: with one there is no `Config`.
    pub warnings: Diagnostics,
    /// Names the text that this was read from: equal texts, equal hashes.
    pub hash: String,
}

impl Config {
    /// Whether an address is a listed proxy; an IPv4 address is one also where IPv6 carries it.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address) || net.contains(&plain))
    }

    /// The name of the upstream that a route leads to; `None` for an endpoint of ours.
    pub fn upstream_name(&self, route: &Route) -> Option<&str> {
        match &route.action {
            Action::Forward(plan) => Some(&self.upstreams[plan.upstream].name),
            Action::Endpoint(_) => None,
        }
    }
}

/// `[tokens] profile`: whose clients the answers are for. It changes no decision; `TokenRules::csrf` goes with it, and does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Ours.
    #[default]
    Standard,
    /// Those of Flask-JWT-Extended 4.x.
    FlaskJwtExtended,
}

impl Profile {
    /// Its word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::FlaskJwtExtended => "flask-jwt-extended",
        }
    }
}

/// An address as limits count it: of IPv6 the /64 network, which is what one household or server gets.
pub fn network(address: IpAddr) -> IpAddr {
    const HOST_BITS: u32 = 64;
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> HOST_BITS << HOST_BITS)),
        four => four,
    }
}

/// One named group of backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name; `default` for the top-level `upstream`.
    pub name: Arc<str>,
    /// Where it is.
    pub target: Target,
    /// What `Host` the backend sees.
    pub host: HostRule,
    /// How long a connection may take to open.
    pub timeout_connect: Duration,
    /// How long the backend may take from the end of our request head to its response head.
    pub timeout_first_byte: Duration,
    /// How long it may pause inside a response.
    pub timeout_idle: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
    /// How many unused connections each data thread keeps.
    pub idle_max: usize,
    /// Most requests that it has at once, over all data threads.
    pub requests_max: usize,
    /// Most requests that wait for a place.
    pub queue_max: usize,
    /// Whether it gets a signed assertion of who asks.
    pub assertion: bool,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `http://host:port`: the authority as written, resolved when connecting.
    Http {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `builtin:whoami`: the small backend inside the binary.
    Whoami,
}

/// What `Host` the backend sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// The client's.
    Keep,
    /// The upstream's own authority.
    Upstream,
    /// This one.
    Fixed(HeaderValue),
}

/// `[login]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Path prefix of our endpoints, without a slash at the end.
    pub at: String,
    /// The whole path of the login.
    pub login: String,
    /// The whole path of the refresh.
    pub refresh: String,
    /// The whole path of the logout.
    pub logout: String,
    /// Where the users are.
    pub users: UsersSource,
    /// Whether a weak hash is replaced, in our state, by one of ours when its password is right.
    pub rehash: bool,
    /// The cookies that it sets; `None` when it sets none.
    pub cookies: Option<LoginCookies>,
}

/// The names by which pages find what they send as `X-CSRF-TOKEN`, with the profile `flask-jwt-extended`.
pub const CSRF_COOKIES: [&str; 2] = ["csrf_access_token", "csrf_refresh_token"];

/// `[login] cookies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCookies {
    /// Whether the answers hold the tokens too.
    pub in_bodies: bool,
    /// Whether browsers send them over TLS only.
    pub secure: bool,
    /// Where browsers send the refresh cookie: to all that is under this path.
    pub refresh_path: String,
}

/// One line of `[identity]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// The field the backend reads.
    pub name: HeaderName,
    /// The claim whose value it carries.
    pub claim: String,
}

/// The most that `header_count` can be: so many fields of a request are read without asking for memory.
pub const HEADER_COUNT_MAX: usize = 256;

/// `[limits]`: every one has a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request target, in bytes.
    pub target_max: usize,
    /// Largest request head, in bytes.
    pub header_max: usize,
    /// Most header fields of a request.
    pub header_count: usize,
    /// How long a request head may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keep_alive: Duration,
    /// Most requests on one connection.
    pub requests_per_connection: usize,
    /// Largest request body, in bytes.
    pub body_max: u64,
    /// How long a client may pause inside a body, or take nothing of an answer.
    pub body_idle: Duration,
    /// Fewest bytes a second from or to a client, averaged over `body_idle`; 0 asks for none.
    pub body_rate_min: u64,
    /// Most connections at once.
    pub connections_max: usize,
    /// Most connections at once from one address.
    pub connections_per_address: usize,
    /// Largest response head, 1xx responses before it included, in bytes.
    pub response_header_max: usize,
    /// Most header fields of a response.
    pub response_header_count: usize,
    /// Most 1xx responses before the real one.
    pub informational_max: usize,
    /// How long requests wait for a place at an upstream.
    pub upstream_queue_timeout: Duration,
    /// Most bad signatures a second that a data thread checks for one address.
    pub token_failures: usize,
    /// Most verified tokens remembered by each data thread.
    pub token_cache: usize,
    /// Most password checks waiting at once.
    pub login_queue: usize,
    /// Wrong passwords for one account before a wait.
    pub login_failures_account: usize,
    /// The longest wait for an account.
    pub login_delay_account: Duration,
    /// Wrong passwords from one address before a wait.
    pub login_failures_address: usize,
    /// The longest wait for an address.
    pub login_delay_address: Duration,
    /// How long requests in flight may take to finish on shutdown.
    pub drain: Duration,
    /// Data threads; 0 means one for each core.
    pub threads: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// One line for each request.
    pub access: bool,
    /// Text or JSON; `None` means text on a terminal, JSON elsewhere.
    pub format: Option<LogFormat>,
    /// A filter such as `info` or `freshgate=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

/// What is known of a `[[tokens.key]]` without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOutline {
    /// `kid`.
    pub id: String,
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// Whether it signs, or only verifies.
    pub signs: bool,
    /// Where it is kept: `env NAME` or `file PATH`, as written.
    pub origin: String,
}
