//! The URL of a PostgreSQL database, taken apart once: where it is, and how much TLS the way there needs.
//!
//! `sslmode` means what it means to libpq, with one difference: a way that leaves this machine is never left without TLS
//! unless the URL says `sslmode=disable`, and one that says nothing at all has its certificate checked in full.
//! The password stays inside; what is shown is host, port and database.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode};

/// How long one address of the database may take to accept a connection, unless the URL says `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged, unless the URL says `tcp_user_timeout`.
const USER_TIMEOUT: Duration = Duration::from_secs(10);
/// After how much silence the other side is asked whether it lives, unless the URL says `keepalives_idle`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// What the library takes where the URL says nothing.
const LIBRARY_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// The state that many gateways share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedState {
    /// The database.
    pub database: DatabaseUrl,
    /// How long tokens are believed without news from the database.
    pub stale_max: Duration,
}

/// How much TLS the way to the database needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsWanted {
    /// None.
    Never,
    /// If the server offers it; the certificate is not looked at.
    IfOffered,
    /// Always; the certificate is not looked at.
    Unchecked,
    /// Always; the certificate leads to a trusted root.
    Chain,
    /// Always; the certificate leads to a trusted root and names the host.
    ChainAndName,
}

/// Whose signature under a certificate counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system.
    System,
    /// Those in this file, PEM.
    File(PathBuf),
}

/// A database, and how to get there.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// For the library.
    pub options: tokio_postgres::Config,
    /// How much TLS.
    pub tls: TlsWanted,
    /// Whom a certificate is checked against.
    pub roots: Roots,
    shown: String,
}

impl DatabaseUrl {
    /// Takes a URL apart: `postgres://user:password@host:port/database?parameter=value&…`.
    ///
    /// # Errors
    /// What is wrong, without a character of the URL: it may be part of the password.
    pub fn parse(url: &[u8]) -> Result<DatabaseUrl, &'static str> {
        let url = std::str::from_utf8(url).map_err(|_| "it is not UTF-8")?;
        let begins = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        if !begins {
            return Err("it does not begin with postgres://");
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if base.matches('@').count() > 1 || query.contains('@') {
            return Err(
                "an `@` in the user's name, the password or a parameter is written %40, and a `?` %3F",
            );
        }
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or("a parameter has no value")?;
            let value_text = percent_decode_str(value).decode_utf8();
            let value_text = value_text.map_err(|_| "a parameter is not UTF-8")?.into_owned();
            match key {
                "sslmode" => mode = Some(value_text),
                "sslrootcert" => roots = Some(value_text),
                _ => rest.push(pair),
            }
        }
        let plain =
            if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let mut options: tokio_postgres::Config = plain.parse().map_err(|_| {
            "it is not postgres://user:password@host:port/database, or has a parameter that is not supported"
        })?;
        if options.get_hosts().is_empty() && options.get_hostaddrs().is_empty() {
            return Err("it names no host");
        }
        let tls = tls_wanted(mode.as_deref(), roots.as_deref(), &options)?;
        options.ssl_mode(match tls {
            TlsWanted::Never => SslMode::Disable,
            TlsWanted::IfOffered => SslMode::Prefer,
            _ => SslMode::Require,
        });
        with_limits(&mut options);
        let roots = match roots.as_deref() {
            None | Some("system") => Roots::System,
            Some(file) => Roots::File(PathBuf::from(file)),
        };
        let shown = shown(&options);
        Ok(DatabaseUrl { options, tls, roots, shown })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl").field("at", &self.shown).field("tls", &self.tls).finish()
    }
}

fn tls_wanted(
    mode: Option<&str>,
    roots: Option<&str>,
    options: &tokio_postgres::Config,
) -> Result<TlsWanted, &'static str> {
    let sockets_only = options.get_hostaddrs().is_empty()
        && options.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    let remote = is_remote(options);
    let wanted = match (mode, roots) {
        (Some("disable"), None) => TlsWanted::Never,
        (Some("disable"), Some(_)) => {
            return Err("`sslrootcert` says nothing with sslmode=disable");
        }
        (None | Some("verify-full"), Some(_)) | (Some("verify-full"), None) => {
            TlsWanted::ChainAndName
        }
        (Some(_), Some("system")) => {
            return Err(
                "sslrootcert=system needs sslmode=verify-full: anybody has a certificate from those",
            );
        }
        (Some("verify-ca"), _) | (Some("require"), Some(_)) => TlsWanted::Chain,
        (Some("prefer"), Some(_)) => return Err("`sslrootcert` says nothing with sslmode=prefer"),
        (Some("require"), None) => TlsWanted::Unchecked,
        (None, None) if remote => TlsWanted::ChainAndName,
        (Some("prefer"), None) if remote => TlsWanted::Unchecked,
        (None | Some("prefer"), None) => TlsWanted::IfOffered,
        (Some(_), _) => {
            return Err("`sslmode` is disable, prefer, require, verify-ca or verify-full");
        }
    };
    // There is no TLS on Unix sockets, and nobody in between.
    Ok(if sockets_only { TlsWanted::Never } else { wanted })
}

