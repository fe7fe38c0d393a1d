//! The control socket `<state dir>/control.sock`: how the command line asks a running gateway, which alone has the state.
//!
//! Only the owner of the state directory can use it: the directory is 0700, the socket 0600, and the other end must be
//! our own user or root. It speaks HTTP with one page; `desk` does what is asked. Its other end is `cli::session`.

pub mod desk;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::accept::ACCEPT_PAUSE;
use crate::gateway::Snapshot;
use crate::telemetry;
use crate::token::UnixTime;
use desk::{Asked, Desk};

/// The one page.
pub const PAGE: &str = "/sessions";
/// Largest question, in bytes: a token and a little around it.
pub const ASKED_BYTES_MAX: usize = 64 * 1024;

/// How long the command line may take to send its question.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one of its connections may last.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// Connections at once; more are closed unanswered.
const CONNECTIONS_MAX: usize = 16;
/// Longest path of a socket that the system takes, in bytes, without its final zero (`unix(7)`).
const PATH_BYTES_MAX: usize = 107;

/// The socket of a state directory.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// A name for a path that the system takes for a socket: by way of the open directory where its own is too long. Good as
/// long as the file is kept.
///
/// # Errors
/// The directory cannot be opened.
pub fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok((path.to_owned(), None));
    };
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let dir = File::open(dir)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((short, Some(dir)))
}

/// The bound socket; dropping it removes the file.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    /// `None` once it is served.
    listener: Option<StdListener>,
}

impl Control {
    /// Binds the socket of a state directory that is ours, in the place of one that an earlier process left.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(state_dir: &Path) -> io::Result<Control> {
        let path = path(state_dir);
        // Made aside and moved: nobody ever finds it with other rights.
        let new = state_dir.join("control.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _dir) = short(&new)?;
        let listener = StdListener::bind(&short)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        listener.set_nonblocking(true)?;
        Ok(Control { path, listener: Some(listener) })
    }

    /// As [`Control::bind`]; a file system that has no sockets keeps nobody from being served.
    pub fn bind_or_warn(state_dir: &Path) -> Option<Control> {
        let bound = Control::bind(state_dir);
        let warned = bound.inspect_err(|error| {
            tracing::warn!(
                event = "control_unavailable",
                %error,
                "no control socket: `freshgate session` cannot reach this gateway"
            );
        });
        warned.ok()
    }

    /// Serves on the current runtime until that ends.
    ///
    /// # Errors
    /// What the system says.
    pub fn serve(&mut self, world: Arc<ArcSwap<Snapshot>>) -> io::Result<()> {
        if let Some(listener) = self.listener.take() {
            tokio::spawn(run(UnixListener::from_std(listener)?, world));
        }
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The next start replaces what stays.
        let _best_effort = fs::remove_file(&self.path);
    }
}

async fn run(listener: UnixListener, world: Arc<ArcSwap<Snapshot>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                if !is_owner(&stream) {
                    tracing::warn!(
                        event = "control_refused",
                        "another user asked the control socket"
                    );
                    continue;
                }
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let _late = timeout(CONNECTION_MAX, serve(stream, world)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether the other end runs as our own user, or as root, who could do it anyway.
fn is_owner(stream: &UnixStream) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == ours || peer.uid() == 0)
}

async fn serve(stream: UnixStream, world: Arc<ArcSwap<Snapshot>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let world = world.load_full();
        async move { Ok::<_, Infallible>(answer(request, &world).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection ended early");
    }
}

async fn answer(request: Request<Incoming>, world: &Snapshot) -> Response<Full<Bytes>> {
    if request.uri().path() != PAGE || request.method() != Method::POST {
        return reply(StatusCode::NOT_FOUND, &json!({"error": "POST /sessions, and nothing else"}));
    }
    let Ok(body) = Limited::new(request.into_body(), ASKED_BYTES_MAX).collect().await else {
        return reply(StatusCode::BAD_REQUEST, &json!({"error": "the question is too long"}));
    };
    let Ok(asked) = serde_json::from_slice::<Asked>(&body.to_bytes()) else {
        let error = "this gateway does not know the question: it is of another version";
        return reply(StatusCode::BAD_REQUEST, &json!({"error": error}));
    };
    let (state, rules) = (world.state.as_ref(), &world.config.tokens);
    let desk = Desk { state, keys: &world.keys, rules, events: &world.events };
    match desk.answer(asked, UnixTime::of(telemetry::clock())).await {
        Ok(answer) => reply(StatusCode::OK, &answer),
        Err(error) => reply(StatusCode::CONFLICT, &json!({"error": error})),
    }
}

fn reply(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    response
}
