//! What a connection takes, what it refuses, and where each answer ends: fed whole and byte by byte.

use std::future::poll_fn;

use tokio::io::AsyncWriteExt as _;

use super::follow::Follow;
use super::*;

const LIMITS: AnswerLimits =
    AnswerLimits { header_max: 400, header_count: 3, informational_max: 2 };

/// How many bytes are good, the fault after them, and whether the answer has ended.
type Outcome = (usize, Option<Fault>, bool);

/// Follows what `bytes` begin with, as a connection does, until more must come.
fn take(follow: &mut Follow, bytes: &[u8]) -> (usize, Option<Fault>) {
    let mut good = 0;
    while good < bytes.len() {
        match follow.next(&bytes[good..], &LIMITS) {
            Ok(Piece::More) => break,
            Ok(
                Piece::Informational(used)
                | Piece::Head(used)
                | Piece::Data(used)
                | Piece::Framing(used),
            ) => good += used,
            Err(fault) => return (good, Some(fault)),
        }
    }
    (good, None)
}

fn at_once(bytes: &[u8], head_only: bool) -> Outcome {
    let mut follow = Follow::new(head_only);
    let (good, fault) = take(&mut follow, bytes);
    (good, fault, follow.is_done())
}

/// As a connection brings it when each read gives one byte.
fn bit_by_bit(bytes: &[u8], head_only: bool) -> Outcome {
    let mut follow = Follow::new(head_only);
    let mut good = 0;
    for end in 1..=bytes.len() {
        let (used, fault) = take(&mut follow, &bytes[good..end]);
        good += used;
        if fault.is_some() {
            return (good, fault, follow.is_done());
        }
    }
    (good, None, follow.is_done())
}

#[track_caller]
fn follow(text: &str, head_only: bool) -> Outcome {
    let outcome = at_once(text.as_bytes(), head_only);
    assert_eq!(bit_by_bit(text.as_bytes(), head_only), outcome, "{text:?}");
    outcome
}

#[test]
fn an_answer_ends_where_it_says() {
    for (answer, head_only) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.0 404 \r\ncontent-length:0002 \r\n\r\nok", false),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false),
        (
            "HTTP/1.1 599 x\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\n", false),
        ("HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        (
            "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 204 None\r\n\r\n",
            false,
        ),
    ] {
        assert_eq!(follow(answer, head_only), (answer.len(), None, true), "{answer:?}");
        let more = format!("{answer}H");
        let unasked = (answer.len(), Some(Fault::Unasked), true);
        assert_eq!(follow(&more, head_only), unasked, "{answer:?}");
    }
    let open = "HTTP/1.1 200 OK\r\n\r\nuntil the end\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(follow(open, false), (open.len(), None, false));
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    for (answer, fault) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::Framing,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            Fault::Framing,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", Fault::Framing),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n", Fault::Framing),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", Fault::Switched),
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", Fault::Line),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n", Fault::Line),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Fault::Line),
        ("HTTP/1.1 200 OK\r\n\tA: b\r\n\r\n", Fault::Line),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\n", Fault::Line),
        ("HTTP/2.0 200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.2 200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 000 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 999 OK\r\n\r\n", Fault::StatusLine),
        ("HTTP/1.1 \u{661}00 OK\r\n\r\n", Fault::StatusLine),
        ("http/1.1 200 OK\r\n\r\n", Fault::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::StatusLine),
        ("<html>", Fault::StatusLine),
    ] {
        let outcome = follow(answer, false);
        assert_eq!(outcome, (0, Some(fault), false), "{answer:?}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_it_has_all_come() {
    let field = format!("A: {}", "x".repeat(400));
    assert_eq!(follow(&format!("HTTP/1.1 200 OK\r\n{field}"), false).1, Some(Fault::HeaderMax));
    let many = "HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\nD:\r\n";
    assert_eq!(follow(many, false).1, Some(Fault::HeaderCount));
    let early = "HTTP/1.1 103 Early\r\n\r\n";
    assert_eq!(follow(&early.repeat(2), false), (2 * early.len(), None, false));
    assert_eq!(follow(&early.repeat(3), false).1, Some(Fault::InformationalMax));
    // The heads of 1xx answers count as one with the real one.
    let long = format!("HTTP/1.1 103 Early\r\nA: {}\r\n\r\n", "x".repeat(180));
    assert_eq!(follow(&long, false).1, None);
    assert_eq!(follow(&long.repeat(2), false).1, Some(Fault::HeaderMax));
}

#[test]
fn chunks_that_are_not_exact_are_refused() {
    for chunks in ["-1\r\n", "g\r\n", "5\nhello", "fffffffffffffffff\r\n", "1\r\nab\r\n", "\r\n"] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let outcome = at_once(format!("{head}{chunks}").as_bytes(), false);
        assert_eq!((outcome.1, outcome.2), (Some(Fault::Chunk), false), "{chunks:?}");
        assert!(outcome.0 < head.len() + chunks.len(), "{chunks:?}");
    }
}

/// A connection, and the backend's end of it.
async fn pair() -> (Connection, TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Connection::new(ours.expect("connects"), LIMITS), theirs.expect("accepted").0)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

/// The whole answer: its head, and its body to the end.
async fn answer(connection: &mut Connection) -> Result<(Answered, Vec<u8>), Broken> {
    let answered = poll_fn(|cx| connection.poll_head(cx)).await?;
    let mut body = Vec::new();
    while let Some(data) = poll_fn(|cx| connection.poll_data(cx)).await {
        body.extend_from_slice(&data?);
    }
    Ok((answered, body))
}

