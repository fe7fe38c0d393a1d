//! What an attacker sends to make a stage slow, each in two sizes: whoever sends four times as much may cost four times as
//! much, and not sixteen times.

use std::hint::black_box;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::route::Action;
use freshgate::policy::route::RouteTable;
use freshgate::proxy::backend_uri;
use freshgate::proxy::origin::origin;
use freshgate::server::wire::{Verdicts, Wire};
use freshgate::token::extract::{Accept, Cookies, Location};
use freshgate::token::verify::read;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use tokio::io::AsyncRead;

use super::Stage;
use super::judging::route;
use super::proxying::{limits, read_all, toward_backend_of};
use super::world::{ADDRESS, World};

/// An attack on one stage.
pub struct Attack {
    /// What is sent.
    pub name: &'static str,
    /// What there is more of.
    pub unit: &'static str,
    /// Of that, a little and four times as much; the larger is the most that the limits let in.
    pub sizes: [usize; 2],
    /// The stage, on so much.
    pub stage: Box<dyn Fn(usize) -> Stage>,
}

const BYTES: [usize; 2] = [2_000, 8_000];
const FIELDS: [usize; 2] = [25, 100];

fn attack(
    name: &'static str,
    unit: &'static str,
    sizes: [usize; 2],
    stage: impl Fn(usize) -> Stage + 'static,
) -> Attack {
    Attack { name, unit, sizes, stage: Box::new(stage) }
}

/// All attacks, in the order of a request.
pub fn all() -> Vec<Attack> {
    let world = World::new();
    let mut all = on_wire();
    all.extend(on_paths());
    all.extend(on_routes());
    all.extend(on_places(&world));
    all.extend(on_tokens(&world));
    all.extend(on_headers(&world));
    all
}

/// `piece` over and over, until there are so many bytes.
fn filled(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

/// A stream that gives a byte at each read.
struct Drip(Vec<u8>, usize);

impl AsyncRead for Drip {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        out: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let at = self.1;
        out.put_slice(self.0.get(at..at + 1).unwrap_or_default());
        self.1 += 1;
        std::task::Poll::Ready(Ok(()))
    }
}

fn on_wire() -> Vec<Attack> {
    let dripping = |bytes: usize| {
        let fields = filled("a: b\r\n", bytes.min(90 * "a: b\r\n".len()));
        let long = filled("x", bytes - fields.len());
        let head = format!("GET / HTTP/1.1\r\nhost: h\r\n{fields}long: {long}\r\n\r\n");
        Stage::on(
            "adversarial",
            "wire",
            move || Drip(head.clone().into_bytes(), 0),
            |drip| {
                let length = drip.0.len();
                let wire = Wire::new(drip, limits(), Verdicts::new(), Arc::default());
                assert_eq!(read_all(wire), length);
            },
        )
    };
    vec![attack("a head that comes byte by byte", "bytes", BYTES, dripping)]
}

fn on_paths() -> Vec<Attack> {
    let lenient = PathRules {
        resolve_dot_segments: true,
        merge_slashes: true,
        pass_encoded_slash: true,
        pass_backslash: true,
        pass_semicolon: true,
        pass_double_encoding: true,
        pass_non_utf8: true,
    };
    let of = |name, piece: &'static str, rules: PathRules, passes: bool| {
        attack(name, "bytes", BYTES, move |bytes| {
            let raw = format!("/{}x", filled(piece, bytes));
            Stage::of("adversarial", name, move || {
                let parsed = CanonicalPath::parse(black_box(&raw), &rules);
                assert_eq!(parsed.is_ok(), passes, "{parsed:?}");
                parsed.map(CanonicalPath::into_owned).is_ok()
            })
        })
    };
    let strict = PathRules::default();
    vec![
        of("path, dot segments that are resolved", "a/../", lenient, true),
        of("path, escaped dot segments that are resolved", "a/%2e%2E/", lenient, true),
        of("path, slashes that are merged", "//", lenient, true),
        of("path, escaped slashes and dots", "a%2f..a%5c", lenient, true),
        of("path, parameters", "a;b=%41", lenient, true),
        of("path, layers of escapes", "%2541", lenient, true),
        of("path, escapes of letters", "%41", strict, true),
        of("path, escapes of four octets", "%F0%9F%98%80", strict, true),
    ]
}

