//! `[login.users] backend`: the legacy application's own login.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Named, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::words::{LoginFormatWord, NameSpelling};

section! {
    /// The login of the legacy application checks the password: the gateway sends it what the person typed, and tells by the answer
    /// whether it was right. The gateway throttles guesses before it asks. See [users-backend.md](users-backend.md).
    pub struct RawBackendUsers {
        /// The name of the upstream whose login it is. Without it, `default`, or the only one there is.
        upstream: String,
        /// Required. The path that takes the login, as the application's own form or client has it; a query may follow.
        post: String,
        /// How name and password are sent: `"form"` as a web form does, `"json"` as one flat object, `"basic"` in the field
        /// `Authorization` (RFC 7617), with an empty body.
        format: LoginFormatWord = "form",
        /// The field of the name.
        username: String = "username",
        /// The field of the password.
        password: String = "password",
        /// Fields that are sent besides, as they are: `{ do = "login", remember = "1" }`.
        fields: Named<String> => "{}",
        /// Header fields that are sent besides: `{ X-Requested-With = "XMLHttpRequest" }`.
        headers: Named<String> => "{}",
        /// The name that is sent: `"folded"` is lower case, trimmed and without what nobody sees, so that one person is one name,
        /// however it is typed. `"typed"` is for applications that tell `Anna` from `anna`.
        spelling: NameSpelling = "folded",
        /// Required. What the answer to a right password looks like.
        success: RawSuccess,
        /// Where a JSON answer says who it is, such as `"user.id"`: the `sub` of the tokens. Without it, the name that was sent.
        subject: String,
        /// Claims from a JSON answer: `{ roles = "user.roles" }`. They stay as they are until the next login.
        claims: Named<String> => "{}",
        /// Cookies of the answer, by name, that the gateway keeps and sends with this user's requests to that upstream, so that the
        /// application knows its user without a second login. `"wp_*"` is every cookie that begins so. The client never gets them.
        keep_cookies: Vec<Spanned<String>> => "[]",
        /// The longest that a check may take; after that the client gets a 503.
        timeout: Duration = "10s",
    }
}

section! {
    /// All conditions that are given must hold. An answer that is an error of the application (5xx, 404, 405, 408, 410, 415, 429) is never a wrong
    /// password: the client gets a 503, and the log says why.
    pub struct RawSuccess {
        /// One of these statuses, such as `[200]`. Without it, any below 400.
        status: Vec<Spanned<usize>>,
        /// This header field is there and not empty.
        header: String,
        /// A cookie of this name is set; `"wp_*"` is every cookie that begins so.
        cookie: String,
        /// A JSON body has this field, and it is neither `null`, `false`, `0` nor empty: `"user.id"`.
        json: String,
        /// The answer is a redirect on the same site, and not to this path or below it: `"/login"`.
        redirect_not_to: String,
    }
}
