//! A PostgreSQL server of the tests' own: made in a temporary directory, reached by a socket there, gone with the process
//! that started it, however that ends. Also the tests beside the code use this file.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long the server may take to answer after a start: recovery after a crash included.
const START_MAX: Duration = Duration::from_secs(30);

/// Runs the server, does what the lines on standard input say, and cleans up when that ends: also when whoever started it
/// was killed.
const KEEPER: &str = r#"
run() { "$BIN/postgres" -D "$DIR/data" -k "$DIR" -p 5432 "$@" >>"$DIR/log" 2>&1 & pid=$!; }
run "$@"
while read -r word; do
    case $word in
        RUN) run "$@" ;;
        *) kill -"$word" $pid; wait $pid; pid= ;;
    esac
    echo done
done
[ -z "$pid" ] || { kill -QUIT $pid; kill -CONT $pid; wait $pid; }
rm -rf "$DIR"
"#;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
    port: String,
    user: Option<(u32, u32)>,
    keeper: Child,
    pipes: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
}

impl Server {
    /// The one of this process, which is quick and writes nothing to the disk before it must.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed, saying what to do.
    pub fn shared() -> &'static Server {
        static ONE: OnceLock<Server> = OnceLock::new();
        ONE.get_or_init(|| Server::start(&["-c", "fsync=off", "-c", "max_connections=500"]))
    }

    /// A new one with these arguments.
    ///
    /// # Panics
    /// As for [`Server::shared`].
    pub fn start(args: &[&str]) -> Server {
        let bin = programs();
        let dir = tempfile::Builder::new().prefix("freshgate-pg-").tempdir().expect("a directory");
        let dir = dir.keep();
        let user = server_user();
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).expect("a directory to give away");
        }
        let made = as_user(Command::new(bin.join("initdb")), user)
            .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(dir.join("data"))
            .current_dir(&dir)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut keeper = as_user(Command::new("sh"), user)
            .args(["-c", KEEPER, "sh", "-c", "listen_addresses="])
            .args(args)
            .env("BIN", &bin)
            .env("DIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let pipes = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().expect("piped")));
        let port = args.iter().skip_while(|arg| **arg != "-p").nth(1).unwrap_or(&"5432");
        let port = (*port).to_owned();
        let server = Server { dir, port, user, keeper, pipes: Mutex::new(pipes) };
        server.answers();
        server
    }

    /// A new, empty database, as a URL.
    pub fn database(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("state{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database, over the socket.
    pub fn url(&self, database: &str) -> String {
        let dir = self.dir.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{dir}:{}/{database}", self.port)
    }

    /// Asks the database of a URL, and gives the rows, fields separated by `|`.
    ///
    /// # Panics
    /// When it says no.
    pub fn ask(&self, url: &str, sql: &str) -> String {
        self.sql(url.rsplit('/').next().expect("a database"), sql)
    }

    /// The directory: its socket, its log, its certificates.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in the directory, for the server alone.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a file of ours");
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).expect("a file to give away");
        }
        path
    }

    /// Ends it: `INT` is a fast shutdown, `QUIT` an immediate one, as after a crash.
    pub fn stop(&self, signal: &str) {
        self.tell(signal);
    }

    /// Starts it again, and waits until it answers.
    pub fn run_again(&self) {
        self.tell("RUN");
        self.answers();
    }

    /// Stops every process of it where it stands, or lets it go on: `STOP`, `CONT`.
    pub fn signal_all(&self, signal: &str) {
        let file = fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("a server");
        let master = file.lines().next().expect("a process id").trim().to_owned();
        let mut all = vec![master.clone()];
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(&master) {
                all.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        // Some may have ended meanwhile.
        let _some = Command::new("kill").arg(format!("-{signal}")).args(&all).output();
    }

    fn tell(&self, word: &str) {
        let mut pipes = self.pipes.lock().expect("not poisoned");
        writeln!(pipes.0.as_mut().expect("open"), "{word}").expect("a keeper");
        let mut line = String::new();
        pipes.1.read_line(&mut line).expect("a keeper");
    }

    fn answers(&self) {
        let start = Instant::now();
        while let Err(said) = self.try_sql("postgres", "SELECT 1") {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < START_MAX, "no server: {said}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|said| panic!("{sql}: {said}"))
    }

    fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(programs().join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-U",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                database,
            ])
            .args(["-p", &self.port, "-h"])
            .arg(&self.dir)
            .args(["-c", sql])
            .output()
            .expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut pipes) = self.pipes.lock() {
            pipes.0 = None;
        }
        let _status = self.keeper.wait();
    }
}

/// PgBouncer before a server, on a port of this machine; ends with this value, and with the process that started it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    keeper: Child,
}

impl PgBouncer {
    /// In the mode `session`, `transaction` or `statement`.
    ///
    /// # Panics
    /// Where it is not installed, saying what to do.
    pub fn start(server: &Server, mode: &str) -> PgBouncer {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.exists(),
            "PgBouncer is not installed: run tests/run --install, or apt-get install pgbouncer"
        );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let dir = server.dir.display();
        let users = server.file("users.txt", "\"postgres\" \"\"\n");
        let settings = format!(
            "[databases]\n* = host={dir} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n",
            server.port,
            users.display()
        );
        let settings = server.file("pgbouncer.ini", &settings);
        let script =
            "\"$0\" -q \"$1\" 2>pgbouncer.log & pid=$!; read -r end; kill -KILL $pid; wait $pid";
        let keeper = as_user(Command::new("sh"), server.user)
            .args(["-c", script])
            .arg(program)
            .arg(&settings)
            .current_dir(&server.dir)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(server.dir.join("pgbouncer.log")).unwrap_or_default();
            assert!(start.elapsed() < START_MAX, "no PgBouncer: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        PgBouncer { port, keeper }
    }

    /// The URL of a database of the server, through it.
    pub fn url(&self, url: &str) -> String {
        let database = url.rsplit('/').next().expect("a database");
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _status = self.keeper.wait();
    }
}

/// Where the programs of the newest version are.
fn programs() -> PathBuf {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let all = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        all.map(|entry| entry.path()).filter(|path| version(path).is_some()).max_by_key(version);
    let Some(newest) = newest else {
        panic!(
            "PostgreSQL is not installed: run tests/run --install, or apt-get install postgresql"
        );
    };
    newest.join("bin")
}

/// The server refuses to run as root; Debian has a user for it.
fn server_user() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
    let mut fields = line.split(':').skip(2).map(|id| id.parse().expect("a number"));
    Some((fields.next().expect("a uid"), fields.next().expect("a gid")))
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
