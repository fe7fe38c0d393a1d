//! The built binary as a process: started in a directory of its own, listened to, signalled, started again.
//!
//! The tests know it as an operator does: by its configuration, its command line, its output and its sockets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::process::{Output, Running, signal};
use super::{Upstream, eventually, forge};

/// A `[limits]` table for tests that get passwords wrong as often as they like, because they are about something else
/// than guesses.
pub const UNTHROTTLED: &str =
    "[limits]\nlogin_failures_account = 1000000\nlogin_failures_address = 1000000\n";

/// What a gateway starts with. `Gateway::start(toml)` is the short way.
#[derive(Debug)]
pub struct Setup {
    dir: TempDir,
    env: Vec<(String, String)>,
    args: Vec<String>,
    /// What the shell does before it becomes the gateway, or on the way.
    shell: Option<String>,
}

impl Setup {
    /// A directory with this `gateway.toml`, whose `listen` and `admin` are set to port 0 of loopback.
    pub fn new(toml: &str) -> Setup {
        let dir = tempfile::Builder::new().prefix("freshgate-it-").tempdir().expect("a directory");
        let setup = Setup { dir, env: Vec::new(), args: vec!["run".into()], shell: None };
        setup.write("gateway.toml", &on_free_ports(toml));
        setup
    }

    /// In front of this backend, with the key of [`forge`](super::forge).
    pub fn sharing(upstream: &Upstream, toml: &str) -> Setup {
        let toml = format!("upstream = \"{upstream}\"\n{toml}{}", forge::KEY);
        Setup::new(&toml).env("SHARED", forge::SECRET)
    }

    /// Sets an environment variable of the gateway and of its command line.
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a file beside `gateway.toml`.
    pub fn file(self, name: &str, text: &str) -> Setup {
        self.write(name, text);
        self
    }

    /// Replaces the arguments, which are `run`.
    pub fn args(mut self, args: &[&str]) -> Setup {
        self.args = args.iter().map(|&arg| arg.into()).collect();
        self
    }

    /// Runs it with `ulimit -n` of this many file descriptors.
    pub fn descriptors(mut self, count: u32) -> Setup {
        self.shell = Some(format!("ulimit -n {count}; exec \"$0\" \"$@\""));
        self
    }

    /// Runs it with a file system of its own for `data`, of this many KiB. It is there for the gateway alone, and for
    /// [`Gateway::inside`].
    pub fn data_of_kib(mut self, kib: u32) -> Setup {
        let mount = format!("mkdir -p data && mount -t tmpfs -o size={kib}k tmpfs data");
        self.shell = Some(format!(
            "exec unshare --map-root-user --mount sh -c '{mount} && exec \"$0\" \"$@\"' \"$0\" \"$@\""
        ));
        self
    }

    /// Runs it with its log going elsewhere, as the shell spells it: `2>/dev/full`.
    pub fn log_to(mut self, redirection: &str) -> Setup {
        self.shell = Some(format!("exec \"$0\" \"$@\" {redirection}"));
        self
    }

    /// The directory: `gateway.toml`, and `data` once it has run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a verb of the command line in the directory and waits for its end.
    #[track_caller]
    pub fn cli(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = self.command();
        let command = command.args(args).stdin(Stdio::piped());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        // Beside the reading: a child that answers while it reads would else wait for us, and we for it.
        let (mut pipe, bytes) = (child.stdin.take().expect("piped"), stdin.as_bytes().to_vec());
        let writer = std::thread::spawn(move || {
            let _ = pipe.write_all(&bytes);
        });
        let output = child.wait_with_output().expect("a child");
        writer.join().expect("a writer that ended");
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the gateway and waits until it says where it listens.
    ///
    /// # Panics
    /// When it ends instead, showing what it said.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let running = self.launch();
        Gateway { setup: self, running }
    }

    /// Starts a gateway that is expected to refuse to, and returns its code and words.
    #[track_caller]
    pub fn fails(self) -> Output {
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        let output = self.cli(&args, "");
        assert_ne!(output.code, Some(0), "it started: {output:?}");
        output
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn command(&self) -> Command {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_freshgate");
        let mut command = match &self.shell {
            None => Command::new(PROGRAM),
            Some(_) => Command::new("sh"),
        };
        command.args(self.shell.iter().flat_map(|script| ["-c", script, PROGRAM]));
        command.current_dir(self.dir()).envs(self.env.iter().cloned());
        command
    }

    #[track_caller]
    fn launch(&self) -> Running {
        let mut command = self.command();
        let command = command.args(&self.args).stdin(Stdio::null());
        Running::by(command)
    }
}

/// A gateway that runs. Dropping it kills it; when the test has failed, what it said is printed.
#[derive(Debug)]
pub struct Gateway {
    setup: Setup,
    running: Running,
}

impl Gateway {
    /// Starts with this configuration.
    #[track_caller]
    pub fn start(toml: &str) -> Gateway {
        Setup::new(toml).start()
    }

