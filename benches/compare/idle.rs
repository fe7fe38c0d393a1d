//! Memory of connections that wait for their next request.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use freshgate::token::keys::Algorithm;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Kit;
use crate::load::exchange;
use crate::peers::{Extra, Peer, Place, Proxy, gateway, start};
use crate::report::{Facts, Idle, IdlePeer};

/// File descriptors that this needs besides the connections: those of the kit itself.
const OTHER_DESCRIPTORS: u64 = 200;

pub fn measure(kit: &mut Kit) -> Result<Idle, String> {
    let count = within_descriptors(kit.options.connections);
    let mut idle = Idle {
        facts: Facts::now(kit.cores.words(), kit.versions()),
        connections: count,
        peers: Vec::new(),
    };
    for peer in Peer::ALL.into_iter().filter(|peer| kit.programs.has(*peer)) {
        let folder = kit.folder(&format!("idle-{}", peer.name()));
        let place = Place { connections: count + 10, ..kit.place(&folder) };
        let proxy: Proxy = match peer {
            Peer::Freshgate => {
                let limits = "connections_max = 30000\nconnections_per_address = 30000\nkeep_alive = \"10m\"";
                let extra = Extra { limits: limits.to_owned(), ..Extra::default() };
                gateway(kit.programs.path(peer), place, "main", &extra)?
            }
            _ => start(peer, &kit.programs, place)?.remove(0),
        };
        let address = proxy.at("main").ok_or("no listener")?;
        // One connection first: what is made once, at the first request, is not a connection's.
        drop(open(address, &request(kit), 1)?);
        settle(kit);
        let before_kib = proxy.running.memory_kib();
        let held = open(address, &request(kit), count)?;
        settle(kit);
        let after_kib = proxy.running.memory_kib();
        drop(held);
        eprintln!("{}: {before_kib} KiB, with {count} connections {after_kib} KiB", peer.name());
        idle.peers.push(IdlePeer { who: peer.name().to_owned(), before_kib, after_kib });
    }
    Ok(idle)
}

/// A request with a token, for all of them: the others pass the token on unread.
fn request(kit: &Kit) -> String {
    let token = kit.keys.good(Algorithm::Es256);
    format!("GET /app/x HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// Until whatever follows a request is done.
fn settle(kit: &Kit) {
    thread::sleep(Duration::from_millis(if kit.options.small { 50 } else { 3000 }));
}

/// Opens connections one after the other; each has had one answer, and waits.
pub fn open(address: SocketAddr, request: &str, count: usize) -> Result<Vec<TcpStream>, String> {
    let one = |at: usize| {
        let mut stream =
            TcpStream::connect(address).map_err(|error| format!("connection {at}: {error}"))?;
        match exchange(&mut stream, request) {
            Some(200) => Ok(stream),
            other => Err(format!("connection {at}: {other:?}")),
        }
    };
    (0..count).map(one).collect()
}

/// As many connections as file descriptors allow: a proxy has the limit of its parent, and keeps room for a second
/// descriptor for each.
fn within_descriptors(wanted: usize) -> usize {
    let needed = 2 * wanted as u64 + OTHER_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit;
    limit.current = Some(needed);
    limit.maximum = limit.maximum.map(|maximum| maximum.max(needed));
    if before.current.is_none_or(|current| current >= needed)
        || setrlimit(Resource::Nofile, limit).is_ok()
    {
        return wanted;
    }
    // Only root may go beyond the hard limit.
    limit = Rlimit { current: before.maximum, maximum: before.maximum };
    let _as_before = setrlimit(Resource::Nofile, limit);
    let most = getrlimit(Resource::Nofile).current.unwrap_or(needed);
    let fewer = usize::try_from(most.saturating_sub(OTHER_DESCRIPTORS) / 2).unwrap_or(wanted);
    if fewer < wanted {
        eprintln!("{fewer} connections instead of {wanted}: `ulimit -Hn` is {most}, not {needed}");
    }
    fewer.min(wanted)
}
