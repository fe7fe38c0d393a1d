//! The process: builds the world, listens, spreads connections over the data threads, drains.
//!
//! Data threads serve requests; one control runtime holds the acceptor, the admin listener, the control
//! socket and the signals.

mod accept;
pub mod admin;
pub mod banner;
pub mod build;
pub mod control;
mod descriptors;
mod issuers;
mod kept;
pub mod reload;
mod seats;
pub mod users;
pub mod wire;
pub mod worker;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, LogFormat};
use crate::gateway::Snapshot;
use crate::store::events::FLUSH_MAX;
use crate::telemetry::{self, Metrics};
use accept::Acceptor;
use admin::Admin;
use build::{Built, StartFault};
use control::Control;
use reload::{Ask, Asks, Reload};
use worker::{Shared, Worker};

/// Connections that the kernel keeps for us until we take them.
const ACCEPT_BACKLOG: i32 = 1024;

/// How often a drain looks whether the data threads have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How long the end waits for everybody to let go of the state store.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// [`StartFault`] when it cannot start. Once it serves, it ends only by a signal, and then cleanly.
pub fn run(config: Config) -> Result<(), StartFault> {
    let json = config.log.format.map(|format| format == LogFormat::Json);
    let _log = telemetry::start_logging(json, &config.log.level).map_err(StartFault)?;
    telemetry::panics::tell_panics_by_place();
    let listener = bind("listen", config.listen)?;
    let admin_listener = config.admin.map(|address| bind("admin", address)).transpose()?;
    let metrics = Arc::new(Metrics::new());
    let Built { mut snapshot, first_user, users } = build::first(config, Arc::clone(&metrics))?;
    let listen = local(&listener)?;
    let admin = admin_listener.as_ref().map(local).transpose()?;
    let greeting = banner::text(&snapshot.config, listen, admin, first_user.as_ref());
    drop(first_user);

    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartFault(format!("cannot start the control runtime: {error}")))?;
    let asks = Asks::new();
    let issuers = asks.control(control.handle());
    issuers.attend(&mut snapshot, None);
    let events = Arc::clone(&snapshot.events);
    control.spawn(Arc::clone(&events).deliver());
    let world = Arc::new(ArcSwap::from_pointee(snapshot));
    let (drain, draining) = watch::channel(false);
    let shared = Shared { world: Arc::clone(&world), metrics, draining: draining.clone() };
    let descriptors = descriptors::raise();
    let acceptor = Acceptor::new(start_workers(&shared)?, shared, descriptors);
    let (reload, watches) = Reload::start(&world, users, asks, issuers)
        .map_err(|error| StartFault(format!("cannot watch the configuration: {error}")))?;
    // A state that many processes may open needs nobody to be asked.
    let own_state = world.load().config.shared_state.is_none();
    let mut socket =
        own_state.then(|| Control::bind_or_warn(&world.load().config.state_dir)).flatten();
    let accepting = control.block_on(async {
        let stop = stop_signal()?;
        if let Some(socket) = &mut socket {
            socket.serve(Arc::clone(&world)).map_err(cannot_listen)?;
        }
        tokio::spawn(reload_signal(reload.clone())?);
        let listener = tokio::net::TcpListener::from_std(listener).map_err(cannot_listen)?;
        if let Some(admin_listener) = admin_listener {
            let listener =
                tokio::net::TcpListener::from_std(admin_listener).map_err(cannot_listen)?;
            tokio::spawn(Admin { world: Arc::clone(&world), draining, reload }.run(listener));
        }
        greet(&greeting);
        tokio::select! {
            () = acceptor.run(&listener) => {}
            name = stop => tracing::info!(signal = name, "stopping: no new connections"),
        }
        Ok(())
    });
    accepting?;
    // Readiness turns first; then every connection finishes what it has and closes.
    let _everybody_left = drain.send(true);
    let Acceptor { workers, shared, .. } = acceptor;
    let finished = wait(workers, world.load().config.limits.drain);
    // What happened until now is told before the end, as far as somebody takes it.
    control.block_on(events.flush(FLUSH_MAX));
    drop((control, socket, watches, shared));
    if finished {
        close(world);
    }
    tracing::info!(finished, "stopped");
    Ok(())
}

/// Frees the world, and with it the state store, which then closes its file: everybody else who holds it is ending.
/// Who does not end in time is left to the end of the process; what was acknowledged is durable all the same.
fn close(world: Arc<ArcSwap<Snapshot>>) {
    let deadline = Instant::now() + CLOSE_MAX;
    while Arc::strong_count(&world) > 1 && Instant::now() < deadline {
        std::thread::sleep(DRAIN_LOOK);
    }
}

fn start_workers(shared: &Shared) -> Result<Vec<Worker>, StartFault> {
    let wanted = shared.world.load().config.limits.threads;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = if wanted == 0 { cores } else { wanted };
    (0..count)
        .map(|index| Worker::start(index, shared.clone()))
        .collect::<io::Result<Vec<Worker>>>()
        .map_err(|error| StartFault(format!("cannot start a data thread: {error}")))
}

fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, StartFault> {
    let listen = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        // A restart must not wait for the last process's connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(ACCEPT_BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another process has this port; stop it or choose another",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            _ => "choose another address",
        };
        StartFault(format!("cannot listen on {address} (`{key}`): {error}; {remedy}"))
    })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartFault> {
    listener.local_addr().map_err(cannot_listen)
}

fn cannot_listen(error: io::Error) -> StartFault {
    StartFault(format!("cannot listen: {error}"))
}

/// Standard output is for the person who started us; when nobody reads it, we serve all the same.
fn greet(text: &str) {
    let mut out = io::stdout().lock();
    let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Ready when the process is told to stop.
fn stop_signal() -> Result<impl Future<Output = &'static str>, StartFault> {
    let fault = |error| StartFault(format!("cannot watch for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Asks for a reload at every SIGHUP.
fn reload_signal(reload: Reload) -> Result<impl Future<Output = ()>, StartFault> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| StartFault(format!("cannot watch for signals: {error}")))?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reload.ask(Ask::Signal);
        }
    })
}

/// Waits for the data threads, `limit` at most; whether all of them ended.
fn wait(workers: Vec<Worker>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let threads: Vec<_> = workers.into_iter().map(Worker::retire).collect();
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(DRAIN_LOOK);
    }
    true
}
