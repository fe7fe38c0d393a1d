//! The SQL of password hashes that stand for weak ones. Called by `owner`.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::store::Replacement;
use crate::store::password::Hash;

/// The step of the schema that makes room for them.
pub(super) const STEP: &str = "
    CREATE TABLE password_replacements (
        subject TEXT PRIMARY KEY NOT NULL,
        of      BLOB NOT NULL,
        hash    TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The replacement of a subject's hash, whether or not it still stands for it.
pub(super) fn find(on: &Transaction<'_>, subject: &str) -> rusqlite::Result<Option<Replacement>> {
    let sql = "SELECT of, hash FROM password_replacements WHERE subject = ?1";
    let mut statement = on.prepare_cached(sql)?;
    let found = statement.query_row([subject], |row| {
        let text: String = row.get(1)?;
        let hash = Hash::parse(&text).map_err(|fault| {
            rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(fault))
        })?;
        Ok(Replacement { of: row.get(0)?, hash })
    });
    found.optional()
}

/// Keeps a replacement in the place of any that was there.
pub(super) fn keep(on: &Transaction<'_>, subject: &str, new: &Replacement) -> rusqlite::Result<()> {
    let sql = "INSERT INTO password_replacements (subject, of, hash) VALUES (?1, ?2, ?3)
        ON CONFLICT (subject) DO UPDATE SET of = excluded.of, hash = excluded.hash";
    on.prepare_cached(sql)?.execute(params![subject, new.of, new.hash.to_string()])?;
    Ok(())
}
