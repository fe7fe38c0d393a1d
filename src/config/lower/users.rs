//! `[login.users]`: exactly one place where the users are. Connects to nothing.

use std::path::{Path, PathBuf};

use super::Lowering;
use super::keys::reason;
use crate::config::database::{ClaimColumn, Columns, Database, Reading, SqlUsers};
use crate::config::diagnostic::Span;
use crate::config::query::Query;
use crate::config::raw::{RawClaimColumn, RawSql, RawUsers};
use crate::config::read::{Field, Spanned};
use crate::config::secret::{DatabaseUrl, SecretRef};
use crate::config::words::ReadAs;
use crate::config::{Upstream, UsersSource, open};
use crate::token::RESERVED_CLAIMS;

/// In the state directory, where no users are named.
const USERS_FILE: &str = "users.toml";
/// More connections than any login needs: each costs the server a process or a thread.
const CONNECTIONS_MAX: usize = 64;

impl Lowering<'_> {
    /// `None` after a mistake.
    pub(super) fn users(
        &mut self,
        raw: &Field<RawUsers>,
        enabled: bool,
        (state_dir, upstreams): (&Path, &[Upstream]),
    ) -> Option<UsersSource> {
        let Some(users) = raw.get() else {
            return raw.is_missing().then(|| UsersSource::Default(state_dir.join(USERS_FILE)));
        };
        let (here, users) = (&users.span, &users.value);
        let given = [
            ("file", !users.file.is_missing()),
            ("sql", !users.sql.is_missing()),
            ("backend", !users.backend.is_missing()),
        ];
        let names: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if names.len() != 1 {
            self.out.users_sources(here, &names);
            return None;
        }
        match (users.file.get(), users.sql.get(), users.backend.get()) {
            (Some(file), _, _) => Some(UsersSource::File(self.users_file(file, enabled))),
            (_, Some(sql), _) => self.sql(sql),
            (_, _, Some(backend)) => {
                let backend = self.backend_users(backend, upstreams)?;
                Some(UsersSource::Backend(Box::new(backend)))
            }
            _ => None,
        }
    }

    fn users_file(&mut self, file: &Spanned<String>, enabled: bool) -> PathBuf {
        let path = self.path(&file.value);
        let why = match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => None,
            Ok(_) => Some("is not a regular file".to_owned()),
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
                Some("does not exist".to_owned())
            }
            Err(fault) => Some(format!("cannot be read: {}", reason(&fault))),
        };
        if let (Some(why), true) = (why, enabled && self.users_must_exist) {
            self.out.users_file(&file.span, &path, &why);
        }
        path
    }

    fn sql(&mut self, raw: &Spanned<RawSql>) -> Option<UsersSource> {
        let (here, raw) = (&raw.span, &raw.value);
        let columns = self.columns(here, raw);
        let connections = raw.connections_max();
        if !(1..=CONNECTIONS_MAX).contains(&connections.value) {
            let help = format!("write a number from 1 to {CONNECTIONS_MAX}");
            self.out.limit_out_of_range(
                &connections.span,
                "connections_max",
                "is out of range",
                &help,
            );
        }
        if raw.query.is_missing() {
            let example = "query = \"SELECT id, login, pass FROM users WHERE login = :name\"";
            self.out.missing_key(here, AT, "query", example);
        }
        if raw.url.is_missing() {
            self.out.missing_key(here, AT, "url", "url = { env = \"LEGACY_DATABASE_URL\" }");
        }
        let (url, query) = (raw.url.get()?, raw.query.get()?);
        if !self.users_must_exist {
            let words = format!("{}: {}", origin(&url.value), query.value.trim());
            return Some(UsersSource::Outlined(words));
        }
        let ca = raw.ca.get().map(|ca| self.database_certificates(ca));
        let database = self.database(url)?;
        let by_name = self.query(query, &database, "name");
        let columns = columns?;
        let by_subject = match raw.refresh_query.get() {
            Some(refresh) => Some(self.query(refresh, &database, "subject")?),
            None if columns.names.contains(&columns.subject) => None,
            None => {
                if raw.refresh_query.is_missing() {
                    self.out.refresh_query(here, &columns.subject, &columns.names[0]);
                }
                return None;
            }
        };
        Some(UsersSource::Sql(Box::new(SqlUsers {
            database,
            origin: origin(&url.value),
            by_name: by_name?,
            by_subject,
            columns,
            ca,
            timeout: raw.timeout().value,
            connections_max: connections.value,
        })))
    }

    fn query(
        &mut self,
        text: &Spanned<String>,
        database: &Database,
        parameter: &str,
    ) -> Option<Query> {
        let query = Query::parse(&text.value, database.engine(), parameter);
        query.map_err(|why| self.out.bad_query(&text.span, &why, parameter)).ok()
    }

    fn database_certificates(&mut self, file: &Spanned<String>) -> PathBuf {
        let path = self.path(&file.value);
        let why = match open::without_waiting(&path) {
            Ok((_, about)) if about.is_file() => None,
            Ok(_) => Some("it is not a regular file".to_owned()),
            Err(fault) => Some(reason(&fault)),
        };
        if let Some(why) = why {
            let why = format!("the file {} cannot be read: {why}", path.display());
            self.out.bad_ca(&file.span, &why);
        }
        path
    }

    fn database(&mut self, url: &Spanned<DatabaseUrl>) -> Option<Database> {
        let text = match &url.value {
            DatabaseUrl::Plain(text) => text.clone(),
            DatabaseUrl::Secret(reference) => {
                let reference = Spanned { value: reference.clone(), span: url.span.clone() };
                let resolved = self.resolve(&reference, true)?;
                String::from_utf8_lossy(resolved.secret.expose()).into_owned()
            }
        };
        let read = Database::parse(&text, self.base);
        read.map_err(|why| self.out.bad_database_url(&url.span, &why)).ok()
    }

    fn columns(&mut self, here: &Span, raw: &RawSql) -> Option<Columns> {
        for (missing, key, example) in [
            (
                raw.name.is_missing(),
                "name",
                "name = \"login\", the column of the name that people type",
            ),
            (
                raw.subject.is_missing(),
                "subject",
                "subject = \"id\", the column that becomes `sub`",
            ),
            (raw.password.is_missing(), "password", "password = \"pass\", the column of the hash"),
        ] {
            if missing {
                self.out.missing_key(here, AT, key, example);
            }
        }
        let claims = raw.claims.get().map(|all| all.value.0.as_slice()).unwrap_or_default();
        let claims: Vec<Option<ClaimColumn>> =
            claims.iter().map(|(claim, column)| self.claim(claim, column)).collect();
        Some(Columns {
            subject: raw.subject.get()?.value.clone(),
            names: raw.name.get()?.value.0.clone(),
            password: raw.password.get()?.value.clone(),
            enabled: raw.enabled.get().map(|text| text.value.clone()),
            claims: claims.into_iter().collect::<Option<Vec<ClaimColumn>>>()?,
        })
    }

    fn claim(
        &mut self,
        claim: &Spanned<String>,
        raw: &Spanned<RawClaimColumn>,
    ) -> Option<ClaimColumn> {
        if RESERVED_CLAIMS.contains(&claim.value.as_str()) {
            self.out.reserved_column(&claim.span, &claim.value);
            return None;
        }
        let (here, raw) = (&raw.span, &raw.value);
        if raw.column.is_missing() {
            self.out.missing_key(here, &format!("{AT}.claims"), "column", "column = \"role\"");
        }
        let reading = match (raw.split.get(), raw.r#as.get()) {
            (Some(split), None) if !split.value.is_empty() => Reading::Split(split.value.clone()),
            (None, None) => Reading::Plain,
            (None, Some(word)) => match word.value {
                ReadAs::Text => Reading::Text,
                ReadAs::Boolean => Reading::Boolean,
                ReadAs::Json => Reading::Json,
            },
            (Some(split), _) => {
                self.out.bad_split(&split.span);
                return None;
            }
        };
        let column = raw.column.get()?.value.clone();
        Some(ClaimColumn { claim: claim.value.clone(), column, reading })
    }
}

const AT: &str = "login.users.sql";

fn origin(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Plain(text) => text.clone(),
        DatabaseUrl::Secret(SecretRef::Env(name)) => format!("env {name}"),
        DatabaseUrl::Secret(SecretRef::File(name)) => format!("file {name}"),
    }
}
