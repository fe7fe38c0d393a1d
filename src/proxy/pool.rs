//! Connections to one upstream, kept by one data thread: nobody else ever waits for its lock.
//!
//! A connection comes back only after a whole, clean exchange, its request's body included; whoever has one and drops it ends
//! it. At the next checkout its socket must be silent, so what a backend says behind an answer is read by nobody. A connection
//! that nobody takes again is ended by a sweep: nobody reads it, so nobody else would notice that its backend has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::connection::{AnswerLimits, Connection};
use super::room::Room;
use super::{UpstreamError, upstream};
use crate::config::{Limits, Upstream};

/// How often connections are swept that wait: one may be kept for this much longer than `keep_alive`, and for this long
/// after its backend has closed it.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The connections of one data thread to one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    authority: HeaderValue,
    limits: AnswerLimits,
    room: Arc<Room>,
    waiting: Mutex<Waiting>,
}

/// The connections that wait for their next request.
#[derive(Debug, Default)]
struct Waiting {
    /// The one that came last is the last.
    idle: Vec<Idle>,
    /// A sweep is under way: as long as any wait.
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// An empty pool. The room is that of all data threads.
    pub fn new(upstream: Upstream, limits: &Limits, room: Arc<Room>) -> Arc<Pool> {
        let authority = upstream::authority(&upstream.target);
        let limits = answer_limits(limits);
        Arc::new(Pool { upstream, authority, limits, room, waiting: Mutex::default() })
    }

    /// Whether it serves for this upstream, these limits and this room too.
    pub fn fits(&self, upstream: &Upstream, limits: &Limits, room: &Arc<Room>) -> bool {
        self.upstream == *upstream
            && self.limits == answer_limits(limits)
            && Arc::ptr_eq(&self.room, room)
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The upstream's own `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The room at the upstream.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The connection used last that is still good: the others may then grow old and close.
    pub fn reuse(&self, now: Instant) -> Option<Connection> {
        let mut waiting = self.waiting();
        while let Some(one) = waiting.idle.pop() {
            if self.is_good(&one, now) {
                return Some(one.connection);
            }
        }
        None
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// [`UpstreamError::Connect`] or [`UpstreamError::ConnectTimeout`].
    pub async fn connect(&self) -> Result<Connection, UpstreamError> {
        let stream = upstream::connect(&self.upstream).await?;
        Ok(Connection::new(stream, self.limits))
    }

    /// Takes a connection back after a whole exchange; ends it when the exchange was none.
    pub fn give_back(self: &Arc<Pool>, mut connection: Connection) {
        if !connection.is_clean() {
            return;
        }
        connection.rest();
        let now = Instant::now();
        let mut waiting = self.waiting();
        if waiting.idle.len() >= self.upstream.idle_max {
            waiting.idle.retain(|one| self.is_good(one, now));
        }
        if waiting.idle.len() < self.upstream.idle_max {
            waiting.idle.push(Idle { connection, since: now });
            if !waiting.swept {
                waiting.swept = true;
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
    }

    /// Whether it may be used once more.
    fn is_good(&self, one: &Idle, now: Instant) -> bool {
        let waited = now.saturating_duration_since(one.since);
        waited < self.upstream.keep_alive && one.connection.is_quiet()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the connections that are no good any more, until none waits or nobody has the pool.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut waiting = pool.waiting();
        waiting.idle.retain(|one| pool.is_good(one, now));
        if waiting.idle.is_empty() {
            waiting.swept = false;
            return;
        }
    }
}

fn answer_limits(limits: &Limits) -> AnswerLimits {
    AnswerLimits {
        header_max: limits.response_header_max,
        header_count: limits.response_header_count,
        informational_max: limits.informational_max,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::config::{HostRule, Target};
    use crate::proxy::body::RequestBody;
    use crate::proxy::connection::{Coding, Upload};

    fn upstream(port: u16) -> Upstream {
        let long = Duration::from_secs(60);
        Upstream {
            name: "app".into(),
            target: Target::Http { host: "127.0.0.1".into(), port },
            host: HostRule::Keep,
            timeout_connect: long,
            timeout_first_byte: long,
            timeout_idle: long,
            keep_alive: long,
            idle_max: 8,
            requests_max: 8,
            queue_max: 8,
            assertion: false,
        }
    }

    /// Nobody reads a connection that waits: what has come meanwhile must be seen all the same.
    #[test]
    fn a_connection_that_spoke_or_closed_a_moment_ago_is_not_used_again() {
        for (late, kept) in [(None, true), (Some(&b"x"[..]), false), (Some(b""), false)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let backend = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                let _head = stream.read(&mut [0; 4096]).expect("a request");
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).expect("sent");
                stream
            });
            let limits = AnswerLimits { header_max: 8192, header_count: 9, informational_max: 9 };
            let (upstream, room) = (upstream(port), Room::new(8, 8));
            let (authority, waiting) = (HeaderValue::from_static("x"), Mutex::default());
            let pool = Arc::new(Pool { upstream, authority, limits, room, waiting });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut connection = pool.connect().await.expect("connects");
                connection.ask(false);
                let head = b"GET / HTTP/1.1\r\n\r\n".to_vec();
                let (body, coding) = (RequestBody::Empty, Coding::Length);
                let mut upload = Upload::new(head, body, coding, Instant::now());
                let stream = Arc::clone(connection.stream());
                poll_fn(|cx| upload.poll(cx, &stream)).await.expect("sent");
                let answer = poll_fn(|cx| connection.poll_head(cx)).await;
                assert!(answer.is_ok_and(|answer| answer.status == 200));
                pool.give_back(connection);
                // From here on the runtime gets no turn.
                let mut stream = backend.join().expect("a backend that answered");
                match late {
                    None => {}
                    Some(b"") => drop(stream),
                    Some(bytes) => stream.write_all(bytes).expect("sent"),
                }
                assert_eq!(pool.reuse(Instant::now()).is_some(), kept, "{late:?}");
            });
        }
    }
}
