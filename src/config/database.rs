//! A database of the operator's and what is asked of it: values without a connection. `lower` makes them from
//! `[login.users] sql`; `store::sql` connects. A password in an URL is a [`Secret`] from here on.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::BackendUsers;
use super::query::Query;
use crate::token::Secret;

/// Where a database is, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// PostgreSQL.
    Postgres(Server),
    /// MySQL or MariaDB.
    MySql(Server),
    /// A file of SQLite.
    Sqlite(PathBuf),
}

/// The three dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

/// A database server, and whom to be there.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub place: Place,
    /// The user of the database.
    pub user: String,
    /// That user's password.
    pub password: Option<Secret>,
    /// The name of the database.
    pub database: String,
    /// Whether the connection is encrypted.
    pub tls: Tls,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or an address without brackets, and a port.
    Tcp(String, u16),
    /// A Unix socket: the file.
    Socket(PathBuf),
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: on this machine, or because the operator says so.
    Off,
    /// TLS, and the certificate must be for this very host.
    Verified,
}

impl PartialEq for Server {
    fn eq(&self, other: &Server) -> bool {
        let password = |one: &Server| one.password.as_ref().map(|secret| secret.expose().to_vec());
        (&self.place, &self.user, &self.database, self.tls)
            == (&other.place, &other.user, &other.database, other.tls)
            && password(self) == password(other)
    }
}

impl Eq for Server {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Server {
    /// `HOST:PORT/DATABASE`, without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}")?,
            Place::Tcp(host, port) => write!(f, "{host}:{port}")?,
            Place::Socket(path) => write!(f, "{}", path.display())?,
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Display for Database {
    /// For people: which program, and where.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Postgres(server) => write!(f, "PostgreSQL at {server}"),
            Database::MySql(server) => write!(f, "MySQL at {server}"),
            Database::Sqlite(path) => write!(f, "SQLite in {}", path.display()),
        }
    }
}

/// Where the users are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsersSource {
    /// Not named: `users.toml` in the state directory, made with a first user when it is not there.
    Default(PathBuf),
    /// Named: must exist.
    File(PathBuf),
    /// The login of a legacy application.
    Backend(Box<BackendUsers>),
    /// A table of a database.
    Sql(Box<SqlUsers>),
    /// Elsewhere, in these words, and not looked at: only where no secret is read.
    Outlined(String),
}

impl UsersSource {
    /// The file, however it was chosen; `None`: they are in no file.
    pub fn file(&self) -> Option<&Path> {
        match self {
            UsersSource::Default(path) | UsersSource::File(path) => Some(path),
            UsersSource::Backend(_) | UsersSource::Sql(_) | UsersSource::Outlined(_) => None,
        }
    }
}

/// Users in a table of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlUsers {
    /// Where the table is.
    pub database: Database,
    /// Where the URL was read from, for messages.
    pub origin: String,
    /// Finds a user by the name that was typed.
    pub by_name: Query,
    /// Finds a user by the subject of a token; `None`: the subject is the name.
    pub by_subject: Option<Query>,
    /// What the columns mean.
    pub columns: Columns,
    /// A file of certificates in PEM that sign the server's, instead of the system's.
    pub ca: Option<PathBuf>,
    /// How long a look-up may take, waiting and connecting included.
    pub timeout: Duration,
    /// Most connections at once.
    pub connections_max: usize,
}

/// What the columns of a row mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The `sub` of the tokens.
    pub subject: String,
    /// Names under which a user logs in; one at least. The first is what a step-up is counted by.
    pub names: Vec<String>,
    /// The hash of the password.
    pub password: String,
    /// Whether the user may log in; `None`: all may.
    pub enabled: Option<String>,
    /// The user's claims.
    pub claims: Vec<ClaimColumn>,
}

/// A claim and its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimColumn {
    /// The claim.
    pub claim: String,
    /// The column.
    pub column: String,
    /// How its value is read.
    pub reading: Reading,
}

/// How the value of a column becomes that of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By its type.
    Plain,
    /// Text, whatever its type.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Text that is JSON.
    Json,
    /// Text, taken apart at each of these.
    Split(String),
}

impl SqlUsers {
    /// Every column that a row must have, each once.
    pub fn wanted(&self) -> Vec<&str> {
        let columns = &self.columns;
        let names = columns.names.iter().chain([&columns.subject, &columns.password]);
        let claims = columns.claims.iter().map(|claim| &claim.column);
        let mut wanted: Vec<&str> = Vec::new();
        for one in names.chain(&columns.enabled).chain(claims) {
            if !wanted.contains(&one.as_str()) {
                wanted.push(one);
            }
        }
        wanted
    }
}

