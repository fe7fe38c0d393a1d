//! Each limit of docs/limits.md on a connection and on a request head: over it, the answer that the page says and one
//! more in its counter; under it, nothing.

use std::time::{Duration, Instant};

use crate::harness::client::Connection;
use crate::harness::{Gateway, Setup, Upstream, eventually};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// An open gateway with these limits.
fn limited(upstream: &Upstream, limits: &str) -> Gateway {
    Gateway::in_front_of(upstream, &format!("[limits]\n{limits}\n{OPEN}"))
}

/// Connections that have been answered once, so that the gateway has counted them.
fn connected(gateway: &Gateway, count: usize) -> Vec<Connection> {
    let open = || {
        let mut connection = gateway.client().connect();
        connection.write(GET);
        connection.response().expect(200);
        connection
    };
    (0..count).map(|_| open()).collect()
}

fn nobody_is_connected(gateway: &Gateway) {
    eventually("every connection to be gone", || {
        (gateway.metric("freshgate_connections") == 0).then_some(())
    });
}

// Holds: D2
#[test]
fn a_target_over_target_max_is_414_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "target_max = \"100B\"");
    let target = |length: usize| format!("/{}", "a".repeat(length - 1));
    gateway.client().get(&target(100)).send().expect(200);
    assert_eq!(gateway.reached("target_max"), 0);
    for length in [101, 5000] {
        let response = gateway.client().get(&target(length)).send().refused(414, "target-too-long");
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert_eq!(gateway.reached("target_max"), 2);
    assert_eq!(upstream.count(), 1);
}

// Holds: D2
#[test]
fn a_head_over_header_max_is_431_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "header_max = \"8KiB\"\ntarget_max = \"8000B\"");
    let ask = |path: &str, bytes: usize| {
        gateway.client().get(path).header("X-Long", &"a".repeat(bytes)).send()
    };
    ask("/", 8000).expect(200);
    assert_eq!(gateway.reached("header_max"), 0);
    for (path, bytes) in [("/", 8200), ("/", 100_000), (&*format!("/{}", "a".repeat(4000)), 4200)] {
        let response = ask(path, bytes).refused(431, "header-too-large");
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert_eq!((gateway.reached("header_max"), gateway.reached("header_count")), (3, 0));
    assert_eq!(upstream.count(), 1);
}

// Holds: D2
#[test]
fn more_fields_than_header_count_are_431_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "header_count = 10");
    let ask = |count: usize| {
        let get = gateway.client().get("/");
        (0..count).fold(get, |get, at| get.header(&format!("X-{at}"), "1")).send()
    };
    // `Host` and `Connection` are two of them.
    ask(8).expect(200);
    assert_eq!(gateway.reached("header_count"), 0);
    for count in [9, 120, 400] {
        ask(count).refused(431, "header-too-large");
    }
    assert_eq!((gateway.reached("header_count"), gateway.reached("header_max")), (3, 0));
    assert_eq!(upstream.count(), 1);
}

// Holds: D1
#[test]
fn a_head_that_takes_longer_than_header_timeout_is_408_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "header_timeout = \"400ms\"");
    let mut quick = gateway.client().connect();
    quick.write("GET / HT");
    quick.write("TP/1.1\r\nHost: x\r\n\r\n");
    quick.response().expect(200);
    assert_eq!(gateway.reached("header_timeout"), 0);
    // Bytes that trickle in do not move the end.
    let start = Instant::now();
    let mut slow = gateway.client().connect();
    for byte in "GET / HTTP/1.1\r\nX-Y: ".chars() {
        slow.write(byte.to_string());
        std::thread::sleep(Duration::from_millis(15));
    }
    let last = Instant::now();
    slow.response().refused(408, "request-timeout");
    assert!(slow.is_closed());
    let (from_first, from_last) = (start.elapsed(), last.elapsed());
    assert!(from_first >= Duration::from_millis(400), "{from_first:?}");
    assert!(from_last < Duration::from_millis(400), "{from_last:?}");
    assert_eq!((gateway.reached("header_timeout"), upstream.count()), (1, 1));
}

/// The median and the 99th percentile of 300 requests on one connection.
fn response_times(gateway: &Gateway) -> [Duration; 2] {
    let mut connection = gateway.client().connect();
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let start = Instant::now();
            gateway.client().get("/").send_on(&mut connection).expect(200);
            start.elapsed()
        })
        .collect();
    times.sort();
    [times[150], times[297]]
}

