//! Backends: a small HTTP/1.1 server of plain threads that records every request exactly as it was received.
//!
//! `echo()` tells as JSON what it saw, `raw(script)` answers given bytes, hangs or closes, `custom(f)` has the socket.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use serde_json::json;

use super::wire::{Message, Wire};
use super::{PATIENCE, eventually};

/// What a scripted backend does once it has read a request, one step after the other.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Keeps the connection open and says nothing more, until the gateway closes it.
    Hang,
    /// Closes the connection.
    Close,
}

impl Step {
    /// [`Step::Send`] of anything that is bytes.
    pub fn send(bytes: impl AsRef<[u8]>) -> Step {
        Step::Send(bytes.as_ref().to_vec())
    }
}

/// One request as it arrived; derefs to its [`Message`].
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The whole of it, every byte in `raw`.
    pub message: Message,
    /// Which connection carried it, counted from 1.
    pub connection: usize,
}

impl Recorded {
    /// The method.
    pub fn method(&self) -> &str {
        self.message.start.split(' ').next().unwrap_or("")
    }

    /// The target as received.
    pub fn target(&self) -> &str {
        self.message.start.split(' ').nth(1).unwrap_or("")
    }
}

impl std::ops::Deref for Recorded {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// One request being served, for [`Upstream::custom`]: its head is read, its body is not.
pub struct Exchange<'a> {
    /// The socket; write the answer to `wire.stream`.
    pub wire: &'a mut Wire<TcpStream>,
    /// The head, and the body as far as it has been read.
    pub request: Recorded,
    book: &'a Book,
    at: usize,
}

impl Exchange<'_> {
    /// Reads the whole body and puts it on record.
    pub fn read_body(&mut self) -> io::Result<()> {
        let read = self.wire.body(&mut self.request.message, false);
        self.record();
        read
    }

    /// Reads one chunk of a chunked body and puts it on record; `None` after the last.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let chunk = self.wire.chunk(&mut self.request.message);
        self.record();
        chunk
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.stream.write_all(bytes.as_ref())
    }

    /// Sends a whole answer with its length.
    pub fn answer(&mut self, status: &str, content_type: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let body = if self.request.method() == "HEAD" { &[] } else { body };
        self.send([head.as_bytes(), body].concat())
    }

    fn record(&mut self) {
        self.book.lock()[self.at] = self.request.clone();
    }
}

type Handler = dyn Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync;

/// A backend on a free port. Dropping it closes every connection.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    book: Arc<Book>,
}

#[derive(Default)]
struct Book {
    requests: Mutex<Vec<Recorded>>,
    open: Mutex<Vec<TcpStream>>,
    closing: AtomicBool,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().expect("no handler panics while it records")
    }
}

impl Upstream {
    /// Answers 200 with what it saw: `{"method","target","headers":[[name,value]…],"body","connection"}`.
    pub fn echo() -> Upstream {
        Upstream::custom(|exchange| {
            exchange.read_body()?;
            let request = &exchange.request;
            let seen = json!({
                "method": request.method(), "target": request.target(), "headers": request.headers,
                "body": request.text(), "connection": request.connection,
            });
            exchange.answer("200 OK", "application/json", seen.to_string().as_bytes())
        })
    }

    /// Reads each request whole, then follows the script.
    pub fn raw(script: impl Into<Vec<Step>>) -> Upstream {
        let script = script.into();
        Upstream::custom(move |exchange| {
            exchange.read_body()?;
            for step in &script {
                match step {
                    Step::Send(bytes) => exchange.send(bytes)?,
                    Step::Pause(time) => std::thread::sleep(*time),
                    Step::Hang => drop(exchange.wire.rest()),
                    Step::Close => return Err(io::Error::other("closed by the script")),
                }
            }
            Ok(())
        })
    }

    /// Answers every request with these bytes and keeps the connection.
    pub fn answering(bytes: impl AsRef<[u8]>) -> Upstream {
        Upstream::raw([Step::send(bytes)])
    }

    /// Takes requests and never answers.
    pub fn hanging() -> Upstream {
        Upstream::raw([Step::Hang])
    }

    /// Sends `first`, and `second` only when it is told to by the sender that comes with it.
    pub fn in_two(first: &'static str, second: &'static str) -> (Upstream, mpsc::Sender<()>) {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let upstream = Upstream::custom(move |exchange| {
            exchange.send(first)?;
            wait.lock().expect("not poisoned").recv().map_err(io::Error::other)?;
            exchange.send(second)
        });
        (upstream, go)
    }

    /// An address where nothing listens.
    pub fn nowhere() -> SocketAddr {
        super::tools::free_address()
    }

    /// Calls `handler` once for each request head; an error closes the connection.
    pub fn custom(
        handler: impl Fn(&mut Exchange<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let book = Arc::new(Book::default());
        let (handler, shared): (Arc<Handler>, _) = (Arc::new(handler), book.clone());
        std::thread::spawn(move || {
            for (stream, connection) in listener.incoming().zip(1..) {
                let Ok(stream) = stream else { continue };
                if shared.closing.load(Ordering::SeqCst) {
                    return;
                }
                shared.open.lock().expect("not poisoned").extend(stream.try_clone());
                let (handler, shared) = (handler.clone(), shared.clone());
                std::thread::spawn(move || serve(stream, connection, &*handler, &shared));
            }
        });
        Upstream { address, book }
    }

    /// Every request so far, in the order of their heads.
    pub fn requests(&self) -> Vec<Recorded> {
        self.book.lock().clone()
    }

    /// How many requests have arrived.
    pub fn count(&self) -> usize {
        self.book.lock().len()
    }

    /// The newest request.
    ///
    /// # Panics
    /// When none has arrived.
    #[track_caller]
    pub fn last(&self) -> Recorded {
        self.requests().pop().expect("a request that reached the upstream")
    }

    /// Waits for the request number `count` (from 1) and returns it; for requests nobody waits on.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Recorded {
        eventually(&format!("request {count} at the upstream"), || {
            self.requests().into_iter().nth(count - 1)
        })
    }

    /// Forgets what was recorded.
    pub fn forget(&self) {
        self.book.lock().clear();
    }
}

/// `http://127.0.0.1:PORT`, to be written into a gateway.toml.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.book.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.book.open.lock().expect("not poisoned").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, connection: usize, handler: &Handler, book: &Book) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let mut wire = Wire::new(stream);
    while let Ok(Some(message)) = wire.head() {
        let request = Recorded { message, connection };
        let at = {
            let mut requests = book.lock();
            requests.push(request.clone());
            requests.len() - 1
        };
        if handler(&mut Exchange { wire: &mut wire, request, book, at }).is_err() {
            break;
        }
    }
    let _ = wire.stream.shutdown(Shutdown::Both);
}
