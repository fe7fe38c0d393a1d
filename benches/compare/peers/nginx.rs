//! nginx with one worker: keep-alive on both sides, the same headers, nothing buffered on disk, no log.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Place, Proxy, ROUTES, log};
use crate::process::{Running, free_address, pinned};

const PROXY: &str = "proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection \"\";\
 proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;\
 proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;\
 proxy_set_header X-Request-Id $request_id;";

/// Two of them, since ten thousand locations take memory: listeners `main` and `logged`, and `routes`.
pub fn start(program: &str, place: Place) -> Result<Vec<Proxy>, String> {
    let [main, logged, routes] = std::array::from_fn(|_| free_address());
    let dir = place.folder.join("nginx");
    let server = |address, log: &str| {
        format!("server {{ listen {address}; access_log {log}; location / {{ {PROXY} }} }}\n")
    };
    let log = dir.join("access.log").display().to_string();
    let first = server(main, "off") + &server(logged, &log);
    let mut many = String::new();
    for index in 0..ROUTES {
        let _infallible = writeln!(many, "location /service/{index}/ {{ {PROXY} }}");
    }
    let second = format!("server {{ listen {routes};\n{many} }}\n");
    Ok(vec![
        Proxy {
            running: one(program, place, &dir, &first, logged)?,
            listeners: [("main", main), ("logged", logged)].into(),
        },
        Proxy {
            running: one(program, place, &place.folder.join("nginx-routes"), &second, routes)?,
            listeners: [("routes", routes)].into(),
        },
    ])
}

fn one(
    program: &str,
    place: Place,
    dir: &Path,
    servers: &str,
    last: SocketAddr,
) -> Result<Running, String> {
    fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let text = format!(
        "daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;\n\
         client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
         uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
         upstream b {{ server {backend}; keepalive 64; keepalive_requests 1000000000; }}\n\
         {servers} }}\n",
        dir = dir.display(),
        backend = place.backend,
        connections = 2 * place.connections + 200,
    );
    fs::write(dir.join("nginx.conf"), text).map_err(|error| error.to_string())?;
    let mut command = pinned(program, place.cores.peer.as_ref());
    command.arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf"));
    let mut running = Running::start(command.stderr(log(place, "nginx")))?;
    running.listens(last)?;
    // The master opens the listeners before it makes the worker, and the worker is what is measured.
    let started = Instant::now();
    while running.tree().len() < 2 {
        if started.elapsed() > Duration::from_secs(10) {
            return Err("no worker".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(running)
}
