//! PostgreSQL: one connection, and one look-up on it as a transaction that can only read. Nothing is set for the
//! session and nothing is kept prepared, so that a pooler between us (PgBouncer) does no harm.

use std::error::Error as _;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::ANSWER_BYTES_MAX;
use super::capped::{Capped, Room};
use super::desk::Trouble;
use super::row::{Cell, ROWS_MAX, Rows};
use super::tls::Trust;
use crate::config::database::{Place, Server};
use crate::config::query::Query;

/// A connection that answered last time.
pub struct Connection {
    client: Client,
    room: Room,
    timeout: Duration,
}

/// Connects; the caller has the clock.
///
/// # Errors
/// What the server or the network says, without user and password.
pub async fn connect(
    server: &Server,
    tls: Option<&Trust>,
    timeout: Duration,
) -> Result<Connection, String> {
    let mut config = Config::new();
    config.user(&server.user).dbname(&server.database).application_name("freshgate");
    if let Some(password) = &server.password {
        config.password(password.expose());
    }
    let room = Room::of(ANSWER_BYTES_MAX);
    let failed = |error: std::io::Error| format!("{server}: {error}");
    let client = match (&server.place, tls) {
        (Place::Socket(path), _) => {
            let stream = UnixStream::connect(path).await.map_err(failed)?;
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            start(&config, Capped::new(stream, room.clone()), NoTls).await
        }
        (Place::Tcp(host, port), None) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
            config.ssl_mode(tokio_postgres::config::SslMode::Disable);
            start(&config, Capped::new(stream, room.clone()), NoTls).await
        }
        (Place::Tcp(host, port), Some(trust)) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let stream = Capped::new(stream, room.clone());
            let mut maker = MakeRustlsConnect::new(trust.config.clone());
            let made = <MakeRustlsConnect as MakeTlsConnect<Capped<TcpStream>>>::make_tls_connect(
                &mut maker, host,
            );
            let Ok(made) = made;
            start(&config, stream, made).await
        }
    };
    let client = client.map_err(|error| format!("{server}: {}", told(&error)))?;
    Ok(Connection { client, room, timeout })
}

async fn start<S, T>(config: &Config, stream: S, tls: T) -> Result<Client, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    // It ends with its client; what it has to say the client says too.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

impl Connection {
    /// The rows for a value; without one only the columns.
    ///
    /// # Errors
    /// [`Trouble`]; the connection is then good for nothing.
    pub async fn ask(&mut self, query: &Query, value: Option<&str>) -> Result<Rows, Trouble> {
        self.room.refill(ANSWER_BYTES_MAX);
        match self.transaction(query, value).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(why)) => Err(Trouble::Refused(why)),
            Err(error) if class(&error) == Some(DATA_EXCEPTION) => Err(Trouble::Row(told(&error))),
            Err(error) if is_about_the_query(&error) => Err(Trouble::Refused(told(&error))),
            Err(_) if self.room.is_used_up() => {
                Err(Trouble::Row(format!("it has more than {ANSWER_BYTES_MAX} bytes")))
            }
            Err(error) => Err(Trouble::Broken(told(&error))),
        }
    }

    /// The rows, or why the query cannot be asked.
    async fn transaction(
        &mut self,
        query: &Query,
        value: Option<&str>,
    ) -> Result<Result<Rows, String>, Error> {
        let transaction = self.client.build_transaction().read_only(true).start().await?;
        let limit = format!("SET LOCAL statement_timeout = {}", self.timeout.as_millis());
        transaction.batch_execute(&limit).await?;
        let statement = transaction.prepare(query.text()).await?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut all = Rows { columns, rows: Vec::new() };
        if let Some(kind) = statement.params().iter().find(|kind| !is_taken(kind)) {
            return Ok(Err(format!(
                "it compares the parameter with the type {}: make that text, with CAST(… AS text)",
                kind.name()
            )));
        }
        // A name that the column's type cannot have is nobody's.
        if let Some(bound) = value.and_then(|value| Bound::of(value, statement.params())) {
            let portal = transaction.bind(&statement, &[&bound]).await?;
            let found = transaction.query_portal(&portal, ROWS_MAX as i32).await?;
            for row in found {
                let cells = (0..row.len()).map(|index| row.try_get::<_, Cell>(index));
                all.rows.push(cells.collect::<Result<_, _>>()?);
            }
        }
        transaction.rollback().await?;
        Ok(Ok(all))
    }
}

