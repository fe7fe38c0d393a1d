//! From a start after `kill -9` to the first answer of a protected route, with none, a thousand and a hundred thousand living sessions.
//!
//! `cargo bench --bench restart` measures; `cargo test --bench restart` runs a small size. The sessions are made by the
//! state store itself, each with a refresh token that was replaced, of a thousand users in `users.toml`.

#[allow(dead_code, reason = "no backend is asked here")]
#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshgate::store::embedded::Embedded;
use freshgate::store::session::Replaced;
use freshgate::store::{Renewal, Session, StateStore as _, Successor};
use freshgate::telemetry;
use freshgate::token::UnixTime;
use freshgate::token::seal::Sealed;
use tokio::task::JoinSet;

/// How often a start is measured.
const STARTS: usize = 5;
const USERS: usize = 1_000;
/// What waits for the store at once, while the sessions are made.
const AT_ONCE: usize = 512;
/// The length of a refresh token of ours, sealed.
const SEALED_BYTES: usize = 400;
/// A cheap argon2id hash: nobody logs in here.
const HASH: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn main() {
    let sizes: &[usize] = if kit::is_small() { &[0, 1_000] } else { &[0, 1_000, 100_000] };
    println!(
        "| living sessions | start to the first 200, median | slowest | its CPU, median | `state.db` |"
    );
    println!("|---|---|---|---|---|");
    for count in sizes {
        row(*count);
    }
}

fn row(count: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    configuration(dir.path());
    fill(&dir.path().join("data"), count);
    let (mut child, address, _) =
        kit::gateway(Command::new(env!("CARGO_BIN_EXE_freshgate")), dir.path());
    let token = minted(dir.path());
    assert!(answers(address, &token), "the token is good");
    let (mut times, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        kill(&mut child);
        let begun = Instant::now();
        let (next, address, _) =
            kit::gateway(Command::new(env!("CARGO_BIN_EXE_freshgate")), dir.path());
        child = next;
        while !answers(address, &token) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no answer in a minute");
        }
        times.push(begun.elapsed());
        spent.push(cpu(child.id()));
    }
    kill(&mut child);
    let said = freshgate(dir.path(), &["state", "check"]);
    assert!(said.contains(&format!("{count} living sessions")), "{said}");
    times.sort();
    spent.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let size = fs::metadata(dir.path().join("data/state.db")).expect("the state").len();
    println!(
        "| {count} | {:.0} ms | {:.0} ms | {:.0} ms | {:.1} MB |",
        ms(times[STARTS / 2]),
        ms(times[STARTS - 1]),
        ms(spent[STARTS / 2]),
        size as f64 / 1e6
    );
}

fn configuration(dir: &Path) {
    let toml = "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"builtin:whoami\"\n\
        [login]\nusers = { file = \"users.toml\" }\n[routes]\n\"/**\" = \"access-required\"\n";
    fs::write(dir.join("gateway.toml"), toml).expect("written");
    let users = (0..USERS).map(|n| format!("[users.u{n}]\npassword = \"{HASH}\"\n"));
    fs::write(dir.join("users.toml"), users.collect::<String>()).expect("written");
}

/// Makes so many sessions, and rotates the refresh token of each.
fn fill(state_dir: &Path, count: usize) {
    let now = UnixTime::of(telemetry::clock());
    let store = Arc::new(Embedded::open(state_dir).expect("a new state"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let mut making = JoinSet::new();
        for n in 0..count {
            while making.len() >= AT_ONCE {
                making.join_next().await.expect("one").expect("no panic");
            }
            let store = Arc::clone(&store);
            making.spawn(async move {
                let (session, renewal) = session(n, now);
                store.start(session).await.expect("started");
                store.rotate(renewal).await.expect("rotated");
            });
        }
        while let Some(one) = making.join_next().await {
            one.expect("no panic");
        }
    });
}

fn session(n: usize, now: UnixTime) -> (Session, Renewal) {
    let ids = [(); 3].map(|()| uuid::Uuid::new_v4().to_string());
    let [id, first, second] = ids;
    let until = now.plus(Duration::from_secs(30 * 86_400));
    let session = Session {
        id: id.clone(),
        subject: format!("u{}", n % USERS),
        started_at: now,
        auth_time: now,
        last_used_at: now,
        expires_at: until,
        tokens_until: until,
        refresh_id: Some(first.clone()),
        replaced: None::<Replaced>,
        address: Some([192, 0, 2, 7].into()),
        device: freshgate::store::Device::of(
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
        ),
        credential_mark: None,
        keepsake: None,
    };
    let sealed = Sealed::from_bytes(vec![0xa5; SEALED_BYTES]);
    let renewal = Renewal {
        session: id,
        id: first,
        now,
        successor: Some(Successor { id: second, sealed }),
        window: Duration::from_secs(10),
        tokens_until: until,
    };
    (session, renewal)
}

fn freshgate(dir: &Path, args: &[&str]) -> String {
    let said = Command::new(env!("CARGO_BIN_EXE_freshgate")).args(args).current_dir(dir).output();
    let said = said.expect("the command runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

fn minted(dir: &Path) -> String {
    freshgate(dir, &["token", "mint", "--sub", "u1", "--ttl", "1h"])
}

/// Whether a protected route answers with 200.
fn answers(address: SocketAddr, token: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = format!(
        "GET /x HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
    asked.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
}

/// What a process has spent so far, user and system (proc_pid_stat(5)), in steps of 10 ms.
fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process that runs");
    let (_, after_name) = stat.rsplit_once(')').expect("its name in parentheses");
    let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>());
    Duration::from_millis(ticks.map(|ticks| ticks.expect("a number")).sum::<u64>() * 10)
}

fn kill(child: &mut Child) {
    child.kill().and_then(|()| child.wait()).expect("a process to kill");
}
