//! `freshgate check`: every mistake of a configuration and every failure of its tests, for people or for programs.
//! Starts nothing and writes nothing; of a database of users it asks what the queries give.

use clap::{Args, ValueEnum};

use super::{ConfigArg, Failure, is_terminal, lookup};
use crate::config::diagnostic::Diagnostics;
use crate::config::{Config, UsersSource};
use crate::gateway::selftest;
use crate::server::banner;
use crate::store::file::edit;
use crate::telemetry;
use crate::token::UnixTime;

/// Check a configuration and run its tests.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// `json`: an array on standard output with an object for each mistake (docs/check.md)
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How mistakes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Check {
    /// Reports every mistake and every warning.
    ///
    /// # Errors
    /// When there is a mistake or a test fails; what is said of it in the text format.
    pub fn run(&self) -> Result<(), Failure> {
        let now = UnixTime::of(telemetry::clock());
        let checked = self.config.read().and_then(|config| {
            selftest::check(&config, now)?;
            check_users(config)
        });
        match (checked, self.format) {
            (Ok((config, users)), Format::Text) => {
                super::warn(&config);
                println!("ok: {}{}", banner::routes_line(&config), tests_line(&config));
                print!("{users}");
                print!("{}", banner::file_line(&config));
                Ok(())
            }
            (Ok((config, _)), Format::Json) => {
                print(&config.warnings);
                Ok(())
            }
            (Err(mistakes), Format::Text) => Err(Failure::Drawn(mistakes.render(is_terminal()))),
            (Err(mistakes), Format::Json) => {
                print(&mistakes);
                Err(Failure::Told)
            }
        }
    }
}

/// The users too: a gateway does not start without them. A default file that is not there yet is made then. A
/// database is asked, as far as it can be; the line says what of.
fn check_users(mut config: Config) -> Result<(Config, String), Diagnostics> {
    let users = config.login.as_ref().map(|login| &login.users);
    let unusable = |why: &str| {
        let mut out = config.warnings.clone();
        out.unusable_users(why);
        out
    };
    let line = match users {
        Some(UsersSource::Sql(settings)) => match lookup::probe(settings) {
            Ok(Ok(line)) => line,
            Ok(Err(away)) => {
                config.warnings.users_away(&away);
                String::new()
            }
            Err(refused) => return Err(unusable(&refused)),
        },
        Some(UsersSource::Default(path) | UsersSource::File(path)) if path.exists() => {
            edit::list(path).map_err(|fault| unusable(&fault.to_string()))?;
            String::new()
        }
        _ => String::new(),
    };
    Ok((config, line))
}

fn print(all: &Diagnostics) {
    println!("{:#}", all.json());
}

fn tests_line(config: &Config) -> String {
    match config.tests.len() {
        0 => String::new(),
        1 => ", 1 test passed".to_owned(),
        many => format!(", {many} tests passed"),
    }
}
