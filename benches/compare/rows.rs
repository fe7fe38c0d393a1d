//! The rows of the table: which request, and who is asked it.

use freshgate::token::keys::Algorithm;

use crate::peers::Peer;
use crate::tokens::ALGORITHMS;

/// One way to use one proxy.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// On the page, and in the results.
    pub who: &'static str,
    pub peer: Peer,
    pub listener: &'static str,
}

const fn of(who: &'static str, peer: Peer, listener: &'static str) -> Use {
    Use { who, peer, listener }
}

pub const NGINX: &str = "nginx, no authentication";
pub const RELAY: &str = "HAProxy, layer-4 relay";
pub const HAPROXY_JWT: &str = "HAProxy, jwt_verify";
pub const ENVOY_JWT: &str = "Envoy, jwt_authn";
pub const ENVOY_CACHED: &str = "Envoy, jwt_authn with its cache";

/// What the requests bring along.
#[derive(Clone, Copy, Debug)]
pub enum Carries {
    Nothing,
    /// The same good token, each time.
    Token(Algorithm),
    /// A token with each request that was never used before.
    NewTokens(Algorithm),
    /// A token of ours that has expired.
    Expired(Algorithm),
    /// A token whose signature is another's.
    Forged(Algorithm),
    /// A body of so many bytes.
    Body(usize),
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// For `--only`, and in the results.
    pub id: String,
    pub name: String,
    pub path: String,
    pub carries: Carries,
    /// The statuses that are right.
    pub statuses: &'static [u16],
    /// freshgate is the first.
    pub uses: Vec<Use>,
}

fn plain() -> Vec<Use> {
    vec![
        of("freshgate", Peer::Freshgate, "main"),
        of("nginx", Peer::Nginx, "main"),
        of("HAProxy", Peer::Haproxy, "main"),
        of("Envoy", Peer::Envoy, "main"),
    ]
}

/// The listeners of HAProxy, of Envoy, and of Envoy with its cache.
fn listeners(algorithm: Algorithm) -> [&'static str; 2] {
    match algorithm {
        Algorithm::Hs256 => ["hs256", "hs256-cached"],
        Algorithm::Rs256 => ["rs256", "rs256-cached"],
        _ => ["es256", "es256-cached"],
    }
}

fn judged(algorithm: Algorithm) -> Vec<Use> {
    let [every_time, cached] = listeners(algorithm);
    vec![
        of("freshgate", Peer::Freshgate, "main"),
        of(HAPROXY_JWT, Peer::Haproxy, every_time),
        of(ENVOY_JWT, Peer::Envoy, every_time),
        of(ENVOY_CACHED, Peer::Envoy, cached),
    ]
}

/// All rows, in the order of the page.
pub fn all() -> Vec<Row> {
    let row = |id: &str, name: &str, path: &str, carries, statuses, uses| Row {
        id: id.to_owned(),
        name: name.to_owned(),
        path: path.to_owned(),
        carries,
        statuses,
        uses,
    };
    let mut rows = vec![row("public", "public", "/public/x", Carries::Nothing, &[200], plain())];
    rows[0].uses.push(of(RELAY, Peer::Haproxy, "relay"));
    for algorithm in ALGORITHMS {
        let id = crate::tokens::name(algorithm);
        let name = format!("access-required, {}", algorithm.name());
        let carries = Carries::Token(algorithm);
        let mut uses = judged(algorithm);
        if algorithm == Algorithm::Es256 {
            uses.push(of(NGINX, Peer::Nginx, "main"));
            uses.push(of(RELAY, Peer::Haproxy, "relay"));
        }
        rows.push(row(&id, &name, "/app/x", carries, &[200], uses));
    }
    for algorithm in ALGORITHMS {
        let id = format!("cold-{}", crate::tokens::name(algorithm));
        let name = format!("cold tokens, each used once, {} ¹", algorithm.name());
        let uses = judged(algorithm).into_iter().filter(|one| one.who != ENVOY_JWT).collect();
        rows.push(row(&id, &name, "/app/x", Carries::NewTokens(algorithm), &[200], uses));
    }
    let refused = [
        ("no-token", "refused: no token", Carries::Nothing, &[401][..]),
        ("expired", "refused: expired, RS256", Carries::Expired(Algorithm::Rs256), &[401]),
        // Beyond so many bad signatures a second freshgate checks no more of them: 503.
        ("forged", "refused: forged, RS256 ²", Carries::Forged(Algorithm::Rs256), &[401, 503]),
    ];
    for (id, name, carries, statuses) in refused {
        rows.push(row(id, name, "/app/x", carries, statuses, judged(Algorithm::Rs256)));
    }
    let mut logged = plain();
    logged.iter_mut().for_each(|one| one.listener = "logged");
    rows.push(row(
        "access-log",
        "public, access log on",
        "/public/x",
        Carries::Nothing,
        &[200],
        logged,
    ));
    for (id, name, size) in
        [("64k", "64 KiB from the backend", 65_536), ("1m", "1 MiB from the backend", 1 << 20)]
    {
        let path = format!("/public/size-{size}");
        rows.push(row(id, name, &path, Carries::Nothing, &[200], plain()));
    }
    for (id, name, size) in
        [("64k-up", "64 KiB to the backend", 65_536), ("1m-up", "1 MiB to the backend", 1 << 20)]
    {
        rows.push(row(id, name, "/public/x", Carries::Body(size), &[200], plain()));
    }
    let routes =
        vec![of("freshgate", Peer::Freshgate, "routes"), of("nginx", Peer::Nginx, "routes")];
    rows.push(row(
        "routes",
        "public, 10,000 routes",
        "/service/7777/x",
        Carries::Nothing,
        &[200],
        routes,
    ));
    rows
}
