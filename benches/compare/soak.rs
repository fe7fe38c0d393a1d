//! Memory over a long time of good requests and attacks, all at once.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use freshgate::token::keys::Algorithm;

use crate::Kit;
use crate::load::{Load, exchange};
use crate::peers::{Extra, Peer, gateway};
use crate::report::{Facts, Soak};
use crate::tokens::{Keys, TTL, now};

/// Good requests a second: there is room for the attacks beside them.
const GOOD_RATE: f64 = 3000.0;

/// How many samples of memory a run takes.
const SAMPLES: u32 = 300;

/// Connections that begin a head and never end it, at a time.
const SLOW: usize = 100;

/// What one attacker does again and again, with a number that is new each time; whether anybody answered.
type Attack = fn(&Target, u64) -> bool;

struct Target<'a> {
    address: SocketAddr,
    keys: &'a Keys,
}

const ATTACKS: [(&str, Attack); 7] = [
    ("good tokens, each used once", new_token),
    ("forged tokens, each another", forged_token),
    ("paths that no route has, each another", unknown_path),
    ("wrong passwords, each for another name", wrong_password),
    ("heads that no gateway may pass", bad_head),
    ("heads that never end, 100 at a time", slow_heads),
    ("bodies that break off", broken_body),
];

pub fn measure(kit: &mut Kit) -> Result<Soak, String> {
    let oha = kit.oha()?;
    let folder = kit.folder("soak");
    let program = kit.programs.path(Peer::Freshgate);
    let proxy = gateway(program, kit.place(&folder), "main", &Extra::default())?;
    let address = proxy.at("main").ok_or("no listener")?;
    let token = kit.keys.good(Algorithm::Es256);
    let duration = Duration::from_secs_f64(kit.options.minutes * 60.0);
    let facts = Facts::now(kit.cores.words(), kit.versions());
    let mut load = Load::get(format!("http://{address}/app/x"), duration).bearer(&token);
    load.rate = Some(GOOD_RATE);
    let target = Target { address, keys: &kit.keys };
    let over = AtomicBool::new(false);
    // Of each attack, how often it was tried, and how often somebody was there to be attacked.
    let counts: Vec<[AtomicU64; 2]> =
        ATTACKS.iter().map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
    let mut memory_kib = Vec::new();
    let good = oha.start(&load)?;
    thread::scope(|scope| {
        for ((_, attack), count) in ATTACKS.iter().zip(&counts) {
            let (target, over) = (&target, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let answered = attack(target, number);
                    count[0].fetch_add(1, Ordering::Relaxed);
                    count[1].fetch_add(u64::from(answered), Ordering::Relaxed);
                    // A pause, so that seven attackers leave the core to those whom they attack.
                    thread::sleep(Duration::from_micros(500));
                }
            });
        }
        let started = Instant::now();
        while started.elapsed() < duration {
            memory_kib.push(proxy.running.memory_kib());
            thread::sleep(duration / SAMPLES);
        }
        over.store(true, Ordering::Relaxed);
    });
    let good = good.join().map_err(|_| "the good requests panicked".to_owned())??;
    good.check(&[200])?;
    let mut requests = BTreeMap::from([("good requests".to_owned(), good.answers())]);
    for ((name, _), [tried, answered]) in ATTACKS.iter().zip(counts) {
        let tried = tried.into_inner();
        if answered.into_inner() * 2 < tried {
            return Err(format!("{name}: most of {tried} found nobody"));
        }
        requests.insert((*name).to_owned(), tried);
    }
    let soak = Soak { facts, seconds: duration.as_secs_f64(), requests, memory_kib };
    let (early, late) = soak.ends();
    eprintln!("memory: {early:.0} KiB early, {late:.0} KiB late");
    Ok(soak)
}

/// Sends one request on a connection of its own.
fn ask(target: &Target, request: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(target.address) else { return false };
    let _best_effort = stream.set_read_timeout(Some(Duration::from_secs(30)));
    exchange(&mut stream, request).is_some()
}

fn with_token(target: &Target, token: &str) -> bool {
    ask(
        target,
        &format!("GET /app/x HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"),
    )
}

fn new_token(target: &Target, _: u64) -> bool {
    with_token(target, &target.keys.of(Algorithm::Hs256).token(TTL, now()))
}

fn forged_token(target: &Target, _: u64) -> bool {
    with_token(target, &target.keys.forged(Algorithm::Hs256))
}

fn unknown_path(target: &Target, number: u64) -> bool {
    ask(target, &format!("GET /nothing/{number}/here HTTP/1.1\r\nHost: h{number}.bench\r\n\r\n"))
}

fn wrong_password(target: &Target, number: u64) -> bool {
    let body = format!("username=nobody{number}&password=guess{number}");
    ask(
        target,
        &format!(
            "POST /auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn bad_head(target: &Target, number: u64) -> bool {
    let heads = [
        "GET /app/../x HTTP/1.1\r\nHost: bench\r\n\r\n".to_owned(),
        "GET /app/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "POST /app/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("GET /app/{} HTTP/1.1\r\nHost: bench\r\n\r\n", "a".repeat(20_000)),
        format!("GET /app/x HTTP/1.1\r\nHost: bench\r\nX-Big: {}\r\n\r\n", "b".repeat(60_000)),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n".to_owned(),
    ];
    ask(target, &heads[number as usize % heads.len()])
}

fn slow_heads(target: &Target, _: u64) -> bool {
    let begin = |_| {
        let mut stream = TcpStream::connect(target.address).ok()?;
        stream.write_all(b"GET /app/x HTTP/1.1\r\nHost: be").ok()?;
        Some(stream)
    };
    let held: Vec<TcpStream> = (0..SLOW).filter_map(begin).collect();
    thread::sleep(Duration::from_millis(500));
    held.len() == SLOW
}

fn broken_body(target: &Target, _: u64) -> bool {
    let Ok(mut stream) = TcpStream::connect(target.address) else { return false };
    let head = b"POST /public/x HTTP/1.1\r\nHost: bench\r\nContent-Length: 1000000\r\n\r\n";
    let sent = stream.write_all(head).and_then(|()| stream.write_all(&[b'x'; 10_000]));
    let _best_effort = stream.set_read_timeout(Some(Duration::from_millis(5)));
    let _nothing = stream.read(&mut [0]);
    sent.is_ok()
}
