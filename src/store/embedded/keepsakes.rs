//! The SQL of what is kept of logins that another program checked: a column of the session's row, as JSON.

use rusqlite::types::Type;
use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value};

use super::database::{moment, stored};
use crate::store::{Keepsake, Keepsakes};
use crate::token::UnixTime;

/// The step of the schema that gives sessions something to keep.
pub(super) const STEP: &str = "
    ALTER TABLE sessions ADD COLUMN keepsake TEXT;
";

/// Fills the memory with the cookies of every session that lives at `now`.
pub(super) fn load(from: &Connection, now: UnixTime, all: &Keepsakes) -> rusqlite::Result<()> {
    let sql = "SELECT id, expires_at, keepsake FROM sessions
        WHERE keepsake IS NOT NULL AND tokens_until > ?1";
    let mut statement = from.prepare(sql)?;
    let mut rows = statement.query([stored(now)])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        if let Some(keepsake) = parse(row.get(2)?)? {
            all.put(&id, keepsake.cookies, moment(row.get(1)?));
        }
    }
    Ok(())
}

/// As it is written.
pub(super) fn text(keepsake: Option<&Keepsake>) -> Option<String> {
    keepsake.map(|keepsake| serde_json::to_string(keepsake).expect("texts and JSON values"))
}

/// As it was written.
pub(super) fn parse(text: Option<String>) -> rusqlite::Result<Option<Keepsake>> {
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

/// Puts these cookies in the place of those that the session had, if it lives and something is kept of its login.
pub(super) fn keep(
    on: &Transaction<'_>,
    id: &str,
    cookies: &[String],
    claims: Option<&Map<String, Value>>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET keepsake = json_set(keepsake, '$.cookies', json(?2),
            '$.claims', json(coalesce(?3, keepsake -> '$.claims')))
        WHERE id = ?1 AND keepsake IS NOT NULL";
    let cookies = serde_json::to_string(cookies).expect("a list of texts");
    let claims = claims.map(|claims| serde_json::to_string(claims).expect("JSON values"));
    on.prepare_cached(sql)?.execute(params![id, cookies, claims])?;
    Ok(())
}
