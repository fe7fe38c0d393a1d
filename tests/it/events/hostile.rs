//! Receivers that mean harm, or cannot help it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{SECRET, SHUT, fail, taking, telling};
use crate::harness::{Setup, Upstream, eventually};

#[test]
fn a_receiver_that_hangs_costs_events_and_no_request() {
    let receiver = Upstream::hanging();
    let mut gateway = telling(&receiver, "queue_max = 8\nat_once = 2\n");
    let tokens = gateway.login_first();
    for n in 0..30 {
        fail(&gateway, &format!("user{n}"));
    }
    let start = Instant::now();
    for _ in 0..20 {
        gateway.client().get("/public").send().expect(200);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let dropped = || gateway.metric("freshgate_webhook_dropped_total{reason=\"full\"}");
    // The login, and five failures: a quarter is kept for what not everybody can cause.
    eventually("the others to be counted", || (dropped() == 25).then_some(()));
    assert_eq!(gateway.metric("freshgate_webhook_queued"), 6);
    gateway.client().post("/auth/logout").bearer(&tokens.access).send().expect(204);
    assert_eq!((gateway.metric("freshgate_webhook_queued"), dropped()), (7, 25));
    gateway.logged("webhook_dropped");
    let told = gateway.log().matches("webhook_dropped").count();
    assert_eq!(told, 1, "once a minute at most: {}", gateway.log());
    // Every line is there all the same.
    let lines = super::lines(&gateway);
    assert_eq!(lines.iter().filter(|line| line["event"] == "failure").count(), 30);
    let start = Instant::now();
    assert!(gateway.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    gateway.logged("webhook_undelivered");
}

#[test]
fn an_answer_without_end_or_drop_by_drop_is_cut() {
    for drip in [false, true] {
        let receiver = Upstream::custom(move |exchange| {
            exchange.read_body()?;
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let piece = if drip {
                "1\r\nx\r\n".to_owned()
            } else {
                format!("10000\r\n{}\r\n", "x".repeat(65536))
            };
            let pause = if drip { Duration::from_millis(50) } else { Duration::ZERO };
            for _ in 0..2000 {
                exchange.wire.stream.write_all(piece.as_bytes())?;
                std::thread::sleep(pause);
            }
            Ok(())
        });
        let gateway = telling(&receiver, "timeout = \"1s\"\nretry_for = \"4s\"\n");
        let start = Instant::now();
        fail(&gateway, "eve");
        eventually("the try to be cut", || {
            (gateway.metric("freshgate_webhook_failed_total") >= 1).then_some(())
        });
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(gateway.metric("freshgate_webhook_delivered_total"), 0);
        assert!(gateway.peak_memory_kib() < 256 * 1024, "{}", gateway.peak_memory_kib());
    }
}

#[test]
fn a_redirect_is_not_followed_wherever_it_leads() {
    let other = taking();
    for place in [format!("http://{}/", other.address), "http://169.254.169.254/latest".to_owned()]
    {
        let answer =
            format!("HTTP/1.1 307 Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
        let receiver = Upstream::answering(answer);
        let gateway = telling(&receiver, "");
        fail(&gateway, "eve");
        let line = gateway.logged("webhook_failed");
        assert!(line.contains("307; redirects are not followed"), "{line}");
        assert!(!line.contains("canary-path") && !line.contains("169.254"), "{line}");
    }
    assert_eq!(other.count(), 0);
}

#[test]
fn an_address_of_our_own_network_is_not_told_unless_listed_and_the_path_is_never_shown() {
    let receiver = taking();
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}[log]\nlevel = \"trace\"\n")
        .replace("allow_private = [\"127.0.0.1\"]", "");
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let hook =
            format!("https://{host}:{}/services/canary-path?canary=1", receiver.address.port());
        let gateway = Setup::new(&toml).env("HOOK", &hook).env("SECRET", SECRET).start();
        fail(&gateway, "eve");
        let line = gateway.logged("webhook_failed");
        assert!(line.contains("a loopback address") && line.contains("allow_private"), "{line}");
        assert!(!gateway.log().contains("canary"), "{}", gateway.log());
    }
    assert_eq!(receiver.count(), 0);
}

#[test]
fn the_path_is_in_no_line_of_the_most_talkative_log_when_it_is_asked() {
    let receiver = taking();
    let gateway = telling(&receiver, "[log]\nlevel = \"trace\"\n");
    fail(&gateway, "eve");
    eventually("the delivery", || {
        (gateway.metric("freshgate_webhook_delivered_total") == 1).then_some(())
    });
    assert_eq!(receiver.last().target(), "/services/canary-path");
    let log = gateway.log();
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "{log}");
    assert!(!log.contains("canary") && !log.contains("whsec"), "{log}");
}

#[test]
fn a_name_cannot_pass_for_other_fields_where_the_log_is_text() {
    let receiver = taking();
    let gateway = telling(&receiver, "[log]\nformat = \"text\"\n");
    fail(&gateway, "eve\" subject=\"admin\" x=");
    let line = gateway.logged("credentials-invalid");
    assert!(line.contains(r#"user="eve\\\" subject=\\\"admin\\\" x=""#), "{line}");
}

#[test]
fn a_receiver_that_is_not_there_yet_gets_everything_once_it_is() {
    // Bound, so that nobody else gets the port, and refusing until it listens.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
    let hook = format!("http://{address}/");
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}");
    let gateway = Setup::new(&toml).env("HOOK", &hook).env("SECRET", SECRET).start();
    for name in ["one", "two"] {
        fail(&gateway, name);
    }
    eventually("both to fail", || {
        (gateway.metric("freshgate_webhook_failed_total") >= 2).then_some(())
    });
    socket.listen(16).expect("it listens");
    let late = std::net::TcpListener::from(socket);
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let (mut stream, _) = late.accept().expect("a try");
        let mut wire = crate::harness::wire::Wire::new(stream.try_clone().expect("a clone"));
        let mut message = wire.head().expect("a head").expect("a request");
        wire.body(&mut message, false).expect("a body");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("sent");
        taken.push(message.header("webhook-id").expect("an id").to_owned());
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 2);
}
