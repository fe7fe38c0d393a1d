//! PostgreSQL and MariaDB as Debian has them: servers of the tests' own, on free ports, with certificates for `localhost`.
//! A shell keeps each and ends it with the process that started it, however that ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::tools;
use super::{eventually, process};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    MariaDb,
}

/// Both, for what must hold of either.
pub const ENGINES: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];

/// Runs the server, does what the lines on standard input say, and cleans up when they end.
const KEEPER: &str = r#"
run() { "$@" >>"$DIR/log" 2>&1 & pid=$!; echo $pid; }
run "$@"
while read -r word; do
    case $word in
        RUN) run "$@" ;;
        *) kill -"$word" $pid; wait $pid; echo ended ;;
    esac
done
kill -CONT $pid 2>/dev/null; kill -"$END" $pid 2>/dev/null; wait $pid 2>/dev/null; rm -rf "$DIR"
"#;

/// A server that runs. Its password-protected user is `app`, with the password [`PASSWORD`].
pub struct Database {
    pub engine: Engine,
    pub address: SocketAddr,
    dir: PathBuf,
    keeper: Child,
    pipes: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
    pid: AtomicUsize,
}

/// Of the user `app`: with signs that an URL escapes.
pub const PASSWORD: &str = "hunter2@/:secret";
const ESCAPED: &str = "hunter2%40%2F%3Asecret";

impl Database {
    /// The one of this process.
    #[track_caller]
    pub fn shared(engine: Engine) -> &'static Database {
        static ALL: [OnceLock<Database>; 2] = [OnceLock::new(), OnceLock::new()];
        ALL[engine as usize].get_or_init(|| Database::start(engine))
    }

    /// A new one.
    #[track_caller]
    pub fn start(engine: Engine) -> Database {
        let dir = tempfile::Builder::new().prefix("freshgate-db-").tempdir().expect("a directory");
        let dir = dir.keep();
        let user = user_of(if engine == Engine::Postgres { "postgres" } else { "mysql" });
        certificates(&dir);
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            give(&entry.path(), user);
        }
        give(&dir, user);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("a directory of ours");
        let address = tools::free_address();
        let made = as_user(&mut made(engine, &dir), user).output().expect("it runs; see tests/run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if engine == Engine::Postgres {
            fs::write(dir.join("data/pg_hba.conf"), HBA).expect("its rules");
        }
        let end = if engine == Engine::Postgres { "QUIT" } else { "KILL" };
        let mut keeper = as_user(Command::new("sh").args(["-c", KEEPER, "sh"]), user)
            .args(served(engine, &dir, address))
            .env("DIR", &dir)
            .env("TMPDIR", &dir)
            .env("END", end)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let pipes = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().expect("piped")));
        let database =
            Database { engine, address, dir, keeper, pipes: Mutex::new(pipes), pid: 0.into() };
        database.pid.store(database.hear().parse().expect("a process id"), Ordering::Relaxed);
        database.answers();
        database.ask(
            "",
            &match engine {
                Engine::Postgres => format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"),
                Engine::MariaDb => format!("CREATE USER app@'%' IDENTIFIED BY '{PASSWORD}'"),
            },
        );
        database
    }

    /// A new, empty database that `app` may read.
    #[track_caller]
    pub fn create(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("legacy{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.ask("", &format!("CREATE DATABASE {name}"));
        match self.engine {
            Engine::Postgres => self.ask(
                &name,
                "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, DELETE ON TABLES TO app",
            ),
            Engine::MariaDb => self.ask("", &format!("GRANT ALL ON {name}.* TO app@'%'")),
        };
        name
    }

    /// The URL of a database for the user `app`, by a host that leads here.
    pub fn url(&self, database: &str, host: &str) -> String {
        let scheme = if self.engine == Engine::Postgres { "postgresql" } else { "mysql" };
        format!("{scheme}://app:{ESCAPED}@{host}:{}/{database}", self.address.port())
    }

    /// The certificate that signs the server's.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Asks as its owner; rows come as lines.
    #[track_caller]
    pub fn ask(&self, database: &str, sql: &str) -> String {
        self.try_ask(database, sql).unwrap_or_else(|said| panic!("{sql}: {said}"))
    }

    /// Stops every process of it where it stands, or lets it go on: `STOP`, `CONT`.
    pub fn signal_all(&self, signal: &str) {
        let master = self.pid.load(Ordering::Relaxed);
        let mut all = vec![master.to_string()];
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(&master.to_string()) {
                all.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        for one in all {
            // Some may have ended meanwhile.
            let _ended = process::signal(one.parse().expect("a process id"), signal);
        }
    }

    /// Ends it, and waits until it has.
    pub fn end(&self) {
        assert_eq!(
            self.tell(if self.engine == Engine::Postgres { "INT" } else { "TERM" }),
            "ended"
        );
    }

    /// Starts it again after [`Database::end`].
    #[track_caller]
    pub fn run_again(&self) {
        let pid = self.tell("RUN").parse().expect("a process id");
        self.pid.store(pid, Ordering::Relaxed);
        self.answers();
    }

    fn tell(&self, word: &str) -> String {
        let mut pipes = self.pipes.lock().expect("no panic inside");
        writeln!(pipes.0.as_mut().expect("open"), "{word}").expect("a keeper");
        drop(pipes);
        self.hear()
    }

    fn hear(&self) -> String {
        let mut line = String::new();
        self.pipes.lock().expect("no panic inside").1.read_line(&mut line).expect("a keeper");
        line.trim().to_owned()
    }

    #[track_caller]
    fn answers(&self) {
        eventually(
            &format!("{:?}, which says {}", self.engine, self.dir.join("log").display()),
            || self.try_ask("", "SELECT 1").ok(),
        );
    }

    fn try_ask(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = Command::new(postgres("psql"));
                let database = if database.is_empty() { "postgres" } else { database };
                command.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-v", "ON_ERROR_STOP=1"]);
                command.args(["-d", database, "-h"]).arg(&self.dir).arg("-p");
                command.arg(self.address.port().to_string()).args(["-c", sql]);
                command
            }
            Engine::MariaDb => {
                let mut command = Command::new(tools::file("MariaDB", &["/usr/bin/mariadb"]));
                command.args([
                    "--no-defaults",
                    "-N",
                    "-uroot",
                    "--default-character-set=utf8mb4",
                    "-S",
                ]);
                command.arg(self.dir.join("socket")).arg(format!("--database={database}"));
                command.args(["-e", sql]);
                command
            }
        };
        let output = command.output().expect("a client");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.signal_all("CONT");
        if let Ok(mut pipes) = self.pipes.lock() {
            pipes.0 = None;
        }
        let _ended = self.keeper.wait();
    }
}

