//! `mode = "report"`: what a policy would refuse passes, is logged and counted.

use crate::harness::{Gateway, Upstream};

const ROUTES: &str = "[routes]\n\
    \"/try/**\" = { policy = \"fresh-required\", mode = \"report\", claims = { roles = \"admin\" } }\n\
    \"/shut/**\" = \"access-required\"\n";

#[test]
fn what_would_be_refused_passes_and_is_told() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    let client = gateway.client();
    client.get("/try/1").send().expect(200);
    let line = gateway.logged("would be refused");
    assert!(line.contains("token-missing") && line.contains("/try/**"), "{line}");
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    let counted = "freshgate_reports_total{route=\"/try/**\",policy=\"fresh-required\",decision=\"token-missing\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    client.get("/shut/1").send().refused(401, "token-missing");
}

#[test]
fn an_identity_reaches_the_backend_only_where_an_access_token_proves_it() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    let seen = |token: &str| {
        let request = gateway.client().get("/try/1").header("X-User-Id", "root");
        request.bearer(token).send().expect(200);
        upstream.last().header("x-user-id").map(str::to_owned)
    };
    let stale = gateway.mint(&["--sub", "ada", "--stale"]);
    assert_eq!(seen(&stale).as_deref(), Some("ada"), "stale, but ada's");
    let fresh = gateway.mint(&["--sub", "bob"]);
    assert_eq!(seen(&fresh).as_deref(), Some("bob"), "without the claim, but bob's");
    let refresh = gateway.mint(&["--sub", "eve", "--refresh"]);
    assert_eq!(seen(&refresh), None, "a refresh token names nobody here");
    assert_eq!(seen("garbage"), None);
}

#[test]
fn a_token_that_proves_nothing_is_not_forwarded_either() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/x\" = { policy = \"access-required\", mode = \"report\", forward_token = true }\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    let seen = |token: &str| {
        gateway.client().get("/x").bearer(token).send().expect(200);
        upstream.last().header("authorization").map(str::to_owned)
    };
    let good = gateway.mint(&["--sub", "ada"]);
    assert_eq!(seen(&good), Some(format!("Bearer {good}")));
    assert_eq!(seen(&gateway.mint(&["--sub", "eve", "--refresh"])), None);
    assert_eq!(seen("ey.forged.token"), None);
}

#[test]
fn a_denied_route_in_report_mode_lets_preflights_pass_too() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/x\" = { policy = \"deny\", mode = \"report\", preflight = true }\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    let asked = gateway.client().request("OPTIONS", "/x").header("Origin", "https://a.example");
    asked.header("Access-Control-Request-Method", "POST").send().expect(200);
    assert!(gateway.logged("would be refused").contains("\"deny\""));
}

#[test]
fn a_refused_request_of_a_known_caller_names_them_in_the_access_line() {
    let upstream = Upstream::echo();
    let toml = "[log]\naccess = true\nformat = \"json\"\n[routes]\n\"/x\" = \"fresh-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let stale = gateway.mint(&["--sub", "ada", "--stale"]);
    gateway.client().get("/x").bearer(&stale).send().refused(401, "token-not-fresh");
    let line = gateway.logged("freshgate::access");
    assert!(line.contains("\"subject\":\"ada\""), "{line}");
}

#[test]
fn over_connections_max_a_client_is_told_at_once() {
    let upstream = Upstream::echo();
    let toml = "[limits]\nconnections_max = 2\n[routes]\n\"/x\" = \"public\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let client = gateway.client();
    let mut one = client.connect();
    client.get("/x").send_on(&mut one).expect(200);
    let mut two = client.connect();
    client.get("/x").send_on(&mut two).expect(200);
    client.connect().response().refused(503, "overloaded");
    client.get("/x").send_on(&mut one).expect(200);
}
