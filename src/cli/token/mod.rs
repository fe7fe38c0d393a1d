//! `freshgate token mint | inspect | verify`: tokens by hand, with the keys of the configuration or of a JWK file.

mod anatomy;
mod foreign;
mod inspect;
mod verify;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

pub use self::inspect::InspectArgs;
pub use self::verify::VerifyArgs;
use super::{ConfigArg, Failure};
use crate::config::Config;
use crate::policy::Requirement;
use crate::server::{banner, build};
use crate::telemetry;
use crate::token::keys::{KeyRing, KeyState};
use crate::token::mint::Mint;
use crate::token::verify::TOKEN_BYTES_MAX;
use crate::token::{RESERVED_CLAIMS, TokenKind, UnixTime, json};

/// What to do with a token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token and print it. It belongs to no session: logging it out revokes this one token.
    Mint(MintArgs),
    /// Say what a token says, which key verifies it, and which policies it would pass. Reads it from standard input, or
    /// as an argument.
    Inspect(InspectArgs),
    /// Check a token and say nothing but good or bad: the exit status is 0 for good ones. Reads it as `inspect` does.
    Verify(VerifyArgs),
}

/// What the new token says.
#[derive(Debug, Args)]
pub struct MintArgs {
    /// The subject.
    #[arg(long, value_name = "SUBJECT")]
    sub: String,
    /// A stale access token, as a refresh gives it; without this it is fresh.
    #[arg(long, conflicts_with = "refresh")]
    stale: bool,
    /// A refresh token.
    #[arg(long)]
    refresh: bool,
    /// How long it lives, such as 1h; default: the configuration's life for its kind.
    #[arg(long, value_parser = humantime::parse_duration)]
    ttl: Option<Duration>,
    /// A role, for the claim `roles`; repeat for several.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// More claims, as a JSON object: '{"team":"red","level":3}'.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    claims: String,
    /// The id of the key that signs; default: the first that can.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Print a command line for this tool instead of the token alone.
    #[arg(long = "for", value_name = "TOOL")]
    tool: Option<Tool>,
}

/// A tool that takes a token.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tool {
    /// The load generator: https://github.com/hatoo/oha
    Oha,
}

/// Runs a token verb.
///
/// # Errors
/// A mistake in the configuration or in the arguments, in words.
pub fn run(command: TokenCommand, config: &ConfigArg) -> Result<(), Failure> {
    let now = UnixTime::of(telemetry::clock());
    let command = match command {
        TokenCommand::Verify(args) => return args.run(config, now),
        other => other,
    };
    let config = config.load()?;
    let keys = build::key_set(&config, now)?;
    match command {
        TokenCommand::Verify(_) => {}
        TokenCommand::Mint(args) => {
            let token = args.mint(&config, keys.own(), now)?;
            match args.tool {
                None => println!("{token}"),
                Some(Tool::Oha) => println!("{}", args.oha(&config, &token)?),
            }
        }
        TokenCommand::Inspect(args) => return args.run(&config, keys, now),
    }
    Ok(())
}

impl MintArgs {
    fn mint(&self, config: &Config, ring: &KeyRing, now: UnixTime) -> Result<String, Failure> {
        let claims = self.claims()?;
        if self.sub.is_empty() {
            return Err(Failure::Words("--sub must not be empty".to_owned()));
        }
        let kind = if self.refresh { TokenKind::Refresh } else { TokenKind::Access };
        let fresh = !self.stale && !self.refresh;
        let ttl = self.ttl.unwrap_or(match kind {
            TokenKind::Access => config.tokens.access_ttl,
            TokenKind::Refresh => config.tokens.refresh_ttl,
        });
        let mint = Mint {
            subject: &self.sub,
            kind,
            fresh,
            auth_time: fresh.then_some(now),
            session: None,
            claims: &claims,
            ttl,
        };
        let minted = match &self.key {
            None => mint.sign(ring, &config.tokens, now)?,
            Some(id) => {
                let key = ring.find(id).ok_or_else(|| {
                    let known: Vec<&str> = ring.keys().iter().map(|key| key.id()).collect();
                    Failure::Words(format!("no key `{id}`; there are: {}", known.join(", ")))
                })?;
                if let KeyState::Retired(end) = ring.state(key, now) {
                    return Err(Failure::Words(format!("the key `{id}` has ended: {end}")));
                }
                mint.sign_with(key, &config.tokens, now)?
            }
        };
        if minted.token.len() > TOKEN_BYTES_MAX {
            return Err(Failure::Words(format!(
                "the token would be larger than {TOKEN_BYTES_MAX} bytes"
            )));
        }
        Ok(minted.token)
    }

    /// A command line that meets a protected path of this configuration with the token.
    fn oha(&self, config: &Config, token: &str) -> Result<String, Failure> {
        let wanted = if self.refresh { Requirement::Refresh } else { Requirement::Access };
        let login = config.login.as_ref();
        let (method, path) = match (banner::example(config, |one| one == wanted), login) {
            (Some(path), _) => ("", path),
            (None, Some(login)) if self.refresh => ("-m POST ", format!("{}/refresh", login.at)),
            (None, Some(login)) => ("", format!("{}/me", login.at)),
            (None, None) => {
                let wanted = wanted.name();
                return Err(Failure::Words(format!(
                    "no route of this configuration is `{wanted}`"
                )));
            }
        };
        let mut listen = config.listen;
        if listen.port() == 0 {
            return Err(Failure::Words(
                "`listen` has port 0: the running gateway alone knows which it got".to_owned(),
            ));
        }
        if listen.ip().is_unspecified() {
            listen.set_ip(match listen.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(format!("oha {method}-H 'Authorization: Bearer {token}' 'http://{listen}{path}'"))
    }

    fn claims(&self) -> Result<Map<String, Value>, Failure> {
        let mut claims = json::object(self.claims.as_bytes())
            .map_err(|error| Failure::Words(format!("--claims is not a JSON object: {error}")))?;
        let roles = (!self.roles.is_empty()).then(|| Value::from(self.roles.clone()));
        if roles.and_then(|roles| claims.insert("roles".to_owned(), roles)).is_some() {
            return Err(Failure::Words("the claim `roles` is given twice".to_owned()));
        }
        match claims.keys().find(|name| RESERVED_CLAIMS.contains(&name.as_str())) {
            Some(name) => {
                Err(Failure::Words(format!("--claims: `{name}` is written by freshgate itself")))
            }
            None => Ok(claims),
        }
    }
}

fn given(token: Option<String>) -> Result<String, Failure> {
    let text = match token {
        Some(text) if text != "-" => text,
        _ => {
            let mut text = String::new();
            let limit = TOKEN_BYTES_MAX as u64 + 16;
            std::io::stdin().take(limit).read_to_string(&mut text)?;
            text
        }
    };
    Ok(text.trim().trim_start_matches("Bearer ").to_owned())
}
