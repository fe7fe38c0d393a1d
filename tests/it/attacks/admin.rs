//! The operator's listener: not driven by a web page, not reachable through the public one.

use crate::harness::{Gateway, Setup, Upstream, eventually};

const SHUT: &str = "[routes]\n\"/open/**\" = \"public\"\n\"/shut/{id}\" = \"access-required\"\n\"/deny\" = \"deny\"\n";

// Holds: CVE-2026-34457, CVE-2022-24797
#[test]
fn health_readiness_and_metrics_are_on_the_admin_listener_and_nowhere_else() {
    let upstream = Upstream::echo();
    let gateway =
        Gateway::in_front_of(&upstream, &format!("{SHUT}\"/**\" = \"access-required\"\n"));
    assert!(gateway.admin().address.ip().is_loopback());
    gateway.admin().get("/healthz").send().expect(200);
    gateway.admin().get("/readyz").send().expect(200);
    assert_eq!(gateway.admin().get("/none").send().status, 404);
    assert_eq!(gateway.admin().post("/metrics").send().status, 405);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let probe = gateway.client().get(path).header("User-Agent", "kube-probe/1.30");
        probe.send().refused(401, "token-missing");
    }
    assert_eq!(gateway.admin().get("/open/x").send().status, 404);
    // Without one, nothing is said of one.
    let off = "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n";
    let off = Setup::new("").file("off.toml", off).args(&["run", "--config", "off.toml"]).start();
    off.client().get("/").send().expect(200);
    assert!(!off.stdout().contains("admin on"), "{}", off.stdout());
}

// Holds: CVE-2026-27589, CVE-2022-24797
// A page of another origin can send a POST without a preflight, and one that had its name point at 127.0.0.1 (DNS
// rebinding) can read the answer too. A browser says where it comes from; the rebound name is in `Host`.
#[test]
fn a_web_page_cannot_ask_for_a_reload() {
    let gateway = Gateway::start("upstream = \"builtin:whoami\"\n[routes]\n\"/x\" = \"public\"\n");
    let admin = gateway.admin();
    let post = || admin.post("/reload");
    let own = format!("http://{}", admin.address);
    for request in [
        post().header("Origin", "http://evil.example"),
        post().header("Origin", "null"),
        post().header("Origin", &own),
        post().header("Origin", ""),
        post().header("Sec-Fetch-Site", "cross-site"),
        post().header("Sec-Fetch-Site", "same-site"),
        post().header("Sec-Fetch-Site", "same-origin").header("Sec-Fetch-Mode", "no-cors"),
        post().header("Host", "evil.example"),
        post().header("Host", &format!("evil.example:{}", admin.address.port())),
        post().header("Host", "localhost.evil.example"),
        post().header("Host", "127.0.0.1.evil.example"),
        post().header("Host", "127.0.0.1@evil.example"),
        post().header("Host", ""),
        // What a form of a page sends, whole.
        post()
            .header("Origin", "https://evil.example")
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Referer", "https://evil.example/")
            .form(&[("a", "b")]),
    ] {
        let answer = request.clone().send();
        assert!(matches!(answer.status, 400 | 403), "{request:?}: {}", answer.text());
        for header in ["access-control-allow-origin", "location", "set-cookie"] {
            assert!(!answer.has(header), "{request:?}: {:?}", answer.headers);
        }
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(admin.request(method, "/reload").send().status, 405, "{method}");
    }
    let metrics = admin.get("/metrics").send().expect(200).text();
    assert!(!metrics.contains("freshgate_reloads_total{"), "somebody was heard: {metrics}");
    for host in [
        admin.address.to_string(),
        "localhost".to_owned(),
        format!("localhost:{}", admin.address.port()),
    ] {
        post().header("Host", &host).send().expect(200);
    }
    post().send().expect(200);
}

// Holds: CVE-2026-27589, CVE-2026-34457
#[test]
fn the_public_listener_never_answers_for_the_admin_one() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/shut/**\" = \"access-required\"\n");
    let admin = gateway.admin().address;
    for (method, path) in
        [("POST", "/reload"), ("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/healthz")]
    {
        for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Prometheus/3.0"]
        {
            let request = gateway.client().request(method, path).header("User-Agent", agent);
            request.header("Host", &admin.to_string()).send().refused(404, "no-route");
            let shut = gateway
                .client()
                .request(method, &format!("/shut{path}"))
                .header("User-Agent", agent);
            shut.send().refused(401, "token-missing");
            let absolute = format!("http://{admin}{path}");
            let answer = gateway
                .client()
                .request(method, &absolute)
                .header("Host", &admin.to_string())
                .send();
            assert!(matches!(answer.status, 400 | 404), "{absolute}: {}", answer.text());
        }
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: CVE-2026-27589
// Reading is worth something too: metrics name the routes, and readiness shows what is wrong with the configuration.
#[test]
fn a_page_that_had_its_name_point_here_reads_nothing() {
    let gateway = Gateway::start("upstream = \"builtin:whoami\"\n[routes]\n\"/x\" = \"public\"\n");
    let admin = gateway.admin();
    for page in ["/metrics", "/readyz", "/healthz", "/none"] {
        for host in ["evil.example", "localhost.evil.example:8081", "127.0.0.1.evil.example", ""] {
            assert_eq!(admin.get(page).header("Host", host).send().status, 403, "{page} {host}");
        }
        for host in ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081"] {
            assert_ne!(admin.get(page).header("Host", host).send().status, 403, "{page} {host}");
        }
    }
    // A prober of HTTP/1.0 says no host; a browser always does.
    assert_eq!(admin.raw_one("GET /healthz HTTP/1.0\r\n\r\n").status, 200);
}

// Holds: D10
#[test]
fn connections_to_the_admin_listener_are_bounded_and_others_are_served_again_when_they_go() {
    const MORE_THAN_MAY: usize = 300;
    let gateway = Gateway::start("upstream = \"builtin:whoami\"\n[routes]\n\"/x\" = \"public\"\n");
    let admin = gateway.admin();
    let mut open: Vec<_> = (0..MORE_THAN_MAY).map(|_| admin.connect()).collect();
    eventually("those beyond the bound to be closed", || {
        let dir = format!("/proc/{}/fd", gateway.pid());
        (std::fs::read_dir(dir).expect("a process that runs").count() < MORE_THAN_MAY).then_some(())
    });
    assert!(open.last_mut().expect("one").is_closed());
    gateway.client().get("/x").send().expect(200);
    drop(open);
    eventually("a place", || {
        let mut connection = admin.connect();
        connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.rest().starts_with(b"HTTP/1.1 200").then_some(())
    });
}
