//! How many client connections the process can have: each needs a file descriptor, and a second one towards a backend.
//! What would take the last ones is told 503 like what is over `connections_max`, so that the store, the admin
//! listener and the requests under way always find theirs.
//!
//! Called once, at the start; never lowers a limit.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that clients and their backends never get: listeners, the store, event queues, the operator.
const SPARE: u64 = 40;

/// Raises the soft limit to the hard one, as far as the system lets us: the soft one is low for the sake of programs
/// that use `select`. Gives how many client connections then fit; `None`: as many as are asked for.
pub(super) fn raise() -> Option<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of file descriptors");
    }
    getrlimit(Resource::Nofile).current.map(clients)
}

/// At least one, whatever the limit is: it is refused by the system if it must be.
fn clients(descriptors: u64) -> usize {
    usize::try_from(descriptors.saturating_sub(SPARE) / 2).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_two_and_the_rest_is_ours() {
        assert_eq!(clients(1024), 492);
        assert_eq!(clients(64), 12);
        assert_eq!(clients(10), 1);
        assert!(raise().is_none_or(|clients| clients > 0));
    }
}
