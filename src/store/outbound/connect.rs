//! From a target to a connection: look up, check each address, connect to one that passed. What was checked is what
//! is connected to; no name is looked up twice.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::guard::{AddressGuard, Checked};
use super::target::{Host, Target};
use super::{LOOKUPS_MAX, Why};

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Finds the addresses of a name; may take its time, since a thread of its own waits for it.
pub(super) type Resolver = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The system's lookup.
pub(super) fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Connects, after the guard.
pub(super) struct Connector {
    pub(super) guard: AddressGuard,
    pub(super) resolver: Arc<Resolver>,
    /// A lookup cannot be cancelled: it keeps its place until the system gives up.
    pub(super) places: Arc<Semaphore>,
    pub(super) lookup_timeout: Duration,
}

impl Connector {
    pub(super) fn new(guard: AddressGuard, lookup_timeout: Duration) -> Connector {
        let places = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Connector { guard, resolver: Arc::new(system), places, lookup_timeout }
    }

    /// The addresses that may be connected to, in the system's order, at least one.
    ///
    /// # Errors
    /// The name has no address, or none that passes the guard; or looking it up took too long.
    pub(super) async fn addresses(&self, target: &Target) -> Result<Vec<Checked>, Why> {
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => timeout(self.lookup_timeout, self.look_up(name.clone()))
                .await
                .unwrap_or(Err(Why::LookupTimeout(self.lookup_timeout)))?,
        };
        let mut checked = Vec::new();
        let mut refused = Why::Lookup("it has no address".to_owned());
        for address in found.into_iter().rev() {
            match self.guard.check(SocketAddr::new(address, target.port)) {
                Ok(address) => checked.push(address),
                Err(why) => refused = why,
            }
        }
        checked.reverse();
        checked.truncate(ADDRESSES_MAX);
        if checked.is_empty() { Err(refused) } else { Ok(checked) }
    }

    /// Asks the system in a thread of its own: a runtime that ends would wait for a thread of its pool.
    async fn look_up(&self, name: String) -> Result<Vec<IpAddr>, Why> {
        let failed = |what: &str| Why::Lookup(what.to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| failed("the client has ended"))?;
        let (answer, answered) = oneshot::channel();
        let resolver = Arc::clone(&self.resolver);
        let look = move || {
            let _place = place;
            // Nobody waits any longer: then nobody is told.
            let _ = answer.send(resolver(&name));
        };
        let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(look);
        thread.map_err(|error| failed(&error.to_string()))?;
        let found = answered.await.map_err(|_| failed("the lookup ended without an answer"))?;
        found.map_err(|error| failed(&error.to_string()))
    }
}

/// Connects to the first of these that answers. Each may take its share of the time that is left, so that a dead
/// one leaves some to the next.
///
/// # Errors
/// None took the connection: what the last of them said.
pub(super) async fn connect(addresses: &[Checked], limit: Duration) -> Result<TcpStream, Why> {
    let until = Instant::now() + limit;
    let mut last = Why::ConnectTimeout(limit);
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        last = match timeout(share, TcpStream::connect(address.address())).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Why::Connect(error.to_string()),
            Err(_) => Why::ConnectTimeout(limit),
        };
    }
    Err(last)
}
