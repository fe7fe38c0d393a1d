//! What a client may not do: show a backend a credential that the gateway did not see, or claim an address.

use crate::harness::{Gateway, Upstream, forge};

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
