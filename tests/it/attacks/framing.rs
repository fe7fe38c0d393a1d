//! Heads and framings that two readers would take apart differently: refused, and the connection with them.

use super::corpus::statuses;
use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";

/// Sends each piece of head after `POST / HTTP/1.1` and `Host`, with a request hidden behind it: 400, the end of the
/// connection, and nothing at the backend.
#[track_caller]
fn refused(lines: &[&str]) {
    let whole = |line: &&str| format!("POST / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
    refused_heads(&lines.iter().map(whole).collect::<Vec<_>>());
}

#[track_caller]
fn refused_heads(heads: &[String]) {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for head in heads {
        let mut connection = gateway.client().connect();
        connection.write(format!("{head}0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = connection.response();
        assert_eq!(answer.status, 400, "{head:?}: {}", answer.text());
        assert!(connection.is_closed(), "{head:?}: the connection goes on");
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: H1, CVE-2026-2835, CVE-2026-88008
#[test]
fn two_framings_are_400_and_the_end() {
    refused(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "content-length: 0\r\ntransfer-encoding: Chunked",
        "Content-Length: 5\r\nX: y\r\nTransfer-Encoding: identity",
        "Content-Length: 5\r\nTransfer_Encoding: chunked",
        "Content_Length: 5\r\nTransfer-Encoding: chunked",
    ]);
}

// Holds: H2, CVE-2021-21299, CVE-2021-32714
#[test]
fn a_transfer_encoding_other_than_one_chunked_is_400() {
    refused(&[
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked;x=y",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding: chu\u{b}nked",
        "Transfer-Encoding: \u{c}chunked",
        "Transfer-Encoding: chunked\u{a0}",
    ]);
}

// Holds: H3, CVE-2026-2835, CVE-2026-2836
#[test]
fn a_coding_in_an_http_1_0_request_is_400_and_the_end() {
    let head = |line: &str| {
        format!("POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n{line}\r\n\r\n")
    };
    refused_heads(&[
        head("Transfer-Encoding: chunked"),
        head("Transfer-Encoding: identity"),
        head("Content-Length: 5\r\nTransfer-Encoding: chunked"),
    ]);
}

// Holds: H4, RUSTSEC-2021-0078, CVE-2026-26308
#[test]
fn a_length_that_is_not_plain_digits_said_once_is_400() {
    refused(&[
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5, 5",
        "Content-Length: 5,6",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551616",
        "Content-Length: 9223372036854775808",
        "Content-Length: 00000000000000000005",
        "Content-Length:",
        "Content-Length: 5;",
        "Content-Length: 5.0",
        "Content-Length: 5e1",
        "Content-Length: \u{ff15}",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent_length: 5",
    ]);
}

// Holds: H5
#[test]
fn a_field_name_that_is_no_token_is_400() {
    refused(&[
        "X-A : b",
        "X-A\t: b",
        ": b",
        " : b",
        "X A: b",
        "X\u{e9}: b",
        "\"X\": b",
        "X(A): b",
        "X/A: b",
        "X\0A: b",
        "NoColon",
        "X@A: b",
        "{X}: b",
    ]);
}

// Holds: H6
#[test]
fn a_folded_field_is_400() {
    refused(&[
        " X-A: b",
        "\tX-A: b",
        "X-A: b\r\n folded",
        "X-A: b\r\n\tfolded",
        "X-A:\r\n b",
        "Content-Length:\r\n 5",
        "Transfer-Encoding:\r\n chunked",
    ]);
}

// Holds: H7
#[test]
fn a_control_in_a_field_value_is_400() {
    let controls = (0x00..0x20).chain([0x7F]).filter(|byte: &u8| !b"\t\n\r".contains(byte));
    let lines: Vec<String> = controls
        .map(char::from)
        .flat_map(|sign| {
            [format!("X-A: a{sign}b"), format!("X-A: {sign}"), format!("X-A: b{sign}")]
        })
        .collect();
    refused(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

// Holds: H8
#[test]
fn a_bare_cr_or_a_bare_lf_is_400() {
    refused(&[
        "X-A: a\rb",
        "X-A: a\nX-B: b",
        "X-A: b\r",
        "X-A: b\n",
        "X-A: a\r\r\nX-B: b",
        "X-A: a\n\rX-B: b",
        "\nX-A: b",
        "\rX-A: b",
    ]);
    refused_heads(&[
        "GET / HTTP/1.1\nHost: x\n\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\n\r\n".to_owned(),
        "GET / HTTP/1.1\rHost: x\r\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\n\n".to_owned(),
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ]);
}

// Holds: H12
#[test]
fn a_chunk_that_is_not_exact_never_becomes_a_whole_body_at_the_backend() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let long = "0".repeat(17);
    for body in [
        "0x3\r\nabc\r\n",
        "+3\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "3 3\r\nabc\r\n",
        "g\r\nabc\r\n",
        "3_\r\nabc\r\n",
        "_3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "fffffffffffffffff\r\nabc\r\n",
        "\r\nabc\r\n",
        "3\nabc\r\n",
        "3\r\nabc\n",
        "3\r\nabcd\r\n",
        "3\r\nab\r\n",
        "3;\n\r\nabc\r\n",
        "3;x\u{0}\r\nabc\r\n",
        &long,
    ] {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut connection = gateway.client().connect();
        connection.write(format!("{head}{body}0\r\n\r\n"));
        let answer = connection.rest();
        assert!(matches!(statuses(&answer)[..], [400 | 502]), "{body:?}: {:?}", statuses(&answer));
    }
    for seen in upstream.requests() {
        assert!(!String::from_utf8_lossy(&seen.raw).ends_with("0\r\n\r\n"), "{seen:?}");
    }
}

// Holds: H12
#[test]
fn chunk_extensions_are_bounded_and_never_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer =
        gateway.client().raw_one(format!("{head}3;secret=\"x;y\"\r\nabc\r\n0;last\r\n\r\n"));
    answer.expect(200);
    let seen = upstream.last();
    assert_eq!(seen.text(), "abc");
    let raw = String::from_utf8_lossy(&seen.raw).into_owned();
    assert!(!raw.contains("secret") && !raw.contains("last"), "{raw}");
    let flood =
        format!("{head}{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(1000)).repeat(100));
    let answer = gateway.client().raw(flood);
    assert!(!statuses(&answer).contains(&200), "{:?}", statuses(&answer));
}