    /// Starts with `upstream = "…"` of this backend before the configuration.
    #[track_caller]
    pub fn in_front_of(upstream: &Upstream, toml: &str) -> Gateway {
        Gateway::start(&format!("upstream = \"{upstream}\"\n{toml}"))
    }

    /// As [`Gateway::in_front_of`], and it accepts the tokens of [`forge`](super::forge).
    #[track_caller]
    pub fn sharing(upstream: &Upstream, toml: &str) -> Gateway {
        Setup::sharing(upstream, toml).start()
    }

    /// Speaks to the public listener.
    pub fn client(&self) -> Client {
        Client { address: self.running.public }
    }

    /// Speaks to the admin listener.
    #[track_caller]
    pub fn admin(&self) -> Client {
        Client { address: self.running.address("admin on ") }
    }

    /// The password of `admin` that was printed on first run.
    #[track_caller]
    pub fn first_password(&self) -> String {
        eventually("the first password on standard output", || {
            let said = self.running.stdout.text();
            said.lines().find_map(|line| Some(line.strip_prefix("password:")?.trim().to_owned()))
        })
    }

    /// Logs in as the first user.
    #[track_caller]
    pub fn login_first(&self) -> Tokens {
        self.login("admin", &self.first_password())
    }

    /// Adds a user with `freshgate user add`, claims as JSON.
    #[track_caller]
    pub fn user(&self, name: &str, password: &str, claims: &str) {
        let args = ["user", "add", name, "--password-stdin", "--claims", claims];
        self.cli(&args, &format!("{password}\n")).succeeded();
    }

    /// `POST /auth/login`.
    #[track_caller]
    pub fn login(&self, username: &str, password: &str) -> Tokens {
        let body = json!({"username": username, "password": password});
        Tokens::of(&self.client().post("/auth/login").json(&body).send().expect(200))
    }

    /// Mints a token with `freshgate token mint`.
    #[track_caller]
    pub fn mint(&self, args: &[&str]) -> String {
        let output = self.cli(&[&["token", "mint"], args].concat(), "").succeeded();
        output.stdout.trim().to_owned()
    }

    /// Runs a verb of the command line beside the gateway.
    #[track_caller]
    pub fn cli(&self, args: &[&str], stdin: &str) -> Output {
        self.setup.cli(args, stdin)
    }

    /// The directory: `gateway.toml` and `data`.
    pub fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// A file of the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// A file of the directory as the gateway sees it, with what is mounted for it alone.
    pub fn inside(&self, name: &str) -> PathBuf {
        let absolute = self.path(name);
        let relative = absolute.strip_prefix("/").expect("a temporary directory");
        PathBuf::from(format!("/proc/{}/root", self.pid())).join(relative)
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.running.stdout.text()
    }

    /// The log (standard error) so far.
    pub fn log(&self) -> String {
        self.running.stderr.text()
    }

    /// Waits for a log line that contains this and returns it.
    #[track_caller]
    pub fn logged(&self, part: &str) -> String {
        eventually(&format!("a log line with {part:?}"), || {
            self.log().lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// The number of a series of the metrics; 0 when it is not there yet.
    #[track_caller]
    pub fn metric(&self, series: &str) -> u64 {
        let metrics = self.admin().get("/metrics").send().expect(200).text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |number| number.parse().expect("a whole number"))
    }

    /// How often this key of `[limits]` was reached.
    #[track_caller]
    pub fn reached(&self, key: &str) -> u64 {
        self.metric(&format!("freshgate_limits_reached_total{{limit=\"{key}\"}}"))
    }

    /// The most memory it ever had resident, in KiB.
    #[track_caller]
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("VmHWM in KiB")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }

    /// Sends a signal by name, `TERM` or `INT` say, and does not wait.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name).expect("a process to signal");
    }

    /// Waits for the process to end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the gateway to end", || self.running.child.try_wait().expect("a child"))
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// SIGKILL: nothing gets a chance to be written.
    pub fn kill(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }

    /// Starts again on the same directory after [`Gateway::terminate`] or [`Gateway::kill`]; the port is a new one.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.running = self.setup.launch();
    }
}

/// What a login or a refresh answered.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `access_token`.
    pub access: String,
    /// `refresh_token`; empty if there was none.
    pub refresh: String,
}

impl Tokens {
    /// Reads them from an answer.
    #[track_caller]
    pub fn of(response: &super::Response) -> Tokens {
        let body = response.json();
        let text = |name: &str| body[name].as_str().unwrap_or("").to_owned();
        let tokens = Tokens { access: text("access_token"), refresh: text("refresh_token") };
        assert!(!tokens.access.is_empty(), "no access token in {body}");
        tokens
    }
}

/// Sets `listen` and `admin` to port 0: two tests never want the same port.
fn on_free_ports(toml: &str) -> String {
    let mut free = String::from("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    let mut top = true;
    for line in toml.lines() {
        top &= !line.trim_start().starts_with('[');
        let name = line.split('=').next().unwrap_or("").trim();
        if !(top && matches!(name, "listen" | "admin")) {
            free.push_str(line);
            free.push('\n');
        }
    }
    free
}
