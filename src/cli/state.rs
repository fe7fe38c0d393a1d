//! `freshgate state …`: a copy of the state while the gateway runs, and whether a state is whole.

use std::path::PathBuf;

use clap::Subcommand;

use super::{ConfigArg, Failure};
use crate::config::Config;
use crate::store::embedded::copy::{self, Summary};
use crate::telemetry;
use crate::token::UnixTime;

/// What can be done with the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Copy sessions, revocations and counters into a new file, also while the gateway runs.
    Backup {
        /// The copy; there must be nothing yet.
        to: PathBuf,
    },
    /// Look at every page of the state, or of a copy; exit 1 if it is damaged.
    Check {
        /// A copy, instead of the state of the configuration.
        file: Option<PathBuf>,
    },
}

/// Runs a state verb.
///
/// # Errors
/// A mistake in the configuration, or what is wrong with the state or the copy.
pub fn run(command: StateCommand, config: &ConfigArg) -> Result<(), Failure> {
    let now = UnixTime::of(telemetry::clock());
    match command {
        StateCommand::Backup { to } => {
            let config = config.load()?;
            embedded(&config)?;
            let copied = copy::backup(&config.state_dir, &to, now)?;
            println!("copied to {}: {}", to.display(), words(&copied));
        }
        StateCommand::Check { file: Some(file) } => {
            println!("{} is whole: {}", file.display(), words(&copy::check_file(&file, now)?));
        }
        StateCommand::Check { file: None } => {
            let config = config.load()?;
            embedded(&config)?;
            let state = copy::check(&config.state_dir, now)?;
            println!("{} is whole: {}", config.state_dir.join("state.db").display(), words(&state));
        }
    }
    Ok(())
}

/// A database has tools of its own.
fn embedded(config: &Config) -> Result<(), Failure> {
    match &config.shared_state {
        None => Ok(()),
        Some(_) => Err(Failure::Words(
            "the state of this configuration is in PostgreSQL: back it up and check it there, as with pg_dump"
                .to_owned(),
        )),
    }
}

fn words(of: &Summary) -> String {
    let Summary { schema, sessions, revocations, bytes } = of;
    format!("schema {schema}, {sessions} living sessions, {revocations} revocations, {bytes} bytes")
}
