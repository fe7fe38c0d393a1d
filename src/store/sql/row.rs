//! What a database answered, whichever it is, and what a row means: subject, names, hash, claims.
//!
//! Pure. A message names columns and types, never a value.

use serde_json::{Map, Number, Value};

use crate::config::database::{ClaimColumn, Columns, Reading};

/// Longest subject and longest name that count, in bytes: they go into tokens, headers and logs.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Most bytes that the claims of one user have as JSON: they go into every token.
pub const CLAIMS_BYTES_MAX: usize = 4 * 1024;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// `NULL`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is no [`Cell::Int`].
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text, and bytes that are UTF-8.
    Text(String),
    /// A value of a JSON type.
    Json(Value),
    /// A value of an array type.
    List(Vec<Cell>),
    /// What has no meaning here: its type.
    Other(String),
}

/// At most two rows: a second one says that there are too many.
#[derive(Debug, Default)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// Rows that are asked for: one user, and the proof that there is no other.
pub const ROWS_MAX: usize = 2;

/// A user as a row has it.
#[derive(Debug)]
pub struct Found {
    /// `sub`.
    pub subject: String,
    /// What the user logs in by; one at least.
    pub names: Vec<String>,
    /// The hash; `None` for `NULL` and for an empty text.
    pub password: Option<String>,
    /// Whether the user may log in.
    pub enabled: bool,
    /// The claims of the tokens.
    pub claims: Map<String, Value>,
}

impl Rows {
    /// How many rows there are, two at most.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Where a column is.
    ///
    /// # Errors
    /// It is not there, or twice.
    pub fn place(&self, column: &str) -> Result<usize, String> {
        let mut places = self.columns.iter().enumerate().filter(|(_, name)| *name == column);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (None, _) => {
                Err(format!("it gives no column `{column}`: it gives {}", listed(&self.columns)))
            }
            (Some(_), Some(_)) => {
                Err(format!("it gives two columns `{column}`: name one of them with AS"))
            }
        }
    }

    /// The user of the first row; `None` when the row can be nobody's, because its subject or its names are NULL or empty.
    ///
    /// # Errors
    /// A column that is missing, or a value that means nothing.
    pub fn found(&self, columns: &Columns) -> Result<Option<Found>, String> {
        let cell = |column: &String| Ok::<_, String>(&self.rows[0][self.place(column)?]);
        let subject = name(cell(&columns.subject)?, &columns.subject)?;
        let names = columns.names.iter().map(|column| name(cell(column)?, column));
        let names: Vec<Option<String>> = names.collect::<Result<_, String>>()?;
        let names: Vec<String> = names.into_iter().flatten().collect();
        let password = text(cell(&columns.password)?, &columns.password)?;
        let enabled = match &columns.enabled {
            Some(column) => truth(cell(column)?),
            None => true,
        };
        let mut claims = Map::new();
        for one in &columns.claims {
            if let Some(value) = claim(cell(&one.column)?, one)? {
                claims.insert(one.claim.clone(), value);
            }
        }
        let length = Value::Object(claims.clone()).to_string().len();
        if length > CLAIMS_BYTES_MAX {
            return Err(format!(
                "the claims of a user have {length} bytes, and a token holds {CLAIMS_BYTES_MAX}"
            ));
        }
        let password = password.filter(|hash| !hash.is_empty());
        Ok(subject.filter(|_| !names.is_empty()).map(|subject| Found {
            subject,
            names,
            password,
            enabled,
            claims,
        }))
    }
}

fn listed(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

/// A subject or a name.
fn name(cell: &Cell, column: &str) -> Result<Option<String>, String> {
    let Some(text) = text(cell, column)? else { return Ok(None) };
    let good =
        !text.is_empty() && text.len() <= SUBJECT_BYTES_MAX && !text.chars().any(char::is_control);
    Ok(good.then_some(text))
}

fn text(cell: &Cell, column: &str) -> Result<Option<String>, String> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Text(text) => Ok(Some(text.clone())),
        Cell::Int(number) => Ok(Some(number.to_string())),
        Cell::UInt(number) => Ok(Some(number.to_string())),
        Cell::Bool(_) => Err(no_meaning(column, "a truth value")),
        Cell::Float(_) => Err(no_meaning(column, "a number that is not whole")),
        Cell::Json(_) => Err(no_meaning(column, "JSON")),
        Cell::List(_) => Err(no_meaning(column, "a list")),
        Cell::Other(kind) => Err(no_meaning(column, kind)),
    }
}

fn no_meaning(column: &str, kind: &str) -> String {
    format!("the column `{column}` is {kind}: make it text in the query, with CAST")
}

/// Everything but a clear yes is no.
fn truth(cell: &Cell) -> bool {
    match cell {
        Cell::Bool(flag) => *flag,
        Cell::Int(number) => *number != 0,
        Cell::UInt(number) => *number != 0,
        Cell::Text(text) => {
            let yes = ["1", "t", "true", "y", "yes", "on"];
            // A BIT(1) of MySQL is the byte 1.
            text == "\u{1}" || yes.iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        Cell::Null | Cell::Float(_) | Cell::Json(_) | Cell::List(_) | Cell::Other(_) => false,
    }
}

fn claim(cell: &Cell, column: &ClaimColumn) -> Result<Option<Value>, String> {
    if *cell == Cell::Null {
        return Ok(None);
    }
    let name = &column.column;
    match &column.reading {
        Reading::Plain => plain(cell, name).map(Some),
        Reading::Text => text(cell, name).map(|text| text.map(Value::from)),
        Reading::Boolean => Ok(Some(truth(cell).into())),
        Reading::Json => match cell {
            Cell::Json(value) => Ok(Some(value.clone())),
            other => {
                let text = text(other, name)?.unwrap_or_default();
                let read = serde_json::from_str(&text).map(Some);
                read.map_err(|_| format!("the column `{name}` holds text that is not JSON"))
            }
        },
        Reading::Split(at) => {
            let text = text(cell, name)?.unwrap_or_default();
            let parts = text.split(at.as_str()).map(str::trim).filter(|part| !part.is_empty());
            Ok(Some(parts.map(Value::from).collect()))
        }
    }
}

fn plain(cell: &Cell, column: &str) -> Result<Value, String> {
    Ok(match cell {
        Cell::Null => Value::Null,
        Cell::Bool(flag) => (*flag).into(),
        Cell::Int(number) => (*number).into(),
        Cell::UInt(number) => (*number).into(),
        Cell::Float(number) => {
            let number = Number::from_f64(*number);
            Value::Number(number.ok_or_else(|| no_meaning(column, "a number that JSON has not"))?)
        }
        Cell::Text(text) => text.as_str().into(),
        Cell::Json(value) => value.clone(),
        Cell::List(cells) => {
            let all = cells.iter().map(|cell| plain(cell, column));
            all.collect::<Result<Vec<Value>, String>>()?.into()
        }
        Cell::Other(kind) => return Err(no_meaning(column, kind)),
    })
}

#[cfg(test)]
#[path = "row_tests.rs"]
mod tests;
