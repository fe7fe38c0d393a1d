//! `freshgate user import`: users from the files of other programs, with their passwords as those hash them.
//!
//! Each kind of file has its reader, which gives candidates and mistakes, each with its line; whether a candidate will do
//! is `store::file::import`'s to say. Every mistake is told, and nothing is written where there is one, unless
//! `--skip-bad`. Called by `manage`.

mod dump;
mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Map;

use crate::store::file::import::{Candidate, Imported, Terms, import};
use crate::store::file::{Mistake, UsersFault};
use crate::store::password::{Hash, PasswordFault};
use crate::token::Secret;

/// Largest file that is read, in bytes: four times what a users file may hold.
const IMPORT_MAX_BYTES: u64 = 64 << 20;

/// What to import, and how.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// What kind of file it is
    #[arg(long, value_name = "KIND")]
    pub from: Kind,
    /// The file
    pub file: PathBuf,
    /// Say what would be done, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Users who are there already become what the file says
    #[arg(long)]
    pub replace: bool,
    /// Leave out what cannot be taken over, and take the rest
    #[arg(long)]
    pub skip_bad: bool,
    /// csv: the column of the names
    #[arg(long, value_name = "COLUMN", default_value = "username")]
    pub name_column: String,
    /// csv: the column of the password hashes
    #[arg(long, value_name = "COLUMN", default_value = "password")]
    pub password_column: String,
    /// csv: a column that becomes a claim, a text; repeat for several
    #[arg(long = "claim", value_name = "CLAIM[=COLUMN]")]
    pub claims: Vec<String>,
    /// csv: a column that becomes a claim, a list of what is between commas; repeat for several
    #[arg(long = "list", value_name = "CLAIM[=COLUMN]")]
    pub lists: Vec<String>,
    /// csv: the passwords themselves are in the column; they are hashed with argon2id
    #[arg(long)]
    pub plaintext: bool,
}

/// The files that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What `htpasswd` of Apache writes
    Htpasswd,
    /// A table with a line of headings
    Csv,
    /// `manage.py dumpdata auth.user auth.group`
    Django,
    /// `wp user list --fields=user_login,user_pass,roles --format=csv` (or `json`)
    Wordpress,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportFault {
    /// Mistakes of the file, or of the users file.
    #[error("{0}\nnothing was written{1}")]
    Users(UsersFault, &'static str),
    /// The file as a whole cannot be used.
    #[error("{0}: {1}")]
    File(PathBuf, String),
    /// Arguments that belong to another kind of file.
    #[error("{0} is for --from csv only")]
    OnlyCsv(&'static str),
    /// Standard output failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a reader found.
#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    bad: Vec<Mistake>,
}

/// Reads the file and puts its users into the users file.
///
/// # Errors
/// [`ImportFault`]; the users file is as it was.
pub fn run(args: &ImportArgs, users: &Path, out: &mut dyn Write) -> Result<(), ImportFault> {
    let fault = |message: String| ImportFault::File(args.file.clone(), message);
    only_csv(args)?;
    let text = read(&args.file).map_err(fault)?;
    let mut found = match args.from {
        Kind::Htpasswd => htpasswd(&text),
        Kind::Csv => table::read(&text, &table::Columns::of(args)).map_err(fault)?,
        Kind::Django => dump::django(&text).map_err(fault)?,
        Kind::Wordpress if text.trim_start().starts_with('[') => {
            dump::wordpress(&text).map_err(fault)?
        }
        Kind::Wordpress => table::read(&text, &table::Columns::wordpress()).map_err(fault)?,
    };
    if args.plaintext {
        hash_all(&mut found, args.dry_run).map_err(|error| fault(error.to_string()))?;
    }
    let Found { candidates, bad } = found;
    if candidates.is_empty() && bad.is_empty() {
        return Err(fault("there is no user in it".to_owned()));
    }
    let terms = Terms { replace: args.replace, skip_bad: args.skip_bad, dry_run: args.dry_run };
    let done = import(users, &args.file, candidates, bad, terms).map_err(|mistakes| {
        let skip = mistakes.path == args.file && !args.skip_bad;
        let hint = if skip { "; --skip-bad takes the rest" } else { "" };
        ImportFault::Users(mistakes, hint)
    })?;
    Ok(tell(&done, args, users, out)?)
}

fn tell(done: &Imported, args: &ImportArgs, users: &Path, out: &mut dyn Write) -> io::Result<()> {
    for mistake in &done.skipped {
        let line = mistake.line.map_or_else(String::new, |line| format!(":{line}"));
        writeln!(out, "left out: {}{line}: {}", args.file.display(), mistake.message)?;
    }
    let Imported { added, replaced, weak, skipped } = done;
    let users = users.display();
    let would = if args.dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{added} {would}added to {users}, {replaced} replaced, {} left out",
        skipped.len()
    )?;
    if *weak > 0 {
        writeln!(
            out,
            "hashes that are quick to guess: {weak}; `rehash = true` in [login.users] replaces each when its user logs in"
        )?;
    }
    Ok(())
}

fn only_csv(args: &ImportArgs) -> Result<(), ImportFault> {
    let given = [
        ("--plaintext", args.plaintext),
        ("--claim", !args.claims.is_empty()),
        ("--list", !args.lists.is_empty()),
        ("--name-column", args.name_column != "username"),
        ("--password-column", args.password_column != "password"),
    ];
    match given.into_iter().find(|(_, given)| *given && args.from != Kind::Csv) {
        Some((name, _)) => Err(ImportFault::OnlyCsv(name)),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let read = file.take(IMPORT_MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() as u64 > IMPORT_MAX_BYTES {
        return Err("the file is larger than 64 MiB".to_owned());
    }
    // What Windows programs put before UTF-8.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })?;
    Ok(text.to_owned())
}

/// `NAME:HASH` on each line; `#` begins a comment.
fn htpasswd(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((name, hash)) => found.candidates.push(Candidate {
                line: index + 1,
                name: name.to_owned(),
                hash: hash.trim_end().to_owned(),
                disabled: false,
                claims: Map::new(),
            }),
            None => {
                let message = "there is no `:` between a name and a hash".to_owned();
                found.bad.push(Mistake { line: Some(index + 1), message });
            }
        }
    }
    found
}

/// Turns passwords into hashes of ours. A dry run only looks whether they can be.
fn hash_all(found: &mut Found, dry_run: bool) -> Result<(), PasswordFault> {
    let sample = Hash::dummy()?.to_string();
    let mut good = Vec::new();
    for mut one in found.candidates.drain(..) {
        let password = Secret::new(std::mem::take(&mut one.hash));
        let hashed = match dry_run {
            true => Hash::check_new(&password).map(|()| sample.clone()),
            false => Hash::of(&password).map(|hash| hash.to_string()),
        };
        match hashed {
            Ok(hash) => {
                one.hash = hash;
                good.push(one);
            }
            Err(PasswordFault::Machine) => return Err(PasswordFault::Machine),
            Err(fault) => {
                found.bad.push(Mistake { line: Some(one.line), message: fault.to_string() });
            }
        }
    }
    found.candidates = good;
    Ok(())
}
