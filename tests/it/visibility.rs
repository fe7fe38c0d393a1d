//! Being seen: the log, the access line, the admin listener, the metrics; and what must never be seen.

use serde_json::{Value, json};

use crate::harness::{Gateway, Upstream, eventually, forge};

const SHUT: &str = "[routes]\n\"/open/**\" = \"public\"\n\"/shut/{id}\" = \"access-required\"\n\"/deny\" = \"deny\"\n";

/// The access line of the request with this id.
#[track_caller]
fn access_line(gateway: &Gateway, id: &str) -> Value {
    eventually(&format!("the access line of {id}"), || {
        let log = gateway.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .into_iter()
            .find(|line| line["request_id"] == id && line["target"] == "freshgate::access")
    })
}

#[test]
fn the_access_line_tells_the_whole_story_of_a_request() {
    let upstream = Upstream::answering("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello");
    let gateway = Gateway::sharing(&upstream, &format!("[log]\naccess = true\n{SHUT}"));
    let ask = |path: &str, token: Option<&str>| {
        let request = gateway.client().post(path);
        let response = token.map_or(request.clone(), |token| request.bearer(token)).send();
        access_line(&gateway, response.header("x-request-id").expect("an id"))
    };
    let line = ask("/shut/7?secret=1", Some(&forge::stale("ada")));
    assert_eq!(
        (&line["route.id"], &line["policy"], &line["decision"]),
        (&json!("/shut/{id}"), &json!("access-required"), &json!("pass"))
    );
    assert_eq!(
        (&line["subject"], &line["status"], &line["bytes"]),
        (&json!("ada"), &json!(201), &json!(5))
    );
    assert_eq!(
        (&line["method"], &line["path"], &line["upstream.name"]),
        (&json!("POST"), &json!("/shut/7"), &json!("default"))
    );
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 60_000.0), "{line}");
    assert!(line["timestamp"].is_string() && line["level"] == "INFO");
    let line = ask("/shut/7?secret=1", None);
    assert_eq!(
        (&line["decision"], &line["status"], &line["subject"], &line["path"]),
        (&json!("token-missing"), &json!(401), &json!("-"), &json!("/shut/7"))
    );
    let line = ask("/n%6Fne", None);
    assert_eq!(
        (&line["decision"], &line["status"], &line["route.id"], &line["path"]),
        (&json!("no-route"), &json!(404), &json!("-"), &json!("/none"))
    );
    assert_eq!(line["path"], "/none");
    let line = ask("/deny", None);
    assert_eq!((&line["decision"], &line["policy"]), (&json!("no-route"), &json!("deny")));
    let line = ask("/open/../x", None);
    assert_eq!((&line["decision"], &line["status"]), (&json!("bad-path"), &json!(400)));
    assert_eq!((&line["method"], &line["path"]), (&json!("POST"), &json!("-")));
    // One line each.
    let log = gateway.log();
    assert_eq!(log.lines().filter(|line| line.contains("freshgate::access")).count(), 5, "{log}");
}

#[test]
fn a_request_whose_client_left_before_the_answer_has_its_line_too() {
    let upstream = Upstream::hanging();
    let gateway = Gateway::in_front_of(&upstream, &format!("[log]\naccess = true\n{SHUT}"));
    let mut connection = gateway.client().connect();
    connection.write("POST /open/transfer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab");
    upstream.wait_for(1);
    drop(connection);
    let line = gateway.logged("freshgate::access");
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(
        (&line["path"], &line["decision"], &line["status"]),
        (&json!("/open/transfer"), &json!("pass"), &json!(499))
    );
}

#[test]
fn access_lines_are_off_unless_switched_on() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    gateway.client().get("/open/x").send().expect(200);
    gateway.terminate();
    assert!(!gateway.log().contains("freshgate::access"));
}

