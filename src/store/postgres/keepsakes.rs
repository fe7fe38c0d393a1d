//! The SQL of what is kept of logins that another program checked. Its cookies are in the memory of the gateway that took the login
//! and of no other: a configuration that keeps cookies cannot share its state.

use serde_json::{Map, Value};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::store::Keepsake;

/// The step of the schema that gives sessions something to keep.
pub(super) const STEP: &str = "
    ALTER TABLE freshgate_sessions
        ADD COLUMN kept_name bytea, ADD COLUMN kept_claims bytea, ADD COLUMN kept_cookies bytea;
";

/// A keepsake as its three columns have it.
pub(super) fn columns(keepsake: Option<&Keepsake>) -> [Option<Vec<u8>>; 3] {
    let Some(Keepsake { name, claims, cookies }) = keepsake else { return [None, None, None] };
    [Some(name.as_bytes().to_vec()), Some(json(claims)), Some(json(cookies))]
}

/// What is in the row of a session.
pub(super) fn read(row: &Row) -> Result<Option<Keepsake>, Error> {
    let column = |name: &str| row.try_get::<_, Option<&[u8]>>(name);
    let Some(name) = column("kept_name")? else { return Ok(None) };
    // What is no JSON any more was changed by hand, and is nothing.
    let claims = column("kept_claims")?.and_then(|text| serde_json::from_slice(text).ok());
    let cookies = column("kept_cookies")?.and_then(|text| serde_json::from_slice(text).ok());
    Ok(Some(Keepsake {
        name: String::from_utf8_lossy(name).into_owned(),
        claims: claims.unwrap_or_default(),
        cookies: cookies.unwrap_or_default(),
    }))
}

/// Puts these cookies, and claims if there are any, in the place of those that the session had.
pub(super) async fn keep(
    on: &Client,
    id: &str,
    cookies: &[String],
    claims: Option<&Map<String, Value>>,
) -> Result<(), Error> {
    let sql =
        "UPDATE freshgate_sessions SET kept_cookies = $2, kept_claims = coalesce($3, kept_claims)
        WHERE sha256(id) = sha256($1) AND kept_name IS NOT NULL";
    let (id, cookies, claims) = (id.as_bytes(), json(cookies), claims.map(json));
    let params =
        [(&id as _, Type::BYTEA), (&cookies as _, Type::BYTEA), (&claims as _, Type::BYTEA)];
    on.query_typed(sql, &params).await?;
    Ok(())
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and JSON values")
}
