//! What a client may not do: show a backend a credential that the gateway did not see, claim an address, hold
//! connections and memory by reading nothing.

use std::io;

use crate::harness::{Gateway, Upstream, eventually, forge};

/// An `Authorization` field of raw bytes on a request of its own; the status.
fn present(gateway: &Gateway, path: &str, before: &[u8], token: &str) -> u16 {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ");
    let bytes = [head.as_bytes(), before, token.as_bytes(), b"\r\n\r\n"].concat();
    gateway.client().raw_one(bytes).status
}

/// Python's `split` takes 0x85 and 0xA0 for spaces: Flask-JWT-Extended found a token where we saw another scheme.
#[test]
fn no_backend_sees_a_bearer_token_that_was_not_judged() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(
        &upstream,
        "[routes]\n\"/open\" = \"public\"\n\"/maybe\" = \"optional\"\n\"/shut\" = \"access-required\"\n",
    );
    let token = forge::stale("ada");
    let spellings: [&[u8]; 8] = [
        b"Bearer\xa0",
        b"\xa0Bearer ",
        b"\x85Bearer\x85",
        b"Bearer\xe2\x80\x83",
        b"\"Bearer\" ",
        b"Bearer:",
        b"Basic YTpi, \xa0Bearer ",
        b"Basic YTpi,Bearer\xa0",
    ];
    for before in spellings {
        // Two credentials are 400, a malformed one is 401.
        let refusal = if before.contains(&b',') { 400 } else { 401 };
        assert_eq!(present(&gateway, "/maybe", before, &token), refusal, "{before:?}");
        assert_eq!(present(&gateway, "/shut", before, &token), refusal, "{before:?}");
        assert_eq!(upstream.count(), 0, "{before:?}");
        // A public route looks at no token, and gives none to the backend.
        if refusal == 401 {
            assert_eq!(present(&gateway, "/open", before, &token), 200, "{before:?}");
            assert!(!upstream.last().has("authorization"), "{before:?}");
            upstream.forget();
        }
    }
    assert_eq!(present(&gateway, "/maybe", b"Bearer ", &token), 200);
    assert_eq!(present(&gateway, "/maybe", b"Basic ", "YTpi"), 200);
    assert!(upstream.last().has("authorization"));
}

#[test]
fn no_client_says_from_which_address_it_comes() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    for name in [
        "Client-IP",
        "Client_IP",
        "X-Forwarded",
        "Forwarded-For",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "X-Remote-Addr",
        "X-Host",
        "X-HTTP-Host-Override",
        "Proxy_Authorization",
    ] {
        gateway.client().get("/").header(name, "10.9.8.7").send().expect(200);
        assert!(!upstream.last().has(name), "{name}");
    }
}

#[test]
fn a_target_that_cannot_be_parsed_is_refused_in_our_own_words() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    for target in ["/<", "/>", "/`", "/?<", "/?>", "/?\""] {
        gateway.client().request("GET", target).send().refused(400, "bad-target");
    }
    assert_eq!(upstream.count(), 0);
}

/// Slow readers (slowhttptest -X): bounded in time and in memory.
#[test]
fn clients_that_read_nothing_are_cut_and_take_little_memory() {
    const READERS: usize = 40;
    let upstream = Upstream::custom(|exchange| {
        exchange.read_body()?;
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        let block = vec![b'x'; 64 * 1024];
        (0..1_000_000_000 / block.len()).try_for_each(|_| exchange.send(&block))?;
        Err(io::Error::other("it was read"))
    });
    let limits = "[routes]\n\"/**\" = \"public\"\n[limits]\nbody_idle = \"1s\"\n";
    let gateway = Gateway::in_front_of(&upstream, limits);
    let before = gateway.peak_memory_kib();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let mut connection = gateway.client().connect();
            connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            connection
        })
        .collect();
    upstream.wait_for(READERS);
    let open = || {
        let metrics = gateway.admin().get("/metrics").send().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("freshgate_connections "));
        line.and_then(|number| number.trim().parse::<usize>().ok())
    };
    eventually("every connection to be cut", || (open()? == 0).then_some(()));
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 20 * 1024, "{grown} KiB for {READERS} readers");
    drop(readers);
}
