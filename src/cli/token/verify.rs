//! `freshgate token verify`: one token, one verdict, one exit status, through the code that the gateway runs.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::given;
use crate::cli::key::algorithm;
use crate::cli::{ConfigArg, Failure};
use crate::policy::Refusal;
use crate::server::build;
use crate::token::keys::{Algorithm, KeyRing};
use crate::token::trust::KeySet;
use crate::token::verify::TokenRules;
use crate::token::{SUBJECT, Standing, TokenFault, UnixTime};

/// Bytes of a file of keys at most.
const KEYS_BYTES_MAX: u64 = 1024 * 1024;

/// What to check, with what.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The token; `-` or nothing reads it from standard input.
    token: Option<String>,
    /// Check with the keys of this JWK or JWK set instead of the configuration's, and ask for no issuer or audience.
    #[arg(long, value_name = "FILE")]
    jwk: Option<PathBuf>,
    /// The algorithm of a JWK that does not say its own.
    #[arg(long, value_name = "ALG", requires = "jwk", value_parser = algorithm)]
    alg: Option<Algorithm>,
    /// Check the signature alone: what is signed may be anything, and is printed as it is.
    #[arg(long)]
    raw: bool,
}

impl VerifyArgs {
    /// Checks the token.
    ///
    /// # Errors
    /// The token is refused, or the keys are; the sentence says why.
    pub(super) fn run(self, config: &ConfigArg, now: UnixTime) -> Result<(), Failure> {
        let (keys, rules) = match &self.jwk {
            Some(path) => (KeySet::new(keys(path, self.alg)?, Vec::new()), anybody()),
            None => {
                let config = config.load()?;
                (build::key_set(&config, now)?, config.tokens)
            }
        };
        let token = given(self.token)?;
        if self.raw {
            let (payload, _) = keys.read_raw(&token).map_err(refused)?;
            std::io::stdout().write_all(&payload)?;
            return Ok(());
        }
        let signed = keys.read(&token, &rules).map_err(|unread| refused(unread.fault))?;
        match keys.standing(&signed, &rules, now) {
            Standing::Unproven(fault) => Err(refused(fault)),
            Standing::Anonymous | Standing::Refresh(_) | Standing::Access(_) => {
                println!("good");
                Ok(())
            }
        }
    }
}

fn refused(fault: TokenFault) -> Failure {
    Failure::Words(format!("refused: {}", Refusal::from(fault).code()))
}

fn keys(path: &Path, unsaid: Option<Algorithm>) -> Result<KeyRing, Failure> {
    KeyRing::from_jwks(&text_of(path)?, unsaid).map_err(|error| fault(path, &error))
}

/// The keys of another issuer in a file, for these algorithms.
pub(super) fn published(path: &Path, algorithms: &[Algorithm]) -> Result<KeyRing, Failure> {
    KeyRing::published(&text_of(path)?, algorithms).map_err(|error| fault(path, &error))
}

fn text_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let opened = File::open(path).map_err(|error| fault(path, &error))?;
    opened.take(KEYS_BYTES_MAX).read_to_end(&mut text).map_err(|error| fault(path, &error))?;
    Ok(text)
}

fn fault(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Words(format!("{}: {why}", path.display()))
}

/// No issuer, no audience, no leeway.
fn anybody() -> TokenRules {
    let life = std::time::Duration::ZERO;
    TokenRules {
        issuer: None,
        audience: None,
        access_ttl: life,
        refresh_ttl: life,
        leeway: life,
        csrf: false,
        identity_claim: SUBJECT.to_owned(),
        others: false,
    }
}
