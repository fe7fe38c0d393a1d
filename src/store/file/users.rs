//! From the text of `users.toml` to its users, or to *all* of its mistakes, each with its line.
//!
//! Pure: text in, value out. A hash is never repeated in a message, because it may be a password that
//! somebody wrote there. Called when the file is read and again after every edit, before it is written.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml_edit::{Document, Item, TableLike, TomlError};

use crate::store::Account;
use crate::store::leavers;
use crate::store::password::StoredHash;
use crate::token::RESERVED_CLAIMS;

/// Longest user name in bytes: it goes into every token and into the logs.
pub const NAME_MAX_BYTES: usize = 128;

/// One user of the file.
#[derive(Clone, Debug)]
pub struct User {
    /// What the password is checked against.
    pub hash: StoredHash,
    /// What tells this hash from another ([`leavers::mark`]).
    pub mark: String,
    /// Every key that is not ours: `roles` and whatever else the operator wrote.
    pub claims: Map<String, Value>,
    /// May not log in, nor refresh.
    pub disabled: bool,
}

/// All users, each with its name as the file spells it.
#[derive(Debug, Default)]
pub struct Users(HashMap<Account, (String, User)>);

/// What is wrong with a users file.
#[derive(Debug)]
pub struct UsersFault {
    /// The file.
    pub path: PathBuf,
    /// Every mistake, in the order of the file.
    pub mistakes: Vec<Mistake>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl UsersFault {
    /// A fault of the file as a whole.
    pub(super) fn whole(path: &Path, message: impl Into<String>) -> UsersFault {
        let mistakes = vec![Mistake { line: None, message: message.into() }];
        UsersFault { path: path.to_owned(), mistakes }
    }
}

impl fmt::Display for UsersFault {
    /// One line for each mistake: `users.toml:3: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            match mistake.line {
                Some(line) => {
                    write!(f, "{end}{}:{line}: {}", self.path.display(), mistake.message)?
                }
                None => write!(f, "{end}{}: {}", self.path.display(), mistake.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for UsersFault {}

impl Users {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(path: &Path, text: &str) -> Result<Users, UsersFault> {
        // An editor that writes in place leaves the file empty for a moment: that is not "no users".
        if text.trim().is_empty() {
            let message = "the file is empty; write `[users]` to say that there are none";
            return Err(UsersFault::whole(path, message));
        }
        let mut reader = Reader { text, mistakes: Vec::new() };
        let users = reader.document();
        match reader.mistakes.is_empty() {
            true => Ok(Users(users)),
            false => Err(UsersFault { path: path.to_owned(), mistakes: reader.mistakes }),
        }
    }

    /// The user that an account is, and its name as the file spells it.
    pub fn find(&self, account: &Account) -> Option<(&str, &User)> {
        self.0.get(account).map(|(name, user)| (name.as_str(), user))
    }

    /// The user of a subject, byte for byte: a subject comes from a token and not from fingers. None who is disabled.
    pub fn subject(&self, subject: &str) -> Option<&User> {
        let found = self.find(&Account::of(subject));
        found.filter(|(name, user)| *name == subject && !user.disabled).map(|(_, user)| user)
    }

    /// Who of these has lost what there was to have in `next`: removed, disabled, renamed or given another password.
    pub fn lost_in(&self, next: &Users) -> Vec<String> {
        let enabled = self.iter().filter(|(_, user)| !user.disabled);
        let lost = enabled
            .filter(|(name, user)| next.subject(name).is_none_or(|today| today.mark != user.mark));
        lost.map(|(name, _)| name.to_owned()).collect()
    }

    /// Every name and user, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.0.values().map(|(name, user)| (name.as_str(), user))
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks a name for use in tokens, logs and the file.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the user name is empty");
    }
    if name.len() > NAME_MAX_BYTES {
        return Err("the user name is longer than 128 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("the user name holds a control character");
    }
    if name.trim() != name {
        return Err("the user name begins or ends with a space");
    }
    if Account::of(name).as_str().is_empty() {
        return Err("the user name shows nothing");
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        let before = |at: usize| self.text.get(..at).unwrap_or(self.text);
        let line = span.map(|span| before(span.start).matches('\n').count() + 1);
        self.mistakes.push(Mistake { line, message: message.into() });
    }

    fn document(&mut self) -> HashMap<Account, (String, User)> {
        let mut users = HashMap::new();
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                self.mistake(error.span(), not_toml(&error));
                return users;
            }
        };
        for (key, item) in document.as_table().iter() {
            let span = document.as_table().key(key).and_then(toml_edit::Key::span);
            match (key, item.as_table_like()) {
                ("users", Some(table)) => self.users(table, &mut users),
                ("users", None) => self.mistake(span, "`users` must be a table"),
                _ => {
                    let message = format!("unknown key {key:?}; users are written as [users.NAME]");
                    self.mistake(span, message);
                }
            }
        }
        users
    }