#[test]
fn the_log_is_json_where_there_is_no_terminal_and_text_where_asked() {
    let upstream = Upstream::echo();
    let mut json = Gateway::in_front_of(&upstream, SHUT);
    let mut text = Gateway::in_front_of(&upstream, &format!("[log]\nformat = \"text\"\n{SHUT}"));
    for gateway in [&mut json, &mut text] {
        gateway.terminate();
        gateway.logged("stopped");
    }
    assert!(
        json.log().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{}",
        json.log()
    );
    assert!(
        text.log().lines().all(|line| serde_json::from_str::<Value>(line).is_err()),
        "{}",
        text.log()
    );
}

#[test]
fn health_of_the_command_line_asks_the_running_gateway() {
    let mut gateway = Gateway::in_front_of(&Upstream::echo(), SHUT);
    let url = format!("http://{}", gateway.admin().address);
    let healthy = |gateway: &Gateway| gateway.cli(&["health", "--help"], "").stdout;
    assert!(healthy(&gateway).contains("Usage:"));
    assert!(!url.is_empty());
    gateway.terminate();
    assert_ne!(gateway.cli(&["health"], "").code, Some(0));
}

/// The number after this series of the metrics.
fn number(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find(|line| line.starts_with(series) && line[series.len()..].starts_with(' '));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn metrics_count_decisions_by_route_and_durations() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, &format!("[limits]\nthreads = 1\n{SHUT}"));
    for _ in 0..3 {
        gateway.client().get("/open/x").send().expect(200);
        gateway.client().get("/shut/1").send().expect(401);
        gateway.client().get("/shut/2").bearer("junk").send().expect(401);
    }
    gateway.client().get("/none").send().expect(404);
    let stale = forge::stale("ada");
    for _ in 0..4 {
        gateway.client().get("/shut/1").bearer(&stale).send().expect(200);
    }
    let series = |route: &str, policy: &str, decision: &str| {
        format!(
            "freshgate_requests_total{{route=\"{route}\",policy=\"{policy}\",decision=\"{decision}\"}}"
        )
    };
    let metrics = eventually("all requests to be counted", || {
        let response = gateway.admin().get("/metrics").send().expect(200);
        let text = response.text();
        (number(&text, "freshgate_request_duration_seconds_count{thread=\"0\"}") >= 14.0)
            .then_some(text)
    });
    assert_eq!(number(&metrics, &series("/open/**", "public", "pass")), 3.0, "{metrics}");
    assert_eq!(number(&metrics, &series("/shut/{id}", "access-required", "token-missing")), 3.0);
    assert_eq!(number(&metrics, &series("/shut/{id}", "access-required", "token-malformed")), 3.0);
    assert_eq!(number(&metrics, &series("/shut/{id}", "access-required", "pass")), 4.0);
    assert_eq!(number(&metrics, &series("-", "-", "no-route")), 1.0);
    assert_eq!(number(&metrics, "freshgate_token_cache_hits_total{thread=\"0\"}"), 3.0);
    assert!(
        metrics.trim_end().ends_with("# EOF")
            && metrics.contains("# TYPE freshgate_requests counter")
    );
}

#[test]
fn an_unreachable_backend_is_counted_and_logged_with_its_name() {
    let toml = format!("upstream = \"http://{}\"\n{SHUT}", Upstream::nowhere());
    let gateway = Gateway::start(&toml);
    let id = gateway
        .client()
        .get("/open/x")
        .send()
        .expect(502)
        .header("x-request-id")
        .expect("an id")
        .to_owned();
    let line: Value = serde_json::from_str(&gateway.logged(&id)).expect("JSON");
    assert_eq!(
        (&line["level"], &line["upstream.name"], &line["refusal.code"]),
        (&json!("WARN"), &json!("default"), &json!("upstream-unreachable"))
    );
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    assert_eq!(
        number(
            &metrics,
            "freshgate_upstream_errors_total{upstream=\"default\",code=\"upstream-unreachable\"}"
        ),
        1.0,
        "{metrics}"
    );
}
