//! The closed lists of words in `gateway.toml`, each word with its type in Rust. An unknown word is told
//! with the whole list.

use toml::de::DeValue;

use super::diagnostic::{Diagnostics, Span};
use super::macros::words;
use super::read::{FromToml, Spanned};
use crate::config::Profile;
use crate::telemetry::EventKind;
use crate::token::keys::Algorithm;

words! {
    /// The algorithm of a key.
    pub enum KeyAlg {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// RSASSA-PSS with SHA-384.
        Ps384 = "PS384",
        /// RSASSA-PSS with SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// ECDSA on P-521 with SHA-512.
        Es512 = "ES512",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

impl KeyAlg {
    /// The algorithm that the word names.
    pub fn algorithm(self) -> Algorithm {
        match self {
            KeyAlg::Hs256 => Algorithm::Hs256,
            KeyAlg::Hs384 => Algorithm::Hs384,
            KeyAlg::Hs512 => Algorithm::Hs512,
            KeyAlg::Rs256 => Algorithm::Rs256,
            KeyAlg::Rs384 => Algorithm::Rs384,
            KeyAlg::Rs512 => Algorithm::Rs512,
            KeyAlg::Ps256 => Algorithm::Ps256,
            KeyAlg::Ps384 => Algorithm::Ps384,
            KeyAlg::Ps512 => Algorithm::Ps512,
            KeyAlg::Es256 => Algorithm::Es256,
            KeyAlg::Es384 => Algorithm::Es384,
            KeyAlg::Es512 => Algorithm::Es512,
            KeyAlg::EdDsa => Algorithm::EdDsa,
        }
    }
}

words! {
    /// The policies.
    pub enum Policy {
        /// Everybody.
        Public = "public",
        /// Nobody in particular, or a good token.
        Optional = "optional",
        /// A good access token.
        Access = "access-required",
        /// A good access token from a recent credential check.
        Fresh = "fresh-required",
        /// A good refresh token.
        Refresh = "refresh-only",
        /// Nobody.
        Deny = "deny",
    }
}

words! {
    /// What happens to dot segments.
    pub enum DotSegments {
        /// 400.
        Refuse = "refuse",
        /// Removed before judging.
        Resolve = "resolve",
    }
}

words! {
    /// What happens to runs of slashes.
    pub enum DoubleSlash {
        /// 400.
        Refuse = "refuse",
        /// One slash.
        Merge = "merge",
    }
}

words! {
    /// What happens to a spelling that backends read in more than one way.
    pub enum Spelling {
        /// 400.
        Refuse = "refuse",
        /// Sent on as it is.
        Pass = "pass",
    }
}

words! {
    /// Whether a route's policy is enforced.
    pub enum Mode {
        /// It is.
        Enforce = "enforce",
        /// What it would refuse is told, and passes.
        Report = "report",
    }
}

words! {
    /// The kinds of tokens.
    pub enum Kind {
        /// An access token.
        Access = "access",
        /// A refresh token.
        Refresh = "refresh",
    }
}

words! {
    /// Where a token may be.
    pub enum Place {
        /// A header field.
        Header = "header",
        /// A cookie.
        Cookie = "cookie",
        /// A query parameter.
        Query = "query",
    }
}

/// Places of a token, in order. With one that cannot be read there is no list, so that the rest is not taken for it.
#[derive(Clone, Debug)]
pub struct Places(pub Vec<Spanned<Place>>);

impl FromToml for Places {
    fn type_name() -> String {
        Vec::<Spanned<Place>>::type_name()
    }

    fn schema() -> serde_json::Value {
        Vec::<Spanned<Place>>::schema()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Places> {
        let read = Vec::<Spanned<Place>>::read(value, span, at, out)?;
        let all = value.as_array().is_some_and(|array| array.len() == read.len());
        all.then_some(Places(read))
    }
}

words! {
    /// What happens to people's logins.
    pub enum EventWord {
        /// A session began.
        Login = "login",
        /// Something was refused.
        Failure = "failure",
        /// A password was not looked at.
        Throttle = "throttle",
        /// A session went on.
        Refresh = "refresh",
        /// A refresh token came back.
        Reuse = "reuse",
        /// The password again.
        StepUp = "step_up",
        /// A session was ended by who had it.
        Logout = "logout",
        /// Ended in another way.
        Revocation = "revocation",
    }
}

impl EventWord {
    /// The kind that the word names.
    pub fn kind(self) -> EventKind {
        match self {
            EventWord::Login => EventKind::Login,
            EventWord::Failure => EventKind::Failure,
            EventWord::Throttle => EventKind::Throttle,
            EventWord::Refresh => EventKind::Refresh,
            EventWord::Reuse => EventKind::Reuse,
            EventWord::StepUp => EventKind::StepUp,
            EventWord::Logout => EventKind::Logout,
            EventWord::Revocation => EventKind::Revocation,
        }
    }
}

words! {
    /// Whether the name of a login that failed is written down.
    pub enum NamesWord {
        /// As it was typed.
        Shown = "shown",
        /// As a keyed hash.
        Hashed = "hashed",
    }
}

words! {
    /// What a refresh does to the refresh token.
    pub enum RotationWord {
        /// Replaces it.
        On = "on",
        /// Leaves it.
        Off = "off",
    }
}

words! {
    /// Whose clients the answers are for.
    pub enum ProfileWord {
        /// Problem documents and challenges.
        Standard = "standard",
        /// Flask-JWT-Extended's.
        FlaskJwtExtended = "flask-jwt-extended",
    }
}

impl ProfileWord {
    /// The profile that the word names.
    pub fn profile(self) -> Profile {
        match self {
            ProfileWord::Standard => Profile::Standard,
            ProfileWord::FlaskJwtExtended => Profile::FlaskJwtExtended,
        }
    }
}

words! {
    /// How a login is sent to a backend.
    pub enum LoginFormatWord {
        /// As a web form.
        Form = "form",
        /// As a JSON object.
        Json = "json",
        /// In `Authorization`.
        Basic = "basic",
    }
}

words! {
    /// How a name is sent to a backend.
    pub enum NameSpelling {
        /// In its one spelling.
        Folded = "folded",
        /// As typed.
        Typed = "typed",
    }
}

words! {
    /// What of the login goes into cookies.
    pub enum CookiesWord {
        /// Nothing.
        Off = "off",
        /// The tokens, and the answers do not hold them.
        Only = "only",
        /// The tokens, and the answers hold them too.
        Both = "both",
    }
}

words! {
    /// How log lines look.
    pub enum Format {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// How the value of a column is read.
    pub enum ReadAs {
        /// As text.
        Text = "text",
        /// As a truth value.
        Boolean = "boolean",
        /// As JSON.
        Json = "json",
    }
}
