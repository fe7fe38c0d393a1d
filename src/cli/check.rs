//! `freshgate check`: every mistake of a configuration and every failure of its tests, for people or for programs.
//! Starts nothing and writes nothing.

use clap::{Args, ValueEnum};

use super::{ConfigArg, Failure, is_terminal};
use crate::config::Config;
use crate::config::diagnostic::Diagnostics;
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
            check_users(&config)?;
            Ok(config)
        });
        match (checked, self.format) {
            (Ok(config), Format::Text) => {
                super::warn(&config);
                println!("ok: {}{}", banner::routes_line(&config), tests_line(&config));
                print!("{}", banner::file_line(&config));
                Ok(())
            }
            (Ok(config), Format::Json) => {
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

/// The users too: a gateway does not start without them. A default file that is not there yet is made then.
fn check_users(config: &Config) -> Result<(), Diagnostics> {
    let path = config.login.as_ref().and_then(|login| login.users.path());
    let Some(path) = path.filter(|path| path.exists()) else {
        return Ok(());
    };
    edit::list(path).map(drop).map_err(|fault| {
        let mut out = config.warnings.clone();
        out.unusable_users(&fault.to_string());
        out
    })
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
