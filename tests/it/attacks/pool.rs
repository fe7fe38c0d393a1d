//! Connections to backends are shared by users: no answer, and no right of one, ever reaches another.

use std::fmt::Write as _;

use crate::harness::{Gateway, Upstream, forge};

/// Requests in all, and how many of them one client sends before it reads.
const REQUESTS: usize = 100_000;
const AT_ONCE: usize = 50;

/// A backend that answers who it was asked by and for what, sometimes in ways that end a connection.
fn who_asks() -> Upstream {
    Upstream::custom(|exchange| {
        let user = exchange.request.header("x-user-id").unwrap_or("nobody").to_owned();
        let target = exchange.request.target().to_owned();
        let text = format!("{user} {target}");
        match target.as_bytes() {
            // Answered before its body was read: the connection holds what nobody asked for.
            [.., b'1', b'1'] => {
                exchange.answer("200 OK", "text/plain", text.as_bytes())?;
                exchange.read_body()
            }
            // More bytes than were promised, in one piece with the answer. Those that come only when the next request
            // is on its way cannot be told from its answer by anybody.
            [.., b'1', b'2'] => {
                exchange.read_body()?;
                let length = text.len();
                let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                exchange.send(format!("{head}{text}{poison}"))
            }
            _ => {
                exchange.read_body()?;
                exchange.answer("200 OK", "text/plain", text.as_bytes())
            }
        }
    })
}

// Holds: CVE-2026-71324, CVE-2026-88007, CVE-2026-73548
#[test]
fn a_hundred_thousand_requests_of_many_users_over_one_pool_are_never_mixed_up() {
    let upstream = who_asks();
    let routes = "[routes]\n\"/**\" = \"access-required\"\n\"/open/**\" = \"optional\"\n[limits]\nthreads = 1\nrequests_per_connection = 1000000\n";
    let gateway = Gateway::sharing(&upstream, routes);
    let users = ["ada", "bob", "eve", "nobody"];
    std::thread::scope(|scope| {
        for user in users {
            let gateway = &gateway;
            scope.spawn(move || race(gateway, user, REQUESTS / users.len()));
        }
    });
}

/// Sends `count` requests as this user and checks every answer.
fn race(gateway: &Gateway, user: &str, count: usize) {
    let credential = match user {
        "nobody" => String::new(),
        _ => format!("Authorization: Bearer {}\r\n", forge::stale(user)),
    };
    let mut connection = gateway.client().connect();
    for batch in 0..count / AT_ONCE {
        let mut bytes = String::new();
        let target = |at: usize| format!("/open/{user}/{}", batch * AT_ONCE + at);
        for at in 0..AT_ONCE {
            let (method, body) = if at % 50 == 11 {
                ("POST", "Content-Length: 5\r\n\r\nhello")
            } else {
                ("GET", "\r\n")
            };
            let _ =
                write!(bytes, "{method} {} HTTP/1.1\r\nHost: x\r\n{credential}{body}", target(at));
        }
        connection.write(bytes);
        for at in 0..AT_ONCE {
            let answer = connection.response().expect(200);
            assert_eq!(answer.text(), format!("{user} {}", target(at)));
            assert!(!answer.has("set-cookie"));
        }
    }
}
