//! `freshgate key …`: the keys of the key folder, and their rotation: publish, sign, retire.
//!
//! It changes `<state dir>/keys/` and nothing else: a running gateway sees the change by itself. Where the
//! configuration names keys, those are the ring, and it says so. Never prints a private key or a secret.

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{ConfigArg, Failure};
use crate::config::Config;
use crate::server::build;
use crate::store::keys::edit::{self, Rotation};
use crate::store::keys::{self, Folder};
use crate::telemetry;
use crate::token::keys::{Algorithm, Key, KeyRing, KeyState};
use crate::token::{UnixTime, jwks};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and publish it: it verifies and is in the JWK set, and does not sign yet.
    Generate {
        /// Its algorithm.
        #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = algorithm)]
        alg: Algorithm,
        /// Its id (`kid`); default: the beginning of its thumbprint.
        #[arg(long)]
        id: Option<String>,
    },
    /// List the keys: id, algorithm, what each does now, thumbprint (RFC 7638), file.
    List {
        /// For programs: an object with `keys` and `missing` files; times in seconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Make the newest published key sign, or a new one, once every verifier can know it; nobody is logged out.
    Rotate(RotateArgs),
    /// Remove a key whose tokens have all expired.
    Retire {
        /// Its id.
        id: String,
        /// Also while it is needed: its tokens die with it.
        #[arg(long)]
        now: bool,
    },
    /// Print the JWK set as /.well-known/jwks.json shows it now.
    Jwks,
}

/// How to rotate.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The algorithm, where a key has to be made; default: that of the key that signs.
    #[arg(long, value_name = "ALG", value_parser = algorithm)]
    alg: Option<Algorithm>,
    /// Sign at once, although others may not know the key yet: for a key that was stolen.
    #[arg(long)]
    now: bool,
}

/// The algorithm of this name.
///
/// # Errors
/// The names that there are.
pub fn algorithm(name: &str) -> Result<Algorithm, String> {
    let all = Algorithm::ALL.map(Algorithm::name).join(", ");
    Algorithm::from_name(name).ok_or_else(|| format!("the algorithms are {all}"))
}

