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
mod tests {
    use super::*;
    use serde_json::json;

    fn columns() -> Columns {
        let claim = |claim: &str, reading| ClaimColumn {
            claim: claim.into(),
            column: claim.into(),
            reading,
        };
        Columns {
            subject: "id".into(),
            names: vec!["login".into(), "mail".into()],
            password: "pass".into(),
            enabled: Some("active".into()),
            claims: vec![
                claim("plain", Reading::Plain),
                claim("staff", Reading::Boolean),
                claim("groups", Reading::Split(",".into())),
                claim("meta", Reading::Json),
                claim("zip", Reading::Text),
            ],
        }
    }

    fn rows(cells: [Cell; 10]) -> Rows {
        let names =
            ["id", "login", "mail", "pass", "active", "plain", "staff", "groups", "meta", "zip"];
        Rows { columns: names.map(str::to_owned).to_vec(), rows: vec![cells.to_vec()] }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    fn ada() -> [Cell; 10] {
        [
            Cell::Int(17),
            text("ada"),
            Cell::Null,
            text("$hash"),
            Cell::Bool(true),
            Cell::List(vec![text("a"), Cell::Int(1), Cell::Null]),
            Cell::Int(1),
            text("red, blue,, "),
            text(r#"{"level":[3]}"#),
            Cell::Int(8000),
        ]
    }

    fn with(place: usize, cell: Cell) -> [Cell; 10] {
        let mut all = ada();
        all[place] = cell;
        all
    }

    #[test]
    fn row_becomes_a_user() {
        let found = rows(ada()).found(&columns()).unwrap().unwrap();
        assert_eq!(
            (found.subject.as_str(), found.names.as_slice()),
            ("17", &["ada".to_owned()][..])
        );
        assert_eq!(found.password.as_deref(), Some("$hash"));
        assert!(found.enabled);
        let wanted = json!({
            "plain": ["a", 1, null], "staff": true, "groups": ["red", "blue"],
            "meta": {"level": [3]}, "zip": "8000"
        });
        assert_eq!(Value::Object(found.claims), wanted);
    }

    #[test]
    fn null_gives_no_claim_and_no_password() {
        for place in 5..10 {
            let found = rows(with(place, Cell::Null)).found(&columns()).unwrap().unwrap();
            assert_eq!(found.claims.len(), 4, "{place}");
        }
        for none in [Cell::Null, text("")] {
            let found = rows(with(3, none)).found(&columns()).unwrap().unwrap();
            assert_eq!(found.password, None);
        }
    }

    #[test]
    fn only_a_clear_yes_enables() {
        let enabled = |cell| rows(with(4, cell)).found(&columns()).unwrap().unwrap().enabled;
        for yes in [
            Cell::Int(1),
            Cell::UInt(2),
            Cell::Bool(true),
            text("1"),
            text("T"),
            text("Yes"),
            text("\u{1}"),
        ] {
            assert!(enabled(yes.clone()), "{yes:?}");
        }
        for no in [
            Cell::Null,
            Cell::Int(0),
            Cell::Bool(false),
            text("0"),
            text(""),
            text("active"),
            text("\0"),
            Cell::Other("a date".into()),
            Cell::Float(1.0),
            Cell::List(vec![]),
        ] {
            assert!(!enabled(no.clone()), "{no:?}");
        }
    }

    #[test]
    fn row_of_nobody_is_nobody() {
        let long = text(&"x".repeat(SUBJECT_BYTES_MAX + 1));
        for (place, cell) in [
            (0, Cell::Null),
            (0, text("")),
            (0, text("a\nb")),
            (0, long.clone()),
            (1, Cell::Null),
            (1, text("")),
            (1, long),
        ] {
            assert!(
                rows(with(place, cell.clone())).found(&columns()).unwrap().is_none(),
                "{cell:?}"
            );
        }
    }

    #[test]
    fn values_without_a_meaning_are_told_by_column_and_type() {
        for (place, cell, part) in [
            (0, Cell::Float(1.5), "`id` is a number that is not whole"),
            (0, Cell::Bool(true), "`id` is a truth value"),
            (3, Cell::Other("of the type date".into()), "`pass` is of the type date"),
            (5, Cell::Float(f64::NAN), "`plain` is a number that JSON has not"),
            (5, Cell::Other("of the type numeric".into()), "CAST"),
            (8, text("{secret"), "`meta` holds text that is not JSON"),
            (5, text(&"x".repeat(CLAIMS_BYTES_MAX)), "bytes, and a token holds"),
        ] {
            let said = rows(with(place, cell)).found(&columns()).unwrap_err();
            assert!(said.contains(part) && !said.contains("secret"), "{said}");
        }
        let mut short = rows(ada());
        short.columns[3] = "id".into();
        assert!(short.found(&columns()).unwrap_err().contains("two columns `id`"));
        short.columns[3] = "password".into();
        let said = short.found(&columns()).unwrap_err();
        assert!(said.contains("no column `pass`") && said.contains("`password`"), "{said}");
    }
}
