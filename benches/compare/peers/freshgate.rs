//! freshgate as it ships, on one data thread: identity headers, limits, metrics and the admin listener are on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

use super::{Place, Proxy, ROUTES};
use crate::process::{Running, pinned};
use crate::tokens::name;

/// What a measurement changes in the file.
#[derive(Clone, Debug, Default)]
pub struct Extra {
    /// Keys of `[limits]`, one a line; without `threads` there is one.
    pub limits: String,
    /// Tables at the end.
    pub tables: String,
    /// `[log] access`.
    pub access_log: bool,
    /// Lines of `[routes]`.
    pub routes: String,
}

/// Three of them, since a gateway has one log and one set of routes; only the one that is asked does anything.
pub fn start(program: &str, place: Place) -> Result<Vec<Proxy>, String> {
    let logged = Extra { access_log: true, ..Extra::default() };
    let routes = Extra { routes: many_routes(), ..Extra::default() };
    let all = [("main", Extra::default()), ("logged", logged), ("routes", routes)];
    all.iter().map(|(listener, extra)| gateway(program, place, listener, extra)).collect()
}

/// One gateway, whose listener has the name of its folder.
pub fn gateway(
    program: &str,
    place: Place,
    listener: &'static str,
    extra: &Extra,
) -> Result<Proxy, String> {
    let folder = place.folder.join(listener);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    fs::write(folder.join("gateway.toml"), text(place, extra))
        .map_err(|error| error.to_string())?;
    let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
    let mut command = pinned(program, place.cores.peer.as_ref());
    let mut running =
        Running::start(command.arg("run").current_dir(&folder).stdout(Stdio::piped()).stderr(log))?;
    let mut listeners = BTreeMap::new();
    let mut lines = BufReader::new(running.stdout().expect("piped")).lines();
    let words = [("listening on http://", listener), ("admin on http://", "admin")];
    for (before, name) in words {
        let line = lines.next().and_then(Result::ok).unwrap_or_default();
        let address = line.strip_prefix(before).and_then(|rest| rest.parse::<SocketAddr>().ok());
        let said = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        listeners.insert(name, address.ok_or_else(|| format!("it said `{line}`\n{}", said()))?);
    }
    // Nobody reads on: what it says after the start must not end it.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Proxy { running, listeners })
}

fn text(place: Place, extra: &Extra) -> String {
    let threads = if extra.limits.contains("threads") { "" } else { "threads = 1\n" };
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [identity]\nX-User-Id = \"sub\"\nX-User-Roles = \"roles\"\n\
         [upstreams.default]\nurl = \"http://{}\"\n\
         [log]\naccess = {}\nformat = \"json\"\n\
         [tokens]\naccess_ttl = \"24h\"\n\
         [limits]\n{threads}requests_per_connection = 1000000000\nbody_max = \"4GiB\"\n{}\n\
         [routes]\n\"/public/**\" = \"public\"\n\"/app/**\" = \"access-required\"\n{}\n{}\n",
        place.backend, extra.access_log, extra.limits, extra.routes, extra.tables
    );
    for key in place.keys.all() {
        let id = name(key.algorithm);
        let kind = if key.algorithm.is_symmetric() { "secret" } else { "private" };
        let file = place.key_folder.join(format!("{id}.key"));
        let _infallible = write!(
            text,
            "[[tokens.key]]\nid = \"{id}\"\nalg = \"{}\"\n{kind} = {{ file = \"{}\" }}\n",
            key.algorithm.name(),
            file.display()
        );
    }
    text
}

/// Lines for [`ROUTES`] routes.
fn many_routes() -> String {
    (0..ROUTES).fold(String::new(), |mut text, index| {
        let _infallible = writeln!(text, "\"/service/{index}/**\" = \"public\"");
        text
    })
}