/// Runs a key verb.
///
/// # Errors
/// A mistake in the configuration, a broken key folder, or why it was not done.
pub fn run(command: KeyCommand, config: &ConfigArg) -> Result<(), Failure> {
    let now = UnixTime::of(telemetry::clock());
    let config = config.load()?;
    let text = match command {
        KeyCommand::List { json } => Listed::of(&config)?.told(&config, json, now),
        KeyCommand::Jwks => format!("{}\n", jwks::document(&build::key_ring(&config, now)?, now)),
        KeyCommand::Generate { alg, id } => generate(&config, alg, id.as_deref(), now)?,
        KeyCommand::Rotate(args) => args.run(&config, now)?,
        KeyCommand::Retire { id, now: at_once } => {
            folder_is_used(&config)?;
            let file = edit::retire(&config.state_dir, &id, at_once, now)?;
            format!("retired {id}: {file} is removed\n{}", if at_once { CACHED } else { "" })
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Others may believe a key that is gone as long as they may keep the set.
const CACHED: &str = "others that verify by the JWK set may know it for 5 minutes more\n";

/// # Errors
/// The configuration names the keys.
fn folder_is_used(config: &Config) -> Result<(), Failure> {
    if config.keys.is_empty() {
        return Ok(());
    }
    Err(Failure::Words(format!(
        "the keys are the [[tokens.key]] tables of {}, in their order, and {} is not read: change the file, \
         or take the tables out of it",
        config.file.as_deref().map_or("the configuration".into(), |file| file.to_string_lossy()),
        keys::folder(&config.state_dir).display()
    )))
}

fn generate(
    config: &Config,
    algorithm: Algorithm,
    id: Option<&str>,
    now: UnixTime,
) -> Result<String, Failure> {
    folder_is_used(config)?;
    let made = edit::generate(&config.state_dir, algorithm, id, now)?;
    let path = keys::folder(&config.state_dir).join(&made.file);
    let told = if algorithm.is_symmetric() {
        "it verifies; whoever checks our tokens needs the same file before it signs"
    } else {
        "it verifies and is in the JWK set"
    };
    let ring = Folder::read(&keys::folder(&config.state_dir))?.ring;
    let next = if ring.signer(now).is_some_and(|signer| signer.id() == made.id) {
        "and it signs, since no other key does".to_owned()
    } else {
        let earliest = now.plus(edit::PUBLISHED_FOR);
        format!("`freshgate key rotate` makes it sign, not before {earliest}")
    };
    let algorithm = algorithm.name();
    Ok(format!("published {} ({algorithm}) in {}\n{told}; {next}\n", made.id, path.display()))
}

impl RotateArgs {
    fn run(&self, config: &Config, now: UnixTime) -> Result<String, Failure> {
        folder_is_used(config)?;
        let overlap = config.tokens.longest_life();
        // On a folder that was never used there is no key yet that could be rotated.
        build::key_ring(config, now)?;
        let asked = Rotation { algorithm: self.alg, at_once: self.now, overlap };
        let done = edit::rotate(&config.state_dir, asked, now)?;
        let mut text = String::new();
        if done.made {
            text.push_str(&format!("made and published {}\n", done.id));
        }
        if done.signs_from > now {
            text.push_str(&format!(
                "{} signs from {} (in {}): verifiers that keep the JWK set for its max-age know it by then\n",
                done.id,
                done.signs_from,
                humantime::format_duration(done.signs_from.since(now)),
            ));
        } else {
            text.push_str(&format!("{} signs from now on\n", done.id));
        }
        for (id, end) in &done.before {
            text.push_str(&format!(
                "{id} verifies until {end}, when the last token that it signed has expired; then \
                 `freshgate key retire {id}` removes it\n"
            ));
        }
        Ok(text)
    }
}

/// The keys that there are; a look at keys makes none.
struct Listed {
    ring: KeyRing,
    /// Where each is, in the order of the ring.
    files: Vec<String>,
    /// Files that are gone, and their keys with them.
    missing: Vec<String>,
}

impl Listed {
    fn of(config: &Config) -> Result<Listed, Failure> {
        if !config.keys.is_empty() {
            let ring = build::key_ring(config, UnixTime::default())?;
            let files = ring.keys().iter().map(|_| "gateway.toml".to_owned()).collect();
            return Ok(Listed { ring, files, missing: Vec::new() });
        }
        let dir = keys::folder(&config.state_dir);
        let found = Folder::read(&dir)?;
        let path = |file: &str| dir.join(file).display().to_string();
        let of = |key: &Key| path(found.file(key).unwrap_or_default());
        let files = found.ring.keys().iter().map(of).collect();
        let missing = found.missing.iter().map(|file| path(file)).collect();
        Ok(Listed { ring: found.ring, files, missing })
    }

    fn told(&self, config: &Config, json: bool, now: UnixTime) -> String {
        if json {
            return format!("{:#}\n", self.json(now));
        }
        let mut text = self.table(now);
        for path in &self.missing {
            text.push_str(&format!("{path}: the file is gone, and so is the key\n"));
        }
        if !config.keys.is_empty() {
            text.push_str("these are the [[tokens.key]] tables; the key folder is not read\n");
        } else if self.ring.keys().is_empty() {
            text.push_str("no keys yet: the gateway makes one on its first run\n");
        }
        text
    }

    fn json(&self, now: UnixTime) -> Value {
        let one = |(key, file): (&Key, &String)| {
            let (state, at) = match self.ring.state(key, now) {
                KeyState::Published => ("published", None),
                KeyState::SignsFrom(from) => ("signs-from", Some(from)),
                KeyState::Signs => ("signs", None),
                KeyState::Verifies => ("verifies", None),
                KeyState::VerifiesUntil(end) => ("verifies-until", Some(end)),
                KeyState::Retired(end) => ("retired", Some(end)),
            };
            json!({
                "id": key.id(), "alg": key.algorithm().name(), "state": state, "at": at.map(|at| at.0),
                "thumbprint": key.thumbprint(), "file": file,
            })
        };
        let keys: Vec<Value> = self.ring.keys().iter().zip(&self.files).map(one).collect();
        json!({ "keys": keys, "missing": self.missing })
    }

    fn table(&self, now: UnixTime) -> String {
        let row = |(key, file): (&Key, &String)| {
            [
                key.id().to_owned(),
                key.algorithm().name().to_owned(),
                self.ring.state(key, now).to_string(),
                key.thumbprint().unwrap_or_else(|| "-".to_owned()),
                file.clone(),
            ]
        };
        let rows: Vec<[String; 5]> = self.ring.keys().iter().zip(&self.files).map(row).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let mut text = String::new();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                let pad = if column + 1 < row.len() { width(column).unwrap_or(0) } else { 0 };
                text.push_str(&format!("{cell:<pad$}{}", if pad > 0 { "  " } else { "\n" }));
            }
        }
        text
    }
}
