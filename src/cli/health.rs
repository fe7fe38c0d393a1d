//! `freshgate health`: one question to the admin listener of a running gateway, so that a container image
//! needs no other program for its health check.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

use super::{ConfigArg, Failure};

/// How long each step of the question may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);

/// The most that is read of an answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Ask a running gateway whether it is well.
#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    config: ConfigArg,
    /// The admin listener; default: the one of the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

impl Health {
    /// Asks and prints the answer.
    ///
    /// # Errors
    /// When there is no answer, or another than 200.
    pub fn run(&self) -> Result<(), Failure> {
        let address = match self.admin {
            Some(address) => address,
            None => self.config.load()?.admin.ok_or_else(|| {
                Failure::Words("the admin listener is off in this configuration".to_owned())
            })?,
        };
        let answer = ask(address).map_err(|error| {
            Failure::Words(format!("no answer from the admin listener {address}: {error}"))
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        print!("{body}");
        if head.starts_with("HTTP/1.1 200 ") {
            Ok(())
        } else {
            Err(Failure::Words(format!(
                "{address}: {}",
                head.lines().next().unwrap_or("no answer")
            )))
        }
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
