//! The wire guard: what comes out of it is the very bytes that went in, as far as they are requests under a strict
//! grammar, each with a good verdict; then, at most once, a harmless request with a refusal, and nothing more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use freshgate::server::wire::{Verdict, Verdicts, Wire, WireLimits};
use freshgate::telemetry::Metrics;
use tokio::io::{AsyncRead, ReadBuf};

use super::bytes::Bytes;
use super::heads::{Bounds, Not, Request, request};
use super::library::{self, Seen};

/// Small, so that what is too large is small too.
const LIMITS: WireLimits = WireLimits {
    target_max: 100,
    header_max: 1000,
    header_count: 20,
    header_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(75),
    requests_max: 100,
    write_idle: Duration::from_secs(30),
    write_rate_min: 0,
};
/// Nobody reads them.
static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new()));
const BOUNDS: Bounds = Bounds { target: 100, fields: 20, section: 1000 };
/// What stands in for a head that is refused begins with one of these, and says that it was.
const SUBSTITUTES: [&[u8]; 2] = [
    b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n",
];

/// A client that sends its bytes some at a time, and then ends.
#[derive(Debug)]
struct Sender<'a> {
    left: &'a [u8],
    step: usize,
}

impl AsyncRead for Sender<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let sender = self.get_mut();
        let step = sender.step.min(sender.left.len()).min(out.remaining());
        out.put_slice(&sender.left[..step]);
        sender.left = &sender.left[step..];
        Poll::Ready(Ok(()))
    }
}

/// Two bytes say how many bytes are sent and read at a time; the rest is what the client sends.
pub fn hold(input: &[u8]) {
    /// Longer ones say nothing new, and cost the square of their length.
    const BYTES_MAX: usize = 1500;
    let mut input = Bytes(&input[..input.len().min(BYTES_MAX)]);
    let (sent, read) = (usize::from(input.byte()) + 1, usize::from(input.byte()) + 1);
    let whole = through(input.0, 4096, 4096);
    let parts = through(input.0, sent, read);
    // However the bytes come, they are read alike. Only what is too long may be so before it is anything else.
    let told = |passed: &Passed| (passed.good.clone(), passed.refused.is_some(), passed.cut);
    assert_eq!(told(&parts), told(&whole), "in {sent} and {read}: {}", input.0.escape_ascii());
    assert!(
        parts.cut || parts.out == whole.out,
        "in {sent} and {read}: {}",
        input.0.escape_ascii()
    );
    hold_for(input.0, &whole);
    hold_for(input.0, &parts);
    library_agrees(&whole);
}

/// What came out of the guard.
#[derive(Debug, Default)]
pub struct Passed {
    /// All bytes that hyper was given.
    out: Vec<u8>,
    /// The requests of the client's among them, by a strict reading.
    good: Vec<Request>,
    /// The verdict on the last one, where that is a refusal.
    refused: Option<Verdict>,
    /// A body broke its framing: the connection is cut.
    cut: bool,
    /// It asked for more input and got none: a refused connection is not read.
    waiting: bool,
}

/// Sends `bytes` through a guard; each head is answered as soon as it is out.
pub fn through(bytes: &[u8], sent: usize, read: usize) -> Passed {
    let verdicts = Verdicts::new();
    let mut wire = Wire::new(
        Sender { left: bytes, step: sent },
        LIMITS,
        verdicts.clone(),
        Arc::clone(&METRICS),
    );
    let mut passed = Passed::default();
    let mut at = 0;
    let mut buffer = vec![0; read];
    loop {
        let mut part = ReadBuf::new(&mut buffer);
        match Pin::new(&mut wire).poll_read(&mut Context::from_waker(Waker::noop()), &mut part) {
            Poll::Pending => passed.waiting = true,
            Poll::Ready(Err(_)) => passed.cut = true,
            Poll::Ready(Ok(())) => {}
        }
        if part.filled().is_empty() {
            return passed;
        }
        passed.out.extend_from_slice(part.filled());
        // A request is answered when all of it is there.
        while let Ok(one @ Request { body: Ok(body), .. }) = request(&passed.out[at..], &BOUNDS) {
            let (verdict, in_flight) = verdicts.take();
            drop(in_flight);
            if verdict == (Verdict::Good { last: false }) {
                passed.good.push(one);
            } else {
                assert_eq!(passed.refused, None, "refused twice: {}", bytes.escape_ascii());
                passed.refused = Some(verdict);
            }
            at += one.head + body;
        }
    }
}

/// The statements on what came out for `sent`.
pub fn hold_for(sent: &[u8], passed: &Passed) {
    let shown = || format!("{} became {}", sent.escape_ascii(), passed.out.escape_ascii());
    let (mut from, mut to) = (0, 0);
    for one in &passed.good {
        from += blank(&sent[from..]);
        let length = one.head + one.body.expect("only whole ones are kept");
        assert_eq!(
            sent.get(from..from + length),
            Some(&passed.out[to..to + length]),
            "{}",
            shown()
        );
        (from, to) = (from + length, to + length);
    }
    from += blank(&sent[from..]);
    let (rest, left) = (&sent[from..], &passed.out[to..]);
    let next = request(rest, &BOUNDS);
    match passed.refused {
        Some(Verdict::Refused { head_method, .. }) => {
            let substitute = SUBSTITUTES[usize::from(head_method)];
            assert_eq!(left, substitute, "{}", shown());
            assert!(passed.waiting && next.is_err(), "a good request was refused: {}", shown());
            assert_eq!(rest.starts_with(b"HEAD "), head_method, "{}", shown());
        }
        Some(Verdict::Good { .. }) => unreachable!("only refusals are kept there"),
        // Whoever is good was passed on, with all that came of its body until that broke.
        None => match next {
            Ok(one) => {
                assert!(left.len() >= one.head && rest.starts_with(left), "{}", shown());
                assert!(one.body.is_err(), "a whole request was held back: {}", shown());
                assert!(passed.cut || one.body == Err(Not::Yet), "bad framing passed: {}", shown());
                assert!(passed.cut || left == rest, "{}", shown());
            }
            Err(Not::Yet) => assert!(left.is_empty(), "{}", shown()),
            Err(Not::Good) => panic!("neither passed nor refused: {}", shown()),
        },
    }
}

/// What a handler is given is what was judged, request by request.
fn library_agrees(passed: &Passed) {
    let mut at = 0;
    let mut wanted = Vec::new();
    for one in &passed.good {
        if one.trailers > BOUNDS.fields {
            // The library takes no more trailers than fields, and breaks the body off: nothing behind it is read.
            return library::hold_for(&passed.out[..at], &wanted, false, BOUNDS.fields);
        }
        wanted.push(seen(&passed.out[at..], one.payload));
        at += one.head + one.body.expect("only whole ones are kept");
    }
    // The substitute is a request like any other to the library.
    if passed.refused.is_some() {
        wanted.push(seen(&passed.out[at..], 0));
        at = passed.out.len();
    }
    library::hold_for(&passed.out, &wanted, at < passed.out.len(), BOUNDS.fields);
}

fn seen(bytes: &[u8], payload: usize) -> Seen {
    let mut words = bytes.split(|byte| *byte == b' ');
    let mut word = || String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
    let (method, mut target) = (word(), word());
    if !target.starts_with('/') {
        // Absolute-form: the site was judged, the rest is what a handler looks at.
        let rest = target.splitn(3, '/').nth(2).unwrap_or_default();
        let rest = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
        target = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    }
    Seen { method, target, payload: Some(payload) }
}

/// One empty line before a request line is ignored (RFC 9112 §2.2).
fn blank(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") { 2 } else { 0 }
}
