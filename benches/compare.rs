//! Whole-process CPU per request of the gateway, beside nginx in the same run, in turn, over and over.
//!
//! `cargo bench --bench compare`; nginx (a Debian package) is measured where it is installed. `cargo test --bench compare`
//! runs a small size, which proves that it works and measures nothing. Everything is on loopback.

#[path = "kit/client.rs"]
mod client;
#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

const CONNECTIONS: usize = 32;

fn main() {
    let small = kit::is_small();
    let (rounds, requests) = if small { (1, 640) } else { (5, 320_000) };
    let dir = tempfile::tempdir().expect("a directory");
    let backend = kit::backend();
    let gateway = Peer::gateway(dir.path(), backend);
    let token = client::authorization(dir.path());
    let nginx = Peer::nginx(dir.path(), backend);
    let mut rows: Vec<(&str, Vec<f64>)> =
        vec![("gateway, public", vec![]), ("gateway, access-required", vec![])];
    if nginx.is_some() {
        rows.push(("nginx, no authentication", vec![]));
    }
    for _ in 0..rounds {
        rows[0].1.push(gateway.measure("/public/x", "", requests));
        rows[1].1.push(gateway.measure("/app/x", &token, requests));
        if let Some(nginx) = &nginx {
            rows[2].1.push(nginx.measure("/public/x", "", requests));
        }
    }
    if small {
        return println!("compare works; `cargo bench --bench compare` measures");
    }
    println!("\n| what | µs CPU per request, median of {rounds} |\n|---|---|");
    let medians: Vec<f64> = rows.iter_mut().map(|(_, figures)| median(figures)).collect();
    for ((name, _), figure) in rows.iter().zip(&medians) {
        println!("| {name} | {figure:.1} |");
    }
    match nginx {
        Some(_) => println!(
            "\naccess-required / nginx without authentication: {:.2}",
            medians[1] / medians[2]
        ),
        None => println!("\nnginx is not installed: no ratio (apt-get install nginx)"),
    }
}

/// A process under measurement.
struct Peer {
    child: Child,
    address: SocketAddr,
    /// The process that does the work.
    worker: u32,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // By SIGTERM, so that nginx takes its worker along.
        let _told = Command::new("kill").arg(self.child.id().to_string()).status();
        let _reaped = self.child.wait();
    }
}

impl Peer {
    fn gateway(dir: &Path, backend: SocketAddr) -> Peer {
        let config = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"http://{backend}\"\n\
             [limits]\nthreads = 1\n[routes]\n\"/public/**\" = \"public\"\n\"/app/**\" = \"access-required\"\n"
        );
        fs::write(dir.join("gateway.toml"), config).expect("a file");
        let (child, address, _) = kit::gateway(Command::new(env!("CARGO_BIN_EXE_freshgate")), dir);
        let worker = child.id();
        Peer { child, address, worker }
    }

    fn nginx(dir: &Path, backend: SocketAddr) -> Option<Peer> {
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let config = format!(
            "daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 100000000;\n\
             client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             upstream b {{ server {backend}; keepalive 64; keepalive_requests 100000000; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://b; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr;\n\
             proxy_set_header Host $host; }} }} }}\n",
            dir = dir.display()
        );
        fs::write(dir.join("nginx.conf"), config).expect("a file");
        let mut child = Command::new("nginx")
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed().as_secs() < 10, "nginx did not start");
            thread::yield_now();
        }
        match worker_of(child.id()) {
            Some(worker) => Some(Peer { child, address, worker }),
            None => {
                let _gone = child.kill();
                None
            }
        }
    }

    /// Microseconds of CPU for each of `requests` over [`CONNECTIONS`] kept open.
    fn measure(&self, path: &str, field: &str, requests: usize) -> f64 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{field}\r\n");
        let before = cpu_us(self.worker);
        thread::scope(|scope| {
            // One thread for each few connections: the load must not need more CPU than what it measures.
            for _ in 0..CONNECTIONS / 8 {
                scope.spawn(|| drive(self.address, &request, 8, requests / (CONNECTIONS / 8)));
            }
        });
        (cpu_us(self.worker) - before) / requests as f64
    }
}

/// The first child of a process.
fn worker_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Sends on all connections, then reads from all, so that several requests are always under way.
fn drive(address: SocketAddr, request: &str, connections: usize, requests: usize) {
    let mut streams: Vec<TcpStream> =
        (0..connections).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    let mut buffer = [0; 4096];
    for _ in 0..requests / connections {
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).expect("a request goes out");
        }
        for stream in &mut streams {
            let mut answer = Vec::new();
            while !client::is_whole(&answer) {
                let read = stream.read(&mut buffer).expect("an answer");
                assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
                answer.extend_from_slice(&buffer[..read]);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        }
    }
}

/// CPU time of a process so far, user and system, in microseconds (proc(5), fields 14 and 15).
fn cpu_us(process: u32) -> f64 {
    const TICK_US: f64 = 10_000.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    let field = |number: usize| -> f64 {
        let text = after_name.split_whitespace().nth(number - 3).expect("52 fields");
        text.parse().expect("a number")
    };
    (field(14) + field(15)) * TICK_US
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
