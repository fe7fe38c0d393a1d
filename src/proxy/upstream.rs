//! Where an upstream is, and how to reach it. Who its peers are, who is healthy and who is chosen are three
//! parts of this file; today an upstream has one name, resolved anew for each connection.

use std::io;
use std::net::SocketAddr;

use http::HeaderValue;
use tokio::net::{TcpStream, lookup_host};

use super::UpstreamError;
use crate::config::{Target, Upstream};

/// The `Host` of the upstream itself.
pub fn authority(target: &Target) -> HeaderValue {
    const HTTP_PORT: u16 = 80;
    let text = match target {
        Target::Whoami => "whoami".to_owned(),
        Target::Http { host, port } => {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            if *port == HTTP_PORT { host } else { format!("{host}:{port}") }
        }
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("upstream"))
}

/// Opens a connection to the first peer that takes one, all within `timeout_connect`.
///
/// # Errors
/// [`UpstreamError::ConnectTimeout`], or [`UpstreamError::Connect`] with the last peer's error.
pub async fn connect(upstream: &Upstream) -> Result<TcpStream, UpstreamError> {
    match tokio::time::timeout(upstream.timeout_connect, connect_any(&upstream.target)).await {
        Ok(stream) => stream.map_err(UpstreamError::Connect),
        Err(_) => Err(UpstreamError::ConnectTimeout),
    }
}

async fn connect_any(target: &Target) -> io::Result<TcpStream> {
    let Target::Http { host, port } = target else {
        return Err(io::Error::other("the builtin upstream is not on a network"));
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for peer in peers(host, *port).await? {
        match TcpStream::connect(peer).await {
            Ok(stream) => {
                // A proxied request is one write; waiting for more of it only adds delay.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn peers(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host.parse() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => Ok(lookup_host((host, port)).await?.collect()),
    }
}
