//! Waiting times when there is little left: at 70 % of capacity, while people log in, beside a backend that hangs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use freshgate::token::keys::Algorithm;

use crate::Kit;
use crate::load::{Load, Oha};
use crate::peers::{Extra, Peer, Place, gateway, start};
use crate::process::Cores;
use crate::report::{Facts, Pair, Pressure};

/// The part of capacity at which waiting times are compared.
const PART: f64 = 0.7;

/// Logins at the same time.
const LOGINS: usize = 200;

/// Requests that wait for a backend that never answers.
const HANGING: usize = 500;

/// Requests a second beside logins and beside the backend that hangs: far from busy.
const CALM_RATE: f64 = 1000.0;

const PASSWORD: &str = "correct horse battery staple";

pub fn measure(kit: &mut Kit) -> Result<Pressure, String> {
    let mut facts = Facts::now(kit.cores.words(), kit.versions());
    facts.cores += "; during logins nothing pinned";
    let mut pairs = Vec::new();
    if kit.programs.has(Peer::Nginx) {
        pairs.push(at_capacity(kit)?);
    }
    pairs.push(beside_logins(kit)?);
    pairs.push(beside_a_hanging_upstream(kit)?);
    for pair in &pairs {
        eprintln!("{}: {:?} ms against {:?} ms", pair.name, pair.ours_ms, pair.against_ms);
    }
    Ok(Pressure { facts, pairs })
}

fn seconds(kit: &Kit) -> Duration {
    Duration::from_secs_f64(kit.options.seconds)
}

/// The p99 of a load, in milliseconds.
fn p99(oha: &Oha, load: &Load) -> Result<f64, String> {
    let outcome = oha.run(load)?;
    outcome.check(&[200])?;
    Ok(outcome.p99_ms)
}

fn at_capacity(kit: &Kit) -> Result<Pair, String> {
    let oha = kit.oha()?;
    let folder = kit.folder("capacity");
    let token = kit.keys.good(Algorithm::Es256);
    let own = start(Peer::Freshgate, &kit.programs, kit.place(&folder))?;
    let nginx = start(Peer::Nginx, &kit.programs, kit.place(&folder))?;
    let loads = [&own[0], &nginx[0]].map(|proxy| {
        let address = proxy.at("main").expect("both have it");
        Load::get(format!("http://{address}/app/x"), seconds(kit)).bearer(&token)
    });
    let mut capacity = f64::INFINITY;
    for load in &loads {
        let outcome = oha.run(load)?;
        outcome.check(&[200])?;
        capacity = capacity.min(outcome.per_second);
    }
    // The same load for both: 70 % of what the slower one can do.
    let rate = capacity * PART;
    let mut pair = Pair {
        name: "p99 of an access-required route at 70 % of capacity".to_owned(),
        against: "nginx without authentication".to_owned(),
        against_ms: Vec::new(),
        ours_ms: Vec::new(),
        rate,
    };
    let [ours, theirs] = loads.map(|load| Load { rate: Some(rate), ..load });
    for _ in 0..kit.options.rounds {
        pair.ours_ms.push(p99(&oha, &ours)?);
        pair.against_ms.push(p99(&oha, &theirs)?);
    }
    Ok(pair)
}

