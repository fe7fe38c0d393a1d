//! The oracle: a backend that takes nothing on trust, and what must be true of all that reached it.
//!
//! It has several doors, one port each, and every door stands for one tree of paths. A configuration sends each tree
//! through its own door, so the door tells which route the gateway applied. [`Strict::hold`] then asserts that every
//! byte was by the book ([`grammar`]), that exactly one request went out for each one answered as forwarded, and that
//! no reader of its path ([`readings`]) finds it under another tree than the one whose policy was applied.

pub mod grammar;
pub mod readings;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Client, Gateway, eventually};
use grammar::{Progress, Request, Violation};

/// The field by which an answer names the request it answers.
const MARK: &str = "x-strict: ";

/// What came through a door.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The name of the door.
    pub door: &'static str,
    /// What it was.
    pub what: What,
    /// Every byte of it.
    pub raw: Vec<u8>,
}

/// What the bytes were.
#[derive(Clone, Debug)]
pub enum What {
    /// A request, answered under this number.
    Whole(usize, Request),
    /// A good head whose body was never ended: an honest abort.
    Cut,
    /// No request.
    Broken(Violation),
}

/// A strict recording backend.
pub struct Strict {
    /// Name, the tree of paths that it stands for, address.
    doors: Vec<(&'static str, &'static str, SocketAddr)>,
    book: Arc<Book>,
}

#[derive(Default)]
struct Book {
    seen: Mutex<Vec<Seen>>,
    number: AtomicUsize,
    open: AtomicUsize,
    closing: AtomicBool,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("no door panics while it records")
    }
}

impl Strict {
    /// Opens a door for each tree: its name and the path below which all is its own. The longest path wins.
    pub fn new(trees: &[(&'static str, &'static str)]) -> Strict {
        let book = Arc::new(Book::default());
        let doors = trees.iter().map(|(name, tree)| (*name, *tree, open(name, &book))).collect();
        Strict { doors, book }
    }

    /// The `[upstreams.NAME]` tables of a configuration, one for each door.
    pub fn upstreams(&self) -> String {
        let mut toml = String::new();
        for (name, _, address) in &self.doors {
            let _ = writeln!(toml, "[upstreams.{name}]\nurl = \"http://{address}\"");
        }
        toml
    }

    /// Speaks to a door directly, as no gateway would.
    pub fn client(&self, name: &str) -> Client {
        let door = self.doors.iter().find(|(door, ..)| *door == name);
        Client { address: door.expect("a door of this name").2 }
    }

    /// All that came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.book.lock().clone()
    }

    /// The requests that came so far.
    pub fn requests(&self) -> Vec<(&'static str, Request)> {
        let whole = |seen: Seen| match seen.what {
            What::Whole(_, request) => Some((seen.door, request)),
            What::Cut | What::Broken(_) => None,
        };
        self.seen().into_iter().filter_map(whole).collect()
    }

    /// Ends the gateway and asserts that nothing hostile came through it. `answers` is all that the clients got.
    ///
    /// # Panics
    /// With every fault.
    #[track_caller]
    pub fn hold(&self, gateway: Gateway, answers: &[Vec<u8>]) {
        // Its connections end with it, and what they still carried has been read when they are gone.
        drop(gateway);
        let faults = self.faults(answers);
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }

    /// Every fault of what came so far, once all connections to the doors have ended.
    #[track_caller]
    pub fn faults(&self, answers: &[Vec<u8>]) -> Vec<String> {
        eventually("the connections to the doors to end", || {
            (self.book.open.load(Ordering::SeqCst) == 0).then_some(())
        });
        let mut answered = HashMap::<usize, usize>::new();
        for number in answers.iter().flat_map(|answer| marks(answer)) {
            *answered.entry(number).or_default() += 1;
        }
        let mut faults = Vec::new();
        for seen in self.seen() {
            let raw = seen.raw.escape_ascii();
            match seen.what {
                What::Broken(violation) => faults.push(format!("{violation}: {raw}")),
                What::Cut => {}
                What::Whole(number, request) => {
                    match answered.remove(&number).unwrap_or(0) {
                        1 => {}
                        count => faults.push(format!("answered {count} times: {raw}")),
                    }
                    faults.extend(self.escapes(seen.door, &request));
                }
            }
        }
        faults.extend(answered.keys().map(|number| format!("answer {number} to no request")));
        faults
    }

    /// Each reading of the path that finds it under another door.
    fn escapes(&self, door: &str, request: &Request) -> Vec<String> {
        let path = request.target.split('?').next().unwrap_or_default();
        let readings = readings::READINGS.iter().filter_map(|(name, reading)| {
            let owner = self.owner(&reading(path.as_bytes()));
            (owner != Some(door))
                .then(|| format!("{path} went through {door}, is under {owner:?} by: {name}"))
        });
        readings.collect()
    }

    /// The door whose tree holds this path.
    fn owner(&self, path: &[Vec<u8>]) -> Option<&'static str> {
        let segments = |tree: &'static str| tree.split('/').filter(|one| !one.is_empty());
        let above = |tree| {
            segments(tree).enumerate().all(|(at, one)| {
                path.get(at).is_some_and(|segment| segment.as_slice() == one.as_bytes())
            })
        };
        let holding = self.doors.iter().filter(|(_, tree, _)| above(tree));
        holding.max_by_key(|(_, tree, _)| segments(tree).count()).map(|(name, ..)| *name)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.book.closing.store(true, Ordering::SeqCst);
        for (_, _, address) in &self.doors {
            let _ = TcpStream::connect(address);
        }
    }
}

/// The numbers of the requests that these answers are to.
fn marks(answer: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(answer);
    let after = text.split(MARK).skip(1);
    after.filter_map(|rest| rest.split("\r\n").next()?.parse().ok()).collect()
}

fn open(door: &'static str, book: &Arc<Book>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let book = Arc::clone(book);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if book.closing.load(Ordering::SeqCst) {
                return;
            }
            let (Ok(stream), book) = (stream, Arc::clone(&book)) else { continue };
            book.open.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                serve(&stream, door, &book);
                let _ = stream.shutdown(Shutdown::Both);
                book.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    address
}

/// One connection, until it ends or breaks a rule.
fn serve(mut stream: &TcpStream, door: &'static str, book: &Book) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let record = |what| book.lock().push(Seen { door, what, raw: bytes.clone() });
        match grammar::parse(&bytes) {
            Err(violation) => return record(What::Broken(violation)),
            Ok(Progress::Whole(_, used)) if used < bytes.len() => {
                // A gateway sends no second request before the first is answered.
                return record(What::Broken("bytes after the end of a request"));
            }
            Ok(Progress::Whole(request, _)) => {
                let number = book.number.fetch_add(1, Ordering::SeqCst) + 1;
                let body = if request.method == "HEAD" { "" } else { "ok" };
                record(What::Whole(number, request));
                let answer =
                    format!("HTTP/1.1 200 OK\r\n{MARK}{number}\r\nContent-Length: 2\r\n\r\n{body}");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
                bytes.clear();
            }
            Ok(unfinished) => match stream.read(&mut buffer) {
                Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) if bytes.is_empty() => return,
                Ok(_) | Err(_) if unfinished == Progress::Body => return record(What::Cut),
                Ok(_) | Err(_) => return record(What::Broken("a head that never ends")),
            },
        }
    }
}
