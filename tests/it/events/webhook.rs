//! Delivery: signed, tried again, in order, over a reload and a stop.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{OLD, SECRET, fail, lines, messages, taking, telling};
use crate::harness::{Gateway, Upstream, eventually, tools};

/// What the page for operators shows says of messages, with this secret.
#[track_caller]
fn verified(receiver: &Upstream, secret: &str) -> Vec<bool> {
    let page = include_str!("../../../docs/events.md");
    let shown = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let program = format!(
        "{}\nimport json, sys\nfor secret, headers, body in json.load(sys.stdin):\n    \
         print(verify(secret, headers, body.encode()))\n",
        shown.expect("a block of Python")
    );
    let field = |one: &crate::harness::upstream::Recorded, name: &str| {
        one.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let all: Vec<Value> = receiver
        .requests()
        .iter()
        .map(|one| {
            let headers = json!({
                "webhook-id": field(one, "webhook-id"),
                "webhook-timestamp": field(one, "webhook-timestamp"),
                "webhook-signature": field(one, "webhook-signature"),
            });
            json!([secret, headers, one.text()])
        })
        .collect();
    let mut child = Command::new(tools::python())
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(json!(all).to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let said = child.wait_with_output().expect("it ends");
    assert!(said.status.success());
    String::from_utf8(said.stdout).expect("text").lines().map(|line| line == "True").collect()
}

#[track_caller]
fn delivered(gateway: &Gateway, count: u64) {
    eventually("the deliveries", || {
        (gateway.metric("freshgate_webhook_delivered_total") >= count).then_some(())
    });
}

fn dropped(gateway: &Gateway, reason: &str) -> u64 {
    gateway.metric(&format!("freshgate_webhook_dropped_total{{reason=\"{reason}\"}}"))
}

#[test]
fn the_ten_lines_of_the_page_verify_what_is_sent_and_nothing_else() {
    let receiver = taking();
    let gateway = telling(&receiver, "");
    gateway.login_first();
    fail(&gateway, "é\"\\");
    delivered(&gateway, 2);
    assert_eq!(verified(&receiver, SECRET), [true, true]);
    assert_eq!(verified(&receiver, OLD), [false, false]);
    let message = receiver.last();
    assert_eq!((message.method(), message.target()), ("POST", "/services/canary-path"));
    assert_eq!(message.header("content-type"), Some("application/json"));
    assert!(message.header("authorization").is_none() && message.header("cookie").is_none());
}

#[test]
fn of_two_secrets_a_receiver_may_know_either() {
    let receiver = taking();
    let gateway = telling(&receiver, "");
    let path = gateway.path("gateway.toml");
    let toml = std::fs::read_to_string(&path).expect("a file");
    let both = toml.replace("{ env = \"SECRET\" }", "[{ env = \"SECRET\" }, { env = \"OLD\" }]");
    std::fs::write(&path, both).expect("written");
    gateway.logged("\"reloaded\"");
    gateway.login_first();
    delivered(&gateway, 1);
    assert_eq!((verified(&receiver, SECRET), verified(&receiver, OLD)), (vec![true], vec![true]));
}

#[test]
fn what_failed_is_tried_again_with_the_same_id_until_it_is_taken() {
    let tries = AtomicUsize::new(0);
    let receiver = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => exchange.answer("500 Internal Server Error", "text/plain", b"no"),
            // Closed without a word.
            1 => Err(std::io::Error::other("gone")),
            // Later than it may be.
            2 => {
                std::thread::sleep(Duration::from_millis(1500));
                exchange.answer("200 OK", "text/plain", b"late")
            }
            _ => exchange.answer("202 Accepted", "text/plain", b"yes"),
        }
    });
    let gateway = telling(&receiver, "timeout = \"500ms\"\nevents = [\"login\"]\n");
    gateway.login_first();
    // Not among those that are sent.
    fail(&gateway, "eve");
    delivered(&gateway, 1);
    let all = messages(&receiver);
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.iter().all(|one| *one == all[0]), "the same id and the same body: {all:?}");
    assert_eq!(all[0].0, lines(&gateway)[0]["id"].as_str().expect("an id"));
    assert_eq!(verified(&receiver, SECRET), [true; 4]);
    let times: Vec<u64> = receiver
        .requests()
        .iter()
        .map(|one| one.header("webhook-timestamp").expect("one").parse().expect("seconds"))
        .collect();
    assert!(times.is_sorted() && times[3] > times[0], "a new time for each try: {times:?}");
    assert_eq!(gateway.metric("freshgate_webhook_failed_total"), 3);
    assert_eq!(gateway.metric("freshgate_webhook_queued"), 0);
    let failed = gateway.log().matches("webhook_failed").count();
    assert_eq!(failed, 1, "told once: {}", gateway.log());
    gateway.logged("webhook_back");
}

