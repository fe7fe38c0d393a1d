//! Memory of the gateway while large bodies stream through it, in both directions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Kit;
use crate::peers::{Extra, Peer, gateway};
use crate::process::MemoryWatch;
use crate::report::{Bodies, Direction, Facts};

const CHUNK_BYTES: usize = 256 * 1024;

/// Stack of a thread that only copies.
const STACK_BYTES: usize = 128 * 1024;

pub fn measure(kit: &mut Kit) -> Result<Bodies, String> {
    let (count, bytes) = (kit.options.bodies, kit.options.bytes);
    let folder = kit.folder("streaming");
    let program = kit.programs.path(Peer::Freshgate);
    let proxy = gateway(program, kit.place(&folder), "main", &Extra::default())?;
    let address = proxy.at("main").ok_or("no listener")?;
    let mut bodies = Bodies {
        facts: Facts::now(kit.cores.words(), kit.versions()),
        count,
        bytes,
        directions: Vec::new(),
    };
    // Once before: what the first request makes is not the bodies'.
    together(1, || download(address, CHUNK_BYTES as u64))?;
    for up in [false, true] {
        let name = if up { "to the backend" } else { "from the backend" };
        let before_kib = proxy.running.memory_kib();
        let watch = MemoryWatch::of(&proxy.running);
        let started = Instant::now();
        together(count, || if up { upload(address, bytes) } else { download(address, bytes) })?;
        let seconds = started.elapsed().as_secs_f64();
        let peak_kib = watch.peak_kib();
        thread::sleep(Duration::from_millis(if kit.options.small { 20 } else { 3000 }));
        let after_kib = proxy.running.memory_kib();
        eprintln!("{name}: {before_kib} KiB before, at most {peak_kib} KiB, {after_kib} KiB after");
        bodies.directions.push(Direction {
            name: name.to_owned(),
            before_kib,
            peak_kib,
            after_kib,
            seconds,
        });
    }
    Ok(bodies)
}

/// All at the same time; the first error, if one has one.
fn together(count: usize, work: impl Fn() -> Result<(), String> + Sync) -> Result<(), String> {
    thread::scope(|scope| {
        let start = || {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, &work).expect("a thread")
        };
        let all: Vec<_> = (0..count).map(|_| start()).collect();
        all.into_iter().try_for_each(|one| one.join().expect("no panic"))
    })
}

fn download(address: SocketAddr, bytes: u64) -> Result<(), String> {
    let say = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(say)?;
    let request =
        format!("GET /public/size-{bytes} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(say)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut all, mut start) = (0, Vec::new());
    while let read @ 1.. = stream.read(&mut chunk).map_err(say)? {
        if start.len() < 12 {
            start.extend_from_slice(&chunk[..read.min(12)]);
        }
        all += read as u64;
    }
    match start.starts_with(b"HTTP/1.1 200") && all > bytes {
        true => Ok(()),
        false => {
            Err(format!("{all} bytes came, beginning with {:?}", String::from_utf8_lossy(&start)))
        }
    }
}

fn upload(address: SocketAddr, bytes: u64) -> Result<(), String> {
    let say = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(say)?;
    let request = format!(
        "POST /public/x HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(say)?;
    let chunk = vec![b'x'; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        stream.write_all(&chunk[..now]).map_err(say)?;
        left -= now as u64;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(say)?;
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(format!("refused: {}", answer.lines().next().unwrap_or(""))),
    }
}