/// Every segment both literal and `*`: a search that must try both everywhere.
fn both_ways(depth: u32) -> RouteTable {
    let patterns = (0..1u32 << depth).map(|bits| {
        let segments = (0..depth).map(|at| if bits >> at & 1 == 1 { "/*" } else { "/a" });
        segments.collect::<String>() + "/end"
    });
    RouteTable::build(patterns.map(|one| route(&one)).collect()).expect("no two tie")
}

fn on_routes() -> Vec<Attack> {
    let search = |table: RouteTable, raw: String| {
        Stage::of("adversarial", "routes", move || {
            let path = CanonicalPath::parse(&raw, &PathRules::default()).expect("a plain path");
            assert!(table.find(black_box("GET"), "app.test", &path).is_none());
        })
    };
    let many = move |routes: usize| {
        let depth = routes.ilog2();
        search(both_ways(depth), "/a".repeat(depth as usize) + "/other")
    };
    let long = move |bytes| search(both_ways(8), "/a".repeat(8) + "/" + &filled("x", bytes));
    let deep = move |bytes: usize| {
        let deep = filled("a/", bytes.min(240));
        search(both_ways(6), format!("/{deep}{}", filled("x", bytes - deep.len())))
    };
    vec![
        attack("routes that share every prefix", "routes", [256, 1_024], many),
        attack("256 such routes, and a long segment", "bytes", BYTES, long),
        attack("64 such routes, and a long path", "bytes", BYTES, deep),
    ]
}

/// What is taken for a token, or nearly: in cookies, in the header and in the query.
fn on_places(world: &Arc<World>) -> Vec<Attack> {
    let of = |name, field: HeaderName, piece: &'static str| {
        let world = Arc::clone(world);
        attack(name, "bytes", BYTES, move |bytes| {
            let value = HeaderValue::try_from(filled(piece, bytes)).expect("a field");
            let headers = HeaderMap::from_iter([(field.clone(), value)]);
            let world = Arc::clone(&world);
            Stage::on(
                "adversarial",
                name,
                move || headers.clone(),
                move |mut headers| {
                    let locations = &world.snapshot.config.locations;
                    let accept = Accept::of([Location::Header, Location::Cookie]);
                    let found = locations.find(accept, Cookies::Either, &headers, None).location;
                    let in_header = locations.in_header(&headers);
                    locations.strip_cookies(&mut headers, false);
                    (found, in_header, headers)
                },
            )
        })
    };
    let query = |name, piece: &'static str| {
        let world = Arc::clone(world);
        attack(name, "bytes", BYTES, move |bytes| {
            let world = Arc::clone(&world);
            let (permit, path) = world.permit("/account/7/x");
            let target = format!("/account/7/x?{}", filled(piece, bytes));
            let asked = target.parse::<PathAndQuery>().expect("a target").into();
            Stage::of("adversarial", name, move || {
                let Action::Forward(plan) = &permit.route().action else { panic!("a backend") };
                let rules = &world.snapshot.config.paths;
                let firewall = &world.snapshot.firewall.credentials;
                firewall.in_query(http::Uri::query(&asked));
                backend_uri(&permit, plan, &path, &asked, rules, firewall).expect("a target")
            })
        })
    };
    vec![
        of("cookies that look like the token's", COOKIE, "Access.Token=x; "),
        of("cookies that look like the token's, escaped", COOKIE, "%61ccess%5ftoken[]=x; "),
        of("cookies in one, behind spaces and commas", COOKIE, "a=1 access_token =2,"),
        of("a cookie with a long name", COOKIE, "access%00token"),
        of("credentials behind commas", AUTHORIZATION, "Basic x,Bearer"),
        of("commas", AUTHORIZATION, ","),
        query("query, parameters that look like the token's", "Access.Token=x&"),
        query("query, signs that are escaped", "[|]"),
        query("query, separators", "&;"),
    ]
}

