//! Floods: forged tokens, logins, garbage. Each costs a bounded part of the gateway, and nobody else pays.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::client::Connection;
use crate::harness::{Gateway, Setup, UNTHROTTLED, Upstream, eventually, forge};

const ROUTES: &str = "[routes]\n\"/\" = \"access-required\"\n\"/maybe\" = \"optional\"\n\"/open\" = \"public\"\n\
     \"/watched\" = { policy = \"access-required\", mode = \"report\" }\n";

/// A gateway with one data thread, so that there is one budget and one cache.
fn gateway(upstream: &Upstream, limits: &str) -> Gateway {
    Gateway::sharing(upstream, &format!("[limits]\nthreads = 1\n{limits}\n{ROUTES}"))
}

/// A token whose signature is wrong, another one for each number.
fn forged(number: usize) -> String {
    let mut claims = forge::claims("ada");
    claims["jti"] = json!(number.to_string());
    forge::hs256("another secret, as long as ours..", &claims)
}

/// Presents a token on an open connection; status and code.
fn ask(connection: &mut Connection, path: &str, token: &str) -> (u16, String) {
    connection
        .write(format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"));
    let response = connection.response();
    if response.status == 503 {
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(response.header("connection"), None, "the connection is as good as before");
    }
    (response.status, response.code())
}

const OVERLOADED: (u16, &str) = (503, "overloaded");

fn is_overloaded((status, code): &(u16, String)) -> bool {
    (*status, code.as_str()) == OVERLOADED
}

// Holds: T14
#[test]
fn an_address_has_a_budget_of_forged_tokens_and_beyond_it_only_known_ones_pass() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, "token_failures = 1");
    let mut bad = gateway.client().connect();
    let (known, unknown) = (forge::stale("ada"), forge::stale("bob"));
    assert_eq!(ask(&mut bad, "/", &known).0, 200);
    let answers: Vec<_> = (0..200).map(|number| ask(&mut bad, "/", &forged(number))).collect();
    let told = answers.iter().filter(|answer| is_overloaded(answer)).count();
    assert_eq!(answers[0], (401, "token-invalid".to_owned()));
    assert!(told >= 100, "{told}");
    assert_eq!(gateway.reached("token_failures"), told as u64);
    // Waits until one more is checked: then there is none for a second.
    let spend = |bad: &mut Connection| {
        eventually("a forged token to be checked", || {
            (ask(bad, "/", &forged(1000)).0 == 401).then_some(())
        });
    };
    spend(&mut bad);
    assert!(is_overloaded(&ask(&mut bad, "/", &unknown)));
    assert!(is_overloaded(&ask(&mut bad, "/maybe", &unknown)));
    // Good ones that are known go on, and where no token is looked at there is none to check.
    spend(&mut bad);
    assert_eq!(ask(&mut bad, "/", &known).0, 200);
    assert_eq!(ask(&mut bad, "/open", &forged(1)).0, 200);
    assert_eq!(ask(&mut bad, "/watched", &forged(1)).0, 200);
    // Another address pays nothing.
    let mut other = gateway.client().connect_from("127.0.0.2");
    assert_eq!(ask(&mut other, "/", &unknown).0, 200);
    // It is known now, whoever brings it.
    assert_eq!(ask(&mut bad, "/", &unknown).0, 200);
    let third = forge::stale("eve");
    eventually("the budget to grow again", || (ask(&mut bad, "/", &third).0 == 200).then_some(()));
}

