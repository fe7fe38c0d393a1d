//! Load: `oha` for everything that it can ask, and a small driver for what it cannot, a new token with each request.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Cores, find, pinned};

/// How to get the load generator.
pub const OHA_REMEDY: &str =
    "oha is not installed: tests/run --oha builds it, or `cargo install oha`";

/// One kind of request, over and over.
#[derive(Clone, Debug)]
pub struct Load {
    pub url: String,
    pub method: &'static str,
    pub headers: Vec<String>,
    /// A form.
    pub body: Option<String>,
    pub body_file: Option<std::path::PathBuf>,
    pub connections: usize,
    pub duration: Duration,
    /// Requests a second, whatever the answers take; without it, as fast as they come.
    pub rate: Option<f64>,
}

impl Load {
    /// `GET`, on the 32 connections of all comparisons.
    pub fn get(url: String, duration: Duration) -> Load {
        Load {
            url,
            method: "GET",
            headers: Vec::new(),
            body: None,
            body_file: None,
            connections: 32,
            duration,
            rate: None,
        }
    }

    pub fn bearer(mut self, token: &str) -> Load {
        self.headers.push(format!("Authorization: Bearer {token}"));
        self
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub failed: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Outcome {
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Whether at least 999 of 1,000 requests got one of these statuses.
    pub fn check(&self, wanted: &[u16]) -> Result<(), String> {
        let good: u64 = wanted.iter().filter_map(|status| self.statuses.get(status)).sum();
        let all = self.answers() + self.failed;
        match good > 0 && good * 1000 >= all * 999 {
            true => Ok(()),
            false => Err(format!("of {all} requests {good} got {wanted:?}: {self:?}")),
        }
    }
}

/// The load generator, where it is.
#[derive(Clone, Debug)]
pub struct Oha {
    program: String,
    cores: Cores,
}

impl Oha {
    pub fn find(cores: &Cores) -> Option<Oha> {
        // The small size asks only whether all works: the one that was built for tests will do.
        let folders = ["target/tools/bin", "target/tests/tools/bin"];
        let program = find("oha", &folders[..1 + usize::from(cfg!(debug_assertions))])?;
        Some(Oha { program, cores: cores.clone() })
    }

    /// Puts the load on, and waits until it is over.
    pub fn run(&self, load: &Load) -> Result<Outcome, String> {
        self.start(load)?.join().map_err(|_| "the reader of oha panicked".to_owned())?
    }

    /// The same in the background.
    pub fn start(
        &self,
        load: &Load,
    ) -> Result<thread::JoinHandle<Result<Outcome, String>>, String> {
        let child = self.command(load).spawn().map_err(|error| format!("oha: {error}"))?;
        Ok(thread::spawn(move || {
            let output = child.wait_with_output().map_err(|error| format!("oha: {error}"))?;
            read(&output)
        }))
    }

    fn command(&self, load: &Load) -> Command {
        let mut command = pinned(&self.program, self.cores.load.as_ref());
        command.args(["--no-tui", "-w", "--output-format", "json", "--worker-threads", "1"]);
        command.args(["-m", load.method, "-c", &load.connections.to_string()]);
        command.args(["-z", &format!("{}ms", load.duration.as_millis())]);
        command.args(load.headers.iter().flat_map(|header| ["-H", header]));
        if let Some(body) = &load.body {
            command.args(["-d", body, "-T", "application/x-www-form-urlencoded"]);
        }
        if let Some(file) = &load.body_file {
            command.arg("-D").arg(file);
        }
        if let Some(rate) = load.rate {
            // A late answer counts from the moment at which its request should have gone out.
            command.args(["-q", &format!("{rate:.0}"), "--latency-correction"]);
        }
        command.arg(&load.url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output();
        let output = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    }
}

fn read(output: &Output) -> Result<Outcome, String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let json: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("oha: {error}; it said {}", said.trim()))?;
    let counted = |name: &str| -> BTreeMap<String, u64> {
        serde_json::from_value(json[name].clone()).unwrap_or_default()
    };
    let statuses: BTreeMap<u16, u64> = counted("statusCodeDistribution")
        .into_iter()
        .filter_map(|(status, count)| Some((status.parse().ok()?, count)))
        .collect();
    let seconds = |value: &Value| value.as_f64().unwrap_or(0.0);
    let total = seconds(&json["summary"]["total"]);
    let answers: u64 = statuses.values().sum();
    Ok(Outcome {
        failed: counted("errorDistribution").values().sum(),
        per_second: if total > 0.0 { answers as f64 / total } else { 0.0 },
        p50_ms: seconds(&json["latencyPercentiles"]["p50"]) * 1000.0,
        p99_ms: seconds(&json["latencyPercentiles"]["p99"]) * 1000.0,
        statuses,
    })
}

/// Asks for one path with each of the tokens once, over as many connections.
pub fn each_once(
    address: SocketAddr,
    path: &str,
    tokens: &[String],
    connections: usize,
) -> Outcome {
    let started = Instant::now();
    let share = tokens.len().div_ceil(connections);
    let all: Vec<(Vec<Duration>, BTreeMap<u16, u64>)> = thread::scope(|scope| {
        let parts: Vec<_> = tokens
            .chunks(share)
            .map(|part| scope.spawn(move || one_by_one(address, path, part)))
            .collect();
        parts.into_iter().map(|part| part.join().expect("a driver")).collect()
    });
    let took = started.elapsed();
    let mut times: Vec<Duration> = all.iter().flat_map(|(times, _)| times.clone()).collect();
    times.sort();
    let mut outcome = Outcome::default();
    for (status, count) in all.iter().flat_map(|(_, statuses)| statuses) {
        *outcome.statuses.entry(*status).or_default() += count;
    }
    outcome.failed = tokens.len() as u64 - outcome.answers();
    outcome.per_second = times.len() as f64 / took.as_secs_f64();
    outcome.p50_ms = quantile_ms(&times, 0.50);
    outcome.p99_ms = quantile_ms(&times, 0.99);
    outcome
}

/// A quantile of sorted times.
pub fn quantile_ms(sorted: &[Duration], quantile: f64) -> f64 {
    let at = (sorted.len() as f64 * quantile) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

fn one_by_one(
    address: SocketAddr,
    path: &str,
    tokens: &[String],
) -> (Vec<Duration>, BTreeMap<u16, u64>) {
    let (mut times, mut statuses) = (Vec::new(), BTreeMap::new());
    let Ok(mut stream) = TcpStream::connect(address) else { return (times, statuses) };
    let _best_effort = stream.set_nodelay(true);
    for token in tokens {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
        let started = Instant::now();
        let Some(status) = exchange(&mut stream, &request) else { break };
        times.push(started.elapsed());
        *statuses.entry(status).or_default() += 1;
    }
    (times, statuses)
}

/// One request, one answer with a `Content-Length`; its status, or none if the connection broke.
pub fn exchange(stream: &mut TcpStream, request: &str) -> Option<u16> {
    stream.write_all(request.as_bytes()).ok()?;
    let (mut buffer, mut filled) = ([0; 16 * 1024], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).ok().filter(|read| *read > 0)?;
        filled += read;
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = answer.parse(&buffer[..filled]) else {
            continue;
        };
        let length = answer
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case("content-length"))
            .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok())?;
        let status = answer.code?;
        while filled < head + length {
            filled += stream.read(&mut buffer[filled..]).ok().filter(|read| *read > 0)?;
        }
        return Some(status);
    }
}