fn on_tokens(world: &Arc<World>) -> Vec<Attack> {
    let of = |name, token: fn(usize) -> String| {
        let world = Arc::clone(world);
        attack(name, "bytes", BYTES, move |bytes| {
            let (token, world) = (token(bytes), Arc::clone(&world));
            Stage::of("adversarial", name, move || {
                let rules = &world.snapshot.config.tokens;
                assert!(read(black_box(&token), world.snapshot.keys.own(), rules).is_err());
            })
        })
    };
    // Three quarters, since base64 makes four bytes of three.
    vec![
        of("token of dots", |bytes| format!("e30{}", ".".repeat(bytes))),
        of("token with a long payload, forged", |bytes| {
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
            format!("{header}.{}.{}", "A".repeat(bytes / 4 * 4), "A".repeat(43))
        }),
        of("token whose header has many members", |bytes| {
            let members: Vec<String> = (0..bytes / 20).map(|at| format!("\"{at:05}\":1")).collect();
            format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(format!("{{{}}}", members.join(","))))
        }),
        of("token whose header is deep", |bytes| {
            let lists = format!("[{}1{}],", "[".repeat(60), "]".repeat(60));
            let header = format!("{{\"x\":[{}1]}}", filled(&lists, bytes * 3 / 4));
            format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header))
        }),
        of("token whose header is a number", |bytes| {
            let header = format!("{{\"x\":{}}}", "9".repeat(bytes * 3 / 4));
            format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header))
        }),
        of("token whose header is escapes", |bytes| {
            let header = format!("{{\"x\":\"{}\"}}", filled("\\u00e9", bytes * 3 / 4));
            format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header))
        }),
    ]
}

fn on_headers(world: &Arc<World>) -> Vec<Attack> {
    let fields = |name, field: fn(usize) -> (String, String)| {
        let world = Arc::clone(world);
        attack(name, "fields", FIELDS, move |count| {
            let mut headers = world.headers(10);
            for at in 0..count - 10 {
                let (name, value) = field(at);
                let name: HeaderName = name.parse().expect("a name");
                headers.append(name, value.parse().expect("a value"));
            }
            toward_backend_of(&world, "adversarial", name.into(), headers)
        })
    };
    let list = |name, field: HeaderName, piece: &'static str| {
        let world = Arc::clone(world);
        attack(name, "bytes", BYTES, move |bytes| {
            let mut headers = world.headers(10);
            let value = HeaderValue::try_from(filled(piece, bytes)).expect("a field");
            headers.insert(field.clone(), value);
            toward_backend_of(&world, "adversarial", name.into(), headers)
        })
    };
    let chain = |bytes: usize| {
        let value =
            HeaderValue::try_from("x, ".to_owned() + &filled("127.0.0.1, ", bytes) + "127.0.0.1")
                .expect("a field");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), value)]);
        Stage::of("adversarial", "chain", move || origin(ADDRESS, &headers, |_| true))
    };
    vec![
        fields("fields named nearly like an identity", |at| {
            (format!("x{}user{}id{at}", ['_', '.'][at % 2], ['.', '_'][at / 2 % 2]), "1".into())
        }),
        fields("fields named like what CGI takes for the client's address", |at| {
            (format!("x_forwarded_for_{at:03}"), "1".into())
        }),
        fields("one identity field over and over", |_| ("x_user_id".into(), "1".into())),
        list("names in Connection", CONNECTION, "ab, "),
        list("one name in Connection over and over", CONNECTION, "host,"),
        attack("a chain of proxies", "bytes", BYTES, chain),
    ]
}
