//! Prints `docs/gateway.schema.json`, for editors, from the same tables as the reference page.
//!
//! A schema says what can be read, not what makes sense: what the words mean together is judged by `lower`.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::raw::RawFile;
use super::raw_test::json_of;
use super::read::{FromToml as _, Key, Shape, Table};

/// The JSON Schema of `gateway.toml` (draft 2020-12), with a newline at the end.
pub fn document() -> String {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gateway.toml",
        "$comment": "Printed from src/config/raw. Change it there, then run: FRESHGATE_BLESS=1 cargo test config",
    });
    if let (Value::Object(all), Value::Object(file)) = (&mut schema, RawFile::schema()) {
        all.extend(file);
    }
    schema["description"] = "The configuration of freshgate.".into();
    format!("{schema:#}\n")
}

/// The schema of one table.
pub fn table(table: &Table) -> Value {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| is_required(key)).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": prose(table.docs),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// What may stand behind a key.
fn property(key: &Key) -> Value {
    let mut schema = (key.schema)();
    // Of a key that only opens a table, the table says more: its own words are "See …".
    let opens = !matches!(key.shape, Shape::Value | Shape::Lines);
    let docs = (key.table)().filter(|_| opens).map_or(key.docs, |table| table.docs);
    schema["description"] = prose(docs).into();
    if let Some(default) =
        key.default.and_then(|text| json_of(DeValue::parse(text).ok()?.get_ref()))
    {
        schema["default"] = default;
    }
    schema
}

/// A key is required if its documentation says so.
fn is_required(key: &Key) -> bool {
    key.docs.first().is_some_and(|line| line.trim_start().starts_with("Required."))
}

/// A doc comment as one paragraph.
fn prose(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