/// The owner comes by the socket, everybody else with a password.
const HBA: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

fn postgres(program: &str) -> PathBuf {
    let all = ["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/17/bin"];
    let all = all.map(|dir| format!("{dir}/{program}"));
    tools::file("PostgreSQL", &[&all[0], &all[1]])
}

fn made(engine: Engine, dir: &Path) -> Command {
    let mut command = match engine {
        Engine::Postgres => {
            let mut command = Command::new(postgres("initdb"));
            command.args([
                "--no-sync",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ]);
            command.arg(dir.join("data"));
            command
        }
        Engine::MariaDb => {
            let mut command =
                Command::new(tools::file("MariaDB", &["/usr/bin/mariadb-install-db"]));
            command.args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ]);
            command.arg(format!("--datadir={}", dir.join("data").display()));
            command
        }
    };
    // A MariaDB that starts removes the temporary tables it finds: those of another that starts, in a folder they share.
    command.current_dir(dir).env("TMPDIR", dir);
    command
}

fn served(engine: Engine, dir: &Path, address: SocketAddr) -> Vec<String> {
    let (dir, port) = (dir.display(), address.port());
    match engine {
        Engine::Postgres => [
            postgres("postgres").display().to_string(),
            format!("-D{dir}/data"),
            format!("-k{dir}"),
            format!("-p{port}"),
            "-clisten_addresses=127.0.0.1".into(),
            "-cfsync=off".into(),
            "-cssl=on".into(),
            format!("-cssl_cert_file={dir}/server.pem"),
            format!("-cssl_key_file={dir}/server.key"),
        ]
        .into(),
        Engine::MariaDb => [
            tools::file("MariaDB", &["/usr/sbin/mariadbd"]).display().to_string(),
            "--no-defaults".into(),
            format!("--datadir={dir}/data"),
            format!("--socket={dir}/socket"),
            format!("--pid-file={dir}/pid"),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".into(),
            "--skip-name-resolve".into(),
            "--innodb-flush-log-at-trx-commit=0".into(),
            "--innodb-buffer-pool-size=16M".into(),
            format!("--ssl-ca={dir}/ca.pem"),
            format!("--ssl-cert={dir}/server.pem"),
            format!("--ssl-key={dir}/server.key"),
        ]
        .into(),
    }
}

/// A certificate for `localhost`, and the one that signs it.
fn certificates(dir: &Path) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = server.signed_by(&key, &issuer).expect("a certificate");
    for (name, text) in [
        ("ca.pem", ca_certificate.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(dir.join(name), text).expect("a file");
        let mode = if name == "server.key" { 0o600 } else { 0o644 };
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("ours");
    }
}

/// The servers refuse to run as root; Debian has a user for each.
fn user_of(name: &str) -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with(&format!("{name}:")));
    let line = line.unwrap_or_else(|| panic!("there is no user {name}: run tests/run"));
    let mut fields = line.split(':').skip(2).map(|id| id.parse().expect("a number"));
    Some((fields.next().expect("a uid"), fields.next().expect("a gid")))
}

fn give(path: &Path, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        chown(path, Some(uid), Some(gid)).expect("what root may give away");
    }
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
