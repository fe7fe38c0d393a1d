//! Events: the audit lines of a running gateway, and the webhook that is told the same.

mod hostile;
mod lines;
mod webhook;

use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, UNTHROTTLED, Upstream, eventually};

/// Two secrets of webhooks, of 32 bytes each.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
pub const OLD: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";

pub const SHUT: &str = "[routes]\n\"/public\" = \"public\"\n\"/**\" = \"access-required\"\n[events.webhook]\n\
    url = { env = \"HOOK\" }\nsecret = { env = \"SECRET\" }\nallow_private = [\"127.0.0.1\"]\n";

/// A gateway that tells this receiver, at a path that is a secret. `more` are keys of `[events.webhook]`, and tables after it.
pub fn telling(receiver: &Upstream, more: &str) -> Gateway {
    let hook = format!("http://{}/services/canary-path", receiver.address);
    let limits = if more.contains("[limits]") { "" } else { UNTHROTTLED };
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}{more}\n{limits}");
    Setup::new(&toml).env("HOOK", &hook).env("SECRET", SECRET).env("OLD", OLD).start()
}

/// One that takes everything.
pub fn taking() -> Upstream {
    Upstream::answering("HTTP/1.1 204 No Content\r\n\r\n")
}

/// The audit lines so far.
pub fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "freshgate::audit").collect()
}

/// Waits for an audit line.
#[track_caller]
pub fn line(gateway: &Gateway, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || lines(gateway).into_iter().find(|line| is(line)))
}

/// The messages so far, in the order of their coming.
pub fn messages(receiver: &Upstream) -> Vec<(String, Value)> {
    let all = receiver.requests();
    let read = |body: &str| serde_json::from_str::<Value>(body).ok();
    let all = all.iter().filter_map(|one| {
        let id = one.header("webhook-id").expect("an id").to_owned();
        Some((id, read(&one.text())?))
    });
    all.collect()
}

/// A login that fails.
#[track_caller]
pub fn fail(gateway: &Gateway, name: &str) {
    let body = json!({"username": name, "password": "canary-wrong"});
    gateway.client().post("/auth/login").json(&body).send().expect(401);
}
