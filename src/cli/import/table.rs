//! Tables with a line of headings: CSV (RFC 4180) as databases and WP-CLI write it.

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{Found, ImportArgs};
use crate::store::file::Mistake;
use crate::store::file::import::Candidate;

/// Which column means what.
pub(super) struct Columns {
    name: String,
    password: String,
    /// Claim, column, and whether it is a list.
    claims: Vec<(String, String, bool)>,
    /// Claims of columns that may be missing.
    optional: bool,
}

impl Columns {
    pub(super) fn of(args: &ImportArgs) -> Columns {
        let claim = |text: &String, list| {
            let (claim, column) = text.split_once('=').unwrap_or((text, text));
            (claim.to_owned(), column.to_owned(), list)
        };
        let texts = args.claims.iter().map(|text| claim(text, false));
        let lists = args.lists.iter().map(|text| claim(text, true));
        Columns {
            name: args.name_column.clone(),
            password: args.password_column.clone(),
            claims: texts.chain(lists).collect(),
            optional: false,
        }
    }

    /// As `wp user list` names them; the roles are one list.
    pub(super) fn wordpress() -> Columns {
        let roles = ("roles".to_owned(), "roles".to_owned(), true);
        let (name, password) = ("user_login".to_owned(), "user_pass".to_owned());
        Columns { name, password, claims: vec![roles], optional: true }
    }
}

/// The text between commas.
pub(super) fn list(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Value::from).collect()
}

/// Reads a whole table.
///
/// # Errors
/// The headings cannot be read, or one that is asked for is missing or there twice.
pub(super) fn read(text: &str, columns: &Columns) -> Result<Found, String> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let headings = reader.headers().map_err(|error| error.to_string())?.clone();
    let find = |column: &str| match headings.iter().filter(|one| one.trim() == column).count() {
        1 => Ok(headings.iter().position(|one| one.trim() == column)),
        0 => Ok(None),
        _ => Err(format!("there are two columns {column:?}")),
    };
    let named: Vec<&str> = headings.iter().map(str::trim).collect();
    let must = |column: &str| {
        find(column)?.ok_or_else(|| {
            format!("there is no column {column:?}; the first line names {}", named.join(", "))
        })
    };
    let (name, password) = (must(&columns.name)?, must(&columns.password)?);
    let mut claims = Vec::new();
    for (claim, column, is_list) in &columns.claims {
        let at = if columns.optional { find(column)? } else { Some(must(column)?) };
        claims.extend(at.map(|at| (claim, at, *is_list)));
    }
    let mut found = Found::default();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let mut own = Map::new();
                for (claim, at, is_list) in &claims {
                    let value = field(&record, *at);
                    if !value.is_empty() {
                        let value = if *is_list { list(value) } else { Value::from(value) };
                        own.insert((*claim).clone(), value);
                    }
                }
                found.candidates.push(Candidate {
                    line: record.position().map_or(1, |at| at.line() as usize),
                    name: field(&record, name).to_owned(),
                    hash: field(&record, password).to_owned(),
                    disabled: false,
                    claims: own,
                });
            }
            Err(error) => {
                let line = error.position().map(|at| at.line() as usize);
                let message = format!("the line has not as many fields as the first: {error}");
                found.bad.push(Mistake { line, message });
            }
        }
    }
    Ok(found)
}

fn field(record: &StringRecord, at: usize) -> &str {
    record.get(at).unwrap_or_default()
}