// Holds: D1
// Slow heads in quantity (slowhttptest -H).
#[test]
fn a_thousand_slow_heads_are_open_at_once_and_good_traffic_is_unharmed() {
    const SLOW: usize = 1000;
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "header_timeout = \"5s\"");
    let [_, alone] = response_times(&gateway);
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut connection = gateway.client().connect();
            connection.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            connection
        })
        .collect();
    let [median, p99] = response_times(&gateway);
    let all_open = gateway.metric("freshgate_connections") as usize;
    assert!(begun.elapsed() < Duration::from_secs(5), "this machine is too slow for the test");
    assert!(all_open >= SLOW, "only {all_open} were open while good traffic was measured");
    println!("beside {SLOW} slow heads: median {median:?}, p99 {p99:?}; alone p99 {alone:?}");
    assert!(p99 < Duration::from_millis(500), "p99 {p99:?}");
    for connection in &mut slow {
        connection.response().refused(408, "request-timeout");
    }
    assert_eq!(gateway.reached("header_timeout"), SLOW as u64);
    drop(slow);
    nobody_is_connected(&gateway);
}

// Holds: D1
#[test]
fn a_connection_without_a_request_is_closed_after_keep_alive_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "keep_alive = \"300ms\"");
    let mut used = connected(&gateway, 1).remove(0);
    let mut silent = gateway.client().connect();
    assert!(used.is_closed() && silent.is_closed());
    assert_eq!(gateway.reached("keep_alive"), 2);
    // A client that closes first has reached nothing.
    gateway.client().get("/").send().expect(200);
    nobody_is_connected(&gateway);
    assert_eq!(gateway.reached("keep_alive"), 2);
}

// Holds: D5
#[test]
fn the_last_of_requests_per_connection_says_close_and_is_the_last() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "requests_per_connection = 3");
    let mut connection = gateway.client().connect();
    for number in 1..=3 {
        connection.write(GET);
        let response = connection.response().expect(200);
        let last = response.header("connection") == Some("close");
        assert_eq!(last, number == 3, "request {number}");
    }
    assert!(connection.is_closed());
    assert_eq!(gateway.reached("requests_per_connection"), 1);
    // Sent in advance: three are answered, the others never happen.
    upstream.forget();
    let answers = String::from_utf8_lossy(&gateway.client().raw(GET.repeat(20))).into_owned();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(upstream.count(), 3);
    assert_eq!(gateway.reached("requests_per_connection"), 2);
}

/// What a client is told that is refused before it was heard; it is closed, and that cannot take the answer with it.
#[track_caller]
fn told_overloaded(mut connection: Connection) {
    let response = connection.response().refused(503, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("connection"), Some("close"));
    assert!(connection.is_closed());
}

// Holds: D5
#[test]
fn connections_over_connections_max_are_503_and_health_stays_up() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "connections_max = 4");
    let kept = connected(&gateway, 4);
    for _ in 0..20 {
        told_overloaded(gateway.client().connect());
    }
    assert_eq!(gateway.reached("connections_max"), 20);
    gateway.admin().get("/healthz").send().expect(200);
    gateway.admin().get("/readyz").send().expect(200);
    drop(kept);
    nobody_is_connected(&gateway);
    let mut all = connected(&gateway, 4);
    all[3].write(GET);
    all[3].response().expect(200);
    assert_eq!((gateway.reached("connections_max"), upstream.count()), (20, 9));
}

// Holds: D5
#[test]
fn one_address_has_connections_per_address_and_others_are_unharmed() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(
        &upstream,
        &format!(
            "trusted_proxies = [\"127.0.0.9\"]\n[limits]\nconnections_per_address = 3\n{OPEN}"
        ),
    );
    let served = |source: &str| {
        let mut connection = gateway.client().connect_from(source);
        connection.write(GET);
        connection.response().expect(200);
        connection
    };
    let kept: Vec<_> = (0..3).map(|_| served("127.0.0.1")).collect();
    for _ in 0..5 {
        told_overloaded(gateway.client().connect_from("127.0.0.1"));
    }
    assert_eq!(gateway.reached("connections_per_address"), 5);
    let others: Vec<_> = (2..6).map(|last| served(&format!("127.0.0.{last}"))).collect();
    let proxied: Vec<_> = (0..10).map(|_| served("127.0.0.9")).collect();
    assert_eq!(gateway.reached("connections_per_address"), 5);
    // Places come back, however the connections ended.
    drop((kept, others, proxied));
    nobody_is_connected(&gateway);
    for _ in 0..20 {
        let mut cut = gateway.client().connect();
        cut.write("GET / HT");
        // Else nobody may be connected because nobody has been taken over yet.
        eventually("the connection to be taken over", || {
            (gateway.metric("freshgate_connections") == 1).then_some(())
        });
        drop(cut);
        nobody_is_connected(&gateway);
    }
    let _again: Vec<_> = (0..3).map(|_| served("127.0.0.1")).collect();
    assert_eq!(gateway.reached("connections_per_address"), 5);
}

