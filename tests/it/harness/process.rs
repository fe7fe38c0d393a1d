//! What the harness knows of processes: what they say, how they end, how to signal them.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;

#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
    /// Its standard output.
    pub stdout: Said,
    /// Its log.
    pub stderr: Said,
    /// Where it listens for clients.
    pub public: SocketAddr,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    #[track_caller]
    pub fn by(command: &mut Command) -> Running {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the built binary runs");
        let stdout = Said::by(child.stdout.take().expect("piped"));
        let stderr = Said::by(child.stderr.take().expect("piped"));
        let mut running = Running { child, stdout, stderr, public: ([127, 0, 0, 1], 0).into() };
        running.public = running.address("listening on ");
        running
    }

    /// The address that follows these words on standard output.
    #[track_caller]
    pub fn address(&self, before: &str) -> SocketAddr {
        let before = format!("{before}http://");
        eventually(&format!("{before:?} on standard output"), || {
            let said = self.stdout.text();
            if let Some(at) = said.find(&before) {
                let rest = &said[at + before.len()..];
                let word = rest.split_once(char::is_whitespace)?.0;
                return Some(word.trim_end_matches(['/', ',', '.']).parse().expect("an address"));
            }
            let gone = self.stdout.ended() && self.stderr.ended();
            assert!(!gone, "the gateway ended:\n{said}{}", self.stderr.text());
            None
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the gateway said:\n{}\n{}", self.stdout.text(), self.stderr.text());
        }
    }
}

/// Everything a pipe has said so far, collected by a thread.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<(String, bool)>>);

impl Said {
    fn by(pipe: impl Read + Send + 'static) -> Said {
        let said = Said::default();
        let into = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut locked = into.0.lock().expect("no reader panics");
                locked.0.push_str(&String::from_utf8_lossy(&line));
                locked.0.push('\n');
            }
            into.0.lock().expect("no reader panics").1 = true;
        });
        said
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.0.lock().expect("no reader panics").0.clone()
    }

    /// Whether the other end is closed.
    pub fn ended(&self) -> bool {
        self.0.lock().expect("no reader panics").1
    }
}

/// Sends a signal through the shell, since this crate forbids unsafe code.
pub fn signal(pid: u32, name: &str) -> std::io::Result<ExitStatus> {
    Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status()
}

/// How a verb of the command line ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The output, if the code is 0.
    #[track_caller]
    pub fn succeeded(self) -> Output {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// What `run` says when it refuses to start: status 1, everything on standard error, each part in it.
#[track_caller]
pub fn says(output: &Output, parts: &[&str]) {
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    for part in parts {
        assert!(output.stderr.contains(part), "no {part:?} in:\n{}", output.stderr);
    }
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}
