//! The words for what is wrong with where the users are: one method for each mistake.

use super::wording::listed;
use super::{Diagnostics, Span};

impl Diagnostics {
    /// None of the places, or several.
    pub(crate) fn users_sources(&mut self, span: &Span, given: &[&str]) {
        let title = match given.len() {
            0 => "`login.users` does not say where the users are".to_owned(),
            _ => format!("`login.users` has {} at once", listed(given)),
        };
        let help = "give it exactly one of: file = \"users.toml\", sql = { url = …, query = …, … }, backend = { post = \"/login\", … }";
        self.error("users-source", span, title, "in here", help);
    }

    /// An URL that leads to no database. It is never repeated.
    pub(crate) fn bad_database_url(&mut self, span: &Span, why: &str) {
        let help = "write it as postgresql://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@HOST/DATABASE or sqlite:PATH; signs such as `@` and `/` in a password are written as %40 and %2F";
        let title = format!("the URL of the database cannot be used: {why}");
        self.error("database-url", span, title, "wanted here", help);
    }

    /// An URL with a password, in the file itself.
    pub(crate) fn password_in_url(&mut self, span: &Span, at: &str) {
        self.hide(span);
        self.bad_secret_reference(span, at, true);
    }

    /// A query that cannot be asked.
    pub(crate) fn bad_query(&mut self, span: &Span, why: &str, parameter: &str) {
        let help = format!(
            "write one SELECT with `:{parameter}` where the {} belongs",
            if parameter == "name" { "typed name" } else { "subject" }
        );
        self.error("bad-query", span, format!("the query cannot be used: {why}"), "here", &help);
    }

    /// Nobody could tell at a refresh whose token it is.
    pub(crate) fn refresh_query(&mut self, span: &Span, subject: &str, name: &str) {
        let help = format!(
            "add refresh_query, with the columns of `query`, such as: SELECT … WHERE {subject} = :subject; or write subject = \"{name}\""
        );
        self.error(
            "refresh-query",
            span,
            format!("`login.users.sql` cannot find a user by `{subject}`, which is not the name that is typed"),
            "in here",
            &help,
        );
    }

    /// Certificates that cannot be read.
    pub(crate) fn bad_ca(&mut self, span: &Span, why: &str) {
        let help = "name a file of certificates in PEM that the gateway's user can read";
        self.error("bad-ca", span, why.to_owned(), "named here", help);
    }

    /// A column for a claim that only the gateway writes.
    pub(crate) fn reserved_column(&mut self, span: &Span, claim: &str) {
        let help = match claim {
            "sub" => "`subject` names its column",
            _ => "remove it, or give it another name",
        };
        let title = format!("`{claim}` is a claim that the gateway writes itself");
        self.error("reserved-claim", span, title, "here", help);
    }

    /// Two ways to read one column, or nothing to split at.
    pub(crate) fn bad_split(&mut self, span: &Span) {
        self.error(
            "bad-split",
            span,
            "`split` needs a text to split at, and stands without `as`".to_owned(),
            "here",
            "write split = \",\"",
        );
    }

    /// The database of users cannot be asked now.
    pub fn users_away(&mut self, why: &str) {
        let help = "nobody can log in until it is back; where it cannot be reached from here, check again where the gateway runs";
        self.warning("users-away", None, format!("the users were not looked up: {why}"), "", help);
    }

    /// A key of `[login.users.backend]` that cannot be used so.
    pub(crate) fn bad_backend_login(&mut self, span: &Span, key: &str, why: &str) {
        self.error(
            "backend-login",
            span,
            format!("`login.users.backend.{key}` cannot be this: {why}"),
            "here",
            "docs/users-backend.md shows what works",
        );
    }

    /// Cookies that one gateway keeps, and a state that many share.
    pub(crate) fn cookies_of_many(&mut self, span: &Span, postgres: &Span) {
        self.error(
            "cookies-of-many",
            span,
            "`keep_cookies` needs a state of this gateway's own".to_owned(),
            "kept by the gateway that took the login, and unknown to the others",
            "remove `keep_cookies`, or `postgres` from `[state]`",
        );
        self.beside(postgres, "the state is shared here");
    }
}
