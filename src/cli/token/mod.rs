//! `freshgate token mint | inspect | verify`: tokens by hand, with the keys of the configuration or of a JWK file.

mod verify;

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

pub use self::verify::VerifyArgs;
use super::{ConfigArg, Failure};
use crate::config::Config;
use crate::server::build;
use crate::telemetry;
use crate::token::keys::KeyRing;
use crate::token::mint::Mint;
use crate::token::verify::{TOKEN_BYTES_MAX, read};
use crate::token::{Claims, RESERVED_CLAIMS, Standing, TokenKind, UnixTime, json};

/// What to do with a token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token and print it. It belongs to no session: logging it out revokes this one token.
    Mint(MintArgs),
    /// Say what a token says and whether it is good now. Reads it from standard input, or as an argument.
    Inspect {
        /// The token; `-` or nothing reads it from standard input.
        token: Option<String>,
    },
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
    let ring = build::key_ring(&config)?;
    match command {
        TokenCommand::Verify(_) => {}
        TokenCommand::Mint(args) => println!("{}", args.mint(&config, &ring, now)?),
        TokenCommand::Inspect { token } => {
            print!("{}", inspect(&given(token)?, &config, &ring, now)?)
        }
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

/// Header and claims as they stand, then our verdict.
fn inspect(token: &str, config: &Config, ring: &KeyRing, now: UnixTime) -> Result<String, Failure> {
    let part = |index: usize| {
        let text = token.split('.').nth(index)?;
        json::object(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    };
    let (Some(header), Some(payload)) = (part(0), part(1)) else {
        return Err(Failure::Words(
            "not a token: it has no three base64url parts holding JSON".to_owned(),
        ));
    };
    let mut text = format!(
        "header  {}\nclaims  {}\n",
        serde_json::to_string_pretty(&header)?,
        serde_json::to_string_pretty(&payload)?
    );
    if let Ok(claims) = Claims::identified_by(&config.tokens.identity_claim, payload) {
        text.push_str(&times(&claims, now));
    }
    let verdict = match read(token, ring, &config.tokens)
        .map(|signed| signed.standing(&config.tokens, now))
    {
        Err(fault) | Ok(Standing::Unproven(fault)) => {
            format!("refused: {}", crate::policy::Refusal::from(fault).code())
        }
        Ok(Standing::Refresh(_)) => "good refresh token".to_owned(),
        Ok(Standing::Access(token)) if token.claims().is_fresh(now) => "good, fresh".to_owned(),
        Ok(_) => "good, stale".to_owned(),
    };
    text.push_str(&format!(
        "verdict {verdict} (revocation is known to the running gateway only)\n"
    ));
    Ok(text)
}

fn times(claims: &Claims, now: UnixTime) -> String {
    let phrase = |name: &str, moment: UnixTime| {
        let (distance, word) =
            if moment > now { (moment.since(now), "from now") } else { (now.since(moment), "ago") };
        format!("{name:<8}{} {word}\n", humantime::format_duration(distance))
    };
    let mut text = phrase("issued", claims.issued_at);
    text.push_str(&phrase("expires", claims.expires_at));
    if let Some(checked) = claims.auth_time {
        text.push_str(&phrase("checked", checked));
    }
    text
}
