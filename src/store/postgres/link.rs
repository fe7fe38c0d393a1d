//! One connection to the database: how it is opened, driven and given up, and what its faults are called.
//!
//! The library's client can be used from any thread and sends what it is given at once, so statements of many callers follow
//! each other without waiting; the task that moves the bytes is ours. Used by `keeper`, which opens all of them.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{VERB_TIMEOUT, tls};
use crate::config::shared_state::DatabaseUrl;
use crate::store::StoreFault;

/// How long opening a connection may take, from the first packet to the last setting.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any statement of the keeper may take: raising a schema, a page of revocations.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A statement's parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// Why there is no connection, or no more.
#[derive(Debug)]
pub(super) enum LinkFault {
    /// It may pass by itself.
    Away(String),
    /// Only a person can change it: a wrong password, no such database, another version.
    Refused(String),
}

impl LinkFault {
    /// An answer that no statement of ours has.
    pub(super) fn odd() -> LinkFault {
        LinkFault::Away("it answered what was not asked".into())
    }

    /// What to tell.
    pub(super) fn text(&self) -> &str {
        match self {
            LinkFault::Away(text) | LinkFault::Refused(text) => text,
        }
    }
}

impl From<tokio_postgres::Error> for LinkFault {
    fn from(error: tokio_postgres::Error) -> LinkFault {
        let text = worded(&error);
        // Class 28: who we are; 3D000: no such database; class 42: not allowed, or not as our schema has it.
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        let ours = ["28", "3D", "42"].iter().any(|class| code.starts_with(class));
        if ours || is_of_tls(&error) { LinkFault::Refused(text) } else { LinkFault::Away(text) }
    }
}

/// Whether the two do not agree on TLS, as opposed to a connection that broke meanwhile.
fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    let broke = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let broke = broke.is_some_and(|error| error.kind() != io::ErrorKind::InvalidData);
    !broke && error.to_string().contains("TLS handshake")
}

/// The words of the database and their code, or those of the system and of TLS. None has the password.
pub(super) fn worded(error: &tokio_postgres::Error) -> String {
    if let Some(fault) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", fault.message(), fault.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}

/// Where the database is, ready to be dialled.
pub(super) struct Dial {
    options: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Dial {
    /// Reads the certificates that it is checked against.
    ///
    /// # Errors
    /// [`StoreFault`] naming their file.
    pub(super) fn new(url: &DatabaseUrl) -> Result<Dial, StoreFault> {
        Ok(Dial { options: url.options.clone(), tls: tls::connector(url)? })
    }

    /// Opens a connection; `bell` rings at each notification.
    pub(super) async fn open(&self, bell: Arc<Notify>) -> Result<Link, LinkFault> {
        let opening = async {
            let (client, connection) = self.options.connect(self.tls.clone()).await?;
            let driver = tokio::spawn(drive(connection, bell));
            let link = Link { client: Arc::new(client), driver };
            link.client.batch_execute(SETTINGS).await?;
            Ok(link)
        };
        let late = || LinkFault::Away(format!("it did not answer within {OPEN_TIMEOUT:?}"));
        timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_| Err(late()))
    }
}

/// What every statement of ours relies on. A statement ends before its caller stops waiting. What is acknowledged is on the
/// disk, whatever the role's own setting says; more than that is left to it.
const SETTINGS: &str = "
    SET statement_timeout = '4s';
    SET lock_timeout = '3s';
    SET idle_in_transaction_session_timeout = '30s';
    SET default_transaction_isolation = 'read committed';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
";

/// A connection and the task that moves its bytes.
pub(super) struct Link {
    /// Shared with those who ask; whoever has it may finish after the link was given up.
    pub(super) client: Arc<Client>,
    driver: JoinHandle<()>,
}

impl Link {
    /// Ready when the connection has ended.
    pub(super) async fn ended(&mut self) {
        let _panicked_or_not = (&mut self.driver).await;
    }

    /// A statement of the keeper, within [`STATEMENT_TIMEOUT`].
    pub(super) async fn query(
        &self,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, LinkFault> {
        let rows = timeout(STATEMENT_TIMEOUT, self.client.query_typed(sql, params)).await;
        Ok(rows.map_err(|_| silent(STATEMENT_TIMEOUT))??)
    }

    /// Statements of the keeper without parameters, within [`STATEMENT_TIMEOUT`].
    pub(super) async fn execute(&self, sql: &str) -> Result<(), LinkFault> {
        let done = timeout(STATEMENT_TIMEOUT, self.client.batch_execute(sql)).await;
        Ok(done.map_err(|_| silent(STATEMENT_TIMEOUT))??)
    }

    /// Asks whether it lives.
    pub(super) async fn ping(&self) -> Result<(), LinkFault> {
        let done = timeout(VERB_TIMEOUT, self.client.batch_execute("")).await;
        Ok(done.map_err(|_| silent(VERB_TIMEOUT))??)
    }
}

fn silent(after: Duration) -> LinkFault {
    LinkFault::Away(format!("it said nothing for {after:?}"))
}

impl Drop for Link {
    /// What was sent over it may still be answered; then nobody holds the client, and the task ends. One that is stuck is ended.
    fn drop(&mut self) {
        let driver = self.driver.abort_handle();
        tokio::spawn(async move {
            tokio::time::sleep(VERB_TIMEOUT).await;
            driver.abort();
        });
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, bell: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => bell.notify_one(),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(error = %worded(&error), "a connection to the state store ended");
                break;
            }
            None => break,
        }
    }
}
