//! What `[[test]]` says: a request, who asks, and what must become of it. The doc comments are the reference page.
//!
//! Nothing is judged here; `lower` reads the request, `gateway::selftest` asks.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};
use super::macros::section;
use super::raw::home;
use super::read::{
    Field, FromToml, Key, Named, Shape, Spanned, Table, field, join, plain, table, written,
};
use super::values::MaybeZero;
use super::words::Kind;
use crate::policy::Refusal;

section! {
    /// A request and what must become of it. `freshgate check` asks every one and fails when the answer is another, so a slip
    /// in a route is found before it serves. The same code judges as for a live request.
    pub struct RawTest {
        /// Required. A method and a path, or a URL whose host then counts: `"POST /account/password"`,
        /// `"GET http://app.example.org/"`.
        request: String,
        /// See `[test.as]`. Without it nobody in particular asks.
        r#as: RawAs,
        /// Required. `"pass"`, or the code of the refusal, such as `"token-not-fresh"`.
        expect: Expect,
        /// More header fields of the request: `headers = { Origin = "https://app.example.org" }`.
        headers: Named<String> => "{}",
        /// The name of the upstream that must get the request.
        upstream: String,
        /// The path that the backend must get, after `rewrite`.
        path: String,
    }
}

section! {
    /// Who asks: `as = { sub = "u1", fresh = false, claims = { roles = ["admin"] } }` in a `[[test]]`. It stands for a good token
    /// that says this, where the route looks first; `as = {}` is a fresh access token of somebody.
    pub struct RawAs {
        /// The user.
        sub: String = "someone",
        /// `"access"` or `"refresh"`.
        r#type: Kind = "access",
        /// Whether the token comes from a password.
        fresh: bool = true,
        /// How long ago the password was checked.
        auth_age: MaybeZero = "0s",
        /// What the token says besides, such as roles.
        claims: FreeClaims,
    }
}

/// `"pass"`, or the code of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect(pub &'static str);

impl Expect {
    /// The word for a request that passes.
    pub const PASS: &'static str = "pass";

    /// Every word, each once.
    fn words() -> Vec<&'static str> {
        let mut words = vec![Expect::PASS];
        for code in Refusal::CODES {
            if !words.contains(&code) {
                words.push(code);
            }
        }
        words
    }
}

impl FromToml for Expect {
    fn type_name() -> String {
        "`\"pass\"` or the code of a refusal".to_owned()
    }

    fn schema() -> Value {
        json!({ "enum": Expect::words() })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Expect> {
        let Some(text) = value.as_str() else {
            out.wrong_type(span, at, "\"pass\" or the code of a refusal", value.type_str());
            return None;
        };
        let words = Expect::words();
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            out.unknown_word(span, at, text, &words);
        }
        found.map(|word| Expect(word))
    }
}

/// Claims with any value that JSON has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FreeClaims(pub Vec<(Spanned<String>, Value)>);

impl FromToml for FreeClaims {
    fn type_name() -> String {
        "table".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "object" })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<FreeClaims> {
        let wanted = "a table of claims such as { roles = [\"admin\"] }";
        let table = table(value, span, at, wanted, out)?;
        let mut claims = Vec::new();
        for (key, value) in table.iter() {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            match json_of(value.get_ref()) {
                Some(json) => claims.push((name, json)),
                None => {
                    let at = join(at, &name.value);
                    out.wrong_type(&value.span(), &at, "a value that JSON has", "date");
                }
            }
        }
        Some(FreeClaims(claims))
    }
}

/// A TOML value as JSON; `None` where there is a date or a number that JSON does not have.
pub fn json_of(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => {
            Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => {
            Value::Number(serde_json::Number::from_f64(number.as_str().parse().ok()?)?)
        }
        DeValue::Datetime(_) => return None,
        DeValue::Array(list) => {
            Value::Array(list.iter().map(|one| json_of(one.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            let members = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json_of(value.get_ref())?)));
            Value::Object(members.collect::<Option<Map<_, _>>>()?)
        }
    })
}