#[test]
fn an_answer_in_pieces_of_any_size_arrives_as_it_was_sent() {
    let early = "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n";
    let body = "body ".repeat(60);
    let length = format!("Content-Length: 300\r\n\r\n{body}");
    let chunks = format!(
        "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n12B;x\r\n{}\r\n0\r\nA: b\r\n\r\n",
        &body[1..]
    );
    run(async {
        for framed in [length, chunks] {
            let sent = format!("{early}HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\n{framed}");
            for size in [1, 2, 7, 30, 60, 64, 1000] {
                let (mut connection, mut backend) = pair().await;
                for _ in 0..2 {
                    connection.ask(false);
                    assert!(!connection.is_answered() && !connection.is_clean());
                    let speak = async {
                        for piece in sent.as_bytes().chunks(size) {
                            backend.write_all(piece).await.expect("sent");
                            tokio::task::yield_now().await;
                        }
                    };
                    let (heard, ()) = tokio::join!(answer(&mut connection), speak);
                    let (answered, heard) = heard.expect("an answer");
                    assert_eq!(String::from_utf8_lossy(&heard), body);
                    assert_eq!(answered.status, 200);
                    let cookie = answered.fields.iter().find(|(name, _)| name == "set-cookie");
                    assert_eq!(cookie.expect("a field").1, "a");
                    assert_eq!(answered.reason.expect("its own").as_bytes(), b"Fine");
                    assert!(connection.is_answered() && connection.is_clean());
                    assert!(connection.is_quiet());
                }
            }
        }
    });
}

#[test]
fn a_connection_goes_on_only_after_an_answer_that_ends_and_says_nothing_else() {
    run(async {
        for (head, goes_on) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.1 204 None\r\nConnection: x, Keep-Alive\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\nConnection: a, CLOSE\r\nContent-Length: 2\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok ", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            let (mut connection, mut backend) = pair().await;
            connection.ask(false);
            backend.write_all(head.as_bytes()).await.expect("sent");
            answer(&mut connection).await.expect("an answer");
            assert_eq!(connection.is_clean(), goes_on, "{head:?}");
        }
        let (mut connection, mut backend) = pair().await;
        connection.ask(false);
        backend.write_all(b"HTTP/1.1 200 OK\r\n\r\nto the end").await.expect("sent");
        drop(backend);
        assert_eq!(answer(&mut connection).await.expect("an answer").1, b"to the end");
        assert!(!connection.is_clean());
    });
}

#[test]
fn an_answer_that_ends_early_is_gone_and_a_field_that_is_none_is_a_fault() {
    run(async {
        for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"] {
            let (mut connection, mut backend) = pair().await;
            connection.ask(false);
            backend.write_all(text.as_bytes()).await.expect("sent");
            drop(backend);
            let broken = answer(&mut connection).await;
            assert!(matches!(broken, Err(Broken::Gone(_))), "{text:?}");
            assert_eq!(connection.is_answered(), !text.is_empty());
        }
        for field in [": b", "A : b", "A b", "A: \u{1}", "A\u{e9}: b", "A: b\rc"] {
            let (mut connection, mut backend) = pair().await;
            connection.ask(false);
            let head = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
            backend.write_all(head.as_bytes()).await.expect("sent");
            let broken = answer(&mut connection).await;
            assert!(matches!(broken, Err(Broken::Fault(Fault::Field))), "{field:?}");
        }
    });
}

/// The timer stays with the connection: one set for later must not hold up what is due sooner, nor one that has fired end
/// what is due later.
#[test]
fn one_timer_serves_requests_with_different_limits() {
    let mut paused = tokio::runtime::Builder::new_current_thread();
    let runtime = paused.enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let (mut connection, _peer) = pair().await;
        for seconds in [60, 1, 30, 1, 1, 60] {
            let limit = std::time::Duration::from_secs(seconds);
            let (start, due) = (Instant::now(), Instant::now() + limit);
            // Answered in time: the wait is given up, and the timer is left as it is.
            let answered = poll_fn(|cx| connection.poll_until(cx, due + limit));
            assert!(tokio::time::timeout(limit / 2, answered).await.is_err());
            poll_fn(|cx| connection.poll_until(cx, due)).await;
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
    });
}

#[test]
fn a_backend_that_has_closed_is_not_quiet() {
    run(async {
        let (connection, backend) = pair().await;
        assert!(connection.is_quiet());
        drop(backend);
        while connection.is_quiet() {
            tokio::task::yield_now().await;
        }
    });
}

/// Pieces of answers, good and bad.
const PIECES: [&str; 22] = [
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 204 \r\n",
    "HTTP/1.1 103 x\r\n",
    "HTTP/1.1 ",
    "Content-Length: 3\r\n",
    "content-length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "A: b\r\n",
    " c\r\n",
    "\r\n",
    "\r",
    "\n",
    "3\r\n",
    "abc",
    "0\r\n",
    ":",
    "\0",
    "\u{e9}",
    "HTTP/2",
    "101",
    "-1",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn the_size_of_reads_changes_nothing(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..14),
        head_only in proptest::bool::ANY,
    ) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let text = format!("HTTP/1.1 200 OK\r\n{text}");
        let (whole, slow) = (at_once(text.as_bytes(), head_only), bit_by_bit(text.as_bytes(), head_only));
        // How far it got in a piece with bad chunks may differ; what comes of it may not.
        let outcome = |(_, fault, done): Outcome| (fault, done);
        proptest::prop_assert_eq!(outcome(whole), outcome(slow));
    }
}