/// Whether a name can be sent as this type.
fn is_taken(kind: &Type) -> bool {
    matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8 | Type::UUID)
        || <&str as ToSql>::accepts(kind)
}

/// The value in the type that the server wants for it.
#[derive(Debug)]
enum Bound<'v> {
    Text(&'v str),
    Whole(i64),
    Uuid(uuid::Uuid),
}

impl Bound<'_> {
    /// `None`: no row can have this value.
    fn of<'v>(value: &'v str, types: &[Type]) -> Option<Bound<'v>> {
        let [kind] = types else { return Some(Bound::Text(value)) };
        match *kind {
            Type::INT2 => value.parse::<i16>().ok().map(|number| Bound::Whole(number.into())),
            Type::INT4 => value.parse::<i32>().ok().map(|number| Bound::Whole(number.into())),
            Type::INT8 => value.parse().ok().map(Bound::Whole),
            Type::UUID => uuid::Uuid::try_parse(value).ok().map(Bound::Uuid),
            _ => Some(Bound::Text(value)),
        }
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, kind) {
            (Bound::Text(text), kind) => return text.to_sql(kind, out),
            (Bound::Whole(number), &Type::INT2) => out.put_i16(i16::try_from(*number)?),
            (Bound::Whole(number), &Type::INT4) => out.put_i32(i32::try_from(*number)?),
            (Bound::Whole(number), _) => out.put_i64(*number),
            (Bound::Uuid(id), _) => out.put_slice(id.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Cell {
    fn from_sql(
        kind: &Type,
        raw: &'r [u8],
    ) -> Result<Cell, Box<dyn std::error::Error + Sync + Send>> {
        match kind.kind() {
            Kind::Array(_) => return Vec::<Cell>::from_sql(kind, raw).map(Cell::List),
            Kind::Domain(inner) => return Cell::from_sql(inner, raw),
            _ => {}
        }
        Ok(match *kind {
            Type::BOOL => Cell::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Cell::Int(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Cell::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Cell::Int(i64::from_sql(kind, raw)?),
            Type::FLOAT4 => Cell::Float(f32::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Cell::Float(f64::from_sql(kind, raw)?),
            Type::UUID => Cell::Text(uuid::Uuid::from_slice(raw)?.to_string()),
            Type::JSON => Cell::Json(serde_json::from_slice(raw)?),
            // A version, which is 1, comes before the text.
            Type::JSONB => Cell::Json(serde_json::from_slice(raw.get(1..).unwrap_or_default())?),
            Type::BYTEA => utf8(raw),
            // It comes with the spaces that pad it, which mean nothing: as text the database drops them too.
            Type::BPCHAR => match utf8(raw) {
                Cell::Text(text) => Cell::Text(text.trim_end_matches(' ').to_owned()),
                other => other,
            },
            _ if <&str as FromSql>::accepts(kind) || matches!(kind.kind(), Kind::Enum(_)) => {
                utf8(raw)
            }
            _ => Cell::Other(format!("of the type {}", kind.name())),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Cell, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn utf8(raw: &[u8]) -> Cell {
    match std::str::from_utf8(raw) {
        Ok(text) => Cell::Text(text.to_owned()),
        Err(_) => Cell::Other("no UTF-8".to_owned()),
    }
}

/// The class of faults that a value has and the query has not: a `CAST` of a row's text that is no number, a name with signs
/// that the database's encoding cannot say.
const DATA_EXCEPTION: &str = "22";

/// The first two signs of SQLSTATE, see <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn class(error: &Error) -> Option<&str> {
    error.as_db_error()?.code().code().get(..2)
}

/// Whether the server speaks of the query, and not of itself: of a lost connection (class 08), of what it lacks (53) or of
/// an operator's command (57).
fn is_about_the_query(error: &Error) -> bool {
    class(error).is_some_and(|class| !["08", "53", "57"].contains(&class))
}

/// What happened, with its cause; of the server's words only the message, since its details quote values.
fn told(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}").replacen(
            &format!("{cause}: {cause}"),
            &cause.to_string(),
            1,
        ),
        None => error.to_string(),
    }
}
