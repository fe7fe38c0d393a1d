//! `[login.users]`: where the users are. Exactly one of its keys is given; `lower/users.rs` sees to that.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::{RawBackendUsers, home};
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::secret::{ClaimColumns, DatabaseUrl, OneOrMore};
use crate::config::words::ReadAs;

section! {
    /// Where the users are; one of these. Without this table, in `users.toml` of the state directory,
    /// which the first run makes with a user `admin` and a random password, printed once, unless `freshgate user add`
    /// has made it before.
    pub struct RawUsers {
        /// A file, `users = { file = "users.toml" }` in `[login]`. It must exist: `freshgate user add NAME` makes it. It is read again
        /// when it changes. Its hashes: docs/users.md.
        file: String,
        /// See `[login.users.sql]`.
        sql: RawSql,
        /// See `[login.users.backend]`.
        backend: RawBackendUsers,
        /// Whether a hash that is quick to guess (docs/users.md) is replaced, in `state.db`, by an argon2id hash when its user logs in.
        /// While the users' own place says the same, only the new one opens; a password changed there counts at once.
        rehash: bool = false,
    }
}

section! {
    /// Users in a table that is there already, of PostgreSQL, MySQL, MariaDB or SQLite. The gateway asks with your query, in
    /// transactions that can only read, and never writes. See [users-sql.md](users-sql.md).
    pub struct RawSql {
        /// Required. `{ env = "NAME" }`, `{ file = "PATH" }`, or the URL itself if it has no password:
        /// `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, `mysql://…` (also for MariaDB), `sqlite:PATH`. Another machine is
        /// spoken to with TLS, and its certificate must be for that host; `?sslmode=disable` says that the network is trusted. On
        /// this machine TLS is off unless `?sslmode=verify-full` asks for it. `?socket=/PATH` names a Unix socket, for PostgreSQL
        /// `?host=/DIRECTORY`.
        url: DatabaseUrl,
        /// Required. One `SELECT` (or `WITH`) that gives the row of one user. `:name` stands for the name that was typed, and is always
        /// sent beside the query, never inside of it.
        query: String,
        /// A second query, with `:subject` for the subject of a token, that gives the same columns: it is asked at refresh and
        /// at step-up. Required where `subject` is none of the columns of `name`.
        refresh_query: String,
        /// Required. The column of the name that people type, or a list of such columns (a name and an address). A row counts only if one of
        /// them is what was typed, but for case, width and spaces around it: some databases also take `ä` for `a`.
        name: OneOrMore,
        /// Required. The column that becomes `sub` in tokens: text, a whole number or a UUID. It must stay a user's for ever.
        subject: String,
        /// Required. The column of the password's hash. With NULL in it nobody logs in.
        password: String,
        /// The column that says whether the user may log in: `true`, a number but 0, or one of the texts `1`, `t`, `true`, `y`, `yes` and `on`. All
        /// else, NULL too, is no. Without this key all may.
        enabled: String,
        /// Claims and their columns: `claims = { email = "email", roles = { column = "groups", split = "," } }`. NULL gives no claim.
        claims: ClaimColumns,
        /// A file of certificates in PEM: the server's must be signed by one of them. Without it, by one that the system trusts.
        ca: String,
        /// How long a look-up may take, with waiting and connecting; then the client is told 503.
        timeout: Duration = "3s",
        /// Most connections at once. They are opened when they are needed, and closed when they were not for a minute.
        connections_max: usize = 4,
    }
}

section! {
    /// The long form of a claim's column.
    pub struct RawClaimColumn {
        /// Required. The column.
        column: String,
        /// Takes text apart at each of these, for a list: `split = ","`. Spaces around the parts, and empty parts, are left out.
        split: String,
        /// Reads the value as `"text"`, `"boolean"` (as for `enabled`) or `"json"` (a text that is JSON), instead of by its type.
        r#as: ReadAs,
    }
}
