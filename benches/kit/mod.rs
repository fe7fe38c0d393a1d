//! What the benches share: a backend of plain threads, the gateway as a process, and its CPU time.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 190\r\nContent-Type: text/plain\r\n\r\n";
/// The body of every answer of the backend, in bytes.
pub const ANSWER_BODY_BYTES: usize = 190;

/// Whether `cargo test` runs the bench, to prove that it works; `cargo bench` says so, to measure.
pub fn is_small() -> bool {
    !std::env::args().any(|arg| arg == "--bench")
}

/// A backend of plain threads that answers every request with the same 190 bytes.
pub fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let answer = [ANSWER, &[b'x'; ANSWER_BODY_BYTES]].concat();
    let mut buffer = [0; 8192];
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += read;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// Starts the gateway with the `gateway.toml` in `dir`, by a command that names its program; where it listens, and its admin
/// address if there is one.
pub fn gateway(mut program: Command, dir: &Path) -> (Child, SocketAddr, Option<SocketAddr>) {
    let mut child = program
        .arg("run")
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(dir.join("log")).expect("a file"))
        .spawn()
        .expect("the gateway starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    let listen = line();
    let listen = listen.strip_prefix("listening on http://").expect("where it listens");
    let second = line();
    let admin = second.strip_prefix("admin on http://");
    let admin = admin.map(|address| address.parse().expect("an address"));
    (child, listen.parse().expect("an address"), admin)
}
