//! Reloads under load: every answer is one that the old or the new policy gives, no request fails, and what the
//! request path notices of it.
//!
//! `cargo bench --bench reload` toggles one route 1,000 times, with 10 and with 10,000 routes in the file, and prints the
//! figures; `cargo test --bench reload` runs a small size. Everything is on loopback.

#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 8;

fn main() {
    let (sizes, reloads, calm): (&[usize], usize, Duration) = match kit::is_small() {
        true => (&[10], 10, Duration::from_millis(100)),
        false => (&[10, 10_000], 1_000, Duration::from_secs(3)),
    };
    let backend = kit::backend();
    println!(
        "| routes | reloads | requests | failed | wrong | reload, median | reload, p99 | p50 calm | p50 reloading | p99 calm | p99 reloading |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        row(*size, reloads, calm, backend);
    }
}

fn row(size: usize, reloads: usize, calm: Duration, backend: SocketAddr) {
    let dir = tempfile::tempdir().expect("a directory");
    let texts = ["public", "access-required"].map(|policy| text(size, policy, backend));
    write(dir.path(), &texts[0]);
    let (mut child, address, admin) =
        kit::gateway(Command::new(env!("CARGO_BIN_EXE_freshgate")), dir.path());
    let admin = admin.expect("an admin listener");
    let quiet = under_load(address, || thread::sleep(calm));
    let mut took = Vec::new();
    let busy = under_load(address, || {
        for round in 0..reloads {
            write(dir.path(), &texts[(round + 1) % 2]);
            let started = Instant::now();
            reload(admin);
            took.push(started.elapsed());
        }
    });
    let _told = Command::new("kill").arg(child.id().to_string()).status();
    let _reaped = child.wait();
    took.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "| {size} | {reloads} | {} | {} | {} | {:.1} ms | {:.1} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms |",
        busy.times.len(),
        busy.failed,
        busy.wrong,
        ms(took[took.len() / 2]),
        ms(took[took.len() * 99 / 100]),
        ms(quiet.at(50)),
        ms(busy.at(50)),
        ms(quiet.at(99)),
        ms(busy.at(99)),
    );
    assert_eq!(
        (busy.failed, busy.wrong),
        (0, 0),
        "no request fails, no answer is neither policy's"
    );
}

fn text(size: usize, policy: &str, backend: SocketAddr) -> String {
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"http://{backend}\"\n\
         [log]\nlevel = \"warn\"\n[routes]\n\"/x\" = \"{policy}\"\n"
    );
    for index in 1..size {
        text.push_str(&format!("\"/service/{index}/{{item}}/**\" = \"access-required\"\n"));
    }
    text
}

/// As an editor does: written aside, then renamed.
fn write(dir: &Path, text: &str) {
    fs::write(dir.join("next"), text).expect("a file");
    fs::rename(dir.join("next"), dir.join("gateway.toml")).expect("renamed");
}

fn reload(admin: SocketAddr) {
    let mut stream = TcpStream::connect(admin).expect("the admin listener");
    let request = format!("POST /reload HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    failed: usize,
    wrong: usize,
}

impl Seen {
    fn at(&self, percent: usize) -> Duration {
        self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)]
    }
}

/// Asks for `/x` over a few connections, one request at a time on each, while `work` is done.
fn under_load(address: SocketAddr, work: impl FnOnce()) -> Seen {
    let done = AtomicBool::new(false);
    let mut all = Seen::default();
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| client(address, &done))).collect();
        work();
        done.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.join().expect("a client");
            all.times.extend(seen.times);
            all.failed += seen.failed;
            all.wrong += seen.wrong;
        }
    });
    all.times.sort();
    all
}

fn client(address: SocketAddr, done: &AtomicBool) -> Seen {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut seen = Seen::default();
    while !done.load(Ordering::Relaxed) {
        let started = Instant::now();
        match exchange(&mut stream) {
            Some(answer) if is_either(&answer) => seen.times.push(started.elapsed()),
            Some(_) => seen.wrong += 1,
            None => {
                seen.failed += 1;
                stream = TcpStream::connect(address).expect("a connection");
            }
        }
    }
    seen
}

/// What `public` answers, or `access-required` without a token.
fn is_either(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ")
        || (answer.starts_with("HTTP/1.1 401 ") && answer.contains("token-missing"))
}

fn exchange(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: bench\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok()?;
        if read == 0 {
            return None;
        }
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if body.len() >= length.parse().ok()? {
                return Some(text.into_owned());
            }
        }
    }
}
