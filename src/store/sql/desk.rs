//! Where look-ups wait for a connection: one thread with a runtime of its own, a bounded queue, a few connections, and one
//! time limit for each look-up from its first moment to its last.
//!
//! A database that hangs fills these places and no others: the data threads only wait for an answer. A connection on
//! which anything went wrong is closed. Dropping the desk ends the thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::row::Rows;
use super::{mysql, postgres, sqlite, tls};
use crate::config::database::{Database, SqlUsers as Settings, Tls};
use crate::config::query::Query;
use crate::store::StoreFault;

/// How long a connection is kept for the next look-up: longer, and a firewall between may have forgotten it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Which query is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one for a name that was typed.
    ByName,
    /// The one for the subject of a token.
    BySubject,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too many look-ups wait.
    Full,
    /// The database cannot be reached, or did not answer in time.
    Away(String),
    /// The database was asked and refuses.
    Refused(String),
    /// What was found cannot be read, though the query is good: it may be one row alone.
    Row(String),
}

impl From<Fault> for StoreFault {
    fn from(fault: Fault) -> StoreFault {
        StoreFault(match fault {
            Fault::Full => "too many look-ups of users wait".to_owned(),
            Fault::Away(why) => format!("the users cannot be looked up: {why}"),
            Fault::Refused(why) => format!("the database of users refuses the query: {why}"),
            Fault::Row(why) => format!("a row of the database of users cannot be read: {why}"),
        })
    }
}

/// Takes look-ups.
pub struct Desk {
    queue: mpsc::Sender<Ask>,
    timeout: Duration,
}

struct Ask {
    which: Which,
    /// `None`: only the columns are asked for.
    value: Option<String>,
    deadline: Instant,
    answer: oneshot::Sender<Result<Rows, Fault>>,
}

impl Desk {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the machine or the certificates lack.
    pub fn start(settings: &Settings, queue_max: usize) -> Result<Desk, String> {
        let tls = match &settings.database {
            Database::Postgres(server) | Database::MySql(server) if server.tls == Tls::Verified => {
                Some(tls::trust(settings.ca.as_deref())?)
            }
            _ => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(settings.connections_max)
            .build()
            .map_err(|error| format!("no runtime for the look-ups: {error}"))?;
        let (queue, asks) = mpsc::channel(queue_max.max(1));
        let settings = settings.clone();
        let timeout = settings.timeout;
        let counter = Counter { settings, tls, kept: Mutex::new(Vec::new()) };
        let run = move || runtime.block_on(serve(Arc::new(counter), asks));
        let thread = thread::Builder::new().name("users-db".to_owned()).spawn(run);
        thread.map_err(|error| format!("no thread for the look-ups: {error}"))?;
        Ok(Desk { queue, timeout })
    }

    /// The rows of a name or subject.
    ///
    /// # Errors
    /// [`Fault`], at the latest when the time is over.
    pub async fn look(&self, which: Which, value: &str) -> Result<Rows, Fault> {
        let answer = self.ask(which, Some(value.to_owned()))?;
        answer.await.unwrap_or_else(|_| Err(Fault::Away(ENDED.to_owned())))
    }

    /// As [`Desk::look`], for a thread without a runtime.
    ///
    /// # Errors
    /// The same.
    pub fn look_blocking(&self, which: Which, value: &str) -> Result<Rows, Fault> {
        let answer = self.ask(which, Some(value.to_owned()))?;
        answer.blocking_recv().unwrap_or_else(|_| Err(Fault::Away(ENDED.to_owned())))
    }

    /// The columns that a query gives, for a thread without a runtime.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn describe(&self, which: Which) -> Result<Rows, Fault> {
        let answer = self.ask(which, None)?;
        answer.blocking_recv().unwrap_or_else(|_| Err(Fault::Away(ENDED.to_owned())))
    }

    fn ask(
        &self,
        which: Which,
        value: Option<String>,
    ) -> Result<oneshot::Receiver<Result<Rows, Fault>>, Fault> {
        let (answer, told) = oneshot::channel();
        let deadline = Instant::now() + self.timeout;
        self.queue.try_send(Ask { which, value, deadline, answer }).map_err(|_| Fault::Full)?;
        Ok(told)
    }
}

const ENDED: &str = "the thread that looks them up has ended";

/// Behind the desk: what all look-ups share.
struct Counter {
    settings: Settings,
    tls: Option<tls::Trust>,
    kept: Mutex<Vec<(Connection, Instant)>>,
}