/// Whether the way to any of its addresses leaves this machine.
fn is_remote(options: &tokio_postgres::Config) -> bool {
    let beyond = |host: &str| {
        let address: Result<IpAddr, _> = host.parse();
        address.map_or(host != "localhost", |address| !address.to_canonical().is_loopback())
    };
    if !options.get_hostaddrs().is_empty() {
        return options.get_hostaddrs().iter().any(|one| !one.to_canonical().is_loopback());
    }
    options.get_hosts().iter().any(|host| match host {
        Host::Tcp(name) => beyond(name),
        Host::Unix(_) => false,
    })
}

/// What keeps a database that went silent from holding anybody for ever.
fn with_limits(options: &mut tokio_postgres::Config) {
    if options.get_connect_timeout().is_none() {
        options.connect_timeout(CONNECT_TIMEOUT);
    }
    if options.get_tcp_user_timeout().is_none() {
        options.tcp_user_timeout(USER_TIMEOUT);
    }
    if options.get_keepalives_idle() == LIBRARY_IDLE {
        options.keepalives_idle(KEEPALIVE_IDLE);
    }
    if options.get_keepalives_interval().is_none() {
        options.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if options.get_keepalives_retries().is_none() {
        options.keepalives_retries(KEEPALIVE_RETRIES);
    }
    if options.get_application_name().is_none() {
        options.application_name("freshgate");
    }
}

fn shown(options: &tokio_postgres::Config) -> String {
    let ports = options.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts: Vec<String> = if options.get_hosts().is_empty() {
        options
            .get_hostaddrs()
            .iter()
            .enumerate()
            .map(|(n, one)| format!("{one}:{}", port(n)))
            .collect()
    } else {
        let one = |(n, host): (usize, &Host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(n)),
            Host::Unix(path) => format!("{}:{}", path.display(), port(n)),
        };
        options.get_hosts().iter().enumerate().map(one).collect()
    };
    format!("{}/{}", hosts.join(","), options.get_dbname().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> TlsWanted {
        DatabaseUrl::parse(url.as_bytes()).unwrap().tls
    }

    #[test]
    fn sslmode_means_what_libpq_means_and_remote_ways_are_never_left_open() {
        for (query, local, remote) in [
            ("", TlsWanted::IfOffered, TlsWanted::ChainAndName),
            ("?sslmode=prefer", TlsWanted::IfOffered, TlsWanted::Unchecked),
            ("?sslmode=disable", TlsWanted::Never, TlsWanted::Never),
            ("?sslmode=require", TlsWanted::Unchecked, TlsWanted::Unchecked),
            ("?sslmode=verify-ca", TlsWanted::Chain, TlsWanted::Chain),
            ("?sslmode=verify-full", TlsWanted::ChainAndName, TlsWanted::ChainAndName),
            ("?sslrootcert=/ca.pem", TlsWanted::ChainAndName, TlsWanted::ChainAndName),
            ("?sslrootcert=system", TlsWanted::ChainAndName, TlsWanted::ChainAndName),
            ("?sslmode=require&sslrootcert=/ca.pem", TlsWanted::Chain, TlsWanted::Chain),
        ] {
            for host in ["localhost", "127.0.0.1:5433", "[::1]"] {
                assert_eq!(tls(&format!("postgres://u:p@{host}/d{query}")), local, "{host}{query}");
            }
            for host in ["db.example.org", "192.0.2.1:5433", "[2001:db8::1]", "localhost,db"] {
                assert_eq!(
                    tls(&format!("postgres://u:p@{host}/d{query}")),
                    remote,
                    "{host}{query}"
                );
            }
            assert_eq!(tls(&format!("postgres://u@%2Frun%2Fpg/d{query}")), TlsWanted::Never);
        }
        assert_eq!(tls("postgres://u@localhost/d?hostaddr=192.0.2.1"), TlsWanted::ChainAndName);
    }

    #[test]
    fn mistakes_are_told_without_a_character_of_the_url() {
        for url in [
            "hunter2",
            "host=hunter2",
            "postgres://u:hun@ter2@h/d",
            "postgres://u:hun?ter2@h/d",
            "postgres://u:p@h/d?hunter2",
            "postgres://u:p@h/d?hunter2=1",
            "postgres://u:p@h/d?sslmode=hunter2",
            "postgres://u:p@h/d?sslmode=allow",
            "postgres://u:p@h/d?sslmode=require&sslrootcert=system",
            "postgres://u:p@h/d?sslmode=disable&sslrootcert=/ca.pem",
            "postgres://u:p@h:hunter2/d",
            "postgres:///hunter2",
            "postgres://u:%ff@h/%ff",
        ] {
            let fault = DatabaseUrl::parse(url.as_bytes()).expect_err(url);
            assert!(!fault.contains("hunter2") && !fault.contains("ter2"), "{fault}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password_and_silence_has_limits() {
        let url = DatabaseUrl::parse(b"postgresql://u:hunter2@a:1,b:2/d?options=-cx%3D1").unwrap();
        assert_eq!(url.to_string(), "a:1,b:2/d");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.options.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
        assert_eq!(url.options.get_keepalives_idle(), KEEPALIVE_IDLE);
        let own =
            DatabaseUrl::parse(b"postgres://u@h/d?connect_timeout=9&keepalives_idle=99").unwrap();
        assert_eq!(own.options.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(own.options.get_keepalives_idle(), Duration::from_secs(99));
    }
}
