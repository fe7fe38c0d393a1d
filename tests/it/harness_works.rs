//! The harness tested on itself: client against upstream, with no gateway between them.

use crate::harness::{Client, Step, Strict, Upstream, forge};

#[test]
fn echo_records_what_it_received_byte_by_byte() {
    let upstream = Upstream::echo();
    let client = Client { address: upstream.address };
    let request = client.post("/a/../b?x").header("x-Odd_Name", "1").body("hello");
    let seen = request.clone().send().expect(200).json();
    assert_eq!(
        (seen["target"].as_str(), seen["body"].as_str()),
        (Some("/a/../b?x"), Some("hello"))
    );
    assert_eq!(upstream.last().raw, request.header("Connection", "close").bytes());
    assert_eq!(upstream.last().header("x-odd_name"), Some("1"));
}

#[test]
fn a_connection_carries_many_requests_and_chunked_bodies() {
    let upstream = Upstream::echo();
    let mut connection = Client { address: upstream.address }.connect();
    connection.write("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n");
    assert_eq!(connection.response().expect(200).json()["body"], "abcde");
    connection.write("GET /second HTTP/1.1\r\n\r\n");
    assert_eq!(connection.response().expect(200).json()["connection"], 1);
    assert_eq!(upstream.requests()[0].trailers, [("T".to_owned(), "1".to_owned())]);
}

#[test]
fn a_script_answers_bytes_and_closes() {
    let answer = "HTTP/1.0 299 Odd\r\nX: 1\r\nX: 2\r\n\r\nto the end";
    let upstream = Upstream::raw([Step::send(answer), Step::Close]);
    let client = Client { address: upstream.address };
    let response = client.get("/").send().expect(299);
    assert_eq!((response.all("x"), response.text()), (vec!["1", "2"], "to the end".to_owned()));
    assert_eq!(client.raw("GET / HTTP/1.1\r\n\r\n"), answer.as_bytes());
}

#[test]
fn forged_tokens_say_what_they_were_told() {
    let token = forge::hs256(forge::SECRET, &forge::claims("ada"));
    assert_eq!(forge::payload(&token)["sub"], "ada");
    assert!(forge::SECRET.len() >= 32);
}

/// The faults of the oracle after these bytes went straight to the door of `/open`, and no more.
fn faults_of(bytes: &[u8]) -> Vec<String> {
    let strict = Strict::new(&[("open", "/open"), ("rest", "/")]);
    let mut connection = strict.client("open").connect();
    connection.write(bytes);
    connection.finish();
    let answer = connection.rest();
    drop(connection);
    strict.faults(&[answer])
}

#[test]
fn the_oracle_takes_what_is_by_the_book() {
    for bytes in [
        &b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET /open/a%20b/?c=d&/?:@ HTTP/1.1\r\nhost: [::1]:80\r\nX-A:\t \xffb c \r\nEmpty:\r\n\r\n",
        b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n05\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
        // An honest abort.
        b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        assert_eq!(faults_of(bytes), [""; 0], "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_oracle_finds_every_break_of_the_grammar() {
    let mut heads: Vec<Vec<u8>> = Vec::new();
    for line in [
        "GET  /open HTTP/1.1",
        "GET /open  HTTP/1.1",
        "GET /open",
        "GET /open HTTP/1.0",
        "GET /open HTTP/1.1 ",
        "G(T /open HTTP/1.1",
        " GET /open HTTP/1.1",
        "GET open HTTP/1.1",
        "GET http://a/open HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /open#x HTTP/1.1",
        "GET /open%2 HTTP/1.1",
        "GET /open%zz HTTP/1.1",
        "GET /open[ HTTP/1.1",
        "GET /open\\x HTTP/1.1",
        "GET /open?\" HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /open\tx HTTP/1.1",
        "",
    ] {
        heads.push(format!("{line}\r\nHost: a\r\n\r\n").into_bytes());
    }
    for fields in [
        "",
        "Host:\r\n",
        "Host: a\r\nhost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a:b\r\n",
        "Host: [a]\r\n",
        "Host : a\r\n",
        "Host: a\r\nX-A : b\r\n",
        "Host: a\r\nX-A\r\n",
        "Host: a\r\n: b\r\n",
        "Host: a\r\nX A: b\r\n",
        "Host: a\r\nX-A: b\r\n folded\r\n",
        "Host: a\r\nX-A: b\nX-B: c\r\n",
        "Host: a\r\nX-A: b\rc\r\n",
        "Host: a\r\nX-A: \0\r\n",
        "Host: a\r\nX-A: \u{7f}\r\n",
        "Host: a\r\nX-A: \u{b}\r\n",
        "Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
        "Host: a\r\nContent-Length: +0\r\n",
        "Host: a\r\nContent-Length:\r\n",
        "Host: a\r\nContent-Length: 0, 0\r\n",
        "Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer_Encoding: chunked\r\n",
        "Host: a\r\nContent.Length: 5\r\n",
        "Host: a\r\nContent-Length: 99999999999999999999999\r\n",
    ] {
        heads.push(format!("POST /open HTTP/1.1\r\n{fields}\r\n").into_bytes());
    }
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;x\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "\r\nhello",
        "0\r\nX-A: b\r\n\r\n",
        "0\r\n\r\nGET /open HTTP/1.1\r\nHost: a\r\n\r\n",
        "fffffffffffffffff\r\n",
        "-1\r\n",
    ] {
        heads.push(
            format!("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
                .into_bytes(),
        );
    }
    heads.push(b"GET /open HTTP/1.1\r\nHost: a\r\n".to_vec());
    heads.push(b"GET /open HTTP/1.1\r\nHost: a\r\n\r\nGET".to_vec());
    for bytes in heads {
        let faults = faults_of(&bytes);
        assert_eq!(faults.len(), 1, "{}: {faults:?}", bytes.escape_ascii());
    }
}

#[test]
fn the_oracle_finds_every_escape_and_every_request_without_its_answer() {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    for path in [
        "/",
        "/opener",
        "/open/..",
        "/open/../x",
        "/open/%2e%2e/x",
        "/open/..%2fx",
        "/open/..%5cx",
        "/open/..;/x",
        "/open/..;a=b/x",
        "/open/x/..//../y",
        "/open/%252e%252e/x",
        "/open/%252e%252e%252fx",
        "/open/..%3b/x",
        "/;/x",
        "/open%00/x",
        "/%c0%afx",
        "//open",
        "/open/%c0%ae%c0%ae/x",
        "/OPEN",
    ] {
        assert_ne!(faults_of(&get(path)), [""; 0], "{path}");
    }
    for path in
        ["/open", "/open/", "/open/x/../y", "/open/%2e/x", "/open/..x", "/open/;x", "/open/%2fx"]
    {
        assert_eq!(faults_of(&get(path)), [""; 0], "{path}");
    }
    let strict = Strict::new(&[("open", "/open")]);
    let answer = strict.client("open").raw_one(get("/open")).message.raw;
    assert_eq!(strict.faults(&[]).len(), 1, "a request that nobody got an answer to");
    assert_eq!(
        strict.faults(&[answer.clone(), answer.clone()]).len(),
        1,
        "two answers to one request"
    );
    assert_eq!(
        strict.faults(&[answer, b"x-strict: 77\r\n".to_vec()]).len(),
        1,
        "an answer to none"
    );
}
