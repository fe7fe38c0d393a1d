//! What the benches share that ask a running gateway: a token, and when an answer of the backend has come.

use std::path::Path;
use std::process::Command;

use super::kit::ANSWER_BODY_BYTES;

/// The header field with a good token of the gateway whose `gateway.toml` is in `dir`.
pub fn authorization(dir: &Path) -> String {
    let minted = Command::new(env!("CARGO_BIN_EXE_freshgate"))
        .args(["token", "mint", "--sub", "alice", "--ttl", "1h"])
        .current_dir(dir)
        .output()
        .expect("the command runs");
    assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
    format!("Authorization: Bearer {}\r\n", String::from_utf8_lossy(&minted.stdout).trim())
}

/// Whether this is a whole answer of the backend, as it came or passed on.
pub fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| answer.len() >= end + 4 + ANSWER_BODY_BYTES)
}
