//! Real software that some tests need: found where `tests/run` puts it, or the test fails and says so.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::eventually;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `target/`, wherever this build keeps it.
pub fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_freshgate"));
    program.parent().and_then(Path::parent).expect("target/PROFILE/freshgate").to_path_buf()
}

/// The Python with the pinned packages of `tests/interop/requirements.txt`.
#[track_caller]
pub fn python() -> PathBuf {
    python_of("venv")
}

/// The Python of an environment that `tests/run` made: `venv`, or `venv46` with an older line of the library.
#[track_caller]
pub fn python_of(environment: &str) -> PathBuf {
    let python = root().join("target/tests").join(environment).join("bin/python");
    assert!(python.exists(), "{} is missing: run tests/run", python.display());
    python
}

/// The first of these files that exists.
#[track_caller]
pub fn file(what: &str, candidates: &[&str]) -> PathBuf {
    let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{what} is not installed (no {candidates:?}): run tests/run"))
}

/// The library that shows a program another time (Debian's `faketime`), for `LD_PRELOAD`.
#[track_caller]
pub fn libfaketime() -> PathBuf {
    let name = "faketime/libfaketime.so.1";
    let [intel, arm] = ["x86_64", "aarch64"].map(|cpu| format!("/usr/lib/{cpu}-linux-gnu/{name}"));
    file("faketime", &[&intel, &arm])
}

/// A port of 127.0.0.1 that was free a moment ago, for servers that cannot take port 0.
pub fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// A server that a test started; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server that prints `listening on http://ADDRESS` as its first line of standard output.
    #[track_caller]
    pub fn announcing(command: &mut Command) -> Server {
        let mut child = spawn(command.stdout(Stdio::piped()));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a first line");
        let address = line.trim().rsplit('/').next().and_then(|text| text.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("{command:?} did not announce an address but {line:?}")
        };
        Server { child, address }
    }

    /// Starts a server that was told its address, and waits until it takes connections.
    #[track_caller]
    pub fn at(address: SocketAddr, command: &mut Command) -> Server {
        let mut server = Server { child: spawn(command), address };
        eventually(&format!("{command:?} to listen on {address}"), || {
            let ended = server.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{command:?} ended with {ended:?}");
            TcpStream::connect(address).ok()
        });
        server
    }
}

#[track_caller]
fn spawn(command: &mut Command) -> Child {
    // A group of its own: Apache signals its whole group when it is told to stop, and that would be us.
    command.process_group(0).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; run tests/run"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server with workers must get the chance to end them: SIGTERM, and SIGKILL only if that is ignored.
        let _ = super::process::signal(self.child.id(), "TERM");
        for _ in 0..300 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
