//! The backend of every proxy, as a process of its own: the last segment of the path says what it answers.
//!
//! `size-N` is N bytes, `hang` never ends, anything else 190 bytes. Bodies of requests are read and thrown away. One
//! thread and no library above the socket: it must not cost what the proxies cost.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Running, pinned};

/// The body of an ordinary answer, in bytes.
pub const SMALL_BYTES: u64 = 190;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// Starts the backend from this very program.
pub fn start(cores: Option<&String>) -> (Running, SocketAddr) {
    let own = std::env::current_exe().expect("this program");
    let mut command = pinned(&own.to_string_lossy(), cores);
    command.arg("backend").stdout(Stdio::piped());
    let mut running = Running::start(&mut command).expect("the backend starts");
    let mut line = String::new();
    let mut said = BufReader::new(running.stdout().expect("piped"));
    said.read_line(&mut line).expect("a line");
    let address = line.trim().parse().expect("an address");
    (running, address)
}

/// Serves until it is killed.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _gone = connection(stream).await;
            });
        }
    });
}

async fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let small = answer(SMALL_BYTES);
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = request.parse(&buffer[..filled]) else {
            if filled == buffer.len() {
                return Ok(());
            }
            continue;
        };
        let length =
            request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
        let mut body: usize = length.unwrap_or(0);
        let last = request.path.unwrap_or("").rsplit('/').next().unwrap_or("");
        let wanted = match last {
            "hang" => None,
            _ => Some(
                last.strip_prefix("size-")
                    .and_then(|size| size.parse().ok())
                    .unwrap_or(SMALL_BYTES),
            ),
        };
        body -= body.min(filled - head);
        filled = 0;
        while body > 0 {
            let room = body.min(buffer.len());
            match stream.read(&mut buffer[..room]).await? {
                0 => return Ok(()),
                read => body -= read,
            }
        }
        match wanted {
            Some(SMALL_BYTES) => stream.write_all(&small).await?,
            Some(size) => large(&mut stream, size).await?,
            // Until the proxy gives up.
            None => while stream.read(&mut buffer).await? > 0 {},
        }
    }
}

fn head(size: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n").into()
}

fn answer(size: u64) -> Vec<u8> {
    [head(size), vec![b'x'; usize::try_from(size).expect("small")]].concat()
}

async fn large(stream: &mut TcpStream, size: u64) -> std::io::Result<()> {
    let chunk = vec![b'x'; CHUNK_BYTES];
    stream.write_all(&head(size)).await?;
    let mut left = size;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        stream.write_all(&chunk[..now]).await?;
        left -= now as u64;
    }
    Ok(())
}