// Holds: D10, D5
#[test]
fn with_few_descriptors_some_clients_are_refused_and_everybody_else_is_served() {
    let upstream = Upstream::echo();
    let toml = format!("upstream = \"{upstream}\"\n{OPEN}");
    let gateway = Setup::new(&toml).descriptors(64).start();
    assert!(gateway.logged("raise `ulimit -n`").contains("10000"));
    let crowd: Vec<_> = (0..200).map(|_| gateway.client().connect()).collect();
    eventually("every connection to be taken or refused", || {
        let taken = gateway.metric("freshgate_connections");
        (taken + gateway.reached("connections_max") == 200).then_some(())
    });
    assert!(gateway.reached("connections_max") >= 180);
    gateway.admin().get("/readyz").send().expect(200);
    // Those that were taken can all be proxied at once.
    let mut served = 0;
    for mut connection in crowd {
        connection.write(GET);
        served += usize::from(connection.response().status == 200);
    }
    assert!((10..=20).contains(&served), "{served}");
    nobody_is_connected(&gateway);
    gateway.client().get("/").send().expect(200);
    assert!(!gateway.log().contains("cannot accept"), "{}", gateway.log());
}

// Holds: D10
// The limit is lowered while it runs: what the gateway did not foresee.
#[test]
fn without_descriptors_accepting_pauses_and_comes_back() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "");
    gateway.client().get("/").send().expect(200);
    let pid = gateway.pid();
    let used = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count();
    let lower = std::process::Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--nofile={}:", used + 10)])
        .status();
    assert!(lower.expect("prlimit is there").success());
    let crowd: Vec<_> = (0..200).map(|_| gateway.client().connect()).collect();
    gateway.logged("cannot accept connections");
    let before = processor_time(pid);
    std::thread::sleep(Duration::from_millis(500));
    let spent = processor_time(pid) - before;
    assert!(spent < 20, "{spent} ticks of 10 ms in half a second: it spins");
    let told = gateway.log().matches("cannot accept connections").count();
    assert!(told <= 2, "told {told} times");
    drop(crowd);
    eventually("an answer", || {
        let mut connection = gateway.client().connect();
        connection.write(GET);
        (connection.response().status == 200).then_some(())
    });
    gateway.admin().get("/healthz").send().expect(200);
    nobody_is_connected(&gateway);
    assert_eq!(gateway.pid(), pid);
}

/// User and system time of a process, in clock ticks.
fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

// Holds: F5, D5
// On a listener of both families the kernel writes `::ffff:127.0.0.1`: no rule about `127.0.0.1` would hold for it.
#[test]
fn an_ipv4_client_of_an_ipv6_listener_is_the_address_that_it_is() {
    let upstream = Upstream::echo();
    let toml = format!(
        "listen = \"[::]:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\ntrusted_proxies = [\"127.0.0.9\"]\n\
         [limits]\nconnections_per_address = 2\n{OPEN}"
    );
    let setup = Setup::new("").file("both.toml", &toml);
    let gateway = setup.args(&["run", "--config", "both.toml"]).start();
    let port = gateway.client().address.port();
    let client = crate::harness::Client { address: ([127, 0, 0, 1], port).into() };
    let served = |source: &str| {
        let mut connection = client.connect_from(source);
        connection.write(GET);
        connection.response().expect(200);
        connection
    };
    let trusted: Vec<_> = (0..3).map(|_| served("127.0.0.9")).collect();
    let kept = [served("127.0.0.1"), served("127.0.0.1")];
    assert_eq!(upstream.last().header("x-forwarded-for"), Some("127.0.0.1"));
    told_overloaded(client.connect_from("127.0.0.1"));
    drop((trusted, kept));
}
