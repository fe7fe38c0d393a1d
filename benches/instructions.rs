//! How many instructions the processor executes for each stage of a request, counted by valgrind: unlike times, these hardly
//! differ from run to run, so that a stage that became dearer is seen whatever else the machine does.
//!
//! `cargo bench --bench instructions` counts, and compares with `benches/instructions.md`; `FRESHGATE_BLESS=1` writes that page
//! anew. `cargo test --bench instructions` proves that counting works, and that no attack of `kit/stages/hostile.rs` costs more
//! than in proportion to what is sent, which holds whatever the compiler made of the code.
//!
//! This program runs itself below callgrind. Between two marks it does a stage N times, then 2N times; the difference,
//! divided by N, is the stage, without what the counting costs. The last lines are the whole process with its sockets.

#[path = "kit/client.rs"]
mod client;
#[path = "kit/mod.rs"]
mod kit;
#[path = "kit/instructions_page.rs"]
mod page;
#[path = "kit/stages/mod.rs"]
mod stages;

use std::fs;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use page::Row;
use stages::{Stage, hostile};

/// As the product has it: its allocator is a part of what a request costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Says to this program that it runs below valgrind, and how often it does each stage.
const TIMES: &str = "FRESHGATE_COUNT_TIMES";
/// Each stage so often; twice that the second time.
const STAGE_TIMES: usize = 20;
/// Requests to the whole process before the counted ones, and of these.
const REQUESTS: usize = 1_000;
/// What an attack with four times as much may cost for each part of it, of what it costs with a quarter: in lists and
/// maps that grow, not every element costs the same.
const GROWTH_MAX: f64 = 1.5;

fn main() {
    if let Some(times) = std::env::var_os(TIMES) {
        let times = times.to_str().and_then(|text| text.parse().ok()).expect("a number");
        return run_all(times);
    }
    let small = kit::is_small();
    let dir = tempfile::tempdir().expect("a directory");
    let mut rows = counted(dir.path(), if small { 1 } else { STAGE_TIMES });
    page::assert_linear(&rows, GROWTH_MAX);
    let requests = if small { 20 } else { REQUESTS };
    let backend = kit::backend();
    for (name, path) in [("public", "/public/x"), ("access-required", "/app/x")] {
        let each = process(dir.path(), backend, path, requests);
        assert!(each > 0.0, "{name}: no instruction for {requests} requests");
        rows.push(Row { group: "whole process".into(), name: name.into(), each, size: None });
    }
    if small {
        page::assert_complete(&rows);
        return println!("counting works; `cargo bench --bench instructions` compares");
    }
    page::compare(&rows);
}

#[inline(never)]
fn count_from_here() {
    black_box("from");
}

#[inline(never)]
fn count_to_here() {
    black_box("to");
}

/// Below valgrind: does every stage N times and 2N times, and says on standard output what it does.
fn run_all(times: usize) {
    for mut stage in stages::all() {
        println!("{}\t{}\t0\t-", stage.group, stage.name);
        run(&mut stage, times);
    }
    for attack in hostile::all() {
        for size in attack.sizes {
            println!("adversarial\t{}\t{size}\t{}", attack.name, attack.unit);
            // Once is enough: it is large.
            run(&mut (attack.stage)(size), 1);
        }
    }
}

fn run(stage: &mut Stage, times: usize) {
    // What is done once, and what is learnt, such as a token for the cache.
    stage.repeat(1, &mut |work| work());
    for times in [times, 2 * times] {
        stage.repeat(times, &mut |work| {
            count_from_here();
            work();
            count_to_here();
        });
    }
}

/// Every stage, with the instructions that it takes once.
fn counted(dir: &Path, times: usize) -> Vec<Row> {
    let out = dir.join("stage");
    let said = callgrind(&out)
        .args(["--separate-threads=yes", "--dump-before=*count_from_here*"])
        .arg("--dump-before=*count_to_here*")
        .arg(std::env::current_exe().expect("this program"))
        .env(TIMES, times.to_string())
        .output()
        .expect(NO_VALGRIND);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said = String::from_utf8(said.stdout).expect("text");
    let mut rows = Vec::new();
    for (index, line) in said.lines().enumerate() {
        let mut parts = line.split('\t');
        let mut part = || parts.next().expect("four parts").to_owned();
        let (group, name, size, unit) = (part(), part(), part(), part());
        // Two runs of each stage, and of each run two dumps: what was before it, and itself.
        let run = |run: usize| total(&dir.join(format!("stage.{}-01", 4 * index + 2 * run)));
        let size: usize = size.parse().expect("a number");
        let times = if size == 0 { times } else { 1 };
        let each = (run(2) - run(1)) / times as f64;
        assert!(each > 0.0, "{group}, {name}: no instruction");
        rows.push(Row { group, name, each, size: (size > 0).then_some((size, unit)) });
    }
    rows
}

const NO_VALGRIND: &str =
    "valgrind counts instructions: `apt-get install valgrind`, or `tests/run --install`";

fn callgrind(out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    let file = format!("--callgrind-out-file={}", out.display());
    command.args(["--tool=callgrind", &file]);
    command
}

/// What a dump of callgrind counted in all.
fn total(file: &Path) -> f64 {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    line.and_then(|digits| digits.trim().parse().ok()).expect("a total")
}

/// Instructions of the whole process for each request, on one connection that is kept: a process that answers so many, and
/// one that answers twice as many.
fn process(dir: &Path, backend: SocketAddr, path: &str, requests: usize) -> f64 {
    let config = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"http://{backend}\"\n\
         [login]\nenabled = false\n[limits]\nthreads = 1\nrequests_per_connection = 1000000\n\
         [routes]\n\"/public/**\" = \"public\"\n\"/app/**\" = \"access-required\"\n"
    );
    fs::write(dir.join("gateway.toml"), config).expect("a file");
    let token = client::authorization(dir);
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{token}\r\n");
    let of = |requests: usize| {
        let out = dir.join("process");
        let mut command = callgrind(&out);
        command.arg(env!("CARGO_BIN_EXE_freshgate"));
        let (mut child, address, _) = kit::gateway(command, dir);
        ask(address, &request, requests);
        let ended = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
        assert!(ended.is_ok_and(|status| status.success()), "the gateway ran till here");
        child.wait().expect("it ends");
        total(&out)
    };
    (of(2 * requests) - of(requests)) / requests as f64
}

fn ask(address: SocketAddr, request: &str, requests: usize) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut buffer = [0; 4096];
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).expect("a request goes out");
        let mut answer = Vec::new();
        while !client::is_whole(&answer) {
            let read = stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
}