/// What an URL may say besides, for each engine.
const TLS_NAMES: [&str; 3] = ["sslmode", "ssl-mode", "ssl_mode"];

impl Database {
    /// Reads `postgresql://`, `mysql://`, `mariadb://` or `sqlite:PATH`, which is relative to `base`.
    ///
    /// # Errors
    /// What is wrong, in a sentence that repeats no part of the URL but its parameters' names.
    pub fn parse(url: &str, base: &Path) -> Result<Database, String> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            // `sqlite:///x` is relative to some programs and absolute to others.
            return match path.is_empty() || path.starts_with("//") || path.contains(['?', '\0']) {
                true => Err("a file of SQLite is written `sqlite:PATH`, such as `sqlite:/var/lib/app/app.db`, without `//`".into()),
                false => Ok(Database::Sqlite(base.join(path))),
            };
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("it does not begin with {SCHEMES}"));
        };
        match scheme {
            "postgresql" | "postgres" => server(rest, Engine::Postgres).map(Database::Postgres),
            "mysql" | "mariadb" => server(rest, Engine::MySql).map(Database::MySql),
            _ => Err(format!("it does not begin with {SCHEMES}")),
        }
    }

    /// Which dialect it speaks.
    pub fn engine(&self) -> Engine {
        match self {
            Database::Postgres(_) => Engine::Postgres,
            Database::MySql(_) => Engine::MySql,
            Database::Sqlite(_) => Engine::Sqlite,
        }
    }
}

const SCHEMES: &str = "`postgresql://`, `mysql://` or `sqlite:`";

/// `USER[:PASSWORD]@HOST[:PORT]/DATABASE[?NAME=VALUE&…]`, each part percent-encoded.
fn server(rest: &str, engine: Engine) -> Result<Server, String> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let user = decoded(user)?;
    if user.is_empty() {
        return Err("it names no user: write `://USER:PASSWORD@HOST/DATABASE`".into());
    }
    let database = decoded(database)?;
    if database.is_empty() {
        return Err("it names no database: write `://USER:PASSWORD@HOST/DATABASE`".into());
    }
    let password = password.map(decoded).transpose()?.map(|text| Secret::new(text.into_bytes()));
    let port = if engine == Engine::Postgres { POSTGRES_PORT } else { MYSQL_PORT };
    let (host, port) = host_and_port(host, port)?;
    let (mut tls, mut socket) = (None, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = decoded(value)?;
        match name {
            name if TLS_NAMES.contains(&name) => tls = Some(tls_mode(&value)?),
            "host" if engine == Engine::Postgres && value.starts_with('/') => {
                socket = Some(Path::new(&value).join(format!(".s.PGSQL.{port}")));
            }
            "socket" if value.starts_with('/') => socket = Some(PathBuf::from(value)),
            _ => {
                return Err(format!(
                    "`{name}` in it is not known: the names are `sslmode` and `socket`, and `host` for the directory of PostgreSQL's socket"
                ));
            }
        }
    }
    let place = match socket {
        Some(path) => Place::Socket(path),
        None if host.is_empty() => return Err("it names no host".into()),
        None => Place::Tcp(host, port),
    };
    let near = match &place {
        Place::Socket(_) => true,
        Place::Tcp(host, _) => is_this_machine(host),
    };
    let tls = tls.unwrap_or(if near { Tls::Off } else { Tls::Verified });
    Ok(Server { place, user, password, database, tls })
}

const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;

fn host_and_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let after_bracket = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[after_bracket..].rfind(':') {
        Some(at) => text.split_at(after_bracket + at),
        None => (text, ""),
    };
    let port = match port.strip_prefix(':') {
        None | Some("") => default,
        Some(port) => port.parse().map_err(|_| "its port is not a number up to 65535")?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains(',') {
        return Err("it names several hosts: name one".into());
    }
    Ok((decoded(host)?, port))
}

fn tls_mode(value: &str) -> Result<Tls, String> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(Tls::Off),
        "require" | "required" | "verify-ca" | "verify-full" | "verify-identity" => {
            Ok(Tls::Verified)
        }
        "allow" | "prefer" | "preferred" => Err("its `sslmode` gives up TLS as soon as somebody between asks for it: write `verify-full`, or `disable` where the network is trusted".into()),
        _ => Err("its `sslmode` is not known: write `verify-full` or `disable`".into()),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "an escape in it is not UTF-8".to_owned())?;
    match text.chars().any(char::is_control) {
        true => Err("it holds a control character".into()),
        false => Ok(text.into_owned()),
    }
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