fn beside_logins(kit: &Kit) -> Result<Pair, String> {
    // As it is deployed: on all cores, with its own number of threads.
    let cores = Cores::split(false);
    let oha = Oha::find(&cores).ok_or("oha is gone")?;
    let folder = kit.folder("logins");
    add_user(kit, &folder.join("main"))?;
    // All of them come from one address and for one account, which is what the throttle is against.
    let limits = "threads = 0\nlogin_failures_account = 1000000\nlogin_failures_address = 1000000";
    let extra = Extra { limits: limits.to_owned(), ..Extra::default() };
    let place = Place { cores: &cores, ..kit.place(&folder) };
    let proxy = gateway(kit.programs.path(Peer::Freshgate), place, "main", &extra)?;
    let address = proxy.at("main").ok_or("no listener")?;
    let token = kit.keys.good(Algorithm::Es256);
    let load = Load {
        rate: Some(CALM_RATE),
        ..Load::get(format!("http://{address}/app/x"), seconds(kit))
    };
    let load = load.bearer(&token);
    let mut logins =
        Load::get(format!("http://{address}/auth/login"), seconds(kit) + Duration::from_secs(1));
    logins.method = "POST";
    logins.connections = if kit.options.small { 10 } else { LOGINS };
    logins.body = Some(format!("username=ada&password={}", PASSWORD.replace(' ', "+")));
    let (mut against_ms, mut ours_ms) = (Vec::new(), Vec::new());
    for _ in 0..kit.options.rounds {
        against_ms.push(p99(&oha, &load)?);
        let busy = oha.start(&logins)?;
        std::thread::sleep(Duration::from_millis(500).min(seconds(kit)));
        ours_ms.push(p99(&oha, &load)?);
        let busy = busy.join().map_err(|_| "the logins panicked".to_owned())??;
        busy.check(&[200])?;
    }
    Ok(Pair {
        name: format!("p99 of an access-required route during {LOGINS} parallel logins"),
        against: "the same without logins".to_owned(),
        against_ms,
        ours_ms,
        rate: CALM_RATE,
    })
}

/// Someone who can log in at the gateway of this folder.
pub fn add_user(kit: &Kit, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let config =
        "listen = \"127.0.0.1:0\"\nupstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n";
    std::fs::write(folder.join("gateway.toml"), config).map_err(|error| error.to_string())?;
    let mut child = Command::new(kit.programs.path(Peer::Freshgate))
        .args(["user", "add", "ada", "--password-stdin"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut pipe = child.stdin.take().expect("piped");
    writeln!(pipe, "{PASSWORD}").map_err(|error| error.to_string())?;
    drop(pipe);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn beside_a_hanging_upstream(kit: &Kit) -> Result<Pair, String> {
    let oha = kit.oha()?;
    let folder = kit.folder("hanging");
    let extra = Extra {
        routes: "\"/stuck/**\" = { policy = \"public\", upstream = \"stuck\" }".to_owned(),
        tables: format!("[upstreams.stuck]\nurl = \"http://{}\"", kit.backend),
        ..Extra::default()
    };
    let proxy = gateway(kit.programs.path(Peer::Freshgate), kit.place(&folder), "main", &extra)?;
    let address = proxy.at("main").ok_or("no listener")?;
    let token = kit.keys.good(Algorithm::Es256);
    let load = Load {
        rate: Some(CALM_RATE),
        ..Load::get(format!("http://{address}/app/x"), seconds(kit))
    };
    let load = load.bearer(&token);
    let (mut against_ms, mut ours_ms) = (Vec::new(), Vec::new());
    for _ in 0..kit.options.rounds {
        against_ms.push(p99(&oha, &load)?);
        let held: Vec<TcpStream> = (0..HANGING).map(|_| hang(address)).collect::<Result<_, _>>()?;
        // Opening them is work; what is asked is what they cost while they wait.
        std::thread::sleep(seconds(kit).min(Duration::from_secs(1)));
        ours_ms.push(p99(&oha, &load)?);
        // Had the backend answered, nothing would have hung.
        for mut stream in held {
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            if stream.read(&mut [0]).is_ok() {
                return Err("a request that should hang was answered".to_owned());
            }
        }
    }
    Ok(Pair {
        name: format!("p99 of a route while {HANGING} requests hang at another upstream"),
        against: "the same without them".to_owned(),
        against_ms,
        ours_ms,
        rate: CALM_RATE,
    })
}

fn hang(address: SocketAddr) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream
        .write_all(b"GET /stuck/hang HTTP/1.1\r\nHost: bench\r\n\r\n")
        .map_err(|error| error.to_string())?;
    Ok(stream)
}
