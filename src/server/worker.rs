//! One data thread: its own runtime, its own connections to backends, its own verified tokens. It takes the
//! connections that the acceptor hands it and serves them until it is told to drain.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::kept::kept;
use super::seats::Seat;
use super::wire::{Verdict, Verdicts, Wire, WireLimits};
use crate::config::Limits;
use crate::gateway::{self, Data, Snapshot};
use crate::proxy::headers::Peer;
use crate::telemetry::Metrics;

/// What hyper may buffer of a body in each direction; a head always fits. Its own default is 400 KiB, which a
/// thousand slow readers would turn into most of a gigabyte.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// What the kernel may hold of an answer besides what is on its way to the client. It would take megabytes, so that a
/// client that reads slowly but steadily seems to take nothing for minutes; and memory for each that reads nothing. It
/// takes more when half of this is gone: smaller costs processor time (a third more at 32 KiB), larger makes the
/// slowest steady readers look idle.
const UNSENT_BYTES: u32 = 64 * 1024;
/// So many fields hyper reads without memory of its own for each request, unless it is told a number.
const HEADER_COUNT_INLINE: usize = 100;
/// What a request line holds besides its target, rounded up.
const REQUEST_LINE_SPARE: usize = 128;

/// The acceptor's end of a data thread.
#[derive(Debug)]
pub struct Worker {
    connections: mpsc::UnboundedSender<Arrival>,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A connection on its way to a data thread.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Its place among the connections of its address; a trusted proxy has none.
    pub(super) seat: Option<Seat>,
}

/// What every data thread is started with.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The world, swapped whole on reload.
    pub world: Arc<ArcSwap<Snapshot>>,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Turns true once: stop taking connections, finish what is in flight.
    pub draining: watch::Receiver<bool>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(index: usize, shared: Shared) -> io::Result<Worker> {
        // The queue is bounded by `connections_max`: the acceptor counts before it hands over.
        let (connections, queue) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let data = Data::new(Arc::clone(&shared.world), shared.metrics.thread(index));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lane = Lane { data, shared, open: Arc::clone(&open) };
        let thread = std::thread::Builder::new()
            .name(format!("data-{index}"))
            .spawn(move || runtime.block_on(lane.run(queue)))?;
        Ok(Worker { connections, open, thread })
    }

    /// How many connections it has now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Hands it a connection.
    pub(super) fn take(&self, arrival: Arrival) {
        self.open.fetch_add(1, Ordering::Relaxed);
        // It fails only when the thread has ended: then the process is ending too.
        let _ended = self.connections.send(arrival);
    }

    /// Closes its queue and gives the handle to wait for.
    pub fn retire(self) -> JoinHandle<()> {
        self.thread
    }
}

struct Lane {
    data: Arc<Data>,
    shared: Shared,
    open: Arc<AtomicUsize>,
}

impl Lane {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Arrival>) {
        let mut serving = JoinSet::new();
        loop {
            tokio::select! {
                arrived = queue.recv() => match arrived {
                    None => break,
                    Some(Arrival { stream, address, seat }) => {
                        let guard = Open::new(&self.open, &self.shared.metrics);
                        let serve = serve(
                            stream,
                            address.ip(),
                            Arc::clone(&self.data),
                            self.shared.draining.clone(),
                        );
                        serving.spawn(async move {
                            let (_guard, _seat) = (guard, seat);
                            serve.await;
                        });
                    }
                },
                // A panic that nobody answered was told by its place already, and ends this connection alone.
                Some(_ended) = serving.join_next() => {}
            }
        }
        while serving.join_next().await.is_some() {}
    }
}

/// Counts a connection for as long as it lives.
struct Open {
    open: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Open {
    fn new(open: &Arc<AtomicUsize>, metrics: &Arc<Metrics>) -> Open {
        metrics.connections.inc();
        Open { open: Arc::clone(open), metrics: Arc::clone(metrics) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.metrics.connections.dec();
    }
}

async fn serve(
    stream: TcpStream,
    address: IpAddr,
    data: Arc<Data>,
    mut draining: watch::Receiver<bool>,
) {
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken over");
            return;
        }
    };
    // A small answer is one write: waiting for more of it only adds delay.
    let _best_effort = stream.set_nodelay(true);
    let _best_effort = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let snapshot = data.snapshot();
    let verdicts = Verdicts::new();
    let limits = &snapshot.config.limits;
    let metrics = Arc::clone(&snapshot.metrics);
    let wire = Wire::new(stream, wire_limits(limits), verdicts.clone(), metrics);
    let Limits { header_count, header_max, target_max, .. } = *limits;
    drop(snapshot);
    let seen = verdicts.clone();
    let peer = Peer::from(address);
    let service = service_fn(move |request: Request<Incoming>| {
        if request.version() == Version::HTTP_10 {
            verdicts.note_1_0();
        }
        let (verdict, in_flight) = verdicts.take();
        let (head, last) = match verdict {
            Verdict::Good { last } => (Ok(()), last),
            Verdict::Refused { refusal, .. } => (Err(refusal), true),
        };
        let answered = gateway::handle(Arc::clone(&data), peer.clone(), head, request);
        kept(answered, in_flight, last)
    });
    let mut builder = http1::Builder::new();
    // The wire guard keeps the time and the limits; hyper's own would answer without our words.
    builder.header_read_timeout(None::<Duration>);
    if header_count > HEADER_COUNT_INLINE {
        builder.max_headers(header_count);
    }
    builder.max_buf_size(BUFFER_BYTES_MAX.max(target_max + header_max + REQUEST_LINE_SPARE));
    let mut connection = builder.serve_connection(TokioIo::new(wire), service);
    let ended = tokio::select! {
        // A request that is in the socket when the end is told is read first, and so answered.
        biased;
        ended = &mut connection => Some(ended),
        _ = draining.wait_for(|draining| *draining) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if ended.as_ref().is_err_and(hyper::Error::is_user) && seen.is_1_0() {
        // An answer broke off, and where it has no length a reset is the only sign of it in HTTP/1.0 (RFC 9112 §8).
        let wire = connection.into_parts().io.into_inner();
        let _best_effort = SockRef::from(wire.stream()).set_linger(Some(Duration::ZERO));
    }
    report_end(ended);
}

/// How a connection ended matters only to who is looking for a fault.
fn report_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn wire_limits(limits: &Limits) -> WireLimits {
    WireLimits {
        target_max: limits.target_max,
        header_max: limits.header_max,
        header_count: limits.header_count,
        header_timeout: limits.header_timeout,
        keep_alive: limits.keep_alive,
        requests_max: limits.requests_per_connection,
        write_idle: limits.body_idle,
        write_rate_min: limits.body_rate_min,
    }
}
