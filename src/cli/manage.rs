//! `freshgate user …`: who may log in, on the command line.
//!
//! It changes `users.toml` and nothing else: a running gateway sees the change by itself, within a second.
//! A password comes from a prompt or from standard input, never from an argument, where every process of
//! the machine could read it. Called by `cli`.

use std::io::{self, Read as _, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Failure;
use super::import::{self, ImportArgs, ImportFault};
use crate::store::file::{UsersFault, edit};
use crate::store::password::{Hash, PASSWORD_MAX_BYTES, PasswordFault};
use crate::token::{RESERVED_CLAIMS, Secret, json};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user; the file is made when there is none
    Add {
        /// Name to log in with: the `sub` of the user's tokens
        name: String,
        /// A role, for the claim `roles`; repeat for several
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// More claims, as a JSON object: '{"team":"red","level":3}'
        #[arg(long, value_name = "JSON", default_value = "{}", value_parser = claims_object)]
        claims: Claims,
        /// Where the password comes from
        #[command(flatten)]
        source: PasswordSource,
    },
    /// List the users with their claims, and which of their hashes are quick to guess
    List,
    /// Take over users from a file of another program, with their passwords as it hashes them
    Import(ImportArgs),
    /// Remove a user: all sessions and tokens end
    Remove {
        /// Name of the user
        name: String,
    },
    /// Let a user log in no more, for a while: all sessions and tokens end
    Disable {
        /// Name of the user
        name: String,
    },
    /// Let a user log in again
    Enable {
        /// Name of the user
        name: String,
    },
    /// Give a user another password: all sessions and tokens end
    Password {
        /// Name of the user
        name: String,
        /// Where the password comes from
        #[command(flatten)]
        source: PasswordSource,
    },
}

/// Where a password comes from.
#[derive(Clone, Copy, Debug, Args)]
pub struct PasswordSource {
    /// Read the password from standard input (one line) instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ManageFault {
    /// The users file refused.
    #[error("{0}")]
    Users(#[from] UsersFault),
    /// The password cannot be used.
    #[error("{0}")]
    Password(#[from] PasswordFault),
    /// Users of another program are not taken over.
    #[error("{0}")]
    Import(#[from] ImportFault),
    /// The two entries differ.
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    /// More than a password on standard input.
    #[error("standard input holds more than one line; give the password alone")]
    Lines,
    /// Roles are given in both ways.
    #[error("the claim {0:?} is given twice")]
    Twice(String),
    /// A claim that users cannot have of their own.
    #[error("--claims: `{0}` is written by the gateway only")]
    Reserved(String),
    /// The terminal, standard input or standard output failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nobody can be asked.
    #[error(
        "no terminal to ask for the password: give it on standard input with --password-stdin ({0})"
    )]
    Terminal(io::Error),
}

/// Runs a user command on the users file at `users`.
///
/// # Errors
/// The words of a [`ManageFault`]; the file is as it was.
pub fn run_user(command: UserCommand, users: &Path) -> Result<(), Failure> {
    Ok(run_with(command, users, &mut new_password, &mut io::stdout())?)
}

/// Gets a new password from where the arguments say.
type Ask<'a> = &'a mut dyn FnMut(PasswordSource) -> Result<Secret, ManageFault>;

fn run_with(
    command: UserCommand,
    users: &Path,
    ask: Ask<'_>,
    out: &mut dyn Write,
) -> Result<(), ManageFault> {
    match command {
        UserCommand::Add { name, roles, claims, source } => {
            let claims = all_claims(roles, claims)?;
            let hash = Hash::of(&ask(source)?)?;
            edit::add(users, &name, &hash, &claims)?;
            writeln!(out, "added {name} to {}", users.display())?;
        }
        UserCommand::Remove { name } => {
            edit::remove(users, &name)?;
            writeln!(out, "removed {name} from {}", users.display())?;
        }
        UserCommand::Disable { name } => {
            edit::set_disabled(users, &name, true)?;
            writeln!(out, "disabled {name} in {}", users.display())?;
        }
        UserCommand::Enable { name } => {
            edit::set_disabled(users, &name, false)?;
            writeln!(out, "enabled {name} in {}", users.display())?;
        }
        UserCommand::Password { name, source } => {
            let hash = Hash::of(&ask(source)?)?;
            edit::set_password(users, &name, &hash)?;
            writeln!(out, "changed the password of {name} in {}", users.display())?;
        }
        UserCommand::List => list(users, out)?,
        UserCommand::Import(args) => import::run(&args, users, out)?,
    }
    Ok(())
}

fn list(users: &Path, out: &mut dyn Write) -> Result<(), ManageFault> {
    let all = edit::list(users)?;
    let width = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, user) in all {
        let claims = Value::from(user.claims);
        let disabled = if user.disabled { "  disabled" } else { "" };
        let weak = match user.hash.is_weak() {
            true => format!("  weak: {}", user.hash.scheme()),
            false => String::new(),
        };
        writeln!(out, "{name:width$}  {claims}{disabled}{weak}")?;
    }
    Ok(())
}

/// `--role` is short for the claim `roles`.
fn all_claims(
    roles: Vec<String>,
    Claims(mut all): Claims,
) -> Result<Map<String, Value>, ManageFault> {
    // Before a password is asked for.
    if let Some(name) = all.keys().find(|name| RESERVED_CLAIMS.contains(&name.as_str())) {
        return Err(ManageFault::Reserved(name.clone()));
    }
    if !roles.is_empty() && all.insert("roles".to_owned(), Value::from(roles)).is_some() {
        return Err(ManageFault::Twice("roles".to_owned()));
    }
    Ok(all)
}

