//! A whole gateway without a socket: its configuration, keys and state, and requests for it.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use freshgate::config::lower::lower;
use freshgate::gateway::{Data, Snapshot};
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::{Permit, decide};
use freshgate::proxy::headers::Client;
use freshgate::server::build;
use freshgate::store::embedded::Embedded;
use freshgate::telemetry::{self, Metrics};
use freshgate::token::mint::Mint;
use freshgate::token::{TokenKind, UnixTime};
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tempfile::TempDir;

/// Who asks.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The session of its token.
const SESSION: &str = "5f7ff519-beeb-4128-88a9-b9662896024a";
/// Revoked sessions, none of which is asked for.
const REVOKED: usize = 1_000;
/// Year 2100: no row expires.
const EXPIRES_AT: i64 = 4_102_444_800;

const CONFIG: &str = r#"
upstream = "builtin:whoami"

[tokens]
accept = ["header", "cookie", "query"]
access_ttl = "1d"

[[tokens.key]]
id = "k"
alg = "HS256"
secret = { file = "secret" }

[login]
enabled = false

[identity]
X-User-Id = "sub"
X-User-Roles = "roles"

[log]
access = false

[state]
dir = "state"

[routes]
"/public/**" = "public"
"/account/{item}/**" = "access-required"
"/safe/**" = { policy = "fresh-required", max_age = "5m" }
"/team/{team}/**" = { policy = "access-required", claims = { team = "{team}", roles = ["admin", "editor"] } }
"#;

/// The gateway, and who asks it.
pub struct World {
    /// Its configuration, keys, state and firewall.
    pub snapshot: Arc<Snapshot>,
    /// A data thread of it.
    pub data: Arc<Data>,
    /// A good token.
    pub token: String,
    /// When everything happens.
    pub now: UnixTime,
    /// The other side.
    pub client: Client,
    /// Its state; removed with it.
    _dir: TempDir,
}

impl World {
    /// With an HS256 key, a thousand revoked sessions and the backend inside the binary.
    pub fn new() -> Arc<World> {
        let dir = tempfile::tempdir().expect("a directory");
        let secret = [uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string()].concat();
        let file = dir.path().join("secret");
        fs::write(&file, secret).expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("its owner's alone");
        revoke(&dir.path().join("state"));
        let config = lower(CONFIG, None, dir.path()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let metrics = Arc::new(Metrics::new());
        let built = build::first(config, Arc::clone(&metrics)).expect("a world");
        let snapshot = Arc::new(built.snapshot);
        let now = UnixTime::of(telemetry::clock());
        let claims = json!({ "roles": ["editor", "reader"], "team": "blue" });
        let mint = Mint {
            subject: "alice",
            kind: TokenKind::Access,
            fresh: true,
            auth_time: Some(now),
            session: Some(SESSION),
            claims: claims.as_object().expect("an object"),
            ttl: Duration::from_secs(86_400),
        };
        let token = mint.sign(snapshot.keys.own(), &snapshot.config.tokens, now);
        let client = Client {
            peer: ADDRESS.into(),
            origin: ADDRESS,
            trusted: false,
            request_id: HeaderValue::from_static("0197f0c6-7a2c-7f3e-9c1d-3a5b7c9d1e2f"),
        };
        Arc::new(World {
            data: Data::new(Arc::new(ArcSwap::new(Arc::clone(&snapshot))), metrics.thread(0)),
            token: token.expect("the ring signs").token,
            snapshot,
            now,
            client,
            _dir: dir,
        })
    }

    /// The permit of this path for the good token.
    pub fn permit(&self, path: &'static str) -> (Permit, CanonicalPath<'static>) {
        let path = CanonicalPath::parse(path, &PathRules::default()).expect("a plain path");
        let config = &self.snapshot.config;
        let route = config.routes.find("GET", "app.test", &path).expect("a route");
        let standing = self.snapshot.keys.judge(&self.token, &config.tokens, self.now);
        (decide(route, &path, standing, self.now).expect("passes"), path)
    }

    /// So many fields as a browser sends them: the first ten are those of every request, with the token; the rest names
    /// its device, a field each.
    pub fn headers(&self, count: usize) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(count);
        headers.insert(HOST, HeaderValue::from_static("app.test"));
        let bearer = format!("Bearer {}", self.token);
        headers.insert(AUTHORIZATION, bearer.parse().expect("a field"));
        headers.insert(COOKIE, HeaderValue::from_static("theme=dark; lang=en; seen=2026-11-23"));
        for (name, value) in [
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-GB,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("connection", "keep-alive"),
            ("referer", "http://app.test/account/orders"),
            ("sec-fetch-site", "same-origin"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        for index in headers.len()..count {
            let name = format!("x-device-{index}").parse::<HeaderName>().expect("a name");
            headers.insert(name, HeaderValue::from_static("some value of ordinary length"));
        }
        headers
    }

    /// The same as a head on the wire.
    pub fn head(&self, target: &str, count: usize) -> Vec<u8> {
        let mut head = format!("GET {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &self.headers(count) {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// A state directory with revoked sessions.
fn revoke(dir: &Path) {
    drop(Embedded::open(dir).expect("a new state"));
    let mut sql = rusqlite::Connection::open(dir.join("state.db")).expect("the file");
    let batch = sql.transaction().expect("a transaction");
    for _ in 0..REVOKED {
        let row = "INSERT INTO revocations (kind, id, expires_at) VALUES ('session', ?1, ?2)";
        let mut row = batch.prepare_cached(row).expect("a statement");
        let id = uuid::Uuid::new_v4().to_string();
        row.execute(rusqlite::params![id, EXPIRES_AT]).expect("a row");
    }
    batch.commit().expect("a commit");
}
