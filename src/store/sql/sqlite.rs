//! One look-up in a file of SQLite: opened for reading for each, so that a file that was replaced is seen. Blocks, on a
//! thread that may.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, InterruptHandle, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::ANSWER_BYTES_MAX;
use super::desk::Fault;
use super::row::{Cell, ROWS_MAX, Rows};
use crate::config::query::Query;

/// Ends a statement when nobody waits for it any more.
struct Interrupt(InterruptHandle);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Asks on a thread of its own. The place is kept until that thread is done, also when nobody waits for it.
pub async fn ask(
    path: PathBuf,
    query: Query,
    value: Option<String>,
    timeout: Duration,
    place: OwnedSemaphorePermit,
) -> Result<Rows, Fault> {
    let (lend, lent) = oneshot::channel();
    let asked = tokio::task::spawn_blocking(move || {
        let _place = place;
        let connection = open(&path, timeout).map_err(|error| fault(&path, &error))?;
        let _nobody_waits = lend.send(Interrupt(connection.get_interrupt_handle()));
        rows(&connection, &query, value.as_deref()).map_err(|error| fault(&path, &error))
    });
    // Dropped when the time is over, and then it interrupts.
    let _interrupt = lent.await.ok();
    asked.await.unwrap_or_else(|_| Err(Fault::Away("the look-up broke off".to_owned())))
}

fn open(path: &Path, timeout: Duration) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(timeout)?;
    connection.pragma_update(None, "query_only", true)?;
    // What the schema of the file says may not run functions of its choice.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn rows(connection: &Connection, query: &Query, value: Option<&str>) -> Result<Rows, Error> {
    let mut statement = connection.prepare(query.text())?;
    if !statement.readonly() {
        return Err(Error::InvalidParameterName(WRITES.to_owned()));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut all = Rows { columns, rows: Vec::new() };
    let Some(value) = value else { return Ok(all) };
    let mut found = statement.query([value])?;
    while let Some(row) = found.next()? {
        let cells = (0..all.columns.len()).map(|index| row.get_ref(index).map(cell));
        all.rows.push(cells.collect::<Result<_, _>>()?);
        if all.rows.len() == ROWS_MAX {
            break;
        }
    }
    Ok(all)
}

/// Carried by an error of the library that is else never made here.
const WRITES: &str = "it would write";

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Float(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) if bytes.len() > ANSWER_BYTES_MAX => {
            Cell::Other("larger than a megabyte".to_owned())
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Other("no UTF-8".to_owned()),
        },
    }
}

/// <https://www.sqlite.org/rescode.html#error>
const SQLITE_ERROR: i32 = 1;

fn fault(path: &Path, error: &Error) -> Fault {
    let why = match error {
        Error::InvalidParameterName(why) => why.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    // The plain "SQL error": no such table, no such column, syntax.
    let is_sql = error.sqlite_error().is_some_and(|inner| inner.extended_code == SQLITE_ERROR);
    let is_ours = matches!(error, Error::InvalidParameterName(_) | Error::MultipleStatement);
    let refused = is_sql || is_ours || error.sqlite_error_code() == Some(ErrorCode::ReadOnly);
    match refused {
        true => Fault::Refused(why),
        false => Fault::Away(format!("{}: {why}", path.display())),
    }
}
