//! The users that a world checks passwords against: opened for the first one, kept for the next where nothing of
//! them changed, and with them the hashing pool.

use std::fmt;
use std::sync::Arc;

use super::build::StartFault;
use crate::config::database::SqlUsers as SqlSettings;
use crate::config::{Config, Limits, Login, UsersSource};
use crate::store::backend::BackendLogin;
use crate::store::events::Events;
use crate::store::file::UsersFile;
use crate::store::leavers::Leavers;
use crate::store::password::Checker;
use crate::store::sql::{Probe, SqlUsers};
use crate::store::watch::Watch;
use crate::store::{CredentialStore, StateStore, password};
use crate::telemetry;
use crate::token::UnixTime;

/// Open users. Clones share them.
#[derive(Clone, Debug)]
pub struct Users {
    place: Place,
    pool: Arc<password::Pool>,
    rehash: bool,
    leavers: Arc<Leavers>,
}

#[derive(Clone, Debug)]
enum Place {
    /// A file, reread whenever it changes.
    File { file: Arc<UsersFile>, _watch: Arc<Watch> },
    /// A table.
    Sql(Arc<SqlUsers>),
    /// The login of a legacy application.
    Backend(Arc<BackendLogin>),
}

impl Users {
    /// Opens the users of `login`; those that are open already are kept where they are the same ones. Sessions of users
    /// who are not in a new file, or have another password there, end before anybody is served; of those in a table
    /// at their next refresh.
    ///
    /// # Errors
    /// A file that cannot be used, or a database that refuses the queries. One that is away is no fault: it is logged,
    /// and logins are told 503 until it is back.
    pub fn open(
        login: &Login,
        config: &Config,
        kept: Option<&Users>,
        (state, events): (&Arc<dyn StateStore>, &Arc<Events>),
    ) -> Result<Users, StartFault> {
        let (limits, life) = (&config.limits, config.tokens.revoked_life());
        let leavers = match kept {
            Some(kept) => Arc::clone(&kept.leavers),
            None => Arc::new(Leavers::new(Arc::clone(state), life, Arc::clone(events))),
        };
        leavers.set_life(life);
        if let Some(kept) =
            kept.filter(|kept| kept.place.is(&login.users) && kept.rehash == login.rehash)
        {
            return Ok(kept.clone());
        }
        let pool = match kept {
            Some(kept) => Arc::clone(&kept.pool),
            None => password::Pool::start(limits.login_queue).map_err(|error| fault(&error))?,
        };
        let replacements = login.rehash.then(|| Arc::clone(state));
        let checker = Checker::new(Arc::clone(&pool), replacements);
        let place = match &login.users {
            UsersSource::Default(path) | UsersSource::File(path) => {
                let file = UsersFile::open(path, checker).map_err(|error| fault(&error))?;
                let file = Arc::new(file);
                compare(&leavers, &file, state)?;
                let watch = file.watch(Arc::clone(&leavers)).map_err(|error| fault(&error))?;
                Place::File { file, _watch: Arc::new(watch) }
            }
            UsersSource::Sql(settings) => Place::Sql(table(settings, checker, limits)?),
            UsersSource::Backend(settings) => {
                let login =
                    BackendLogin::new((**settings).clone()).map_err(|error| fault(&error))?;
                Place::Backend(Arc::new(login))
            }
            UsersSource::Outlined(words) => {
                return Err(StartFault(format!("the users were not read: {words}")));
            }
        };
        Ok(Users { place, pool, rehash: login.rehash, leavers })
    }

    /// What checks passwords.
    pub fn store(&self) -> Arc<dyn CredentialStore> {
        match &self.place {
            Place::File { file, .. } => Arc::clone(file) as Arc<dyn CredentialStore>,
            Place::Sql(table) => Arc::clone(table) as Arc<dyn CredentialStore>,
            Place::Backend(login) => Arc::clone(login) as Arc<dyn CredentialStore>,
        }
    }
}

impl Place {
    fn is(&self, source: &UsersSource) -> bool {
        match (self, source) {
            (Place::File { file, .. }, source) => source.file() == Some(file.path()),
            (Place::Sql(table), UsersSource::Sql(settings)) => table.settings() == &**settings,
            (Place::Backend(login), UsersSource::Backend(settings)) => {
                login.settings() == &**settings
            }
            (Place::Sql(_) | Place::Backend(_), _) => false,
        }
    }
}

/// Ends what users have who have left meanwhile.
fn compare(
    leavers: &Arc<Leavers>,
    file: &Arc<UsersFile>,
    state: &Arc<dyn StateStore>,
) -> Result<(), StartFault> {
    let believes_none = state.revocations().is_stale(UnixTime::of(telemetry::clock()));
    match leavers.compare(file.as_ref()) {
        Ok(()) => Ok(()),
        // While no token is believed nobody is served by those sessions.
        Err(_) if believes_none => {
            let users: Arc<dyn CredentialStore> = Arc::<UsersFile>::clone(file);
            leavers.compare_later(users).map_err(|error| fault(&error))
        }
        Err(error) => {
            Err(StartFault(format!("the sessions of users who left cannot be ended: {error}")))
        }
    }
}

fn table(
    settings: &SqlSettings,
    checker: Checker,
    limits: &Limits,
) -> Result<Arc<SqlUsers>, StartFault> {
    let users = SqlUsers::start(settings, checker, limits.login_queue);
    let users = users.map_err(|error| fault(&error))?;
    let database = &settings.database;
    match users.probe() {
        Probe::Ready => tracing::info!(event = "users_database", %database, "users are looked up"),
        Probe::Away(why) => {
            tracing::error!(
                event = "users_database_away",
                %database,
                "nobody can log in until the database of users is back: {why}"
            );
        }
        Probe::Refused(why) => {
            return Err(StartFault(format!("`login.users.sql`: {database} refuses {why}")));
        }
    }
    Ok(Arc::new(users))
}

fn fault(error: &dyn fmt::Display) -> StartFault {
    StartFault(error.to_string())
}
