//! Values that have a form of their own: a reference to a secret, the URL of a database, claims and what is wanted of them.
//! A secret written into the file itself is refused, and hidden wherever its line is shown.

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};
use super::raw::RawClaimColumn;
use super::read::{Field, FromToml, Spanned};
use crate::token::Secret;

/// Where a secret is: never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `{ env = "NAME" }`
    Env(String),
    /// `{ file = "PATH" }`
    File(String),
}

/// A secret resolved from `{ env = "NAME" }` or `{ file = "PATH" }`, and where it came from, for messages.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The bytes; one newline at the end of a file is not part of them.
    pub secret: Secret,
    /// `env NAME` or `file PATH`.
    pub origin: String,
}

impl FromToml for SecretRef {
    fn type_name() -> String {
        "`{ env = \"NAME\" }` or `{ file = \"PATH\" }`".to_owned()
    }

    fn schema() -> Value {
        let one = |key: &str, pattern: &str| {
            json!({
                "type": "object",
                "properties": { key: { "type": "string", "pattern": pattern } },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json!({ "oneOf": [one("env", "^[A-Za-z_][A-Za-z0-9_]*$"), one("file", "^[^\\n\\u0000]+$")] })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<SecretRef> {
        let read = value.as_table().and_then(reference);
        if read.is_none() {
            // Whatever stands here may be the secret itself.
            out.hide(span);
            out.bad_secret_reference(span, at, value.is_str());
        }
        read
    }
}

fn reference(table: &DeTable<'_>) -> Option<SecretRef> {
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else { return None };
    let text = value.get_ref().as_str()?;
    match key.get_ref().as_ref() {
        "env" if is_variable_name(text) => Some(SecretRef::Env(text.to_owned())),
        "file" if !text.is_empty() && !text.contains(['\n', '\0']) => {
            Some(SecretRef::File(text.to_owned()))
        }
        _ => None,
    }
}

/// What no variable name looks like may be a secret that slipped in.
fn is_variable_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `{ roles = ["admin", "editor"], tenant = "{tenant}" }`, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimWants(pub Vec<(Spanned<String>, Vec<Spanned<Value>>)>);

impl FromToml for ClaimWants {
    fn type_name() -> String {
        "table of claims".to_owned()
    }

    fn schema() -> Value {
        let scalar = json!({ "type": ["string", "number", "boolean"] });
        let list = json!({ "type": "array", "items": scalar, "minItems": 1 });
        json!({ "type": "object", "additionalProperties": { "anyOf": [scalar, list] } })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<ClaimWants> {
        let wanted = "a table of claims such as { roles = \"admin\" }";
        let table = super::read::table(value, span, at, wanted, out)?;
        let claims = table.iter().map(|(key, value)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            let wanted = match value.get_ref() {
                DeValue::Array(list) => {
                    list.iter().filter_map(|one| scalar(one, &name.value, out)).collect()
                }
                _ => Vec::from_iter(scalar(value, &name.value, out)),
            };
            if value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
                out.no_wanted_values(&value.span(), &name.value);
            }
            (name, wanted)
        });
        Some(ClaimWants(claims.collect()))
    }
}

fn scalar(
    value: &toml::Spanned<DeValue<'_>>,
    claim: &str,
    out: &mut Diagnostics,
) -> Option<Spanned<Value>> {
    let read = match value.get_ref() {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from)
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok();
            number.and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    if read.is_none() {
        out.bad_wanted_value(&value.span(), claim, value.get_ref().type_str());
    }
    read.map(|read| Spanned { value: read, span: value.span() })
}

/// The URL of a database: where it is, or, if it has no password, itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// Without a password.
    Plain(String),
    /// Elsewhere.
    Secret(SecretRef),
}

impl FromToml for DatabaseUrl {
    fn type_name() -> String {
        format!("{}, or text", SecretRef::type_name())
    }

    fn schema() -> Value {
        json!({ "anyOf": [SecretRef::schema(), { "type": "string", "pattern": "^(sqlite:|[a-z]+://[^:@/]*(@|$))" }] })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<DatabaseUrl> {
        let Some(text) = value.as_str() else {
            return SecretRef::read(value, span, at, out).map(DatabaseUrl::Secret);
        };
        let login = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        let has_password = login.is_some_and(|(login, _)| login.contains(':'));
        if has_password || text.to_ascii_lowercase().contains("password=") {
            out.password_in_url(span, at);
            return None;
        }
        Some(DatabaseUrl::Plain(text.to_owned()))
    }
}

/// One name or a list of names, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMore(pub Vec<String>);

impl FromToml for OneOrMore {
    fn type_name() -> String {
        "text, or list of text".to_owned()
    }

    fn schema() -> Value {
        let one = json!({ "type": "string", "minLength": 1 });
        json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        let texts = match value {
            DeValue::Array(list) => {
                list.iter().map(|one| one.get_ref().as_str().map(str::to_owned)).collect()
            }
            other => other.as_str().map(|text| vec![text.to_owned()]),
        };
        let texts: Option<Vec<String>> = texts;
        let good = texts.filter(|all| !all.is_empty() && all.iter().all(|one| !one.is_empty()));
        if good.is_none() {
            out.wrong_type(span, at, "a name, or a list of names", value.type_str());
        }
        good.map(OneOrMore)
    }
}

/// `{ email = "email", roles = { column = "groups", split = "," } }`, as written.
#[derive(Clone, Debug, Default)]
pub struct ClaimColumns(pub Vec<(Spanned<String>, Spanned<RawClaimColumn>)>);

impl FromToml for ClaimColumns {
    fn type_name() -> String {
        "table of columns".to_owned()
    }

    fn schema() -> Value {
        let one = json!({ "anyOf": [{ "type": "string" }, RawClaimColumn::schema()] });
        json!({ "type": "object", "additionalProperties": one })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        let wanted = "a table of claims and their columns, such as { email = \"email\" }";
        let table = super::read::table(value, span, at, wanted, out)?;
        let claims = table.iter().filter_map(|(key, value)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            let (here, at) = (value.span(), super::read::join(at, &name.value));
            let column = match value.get_ref() {
                DeValue::String(text) => {
                    let column =
                        Field::Here(Spanned { value: text.to_string(), span: here.clone() });
                    Some(RawClaimColumn { column, ..RawClaimColumn::default() })
                }
                other => RawClaimColumn::read(other, &here, &at, out),
            };
            column.map(|column| (name, Spanned { value: column, span: here }))
        });
        Some(ClaimColumns(claims.collect()))
    }
}
