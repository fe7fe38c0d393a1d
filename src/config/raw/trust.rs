//! Whose tokens are believed: `[[tokens.key]]` is ours, `[[tokens.trust]]` another issuer.

use std::time::Duration;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::secret::SecretRef;
use crate::config::words::KeyAlg;
use crate::token::trust::ClaimPath;

section! {
    /// A key that checks tokens. The first that can sign signs ours. Without any, the keys are those of the key folder in
    /// the state directory, where the gateway makes an ES256 key on its first run and `freshgate key` rotates them
    /// (`docs/keys.md`); with one, that folder is not read. A secret is never written into this file: it is
    /// `{ env = "NAME" }`, an environment variable, or `{ file = "PATH" }`, a file that only its owner can read
    /// (`chmod 600`). One newline at the end of such a file is not part of the secret.
    pub struct RawKey {
        /// Required. Its name: the `kid` of the tokens it signs.
        id: String,
        /// Required. The one algorithm that the key is for.
        alg: KeyAlg,
        /// For HS256, HS384 and HS512: the shared secret, at least 32, 48 or 64 bytes, or a JWK. It signs and checks, so every backend
        /// that has it can mint tokens.
        secret: SecretRef,
        /// For all others: a private key in PEM (PKCS#8, PKCS#1 or SEC1) or JWK. It signs and checks.
        private: SecretRef,
        /// For all others: a public key in PEM or JWK. It only checks.
        public: SecretRef,
    }
}

section! {
    /// Another issuer whose access tokens are accepted: Keycloak, Auth0, Entra ID and their kind. Which issuer a token is judged by is
    /// said by its `iss`; key, algorithm, `iss`, `aud` and times are then checked against that issuer alone. What is
    /// not named in `claims` does not come through. The endpoints take such a token at `me` and `logout` only: no
    /// password of ours belongs to it. See [issuers.md](issuers.md).
    pub struct RawTrust {
        /// Required. The `iss` of its tokens, character by character: `"https://login.example.org/realms/main"`.
        issuer: String,
        /// Required. A text or a list of texts, one of which must be among the `aud` of a token: what the issuer calls
        /// this gateway, or the application behind it. Never a client id that ID tokens are made for.
        audience: Texts,
        /// Required. What its keys may be for: `["RS256"]`. Keys for anything else are not used. HS256 and its kind cannot be
        /// listed: who can check them can mint.
        algorithms: Vec<Spanned<KeyAlg>>,
        /// A file with its public keys: a JWK set, a JWK, or one key in PEM. This or `jwks`. The file is read at the
        /// start, by SIGHUP and by `POST /reload`.
        keys: String,
        /// The URL of its public keys (JWK set), fetched in the background: `"https://login.example.org/keys"`. This or `keys`. `http://` only
        /// for an address that is listed in `allow_private`.
        jwks: String,
        /// Networks (`"10.0.0.0/8"`) or addresses that are not on the public internet and to which the URL may lead all
        /// the same. Without it an address on loopback, in a private network or link-local is refused, whatever name led there.
        allow_private: Vec<Spanned<String>> => "[]",
        /// A file with certificates in PEM that are believed besides the system's when keys are fetched.
        ca: String,
        /// How often the keys are fetched again.
        refresh: Duration = "10m",
        /// A token that names a key which is not known makes the gateway look for new ones, at most once in this time.
        refetch_min: Duration = "30s",
        /// How long keys are used that cannot be fetched again. After that no token of the issuer is good.
        stale_max: Duration = "24h",
        /// Required. What stands in front of its subjects, so that nobody there is taken for somebody here: `"corp:"` makes `corp:ada` of its `ada`.
        /// No other issuer, and no user of this gateway, can have a subject that begins with it. `""` says that its names
        /// mean the same people as yours; a list of users at both then is one list.
        subject_prefix: String,
        /// Each line is a claim of ours and where it is in their tokens: `{ sub = "preferred_username", roles = "realm_access.roles" }`.
        /// Names of members between dots; a list of names where a name has dots: `roles = ["https://example.org/roles"]`. `sub` is their `sub` if it is
        /// not named.
        claims: ClaimPaths => "{}",
        /// Where they say when the password was checked, written as in `claims`: mostly `"auth_time"`. `"never"`: none of their tokens is ever fresh.
        auth_time: Path => "\"never\"",
        /// With `auth_time`: how long after that their tokens are fresh. A route's `max_age` can ask for less.
        fresh_for: Duration = "15m",
    }
}

/// A text, or a list of them.
#[derive(Clone, Debug)]
pub struct Texts(pub Vec<Spanned<String>>);

impl FromToml for Texts {
    fn type_name() -> String {
        "text or list of text".to_owned()
    }

    fn schema() -> Value {
        json!({ "anyOf": [String::schema(), Vec::<Spanned<String>>::schema()] })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Texts> {
        if let Some(text) = value.as_str() {
            return Some(Texts(vec![Spanned { value: text.to_owned(), span: span.clone() }]));
        }
        let read = Vec::<Spanned<String>>::read(value, span, at, out)?;
        // Of a list with a mistake in it the rest is not taken for the whole.
        let all = value.as_array().is_some_and(|array| array.len() == read.len());
        all.then_some(Texts(read))
    }
}

/// Where a claim is: `"a.b"` or `["a", "b"]`; or the word `"never"`, which `lower` understands.
#[derive(Clone, Debug, PartialEq)]
pub struct Path(pub ClaimPath);

impl FromToml for Path {
    fn type_name() -> String {
        "path of a claim".to_owned()
    }

    fn schema() -> Value {
        let name = json!({ "type": "string", "minLength": 1 });
        json!({ "anyOf": [name, { "type": "array", "items": name, "minItems": 1 }] })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Path> {
        let path = match value {
            DeValue::String(text) => ClaimPath::dotted(text),
            _ => {
                let names = Texts::read(value, span, at, out)?.0;
                ClaimPath::of(names.into_iter().map(|name| name.value).collect())
            }
        };
        if path.is_none() {
            out.bad_claim_path(span, at);
        }
        path.map(Path)
    }
}

/// `{ roles = "realm_access.roles" }`, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimPaths(pub Vec<(Spanned<String>, Path)>);

impl FromToml for ClaimPaths {
    fn type_name() -> String {
        "table of claims".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": Path::schema() })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<ClaimPaths> {
        let wanted = "a table of claims such as { roles = \"realm_access.roles\" }";
        let table = table(value, span, at, wanted, out)?;
        let lines = table.iter().filter_map(|(key, value)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            let at = join(at, &name.value);
            Some((name, Path::read(value.get_ref(), &value.span(), &at, out)?))
        });
        Some(ClaimPaths(lines.collect()))
    }
}
