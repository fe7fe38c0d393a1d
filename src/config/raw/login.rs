//! `[login]`: the endpoints of the gateway, their cookies, and where the users are.

use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::words::CookiesWord;

section! {
    /// The endpoints of the gateway itself: login, refresh, reauth, logout and me.
    pub struct RawLogin {
        /// Whether the gateway serves them. With `false` it only checks tokens that others make.
        enabled: bool = true,
        /// The path they are under. No route may be for the method and the path of one of them; `"/auth/**"` may stand
        /// beside them, and gets the rest.
        at: String = "/auth",
        /// The whole path of the login, instead of `login` under `at`.
        login_path: String,
        /// The whole path of the refresh, instead of `refresh` under `at`.
        refresh_path: String,
        /// The whole path of the logout, instead of `logout` under `at`.
        logout_path: String,
        /// Whether login, refresh and reauth set the cookies that `[tokens]` names, for browsers. `"only"`: and their answers
        /// hold no token, so that no script ever sees one. `"both"`: the answers hold the tokens too, for programs; a script
        /// in a page can then get one. `accept` of `[tokens]` must have `"cookie"`. See [tokens.md](tokens.md#cookies-of-the-login).
        cookies: CookiesWord = "off",
        /// Whether browsers send these cookies over TLS only, and to this machine itself. Danger: without, whoever can see the
        /// traffic has the session; only for networks that have no TLS.
        cookie_secure: bool = true,
        /// See `[login.users]`.
        users: RawUsers,
    }
}

section! {
    /// Where the users are: `users = { file = "users.toml" }` in `[login]`. Without it, in `users.toml` of the state directory,
    /// which the first run makes with a user `admin` and a random password, printed once, unless `freshgate user add`
    /// has made it before.
    pub struct RawUsers {
        /// Required. The file must exist: `freshgate user add NAME` makes it. It is read again when it changes. Its hashes: docs/users.md.
        file: String,
        /// Whether a hash that is quick to guess (docs/users.md) is replaced, in `state.db`, by an argon2id hash when its user logs in.
        /// While the users' own place says the same, only the new one opens; a password changed there counts at once.
        rehash: bool = false,
    }
}
