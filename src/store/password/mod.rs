//! Passwords: hashes of ours (argon2id, RFC 9106), hashes as other programs write them, and what checks them.
//!
//! `ours` makes a hash, `formats` reads every other kind, `pool` computes on a few threads of its own, `checker` asks it
//! and replaces weak hashes. A check costs
//! about 20 ms and 19 MiB or what the other program chose, so it never runs on a data thread or on the runtime.
//! Nothing here prints a password. Called by the credential stores and the command line.

mod checker;
mod formats;
mod ours;
mod pool;

pub use checker::Checker;
pub use formats::{HASH_MAX_BYTES, HashFault, StoredHash};
pub use ours::{Hash, LANES, MEMORY_KIB, PASSES};
pub use pool::Pool;

/// Longest password in bytes. Nothing is ever cut off: a longer one is refused.
pub const PASSWORD_MAX_BYTES: usize = 4096;

/// Why a password is not taken; the remedy is in the sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// An empty password.
    #[error("the password is empty")]
    Empty,
    /// A password above [`PASSWORD_MAX_BYTES`].
    #[error("the password is longer than 4096 bytes")]
    TooLong,
    /// The random generator or the memory allocator failed.
    #[error("this machine gave no random bytes or no memory")]
    Machine,
}
