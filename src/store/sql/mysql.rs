//! MySQL and MariaDB: one connection, and one look-up on it as a transaction that can only read.

use std::time::Duration;

use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, Error, Opts, OptsBuilder, Params, SslOpts, Value};

use super::ANSWER_BYTES_MAX;
use super::desk::Trouble;
use super::row::{Cell, ROWS_MAX, Rows};
use super::tls::Trust;
use crate::config::database::{Place, Server};
use crate::config::query::Query;

/// How long the server may keep a silent connection: longer than we do, so that it need not be asked.
const WAIT_TIMEOUT_SECONDS: usize = 300;
/// The name has signs that the column's character set cannot say, so no row has it: an "illegal mix of collations", or a
/// conversion that is impossible.
const CANNOT_SAY: [u16; 5] = [1267, 1270, 1271, 3854, 3988];
/// The server shuts down, has too many connections, ended this one, or ended a statement that took too long.
const ABOUT_ITSELF: [u16; 9] = [1040, 1053, 1077, 1205, 1317, 1927, 1969, 3024, 4031];

/// A connection that answered last time.
pub struct Connection {
    inner: Conn,
    /// Rows that nobody wants are still on their way.
    spent: bool,
}

/// Connects; the caller has the clock.
///
/// # Errors
/// What the server or the network says, without the password.
pub async fn connect(
    server: &Server,
    tls: Option<&Trust>,
    timeout: Duration,
) -> Result<Connection, String> {
    let failed = |error: Error| format!("{server}: {}", told(&error));
    let mut inner = Conn::new(options(server, tls)).await.map_err(failed)?;
    // Each knows the limit by its own name and in its own unit.
    let version: Option<String> = inner.query_first("SELECT VERSION()").await.map_err(failed)?;
    let limit = match version.is_some_and(|version| version.contains("MariaDB")) {
        true => format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64()),
        false => format!("SET SESSION max_execution_time = {}", timeout.as_millis()),
    };
    inner.query_drop(limit).await.map_err(failed)?;
    Ok(Connection { inner, spent: false })
}

fn options(server: &Server, tls: Option<&Trust>) -> Opts {
    let password = server.password.as_ref();
    let password = password.map(|text| String::from_utf8_lossy(text.expose()).into_owned());
    let options = OptsBuilder::default()
        .user(Some(&server.user))
        .pass(password)
        .db_name(Some(&server.database))
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(ANSWER_BYTES_MAX))
        .wait_timeout(Some(WAIT_TIMEOUT_SECONDS));
    match &server.place {
        Place::Socket(path) => options.socket(Some(path.to_string_lossy())).into(),
        Place::Tcp(host, port) => {
            let ssl = tls.map(|trust| {
                let roots = trust.roots.iter().map(|root| root.clone().into()).collect();
                SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true)
            });
            options.ip_or_hostname(host).tcp_port(*port).ssl_opts(ssl).into()
        }
    }
}

impl Connection {
    /// Whether it can be asked again.
    pub fn is_reusable(&self) -> bool {
        !self.spent
    }

    /// The rows for a value; without one only the columns.
    ///
    /// # Errors
    /// [`Trouble`]; the connection is then good for nothing.
    pub async fn ask(&mut self, query: &Query, value: Option<&str>) -> Result<Rows, Trouble> {
        match self.transaction(query, value).await {
            Ok(rows) => Ok(rows),
            Err(Error::Server(said)) if CANNOT_SAY.contains(&said.code) => {
                self.inner.query_drop("ROLLBACK").await.map_err(|error| trouble(&error))?;
                Ok(Rows::default())
            }
            // The library has no name for it that could be compared.
            Err(error) if error.to_string().contains("larger than max_allowed_packet") => {
                Err(Trouble::Row(format!("it has more than {ANSWER_BYTES_MAX} bytes")))
            }
            Err(error) => Err(trouble(&error)),
        }
    }

    async fn transaction(&mut self, query: &Query, value: Option<&str>) -> Result<Rows, Error> {
        self.inner.query_drop("START TRANSACTION READ ONLY").await?;
        let statement = self.inner.prep(query.text()).await?;
        let columns = statement.columns();
        let names = columns.iter().map(|column| column.name_str().into_owned()).collect();
        let mut all = Rows { columns: names, rows: Vec::new() };
        if let Some(value) = value {
            let values = vec![Value::from(value); query.uses()];
            let mut found = self.inner.exec_iter(&statement, Params::Positional(values)).await?;
            while let Some(row) = found.next().await? {
                let kinds = row.columns();
                let cells = row.unwrap_raw().into_iter().zip(kinds.iter());
                all.rows.push(
                    cells
                        .map(|(value, column)| cell(value.unwrap_or(Value::NULL), column))
                        .collect(),
                );
                if all.rows.len() == ROWS_MAX {
                    self.spent = true;
                    return Ok(all);
                }
            }
            drop(found);
        }
        self.inner.close(statement).await?;
        self.inner.query_drop("ROLLBACK").await?;
        Ok(all)
    }
}

fn cell(value: Value, column: &Column) -> Cell {
    match value {
        Value::NULL => Cell::Null,
        Value::Int(number) => Cell::Int(number),
        Value::UInt(number) => i64::try_from(number).map_or(Cell::UInt(number), Cell::Int),
        Value::Float(number) => Cell::Float(number.into()),
        Value::Double(number) => Cell::Float(number),
        Value::Date(..) | Value::Time(..) => Cell::Other("a date or a time".to_owned()),
        Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) if column.column_type() == ColumnType::MYSQL_TYPE_JSON => {
                serde_json::from_str(&text).map_or(Cell::Text(text), Cell::Json)
            }
            Ok(text) => Cell::Text(text),
            Err(_) => Cell::Other("no UTF-8".to_owned()),
        },
    }
}

fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Server(said) if !ABOUT_ITSELF.contains(&said.code) => Trouble::Refused(told(error)),
        Error::Server(_) | Error::Io(_) | Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            Trouble::Broken(told(error))
        }
    }
}

fn told(error: &Error) -> String {
    match error {
        Error::Server(said) => format!("{} ({})", said.message, said.code),
        other => other.to_string(),
    }
}
