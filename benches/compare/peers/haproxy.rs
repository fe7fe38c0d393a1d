//! HAProxy with one thread: as an HTTP proxy, as a layer-4 relay, and with `jwt_verify`, which verifies every time.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use super::{Place, Proxy, log};
use crate::process::{Running, free_address, pinned};
use crate::tokens::name;

const HEADERS: &str = "  option forwardfor\n\
 \x20 http-request set-header X-Forwarded-Proto http\n\
 \x20 http-request set-header X-Forwarded-Host %[req.hdr(host)]\n\
 \x20 http-request set-header X-Request-Id %[uuid()]\n";

/// Listeners `main`, `logged`, `relay`, and one named like each algorithm.
pub fn start(program: &str, place: Place) -> Result<Proxy, String> {
    let dir = place.folder.join("haproxy");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let [main, logged, relay, hs256, rs256, es256] = std::array::from_fn(|_| free_address());
    let mut text = format!(
        "global\n  nbthread 1\n  maxconn {connections}\n\
         defaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n  timeout connect 5s\n\
         \x20 timeout client 600s\n  timeout server 60s\n  timeout http-keep-alive 600s\n\
         backend b\n  server s {backend}\n\
         backend relayed\n  mode tcp\n  server s {backend}\n\
         frontend relay\n  mode tcp\n  bind {relay}\n  default_backend relayed\n\
         frontend main\n  bind {main}\n{HEADERS}  default_backend b\n\
         frontend logged\n  bind {logged}\n  log stdout format raw local0\n  option httplog\n{HEADERS}  default_backend b\n",
        backend = place.backend,
        connections = place.connections + 10,
    );
    for (key, address) in place.keys.all().iter().zip([hs256, rs256, es256]) {
        let (alg, id) = (key.algorithm.name(), name(key.algorithm));
        let secret = match key.algorithm.is_symmetric() {
            true => key.private.clone(),
            false => place.key_folder.join(format!("{id}.pub")).display().to_string(),
        };
        let _infallible = write!(
            text,
            "frontend {id}\n  bind {address}\n{HEADERS}\
             \x20 http-request set-var(txn.bearer) http_auth_bearer\n\
             \x20 http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')\n\
             \x20 http-request deny deny_status 401 unless {{ var(txn.alg) -m str {alg} }}\n\
             \x20 http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,\"{secret}\") -m int 1 }}\n\
             \x20 http-request set-var(txn.now) date()\n\
             \x20 http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')\n\
             \x20 http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}\n\
             \x20 http-request set-header X-User-Id %[var(txn.bearer),jwt_payload_query('$.sub')]\n\
             \x20 default_backend b\n"
        );
    }
    fs::write(dir.join("haproxy.cfg"), text).map_err(|error| error.to_string())?;
    let access = fs::File::create(dir.join("access.log")).map_err(|error| error.to_string())?;
    let mut command = pinned(program, place.cores.peer.as_ref());
    command.arg("-db").arg("-f").arg(dir.join("haproxy.cfg"));
    command.stdin(Stdio::null()).stdout(access).stderr(log(place, "haproxy"));
    let mut running = Running::start(&mut command)?;
    running.listens(es256)?;
    let listeners = [
        ("main", main),
        ("logged", logged),
        ("relay", relay),
        ("hs256", hs256),
        ("rs256", rs256),
        ("es256", es256),
    ];
    Ok(Proxy { running, listeners: listeners.into() })
}