// Holds: T14
// One forger behind a proxy of ours must not shut out everybody else behind it.
#[test]
fn a_forger_behind_a_proxy_spends_the_budget_of_one_address() {
    let upstream = Upstream::echo();
    let proxied =
        "trusted_proxies = [\"127.0.0.0/8\"]\n[limits]\nthreads = 1\ntoken_failures = 1\n";
    let gateway = Gateway::sharing(&upstream, &format!("{proxied}{ROUTES}"));
    let mut connection = gateway.client().connect();
    let mut ask = |from: &str, token: &str| {
        connection.write(format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {from}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        let response = connection.response();
        (response.status, response.code())
    };
    for number in 0..50 {
        ask("203.0.113.9", &forged(number));
    }
    eventually("the forger to be over its budget", || {
        is_overloaded(&ask("203.0.113.9", &forged(1000))).then_some(())
    });
    assert_eq!(ask("203.0.113.10", &forge::stale("bob")).0, 200);
}

// Holds: T14
#[test]
fn a_token_that_is_refused_before_its_signature_costs_no_budget() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, "token_failures = 2");
    let mut client = gateway.client().connect();
    let claims = forge::claims("ada").to_string();
    let sign = |header: &str| forge::sign(forge::SECRET, header.as_bytes(), claims.as_bytes());
    for token in [
        "not-a-token".to_owned(),
        "a.b.c".to_owned(),
        sign(r#"{"alg":"HS256","kid":"nobody"}"#),
        sign(r#"{"alg":"HS512"}"#),
        sign(r#"{"alg":"none"}"#),
        sign(r#"{"alg":"HS256","crit":["exp"]}"#),
        "x".repeat(9000),
    ] {
        for _ in 0..10 {
            assert_eq!(ask(&mut client, "/", &token).0, 401, "{token}");
        }
    }
    // Nor does a good signature under claims that are not.
    let expired = forge::with("ada", json!({"exp": 1000}));
    for _ in 0..10 {
        assert_eq!(ask(&mut client, "/", &expired), (401, "token-expired".to_owned()));
    }
    assert_eq!(gateway.reached("token_failures"), 0);
    assert_eq!(ask(&mut client, "/", &forge::stale("bob")).0, 200);
}

// Holds: T14
#[test]
fn fifty_thousand_forged_tokens_push_no_good_one_from_the_cache() {
    const FLOOD: usize = 50_000;
    const AT_ONCE: usize = 250;
    let upstream = Upstream::echo();
    let gateway = gateway(
        &upstream,
        "token_failures = 1000000\ntoken_cache = 20\nrequests_per_connection = 1000000",
    );
    let client = gateway.client();
    let good: Vec<String> = (0..10).map(|at| forge::stale(&format!("user{at}"))).collect();
    let all_pass = || {
        for token in &good {
            client.get("/").bearer(token).send().expect(200);
        }
    };
    all_pass();
    let token = forged(1);
    let signature = token.rsplit_once('.').expect("three parts").0;
    let counted =
        |what: &str| gateway.metric(&format!("freshgate_token_cache_{what}_total{{thread=\"0\"}}"));
    let (misses, hits) = (counted("misses"), counted("hits"));
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                let mut connection = client.connect();
                for batch in 0..FLOOD / 2 / AT_ONCE {
                    let number = |at| (half * FLOOD + batch) * AT_ONCE + at;
                    let requests: String = (0..AT_ONCE)
                        .map(|at| format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {signature}.{:042}0\r\n\r\n", number(at)))
                        .collect();
                    connection.write(requests);
                    for _ in 0..AT_ONCE {
                        connection.response().refused(401, "token-invalid");
                    }
                }
            });
        }
    });
    assert_eq!(counted("misses") - misses, FLOOD as u64, "each was another, and looked at");
    all_pass();
    assert_eq!(counted("hits") - hits, good.len() as u64, "every good token was still known");
    assert_eq!(counted("misses") - misses, FLOOD as u64);
}

// Holds: U3
#[test]
fn two_hundred_parallel_logins_are_answered_or_refused_at_once_and_proxying_goes_on() {
    const LOGINS: usize = 200;
    let upstream = Upstream::echo();
    let limits = format!("{UNTHROTTLED}login_queue = 20\n[routes]\n\"/public\" = \"public\"\n");
    let setup = Setup::new(&format!("upstream = \"{upstream}\"\n{limits}"));
    let gateway = setup.start();
    let client = gateway.client();
    let password = gateway.first_password();
    let login = json!({"username": "admin", "password": password});
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut proxied = 0;
    std::thread::scope(|scope| {
        for _ in 0..LOGINS {
            scope.spawn(|| {
                let response = client.post("/auth/login").json(&login).send();
                if response.status == 503 {
                    let response = response.refused(503, "overloaded");
                    assert_eq!(response.header("retry-after"), Some("1"));
                    refused.fetch_add(1, Ordering::SeqCst);
                } else {
                    response.expect(200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut connection = client.connect();
        while answered.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst) < LOGINS {
            client.get("/public").send_on(&mut connection).expect(200);
            proxied += 1;
        }
    });
    assert!(proxied > 5, "only {proxied} requests while the logins ran");
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused > 0 && answered.load(Ordering::SeqCst) > 20, "{refused} refused");
    assert_eq!(gateway.reached("login_queue"), refused as u64);
    client.post("/auth/login").json(&login).send().expect(200);
}

// Holds: D11
#[test]
fn odd_requests_end_only_themselves() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    let pid = gateway.pid();
    let odd = [
        &b"\r\n\r\n\r\n"[..],
        b"\0\0\0\0",
        b"GET",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[{\xff",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ];
    let mut bytes: Vec<Vec<u8>> = odd.iter().map(|one| one.to_vec()).collect();
    // And a good request with a few of its bytes changed, the same ones in every run.
    let good = b"POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nCookie: e=f\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..1500 {
        let mut one = good.to_vec();
        for _ in 0..1 + next() % 3 {
            let at = next() as usize % one.len();
            one[at] = next() as u8;
        }
        bytes.push(one);
    }
    for one in &bytes {
        let mut connection = gateway.client().connect();
        connection.write(one);
        connection.finish();
        let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
        let shown = one.escape_ascii();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "{shown}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 500"), "{shown}: {answer}");
    }
    gateway.client().get("/").send().expect(200);
    assert_eq!(gateway.pid(), pid);
    assert!(!gateway.log().contains("panic"), "{}", gateway.log());
}