/// A user's own claims, from the command line.
#[derive(Clone, Debug)]
pub struct Claims(Map<String, Value>);

fn claims_object(text: &str) -> Result<Claims, String> {
    json::object(text.as_bytes()).map(Claims).map_err(|error| format!("not a JSON object: {error}"))
}

fn new_password(source: PasswordSource) -> Result<Secret, ManageFault> {
    if source.password_stdin {
        return read_password(&mut io::stdin().lock());
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(ManageFault::Terminal)
    };
    let first = ask("New password: ")?;
    let second = ask("The same again: ")?;
    match *first == *second {
        true => Ok(Secret::new(first.as_bytes())),
        false => Err(ManageFault::Differ),
    }
}

/// The one line on standard input; the end of the line is not part of the password.
fn read_password(input: &mut dyn io::Read) -> Result<Secret, ManageFault> {
    // Room for an over-long password and its line end, so that it is told as too long, never cut.
    let room = PASSWORD_MAX_BYTES + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    input.take(room as u64).read_to_end(&mut bytes)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.contains(&b'\n') {
        true => Err(ManageFault::Lines),
        false => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: UserCommand,
    }

    fn run(users: &Path, password: &str, arguments: &[&str]) -> Result<String, ManageFault> {
        let line = ["user"].into_iter().chain(arguments.iter().copied());
        let command = Line::try_parse_from(line).unwrap().command;
        let mut out = Vec::new();
        run_with(command, users, &mut |_| Ok(Secret::new(password)), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn user_is_added_listed_changed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users.toml");
        let add = ["add", "bob", "--role", "a", "--role", "b", "--claims", r#"{"level":3}"#];
        assert!(run(&users, "first", &add).unwrap().starts_with("added bob to "));
        run(&users, "other", &["add", "alice", "--claims", r#"{"team":"red"}"#]).unwrap();
        let listed = "alice  {\"team\":\"red\"}\nbob    {\"roles\":[\"a\",\"b\"],\"level\":3}\n";
        let sorted =
            listed.replace(r#""roles":["a","b"],"level":3"#, r#""level":3,"roles":["a","b"]"#);
        let told = run(&users, "", &["list"]).unwrap();
        assert!(told == listed || told == sorted, "{told}");
        run(&users, "second", &["password", "bob"]).unwrap();
        let bob = edit::list(&users).unwrap().remove(1).1;
        assert!(bob.hash.verify(&Secret::new("second")));
        assert_eq!(bob.claims["roles"], json!(["a", "b"]));
        for (verb, is_disabled) in
            [("disable", true), ("disable", true), ("enable", false), ("enable", false)]
        {
            run(&users, "", &[verb, "bob"]).unwrap();
            let bob = edit::list(&users).unwrap().remove(1).1;
            assert_eq!((bob.disabled, bob.claims.len()), (is_disabled, 2));
        }
        assert!(run(&users, "", &["disable", "nobody"]).is_err());
        run(&users, "", &["remove", "bob"]).unwrap();
        run(&users, "", &["remove", "alice"]).unwrap();
        assert_eq!(run(&users, "", &["list"]).unwrap(), "");
    }

    #[test]
    fn mistakes_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users.toml");
        let fault = |password: &str, arguments: &[&str]| {
            run(&users, password, arguments).unwrap_err().to_string()
        };
        assert!(fault("", &["add", "a"]).contains("empty"));
        assert!(fault(&"x".repeat(4097), &["add", "a"]).contains("4096"));
        let twice = ["add", "a", "--role", "x", "--claims", r#"{"roles":[]}"#];
        assert!(fault("p", &twice).contains("\"roles\" is given twice"));
        assert!(
            fault("p", &["add", "a", "--claims", r#"{"sub":"root"}"#]).contains("gateway only")
        );
        assert!(fault("p", &["remove", "a"]).contains("users.toml"));
        assert!(fault("p", &["list"]).contains("users.toml"));
        assert!(!users.exists());
    }

    #[test]
    fn password_is_never_an_argument() {
        for arguments in [&["user", "add", "a", "secret"][..], &["user", "password", "a", "secret"]]
        {
            assert!(Line::try_parse_from(arguments).is_err());
        }
    }

    #[test]
    fn claims_are_one_json_object() {
        assert!(claims_object(r#"{"a":{"b":[1]}}"#).is_ok());
        for bad in ["a=1", "[]", "{", r#"{"a":1,"a":2}"#] {
            assert!(claims_object(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn standard_input_is_one_line_and_never_cut() {
        let read = |mut input: &[u8]| read_password(&mut input).map(|one| one.expose().to_vec());
        assert_eq!(read(b"pass word\n").unwrap(), b"pass word");
        assert_eq!(read(b"pass\r\n").unwrap(), b"pass");
        assert_eq!(read(" pässword ".as_bytes()).unwrap(), " pässword ".as_bytes());
        assert!(matches!(read(b"one\ntwo\n"), Err(ManageFault::Lines)));
        let long = read(&[b'x'; 9000]).unwrap();
        assert_eq!(Hash::of(&Secret::new(long)).unwrap_err(), PasswordFault::TooLong);
    }
}
