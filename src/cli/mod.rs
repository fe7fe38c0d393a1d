//! The command line: what a person types. Each verb is a small function over the same floors that serve
//! requests; secrets come by prompt, standard input, variable or file, never as an argument.

pub mod check;
pub mod diff;
pub mod explain;
pub mod health;
pub mod import;
mod init;
pub mod key;
mod lookup;
pub mod manage;
pub mod schema;
pub mod session;
pub mod state;
pub mod suggest;
pub mod token;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::diagnostic::Diagnostics;
use crate::config::{Config, UsersSource};
use crate::gateway::selftest;
use crate::token::UnixTime;
use crate::{server, telemetry};
use key::KeyCommand;
use manage::UserCommand;
use session::SessionCommand;
use state::StateCommand;
use token::TokenCommand;

/// JWT policies in front of legacy backends, route by route.
///
/// Without a command it runs the gateway with ./gateway.toml, or, where there is none, with the built-in
/// example and a backend that shows what it receives.
#[derive(Debug, Parser)]
#[command(name = "freshgate", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    config: ConfigArg,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default).
    Run(ConfigArg),
    /// Check a configuration, run its tests and report every mistake at once; exit 1 if there is one.
    Check(check::Check),
    /// Write a commented gateway.toml to start from, by two questions or by flags.
    Init(init::Init),
    /// Print the JSON Schema of gateway.toml, for editors.
    Schema,
    /// Say what would happen to a request, and why.
    Explain(explain::Explain),
    /// Say which requests change decision between two configurations; exit 1 if a route became weaker.
    Diff(diff::Diff),
    /// Draft the routes of a legacy server from its access log, everything protected.
    Suggest(suggest::Suggest),
    /// Manage the users of users.toml.
    User {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Make, list, rotate and retire the keys that sign and verify.
    Key {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// List the living sessions, and end them: one, all of a user, or a single token.
    Session {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// Copy the state while the gateway runs, and look whether it is whole.
    State {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Mint and inspect tokens with the keys of the configuration.
    Token {
        #[command(flatten)]
        config: ConfigArg,
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Ask a running gateway whether it is well; exit 1 if not. For container health checks.
    Health(health::Health),
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file. Default: ./gateway.toml, or the built-in example where there is none.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// A message for the person at the terminal; the process ends with status 1.
#[derive(Debug)]
pub enum Failure {
    /// What is wrong; `error: ` is put before it.
    Words(String),
    /// Diagnostics, each with a head of its own.
    Drawn(String),
    /// It was said on standard output, where programs read it.
    Told,
}

impl Failure {
    /// What is said, without what is put around it.
    pub fn text(&self) -> &str {
        match self {
            Failure::Words(text) | Failure::Drawn(text) => text,
            Failure::Told => "",
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Words(error.to_string())
    }
}

/// The name of the file looked for when none is given.
const DEFAULT_FILE: &str = "gateway.toml";

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let line = Cli::parse();
    let command = line.command.unwrap_or(Command::Run(line.config));
    let done = match command {
        Command::Run(arg) => run(&arg),
        Command::Check(check) => check.run(),
        Command::Init(init) => init.run(),
        Command::Schema => schema::run(),
        Command::Explain(explain) => explain.run(),
        Command::Diff(diff) => return diff.run(),
        Command::Suggest(suggest) => suggest.run(),
        Command::User { config, command } => match command {
            UserCommand::Check { name } => lookup::check(&name, &config),
            other => config.load_users().and_then(|users| manage::run_user(other, &users)),
        },
        Command::Key { config, command } => key::run(command, &config),
        Command::Session { config, command } => session::run(command, &config),
        Command::State { config, command } => state::run(command, &config),
        Command::Token { config, command } => token::run(command, &config),
        Command::Health(health) => health.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure {
                Failure::Words(text) => eprintln!("error: {}", text.trim_end()),
                Failure::Drawn(text) => eprintln!("{}", text.trim_end()),
                Failure::Told => {}
            }
            ExitCode::FAILURE
        }
    }
}

impl ConfigArg {
    /// The configuration that is asked for.
    ///
    /// # Errors
    /// Every mistake in it, drawn for a person.
    pub fn load(&self) -> Result<Config, Failure> {
        self.read().map_err(|diagnostics| Failure::Drawn(diagnostics.render(is_terminal())))
    }

    /// The same, with the mistakes as they are.
    fn read(&self) -> Result<Config, Diagnostics> {
        match self.file() {
            Some(file) => Config::load(file),
            None => Config::embedded(),
        }
    }

    /// The file that is asked for; `None` for the built-in one.
    fn file(&self) -> Option<&Path> {
        let there = Path::new(DEFAULT_FILE).exists().then_some(Path::new(DEFAULT_FILE));
        self.config.as_deref().or(there)
    }

    fn load_users(&self) -> Result<PathBuf, Failure> {
        // The file may not be there yet, nor the secrets: `user add` comes before both.
        let source = Config::users_source(self.file())
            .map_err(|diagnostics| Failure::Drawn(diagnostics.render(is_terminal())))?;
        let words = match source {
            Some(UsersSource::Default(path) | UsersSource::File(path)) => return Ok(path),
            Some(UsersSource::Sql(_) | UsersSource::Outlined(_)) => {
                "the users of this configuration are not in a file: change them where they are kept; \
                 `freshgate user check NAME` says what is found"
            }
            Some(UsersSource::Backend(_)) => {
                "the users of this configuration are those of the application behind the gateway: change them there"
            }
            None => "login is off in this configuration: it has no users",
        };
        Err(Failure::Words(words.to_owned()))
    }
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

fn warn(config: &Config) {
    if !config.warnings.is_empty() {
        eprintln!("{}", config.warnings.render(is_terminal()));
    }
}

fn run(arg: &ConfigArg) -> Result<(), Failure> {
    let config = arg.load()?;
    let now = UnixTime::of(telemetry::clock());
    selftest::check(&config, now)
        .map_err(|diagnostics| Failure::Drawn(diagnostics.render(is_terminal())))?;
    warn(&config);
    Ok(server::run(config)?)
}
