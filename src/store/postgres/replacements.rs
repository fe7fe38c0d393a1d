//! The SQL of password hashes that stand for weak ones. Called by the store.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::link::Param;
use crate::store::password::Hash;
use crate::store::{Replacement, StoreFault};

/// The step of the schema that makes room for them.
pub(super) const STEP: &str = "
    CREATE TABLE freshgate_password_replacements (
        subject bytea NOT NULL,
        of      bytea NOT NULL,
        hash    text NOT NULL
    );
    CREATE UNIQUE INDEX freshgate_password_replacements_by_subject
        ON freshgate_password_replacements (sha256(subject));
";

/// The row of a subject, if there is one.
pub(super) async fn find(on: &Client, subject: &str) -> Result<Option<Row>, Error> {
    let sql =
        "SELECT of, hash FROM freshgate_password_replacements WHERE sha256(subject) = sha256($1)";
    let subject = subject.as_bytes();
    on.query_typed_opt(sql, &[(&subject, Type::BYTEA)]).await
}

/// What a row says.
pub(super) fn read(row: &Row) -> Result<Replacement, StoreFault> {
    let odd = || StoreFault("the replacement of a password cannot be read".into());
    let (of, hash): (&[u8], &str) =
        (row.try_get(0).map_err(|_| odd())?, row.try_get(1).map_err(|_| odd())?);
    let (of, hash) = (of.try_into().map_err(|_| odd())?, Hash::parse(hash).map_err(|_| odd())?);
    Ok(Replacement { of, hash })
}

/// Keeps a replacement in the place of any that was there.
pub(super) async fn keep(on: &Client, subject: &str, new: &Replacement) -> Result<(), Error> {
    let sql = "INSERT INTO freshgate_password_replacements (subject, of, hash) VALUES ($1, $2, $3)
        ON CONFLICT (sha256(subject)) DO UPDATE SET of = excluded.of, hash = excluded.hash";
    let (subject, of, hash) = (subject.as_bytes(), new.of.as_slice(), new.hash.to_string());
    let params: [Param<'_>; 3] = [(&subject, Type::BYTEA), (&of, Type::BYTEA), (&hash, Type::TEXT)];
    on.query_typed(sql, &params).await?;
    Ok(())
}
