//! What attackers send, made here: framings that two readers end in different places, spellings of one path.
//!
//! Generated, so that each trick is combined with each place it fits. The tests say what must come of them.

pub mod framing;
mod lines;
pub mod spellings;
pub mod vectors;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::Client;

/// Connections at a time; most of what they do is waiting.
const AT_ONCE: usize = 24;

/// Stands behind every payload: where the payload is one request and no more, its answer ends the connection, so that
/// nobody waits for silence; where it is not, these bytes are one more thing to misread.
const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";

/// Sends each payload on a connection of its own and gives what came back, in the same order.
pub fn shoot(client: Client, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(vec![Vec::new(); payloads.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(payload) = payloads.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let answer = client.raw([payload, LAST].concat());
                    let at = payloads.iter().position(|one| std::ptr::eq(one, payload));
                    answers.lock().expect("no panic")[at.expect("one of them")] = answer;
                }
            });
        }
    });
    answers.into_inner().expect("no panic")
}

/// The status codes of all answers in these bytes.
pub fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0)).collect()
}
