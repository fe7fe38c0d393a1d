//! `freshgate user check NAME`, and what `check` asks of a database of users. Never shows a hash, and never writes.

use super::{ConfigArg, Failure};
use crate::config::UsersSource;
use crate::config::database::SqlUsers as Settings;
use crate::store::password::Pool;
use crate::store::sql::{Probe, SqlUsers};

/// Here one look-up follows another.
const QUEUE_MAX: usize = 1;

/// Prepares the queries: a line that says what was checked, or why the database cannot be asked now.
///
/// # Errors
/// The database refuses, or gives other columns.
pub fn probe(settings: &Settings) -> Result<Result<String, String>, String> {
    let users = open(settings)?;
    let database = &settings.database;
    match users.probe() {
        Probe::Ready => {
            let queries = if settings.by_subject.is_some() { "both queries" } else { "the query" };
            let columns = settings.wanted().join(", ");
            Ok(Ok(format!(
                "users: {database}: {queries} can be asked and can only read; columns {columns}\n"
            )))
        }
        Probe::Away(why) => Ok(Err(why)),
        Probe::Refused(why) => Err(format!("`login.users.sql`: {database} refuses {why}")),
    }
}

/// Says what a name finds, as a login would find it.
///
/// # Errors
/// There is no such user, the user cannot log in, or the database has something against it.
pub fn check(name: &str, config: &ConfigArg) -> Result<(), Failure> {
    let config = config.load()?;
    let settings = match config.login.map(|login| login.users) {
        Some(UsersSource::Sql(settings)) => settings,
        Some(UsersSource::Backend(_)) => {
            let words = "the users of this configuration are those of the application behind the gateway: \
                         it is asked at a login only, with the password";
            return Err(Failure::Words(words.to_owned()));
        }
        _ => {
            let words =
                "the users of this configuration are in a file: `freshgate user list` shows them";
            return Err(Failure::Words(words.to_owned()));
        }
    };
    let found =
        open(&settings).and_then(|users| users.try_name(name).map_err(|fault| fault.to_string()));
    let Some(found) = found.map_err(Failure::Words)? else {
        return Err(Failure::Words(format!("the query finds no user with the name {name:?}")));
    };
    println!("subject: {}", found.subject);
    println!("claims:  {}", serde_json::Value::Object(found.claims));
    match found.obstacle {
        Some(obstacle) => Err(Failure::Words(format!("{name} cannot log in: the user {obstacle}"))),
        None => Ok(()),
    }
}

fn open(settings: &Settings) -> Result<SqlUsers, String> {
    let pool = Pool::start(QUEUE_MAX).map_err(|error| error.to_string())?;
    SqlUsers::start(settings, pool, QUEUE_MAX).map_err(|fault| fault.to_string())
}