#[test]
fn events_arrive_in_their_order_where_one_is_sent_at_a_time() {
    let receiver = taking();
    let gateway = telling(&receiver, "at_once = 1\n");
    for n in 0..30 {
        fail(&gateway, &format!("user{n}"));
    }
    delivered(&gateway, 30);
    let users: Vec<String> = messages(&receiver)
        .iter()
        .map(|(_, one)| one["data"]["user"].as_str().expect("a name").to_owned())
        .collect();
    let wanted: Vec<String> = (0..30).map(|n| format!("user{n}")).collect();
    assert_eq!(users, wanted);
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let first = AtomicUsize::new(0);
    let receiver = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        match first.fetch_add(1, Ordering::SeqCst) {
            0 => exchange.send("HTTP/1.1 429 Slow\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n"),
            _ => exchange.answer("200 OK", "text/plain", b""),
        }
    });
    let gateway = telling(&receiver, "");
    fail(&gateway, "first");
    receiver.wait_for(1);
    let asked = Instant::now();
    eventually("the wait to be known", || {
        (gateway.metric("freshgate_webhook_failed_total") == 1).then_some(())
    });
    // Another event is not sent meanwhile either.
    fail(&gateway, "second");
    receiver.wait_for(2);
    assert!(asked.elapsed() >= Duration::from_millis(3500), "{:?}", asked.elapsed());
    delivered(&gateway, 2);
}

#[test]
fn a_reload_sends_what_waits_to_the_new_place_with_the_new_secret() {
    let broken = Upstream::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let new = taking();
    let gateway = telling(&broken, "");
    for n in 0..5 {
        fail(&gateway, &format!("user{n}"));
    }
    broken.wait_for(5);
    let path = gateway.path("gateway.toml");
    let toml = std::fs::read_to_string(&path).expect("a file");
    let url = format!("\"http://{}/new\"", new.address);
    let moved = toml.replace("{ env = \"HOOK\" }", &url).replace("\"SECRET\"", "\"OLD\"");
    std::fs::write(&path, moved).expect("written");
    gateway.logged("\"reloaded\"");
    delivered(&gateway, 5);
    let mut users: Vec<String> =
        messages(&new).iter().map(|(_, one)| one["data"]["user"].to_string()).collect();
    users.sort();
    assert_eq!(users, (0..5).map(|n| format!("\"user{n}\"")).collect::<Vec<_>>());
    assert_eq!(verified(&new, OLD), [true; 5]);
    // And without one, nothing waits any longer.
    let without = toml.split("[events.webhook]").next().expect("routes").to_owned();
    std::fs::write(&path, without).expect("written");
    eventually("another reload", || {
        (gateway.log().matches("\"reloaded\"").count() >= 2).then_some(())
    });
    fail(&gateway, "quiet");
    eventually("its line", || lines(&gateway).into_iter().find(|line| line["user"] == "quiet"));
    assert_eq!(gateway.metric("freshgate_webhook_queued"), 0);
    assert_eq!(new.count(), 5);
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_a_reload() {
    let calls = AtomicUsize::new(0);
    let receiver = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => exchange.answer("410 Gone", "text/plain", b""),
            _ => exchange.answer("200 OK", "text/plain", b""),
        }
    });
    let gateway = telling(&receiver, "at_once = 1\n");
    fail(&gateway, "first");
    gateway.logged("webhook_gone");
    fail(&gateway, "second");
    eventually("both to be dropped", || (dropped(&gateway, "gone") == 2).then_some(()));
    assert_eq!(receiver.count(), 1);
    gateway.admin().post("/reload").send().expect(200);
    fail(&gateway, "third");
    delivered(&gateway, 1);
    assert_eq!(messages(&receiver)[1].1["data"]["user"], "third");
}

#[test]
fn what_waits_is_delivered_before_the_gateway_stops() {
    let receiver = Upstream::custom(|exchange| {
        exchange.read_body()?;
        std::thread::sleep(Duration::from_millis(200));
        exchange.answer("200 OK", "text/plain", b"")
    });
    let mut gateway = telling(&receiver, "at_once = 1\n");
    for n in 0..5 {
        fail(&gateway, &format!("user{n}"));
    }
    assert!(gateway.terminate().success());
    assert_eq!(messages(&receiver).len(), 5);
    assert!(!gateway.log().contains("webhook_undelivered"), "{}", gateway.log());
}

#[test]
fn what_was_put_aside_is_tried_once_more_at_the_end_and_then_told_as_lost() {
    let receiver =
        Upstream::answering("HTTP/1.1 503 No\r\nRetry-After: 300\r\nContent-Length: 0\r\n\r\n");
    let mut gateway = telling(&receiver, "");
    fail(&gateway, "eve");
    receiver.wait_for(1);
    eventually("the failure", || {
        (gateway.metric("freshgate_webhook_failed_total") == 1).then_some(())
    });
    let start = Instant::now();
    assert!(gateway.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(receiver.count(), 2);
    let log = gateway.log();
    assert!(log.contains("webhook_dropped") || log.contains("webhook_undelivered"), "{log}");
}

#[test]
fn an_event_is_given_up_when_it_is_too_old() {
    let receiver = Upstream::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let gateway = telling(&receiver, "retry_for = \"3s\"\n");
    fail(&gateway, "eve");
    eventually("it to be given up", || (dropped(&gateway, "expired") == 1).then_some(()));
    gateway.logged("webhook_dropped");
    assert!((2..=4).contains(&receiver.count()), "{}", receiver.count());
    assert_eq!(gateway.metric("freshgate_webhook_queued"), 0);
}