    fn users(&mut self, table: &dyn TableLike, users: &mut HashMap<Account, (String, User)>) {
        let mut seen: HashMap<Account, &str> = HashMap::new();
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span);
            if let Err(message) = check_name(name) {
                self.mistake(span.clone(), message);
            }
            // Nobody could say which of the two is meant by a name that may be typed in any case.
            if let Some(other) = seen.insert(Account::of(name), name) {
                let message = format!(
                    "users {other:?} and {name:?} are one account: case, width and invisible signs make no \
                     difference in a name"
                );
                self.mistake(span.clone(), message);
            }
            match item.as_table_like() {
                Some(user) => {
                    let user = self.user(name, span, user);
                    let named = user.map(|user| (Account::of(name), (name.to_owned(), user)));
                    users.extend(named);
                }
                None => self.mistake(span, format!("user {name:?} must be a table: [users.NAME]")),
            }
        }
    }

    fn user(
        &mut self,
        name: &str,
        span: Option<Range<usize>>,
        table: &dyn TableLike,
    ) -> Option<User> {
        let mut hash = None;
        let mark = table.get("password").and_then(Item::as_str).map(leavers::mark);
        let mut disabled = false;
        let mut claims = Map::new();
        if !table.contains_key("password") {
            self.mistake(span, format!("user {name:?} has no `password`"));
        }
        for (key, item) in table.iter() {
            let span = table.key(key).and_then(toml_edit::Key::span);
            match (key, item) {
                ("password", item) => match item.as_str().map(StoredHash::parse) {
                    Some(Ok(parsed)) => hash = Some(parsed),
                    Some(Err(fault)) => {
                        self.mistake(span, format!("the `password` of user {name:?} {fault}"));
                    }
                    None => self.mistake(span, "`password` must be a string"),
                },
                ("disabled", item) => match item.as_bool() {
                    Some(value) => disabled = value,
                    None => self.mistake(span, "`disabled` must be true or false"),
                },
                _ if RESERVED_CLAIMS.contains(&key) => {
                    self.mistake(span, format!("the claim {key:?} is written by the gateway only"));
                }
                _ => match near_miss(key) {
                    // As a claim it would go unnoticed, and the user would stay enabled.
                    Some(meant) => {
                        self.mistake(span, format!("unknown key {key:?}; did you mean `{meant}`?"));
                    }
                    None => match json(item) {
                        Ok(value) => drop(claims.insert(key.to_owned(), value)),
                        Err(message) => self.mistake(span, format!("claim {key:?}: {message}")),
                    },
                },
            }
        }
        Some(User { hash: hash?, mark: mark?, claims, disabled })
    }
}

fn not_toml(error: &TomlError) -> String {
    format!("this is not TOML: {}", error.message().trim().replace('\n', "; "))
}

fn near_miss(key: &str) -> Option<&'static str> {
    const DISTANCE_MAX: usize = 2;
    let key = key.to_lowercase();
    ["password", "disabled"]
        .into_iter()
        .find(|ours| strsim::damerau_levenshtein(&key, ours) <= DISTANCE_MAX)
}

fn json(item: &Item) -> Result<Value, &'static str> {
    if let Some(text) = item.as_str() {
        return Ok(Value::from(text));
    }
    if let Some(number) = item.as_integer() {
        return Ok(Value::from(number));
    }
    if let Some(number) = item.as_float() {
        return serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or("JSON has no such number");
    }
    if let Some(truth) = item.as_bool() {
        return Ok(Value::from(truth));
    }
    if let Some(array) = item.as_array() {
        return array.iter().map(|one| json(&Item::Value(one.clone()))).collect();
    }
    if let Some(array) = item.as_array_of_tables() {
        return array.iter().map(|one| json(&Item::Table(one.clone()))).collect();
    }
    if let Some(table) = item.as_table_like() {
        let members = table.iter().map(|(key, item)| Ok((key.to_owned(), json(item)?)));
        return members.collect::<Result<Map<_, _>, _>>().map(Value::Object);
    }
    Err("JSON has no dates; write it in quotes")
}