/// A connection to a server.
enum Connection {
    Postgres(postgres::Connection),
    MySql(mysql::Connection),
}

/// Why one exchange failed, for who decides what then.
pub enum Trouble {
    /// The connection is not what it was: another may do.
    Broken(String),
    /// The database understood and refuses.
    Refused(String),
    /// What it found cannot be read.
    Row(String),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        match trouble {
            Trouble::Broken(why) => Fault::Away(why),
            Trouble::Refused(why) => Fault::Refused(why),
            Trouble::Row(why) => Fault::Row(why),
        }
    }
}

async fn serve(counter: Arc<Counter>, mut asks: mpsc::Receiver<Ask>) {
    let places = Arc::new(Semaphore::new(counter.settings.connections_max));
    loop {
        let Ok(asked) = timeout(KEPT_FOR, asks.recv()).await else {
            counter.close_the_old();
            continue;
        };
        let Some(ask) = asked else { return };
        // A caller that went away costs nothing.
        if ask.answer.is_closed() {
            continue;
        }
        let place = timeout_at(ask.deadline, Arc::clone(&places).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            let late = counter.late("no connection to the database was free");
            let _gone = ask.answer.send(Err(late));
            continue;
        };
        tokio::spawn(answer(Arc::clone(&counter), ask, place));
    }
}

async fn answer(counter: Arc<Counter>, ask: Ask, place: OwnedSemaphorePermit) {
    let Ask { which, value, deadline, answer } = ask;
    let told = match &counter.settings.database {
        Database::Sqlite(path) => {
            let query = counter.query(which).clone();
            timeout_at(
                deadline,
                sqlite::ask(path.clone(), query, value, counter.settings.timeout, place),
            )
            .await
        }
        Database::Postgres(_) | Database::MySql(_) => {
            // What is under way when the time is over is dropped, and its connection with it.
            let told = timeout_at(deadline, counter.exchange(which, value.as_deref())).await;
            drop(place);
            told
        }
    };
    let told = told.unwrap_or_else(|_| Err(counter.late("the database did not answer")));
    let _gone = answer.send(told);
}

impl Counter {
    fn query(&self, which: Which) -> &Query {
        let by_subject = self.settings.by_subject.as_ref();
        match which {
            Which::BySubject => by_subject.unwrap_or(&self.settings.by_name),
            Which::ByName => &self.settings.by_name,
        }
    }

    fn late(&self, what: &str) -> Fault {
        Fault::Away(format!("{what} within {:?}", self.settings.timeout))
    }

    async fn exchange(&self, which: Which, value: Option<&str>) -> Result<Rows, Fault> {
        let query = self.query(which);
        if let Some(kept) = self.kept() {
            match self.ask(kept, query, value).await {
                // It may have ended while nobody looked; to read twice does no harm.
                Err(Trouble::Broken(_)) => {}
                outcome => return outcome.map_err(Fault::from),
            }
        }
        let fresh = self.connect().await.map_err(Fault::Away)?;
        self.ask(fresh, query, value).await.map_err(Fault::from)
    }

    async fn ask(
        &self,
        mut connection: Connection,
        query: &Query,
        value: Option<&str>,
    ) -> Result<Rows, Trouble> {
        let rows = match &mut connection {
            Connection::Postgres(postgres) => postgres.ask(query, value).await,
            Connection::MySql(mysql) => mysql.ask(query, value).await,
        }?;
        let reusable = match &connection {
            Connection::Postgres(_) => true,
            Connection::MySql(mysql) => mysql.is_reusable(),
        };
        if reusable {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push((connection, Instant::now()));
        }
        Ok(rows)
    }

    /// The connection that was used last.
    fn kept(&self) -> Option<Connection> {
        self.close_the_old();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().map(|(connection, _)| connection)
    }

    /// Those that nobody wanted for long.
    fn close_the_old(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < KEPT_FOR);
    }

    async fn connect(&self) -> Result<Connection, String> {
        let timeout = self.settings.timeout;
        match &self.settings.database {
            Database::Postgres(server) => {
                let made = postgres::connect(server, self.tls.as_ref(), timeout).await;
                made.map(Connection::Postgres)
            }
            Database::MySql(server) => {
                let made = mysql::connect(server, self.tls.as_ref(), timeout).await;
                made.map(Connection::MySql)
            }
            Database::Sqlite(_) => Err("a file has no connections".to_owned()),
        }
    }
}
