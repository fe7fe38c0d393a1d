//! The harness tested on itself: client against upstream, with no gateway between them.

use crate::harness::{Client, Step, Upstream, forge};

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
