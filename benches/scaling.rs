//! What logins, refreshes and logouts cost one gateway, and several that share a database: the figures that docs/scaling.md is
//! computed from.
//!
//! `cargo bench --bench scaling` measures one gateway with its own state file; with `DATABASE_URL`, a PostgreSQL on this machine that may
//! be written to, also 1, 3 and 10 gateways that share it. `cargo test --bench scaling` runs a small size.

#[allow(dead_code, reason = "no backend is asked here")]
#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The variable that names the database.
const DATABASE: &str = "DATABASE_URL";
/// Clients at once, each on a connection of its own.
const CLIENTS: usize = 16;
/// One account for each client: guesses and sessions of one do not meet those of another.
const PASSWORD: &str = "a password of the bench";
/// A step of the processor's clock in `/proc` (proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

fn main() {
    let (logins, refreshes) = if kit::is_small() { (1, 2) } else { (8, 400) };
    println!(
        "| state | gateways | what | each second | p50 | p99 | CPU of the gateways | of PostgreSQL |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    World::start(1, None).measure(logins, refreshes);
    let Ok(url) = std::env::var(DATABASE) else {
        eprintln!("{DATABASE} names no PostgreSQL: many gateways are not measured");
        return;
    };
    for count in [1, 3, 10] {
        World::start(count, Some(&url)).measure(logins, refreshes);
    }
}

/// Gateways with the same users and keys.
struct World {
    _dir: tempfile::TempDir,
    shared: bool,
    gateways: Vec<(Child, SocketAddr)>,
}

impl Drop for World {
    fn drop(&mut self) {
        for (child, _) in &mut self.gateways {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

impl World {
    fn start(count: usize, database: Option<&str>) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let state = match database {
            None => String::new(),
            Some(_) => format!("[state]\npostgres = {{ env = \"{DATABASE}\" }}\n"),
        };
        // One key folder and one file of users, as on a file system that all share.
        let toml = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"builtin:whoami\"\n{state}[login]\n[routes]\n\
             \"/**\" = \"access-required\"\n"
        );
        fs::write(dir.path().join("gateway.toml"), toml).expect("written");
        (0..CLIENTS).for_each(|client| add_user(dir.path(), client));
        let start = |_| {
            let program = Command::new(env!("CARGO_BIN_EXE_freshgate"));
            let (child, address, _) = kit::gateway(program, dir.path());
            (child, address)
        };
        let gateways = (0..count).map(start).collect();
        World { gateways, shared: database.is_some(), _dir: dir }
    }

    /// Every client logs in, goes on with each of its sessions, and ends them.
    fn measure(&self, logins: usize, refreshes: usize) {
        let (mut sessions, logging_in) =
            self.all(vec![Vec::new(); CLIENTS], move |client, mine: &mut Vec<Session>| {
                for _ in 0..logins {
                    mine.push(client.login());
                }
            });
        self.row("login", &logging_in);
        let (after, refreshing) = self.all(sessions, move |client, mine| {
            for at in 0..refreshes {
                let session = &mut mine[at % logins];
                session.refresh = client.refresh(&session.refresh);
            }
        });
        sessions = after;
        self.row("refresh", &refreshing);
        let (_, leaving) = self.all(sessions, move |client, mine| {
            mine.drain(..).for_each(|session| client.logout(&session.access));
        });
        self.row("logout", &leaving);
    }

    /// All clients at once, each with what is its own.
    fn all(
        &self,
        mine: Vec<Vec<Session>>,
        work: impl Fn(&mut Client, &mut Vec<Session>) + Send + Sync + Copy + 'static,
    ) -> (Vec<Vec<Session>>, Work) {
        let begin = Arc::new(Barrier::new(CLIENTS + 1));
        let clients = mine.into_iter().enumerate().map(|(number, mut mine)| {
            let (begin, address) =
                (Arc::clone(&begin), self.gateways[number % self.gateways.len()].1);
            thread::spawn(move || {
                let mut client = Client::new(number, address);
                begin.wait();
                work(&mut client, &mut mine);
                (mine, client.waited)
            })
        });
        let clients: Vec<_> = clients.collect();
        let before = (self.cpu(), postgres_cpu());
        begin.wait();
        let started = Instant::now();
        let done: Vec<_> = clients.into_iter().map(|one| one.join().expect("no panic")).collect();
        let took = started.elapsed();
        let cpu = (self.cpu() - before.0, postgres_cpu().saturating_sub(before.1));
        let (mine, waited): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let mut waited: Vec<Duration> = waited.into_iter().flatten().collect();
        waited.sort();
        (mine, Work { took, waited, cpu })
    }

    fn cpu(&self) -> Duration {
        self.gateways.iter().map(|(child, _)| cpu(&format!("/proc/{}/stat", child.id()), 2)).sum()
    }

    fn row(&self, what: &str, work: &Work) {
        let count = work.waited.len();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let each = |time: Duration| ms(time) / count as f64;
        let at = |part: usize| ms(work.waited[(count * part / 100).min(count - 1)]);
        let (state, database) = match self.shared {
            true => ("PostgreSQL", format!("{:.2} ms", each(work.cpu.1))),
            false => ("its own file", "-".to_owned()),
        };
        println!(
            "| {state} | {} | {what} | {:.0} | {:.1} ms | {:.1} ms | {:.2} ms | {database} |",
            self.gateways.len(),
            count as f64 / work.took.as_secs_f64(),
            at(50),
            at(99),
            each(work.cpu.0)
        );
    }
}

/// What all clients did together.
struct Work {
    took: Duration,
    /// How long each answer took, in order.
    waited: Vec<Duration>,
    /// Of the gateways, and of every PostgreSQL of this machine.
    cpu: (Duration, Duration),
}

#[derive(Clone)]
struct Session {
    access: String,
    refresh: String,
}

/// A client with one connection.
struct Client {
    user: String,
    stream: TcpStream,
    waited: Vec<Duration>,
}

impl Client {
    fn new(number: usize, address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Client { user: format!("u{number}"), stream, waited: Vec::new() }
    }

    fn login(&mut self) -> Session {
        let body = json!({"username": self.user, "password": PASSWORD}).to_string();
        let said = self.post("login", None, &body);
        let of = |name: &str| said[name].as_str().expect("a token").to_owned();
        Session { access: of("access_token"), refresh: of("refresh_token") }
    }

    fn refresh(&mut self, token: &str) -> String {
        let said = self.post("refresh", Some(token), "");
        said["refresh_token"].as_str().expect("a token").to_owned()
    }

    fn logout(&mut self, token: &str) {
        self.post("logout", Some(token), "");
    }

    /// What is answered; how long it took is noted.
    fn post(&mut self, endpoint: &str, token: Option<&str>, body: &str) -> Value {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "POST /auth/{endpoint} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            token.unwrap_or_default(),
            body.len()
        );
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).expect("sent");
        let (head, body) = self.answer();
        self.waited.push(begun.elapsed());
        assert!(head.starts_with("HTTP/1.1 20"), "{head}{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    fn answer(&mut self) -> (String, Vec<u8>) {
        let (mut got, mut buffer) = (Vec::new(), [0; 8192]);
        loop {
            let read = self.stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "the gateway closed the connection");
            got.extend_from_slice(&buffer[..read]);
            let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let body = got.split_off(end + 4);
            let head = String::from_utf8_lossy(&got).to_ascii_uppercase();
            let length = head.lines().find_map(|line| line.strip_prefix("CONTENT-LENGTH: "));
            let length = length.map_or(0, |length| length.parse().expect("a length"));
            let mut rest = vec![0; length - body.len()];
            self.stream.read_exact(&mut rest).expect("the rest");
            return (head, [body, rest].concat());
        }
    }
}

fn add_user(dir: &Path, client: usize) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_freshgate"))
        .args(["user", "add", &format!("u{client}"), "--password-stdin"])
        .current_dir(dir)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("written");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

/// What every PostgreSQL of this machine has spent, its backends that have ended included.
fn postgres_cpu() -> Duration {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_postgres = processes.filter(|one| {
        fs::read_to_string(one.path().join("comm")).is_ok_and(|name| name.trim() == "postgres")
    });
    // Four numbers: its own, and those of children that were waited for.
    of_postgres.map(|one| cpu(&one.path().join("stat").to_string_lossy(), 4)).sum()
}

/// The first `count` of user, system, children's user and children's system (proc_pid_stat(5)).
fn cpu(stat: &str, count: usize) -> Duration {
    let Ok(stat) = fs::read_to_string(stat) else { return Duration::ZERO };
    let (_, after_name) = stat.rsplit_once(')').expect("its name in parentheses");
    let ticks = after_name.split_whitespace().skip(11).take(count);
    ticks.map(|ticks| TICK * ticks.parse::<u32>().expect("a number")).sum()
}
