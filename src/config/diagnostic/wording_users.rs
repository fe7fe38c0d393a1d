//! The words for what is wrong with where users are.

use super::{Diagnostics, Span};

impl Diagnostics {
    /// Users in two places at once.
    pub(crate) fn two_stores(&mut self, span: &Span, first: &Span) {
        self.error(
            "two-stores",
            span,
            "`login.users` names two places".to_owned(),
            "and here",
            "users are in one place: remove one of the two",
        );
        self.beside(first, "users are here");
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
}
