//! `freshgate init`: a commented gateway.toml to start from, by two questions or by flags.
//!
//! Never overwrites a file without `--force`, and never writes one that `check` would complain of.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, is_terminal};
use crate::config::Config;
use crate::config::lower::lower;

/// Write a commented gateway.toml to start from.
#[derive(Debug, Args)]
pub struct Init {
    /// Where the backend is: http://host:port, or builtin:whoami to try things out
    #[arg(long, value_name = "URL")]
    backend: Option<String>,
    /// The file of the users, relative to the configuration; made if it is not there. Default: users.toml in the state
    /// directory, which the first run makes with a user `admin`
    #[arg(long, value_name = "FILE")]
    users: Option<String>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = super::DEFAULT_FILE)]
    output: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// The backend when the question is answered with nothing.
const BACKEND: &str = "http://127.0.0.1:9000";
/// What an empty users file says.
const NO_USERS: &str = "# The users: `freshgate user add NAME`.\n[users]\n";

impl Init {
    /// Asks what no flag said, writes the file, and says what to do next.
    ///
    /// # Errors
    /// A file that is there, an answer that cannot be used, or a directory that cannot be written.
    pub fn run(&self) -> Result<(), Failure> {
        if self.output.exists() && !self.force {
            let shown = self.output.display();
            return Err(Failure::Words(format!(
                "{shown} is there already: name another with --output FILE, or replace it with --force"
            )));
        }
        let terminal = io::stdin().is_terminal();
        let (backend, users) = match &self.backend {
            Some(backend) => (backend.clone(), self.users.clone()),
            None if terminal => self.ask(&mut io::stdin().lock(), &mut io::stderr())?,
            None => {
                let help = "name the backend: freshgate init --backend http://127.0.0.1:9000";
                return Err(Failure::Words(help.to_owned()));
            }
        };
        // `127.0.0.1:9000` is what people type.
        let backend = match backend.parse::<std::net::SocketAddr>() {
            Ok(address) => format!("http://{address}"),
            Err(_) => backend,
        };
        let users = users.filter(|users| !users.is_empty());
        let text = text(&backend, users.as_deref());
        let base = self.output.parent().unwrap_or(Path::new("")).to_owned();
        // Judged without the users file, which is made only when all the rest is good.
        judged(&self::text(&backend, None), &self.output, &base)?;
        if let Some(users) = &users {
            make_users(&base.join(users))?;
        }
        judged(&text, &self.output, &base)?;
        write(&self.output, &text, self.force)?;
        println!("wrote {}", self.output.display());
        println!("{}", next(&self.output, users.is_some()));
        Ok(())
    }

    fn ask(
        &self,
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> Result<(String, Option<String>), Failure> {
        let backend = question(input, output, &format!("Where is the backend? [{BACKEND}] "))?;
        let backend = if backend.is_empty() { BACKEND.to_owned() } else { backend };
        let backend = if backend.contains(':')
            && !backend.contains("://")
            && !backend.starts_with("builtin:")
        {
            format!("http://{backend}")
        } else {
            backend
        };
        let users = match &self.users {
            Some(users) => users.clone(),
            None => question(
                input,
                output,
                "Which file holds the users? [users.toml in ./data, made on the first run] ",
            )?,
        };
        Ok((backend, Some(users)))
    }
}

fn question(
    input: &mut impl BufRead,
    output: &mut impl Write,
    question: &str,
) -> Result<String, Failure> {
    write!(output, "{question}")?;
    output.flush()?;
    let mut answer = String::new();
    if input.read_line(&mut answer)? == 0 {
        return Err(Failure::Words("no answer; nothing was written".to_owned()));
    }
    Ok(answer.trim().to_owned())
}

/// The file is written only if `check` has nothing to say of it.
fn judged(text: &str, file: &Path, base: &Path) -> Result<Config, Failure> {
    let config = lower(text, Some(file), base);
    match config {
        Ok(config) if config.warnings.is_empty() => Ok(config),
        Ok(config) => Err(Failure::Drawn(config.warnings.render(is_terminal()))),
        Err(mistakes) => Err(Failure::Drawn(mistakes.render(is_terminal()))),
    }
}

/// A users file without users, for its owner only; one that is there stays as it is.
fn make_users(path: &Path) -> Result<(), Failure> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => Ok(file.write_all(NO_USERS.as_bytes())?),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(Failure::Words(format!("{} cannot be made: {fault}", path.display()))),
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed =
        |fault: io::Error| Failure::Words(format!("{} cannot be written: {fault}", path.display()));
    if force {
        return fs::write(path, text).map_err(failed);
    }
    // Somebody may have made it since it was looked for.
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

fn next(file: &Path, named: bool) -> String {
    let config = match file == Path::new(super::DEFAULT_FILE) {
        true => String::new(),
        false => format!(" --config {}", file.display()),
    };
    let user = if named { format!("  freshgate user{config} add NAME\n") } else { String::new() };
    format!("\nnext:\n{user}  freshgate check{config}\n  freshgate run{config}")
}

/// The file itself.
fn text(backend: &str, users: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let login = match users {
        Some(users) => format!("[login]\nusers = {{ file = {} }}   # `freshgate user add NAME` adds one", quoted(users)),
        None => "# Users, sessions and the signing key are in ./data; the first run makes a user `admin` there and prints\n# the password once. To keep the users elsewhere:\n# [login]\n# users = { file = \"users.toml\" }   # in your own table, or behind your application's login: docs/users.md".to_owned(),
    };
    TEMPLATE.replace("{backend}", &quoted(backend)).replace("{login}", &login)
}

const TEMPLATE: &str = r#"# What freshgate does, route by route. After a change, `freshgate check` names every mistake at once.

listen   = "127.0.0.1:8080"        # where people come in; put a proxy that speaks TLS in front
admin    = "127.0.0.1:8081"        # /healthz, /readyz and /metrics, for operators only
upstream = {backend}

{login}

# What the backend learns of the caller. Nobody but the gateway can set these headers.
[identity]
X-User-Id    = "sub"
X-User-Roles = "roles"

# A path on the left, a policy on the right. The most specific line wins, whatever the order, and a path that no line
# names is refused. public: everybody. optional: everybody, and who has a token is known to the backend.
# access-required: a token. fresh-required: a token from a password, not from a refresh. deny: nobody.
[routes]
"/"                      = "public"
"/static/**"             = "public"
"/**"                    = "access-required"
"POST /account/password" = "fresh-required"
# "/admin/**"            = { policy = "fresh-required", max_age = "5m", claims = { roles = "admin" } }

# What must hold, whatever becomes of the lines above: `freshgate check` asks.
[[test]]
request = "GET /account"
expect  = "token-missing"

[[test]]
request = "POST /account/password"
as      = { sub = "somebody", fresh = false }
expect  = "token-not-fresh"
"#;
