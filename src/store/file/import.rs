//! Many users at once into `users.toml`: all of them, or none and every reason why not.
//!
//! It knows users, not where they come from: `cli::import` reads the files of other programs. Writes through `edit`,
//! so the file is replaced in one step.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use toml_edit::Item;

use super::edit::{self, edit, user_table};
use super::users::{Mistake, UsersFault, check_name};
use crate::store::Account;
use crate::store::password::StoredHash;
use crate::token::RESERVED_CLAIMS;

/// Longest part of a name that a message repeats, in characters.
const NAME_SHOWN_CHARS: usize = 64;

/// A user as another program has it; nothing of it is checked yet.
#[derive(Clone)]
pub struct Candidate {
    /// Where it stands in its file, counted from 1.
    pub line: usize,
    /// The name to log in with.
    pub name: String,
    /// The hash of the password, as that program writes it.
    pub hash: String,
    /// May not log in.
    pub disabled: bool,
    /// The claims of the user's tokens.
    pub claims: Map<String, Value>,
}

/// How to go about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Users that are there already become what the import says.
    pub replace: bool,
    /// Write what is good although something is not.
    pub skip_bad: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New users.
    pub added: usize,
    /// Users that were there and are others now.
    pub replaced: usize,
    /// How many of both have a hash that is quick to guess.
    pub weak: usize,
    /// What was left out.
    pub skipped: Vec<Mistake>,
}

/// Puts the candidates of the file `from` into the users file; `bad` is what could not even be read.
///
/// # Errors
/// The mistakes of `from`, each with its line, unless they may be skipped; or the users file is bad or cannot be
/// written. Nothing is written then.
pub fn import(
    users: &Path,
    from: &Path,
    candidates: Vec<Candidate>,
    bad: Vec<Mistake>,
    terms: Terms,
) -> Result<Imported, UsersFault> {
    let mut plan = Plan { terms, mistakes: bad, there: HashMap::new(), taken: HashMap::new() };
    if users.try_exists().unwrap_or(true) {
        let names = edit::list(users)?.into_iter().map(|(name, _)| (Account::of(&name), name));
        plan.there = names.collect();
    }
    let mut done = Imported::default();
    let mut good = Vec::new();
    for candidate in candidates {
        match plan.take(&candidate) {
            Ok(hash) => {
                done.weak += usize::from(hash.is_weak());
                match plan.there.contains_key(&Account::of(&candidate.name)) {
                    true => done.replaced += 1,
                    false => done.added += 1,
                }
                good.push(candidate);
            }
            Err(message) => plan.mistakes.push(Mistake { line: Some(candidate.line), message }),
        }
    }
    plan.mistakes.sort_by_key(|mistake| mistake.line);
    if !plan.mistakes.is_empty() && !terms.skip_bad {
        return Err(UsersFault { path: from.to_owned(), mistakes: plan.mistakes });
    }
    done.skipped = plan.mistakes;
    if !terms.dry_run && !good.is_empty() {
        edit(users, true, |table| {
            for one in &good {
                if table.contains_key(&one.name) && !terms.replace {
                    return Err(there_already(&one.name));
                }
                let mut user = user_table(&one.hash, one.disabled, &one.claims)?;
                if let Some(old) = table.get(&one.name).and_then(Item::as_table) {
                    // The comments around a user stay.
                    *user.decor_mut() = old.decor().clone();
                    user.set_position(old.position());
                }
                table.insert(&one.name, Item::Table(user));
            }
            Ok(())
        })?;
    }
    Ok(done)
}

struct Plan {
    terms: Terms,
    mistakes: Vec<Mistake>,
    /// Who is in the users file.
    there: HashMap<Account, String>,
    /// Who was taken from the file already, and where.
    taken: HashMap<Account, usize>,
}

impl Plan {
    fn take(&mut self, one: &Candidate) -> Result<StoredHash, String> {
        let name = shown(&one.name);
        check_name(&one.name).map_err(|message| format!("{message}: {name}"))?;
        let account = Account::of(&one.name);
        if let Some(line) = self.taken.get(&account) {
            return Err(format!("user {name} is one account with the user of line {line}"));
        }
        match self.there.get(&account) {
            Some(there) if *there != one.name => {
                return Err(format!(
                    "user {name} is one account with {}, who is there already; write both names alike",
                    shown(there)
                ));
            }
            Some(_) if !self.terms.replace => return Err(there_already(&one.name)),
            _ => {}
        }
        if let Some(claim) = one.claims.keys().find(|claim| is_ours(claim)) {
            return Err(format!("user {name}: {claim:?} cannot be a claim of a user's own"));
        }
        let hash = StoredHash::parse(&one.hash)
            .map_err(|fault| format!("the password of user {name} {fault}"))?;
        self.taken.insert(account, one.line);
        Ok(hash)
    }
}

fn is_ours(claim: &str) -> bool {
    RESERVED_CLAIMS.contains(&claim) || ["password", "disabled"].contains(&claim)
}

fn there_already(name: &str) -> String {
    format!("there is a user {} already; --replace changes who is there", shown(name))
}

/// The name in quotes, escaped and cut.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(NAME_SHOWN_CHARS).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}
