//! The tables, their versions, and how an older schema is raised: by whichever gateway comes first, under a lock of the
//! database.
//!
//! Ids and subjects are bytes, for PostgreSQL's text has no NUL, and are found by their SHA-256, for an index takes no key
//! of some kilobytes. Names begin with `freshgate_`, so that they can live beside other tables. The steps
//! stand beside the statements that need them. Called by `keeper` after each connect.

use tokio_postgres::types::Type;

use super::link::{Link, LinkFault};
use super::{failures, keepsakes, replacements, revoked, sessions};

/// The lock under which the schema is raised: "FrGt", and 1.
const RAISE_LOCK: i64 = 0x4672_4774_0001;
/// Oldest version of PostgreSQL, as `server_version_num`: the first with `pg_snapshot`.
const SERVER_MIN: i32 = 130_000;

/// Every step from an empty database to the newest schema. The version is the number of steps taken, so an applied
/// step is never edited: a change is a new step.
const STEPS: [&str; 5] =
    [sessions::STEP, revoked::STEP, failures::STEP, replacements::STEP, keepsakes::STEP];

/// Makes sure that the database can be used and has the newest schema.
///
/// # Errors
/// [`LinkFault`]: refused, when it is too old, or its schema is newer than this program; away, when it cannot be written now.
pub(super) async fn raise(link: &Link) -> Result<(), LinkFault> {
    let sql = "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
        to_regclass('freshgate_schema') IS NOT NULL";
    let rows = link.query(sql, &[]).await?;
    let row = rows.first().ok_or_else(LinkFault::odd)?;
    let (server, standby, made): (i32, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if server < SERVER_MIN {
        return Err(LinkFault::Refused(format!(
            "it is PostgreSQL {}; the state needs version {} or later",
            server / 10_000,
            SERVER_MIN / 10_000
        )));
    }
    if standby {
        return Err(LinkFault::Away("it is a standby, which cannot be written".into()));
    }
    if made && version(link).await? == STEPS.len() {
        return Ok(());
    }
    link.execute("BEGIN").await?;
    let lock = "SELECT pg_advisory_xact_lock($1)";
    link.query(lock, &[(&RAISE_LOCK, Type::INT8)]).await?;
    link.execute(
        "CREATE TABLE IF NOT EXISTS freshgate_schema (
            single    integer PRIMARY KEY CHECK (single = 1),
            version   integer NOT NULL,
            probed_at timestamptz
        );
        INSERT INTO freshgate_schema (single, version) VALUES (1, 0) ON CONFLICT DO NOTHING;",
    )
    .await?;
    let taken = version(link).await?;
    for (index, step) in STEPS.iter().enumerate().skip(taken) {
        link.execute(step).await?;
        link.execute(&format!("UPDATE freshgate_schema SET version = {}", index + 1)).await?;
    }
    link.execute("COMMIT").await
}

/// The steps that the schema has taken.
async fn version(link: &Link) -> Result<usize, LinkFault> {
    let rows = link.query("SELECT version FROM freshgate_schema", &[]).await?;
    let version: i32 = rows.first().ok_or_else(LinkFault::odd)?.try_get(0)?;
    let newest = STEPS.len();
    match usize::try_from(version) {
        Ok(version) if version <= newest => Ok(version),
        _ => Err(LinkFault::Refused(format!(
            "its state was made by a newer freshgate (schema {version}, this one knows {newest}); use that one"
        ))),
    }
}
