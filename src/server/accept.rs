//! The acceptor: takes connections, refuses those over a limit in a few bytes, hands the rest to the data threads.
//! When the system gives no more descriptors it pauses and tries again.
//!
//! Never waits for a client and never reads from one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::seats::{Seat, Seats};
use super::worker::{Arrival, Shared, Worker};
use crate::telemetry::Limit;

/// How long to wait after an accept that failed, so that a process out of file descriptors does not spin.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is told that connections cannot be accepted.
const ACCEPT_TOLD_EVERY: Duration = Duration::from_secs(5);

/// What a client over a limit is told (RFC 9110 §15.6.4).
const OVERLOADED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-type: application/problem+json\r\ncontent-length: 38\r\nconnection: close\r\n\r\n\
    {\"status\": 503, \"code\": \"overloaded\"}\n";

/// Spreads connections over the data threads.
pub(super) struct Acceptor {
    /// The data threads.
    pub(super) workers: Vec<Worker>,
    /// What they share.
    pub(super) shared: Shared,
    seats: Seats,
    /// How many connections there are descriptors for; `None`: as many as are asked for.
    fit: Option<usize>,
}

/// The part of `connections_max` that may be missing without a warning.
const SLACK_PART: usize = 20;

impl Acceptor {
    pub(super) fn new(workers: Vec<Worker>, shared: Shared, fit: Option<usize>) -> Acceptor {
        let wanted = shared.world.load().config.limits.connections_max;
        // A few fewer are no matter, and no word at every start.
        if let Some(fit) = fit.filter(|fit| *fit < wanted - wanted / SLACK_PART) {
            tracing::warn!(
                connections_max = wanted,
                fit,
                "file descriptors fit fewer connections than connections_max: raise `ulimit -n`, or lower it"
            );
        }
        Acceptor { workers, shared, seats: Seats::default(), fit }
    }

    /// Accepts until the process ends. Each connection goes to the data thread that has the fewest: the kernel's own
    /// spreading hashes a few dozen connections unevenly.
    pub(super) async fn run(&self, listener: &TcpListener) {
        let mut told: Option<Instant> = None;
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() > ACCEPT_TOLD_EVERY) {
                        tracing::warn!(%error, "cannot accept connections");
                        told = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // On a listener of both families an IPv4 client comes in IPv6 spelling: `trusted_proxies`, limits, logs and
            // backends must all see the one address that it is.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            match self.admit(address) {
                Ok(seat) => self.hand_over(stream, address, seat),
                Err(limit) => {
                    self.shared.metrics.limit_reached(limit);
                    refuse(stream);
                }
            }
        }
    }

    /// The seat of a connection, unless there are too many; a trusted proxy needs none, for it brings many clients.
    fn admit(&self, address: SocketAddr) -> Result<Option<Seat>, Limit> {
        let world = self.shared.world.load();
        let limits = &world.config.limits;
        let open: usize = self.workers.iter().map(Worker::open).sum();
        if open >= limits.connections_max.min(self.fit.unwrap_or(usize::MAX)) {
            return Err(Limit::ConnectionsMax);
        }
        if world.config.trusts(address.ip()) {
            return Ok(None);
        }
        let seat = self.seats.take(address.ip(), limits.connections_per_address);
        seat.map(Some).ok_or(Limit::ConnectionsPerAddress)
    }

    fn hand_over(&self, stream: TcpStream, address: SocketAddr, seat: Option<Seat>) {
        match (stream.into_std(), self.workers.iter().min_by_key(|worker| worker.open())) {
            (Ok(stream), Some(worker)) => worker.take(Arrival { stream, address, seat }),
            (Err(error), _) => tracing::warn!(%error, "cannot hand over a connection"),
            (_, None) => {}
        }
    }
}

/// What fits into an empty socket buffer goes out at once. What the client has sent already is taken off first: to close
/// with unread bytes resets the connection, and may take the answer with it (RFC 9112 §9.6).
fn refuse(stream: TcpStream) {
    const REFUSED_READ_MAX: usize = 4096;
    // Not through the runtime, which has not heard yet that the socket is ready.
    let Ok(mut stream) = stream.into_std() else { return };
    let _best_effort = stream.read(&mut [0; REFUSED_READ_MAX]);
    let _best_effort = stream.write(OVERLOADED);
    let _best_effort = stream.shutdown(Shutdown::Write);
}
