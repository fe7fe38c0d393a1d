//! `freshgate schema`: the JSON Schema of gateway.toml, for editors. The same text as docs/gateway.schema.json.

use std::io::Write as _;

use super::Failure;
use crate::config::schema;

/// Prints it on standard output.
///
/// # Errors
/// When standard output is closed.
pub fn run() -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(schema::document().as_bytes())?)
}
