//! How one table of `gateway.toml` is read: every wrong type and every unknown key is reported, and reading goes on.
//!
//! `section!` makes three things of one list of keys: the struct, its reader, and the [`Table`] that the
//! documentation is printed from. Nothing here knows what a key means; `lower` does.

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};
use super::raw::is_for_the_top;

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What it says.
    pub value: T,
    /// Where: a byte range of the file; `0..0` for a default.
    pub span: Span,
}

/// One key of a table.
#[derive(Clone, Debug, Default)]
pub enum Field<T> {
    /// The file does not have it.
    #[default]
    Missing,
    /// The file has it, it could not be read, and that was reported.
    Broken,
    /// The file has it.
    Here(Spanned<T>),
}

impl<T> Field<T> {
    /// The value, if the file has a readable one.
    pub fn get(&self) -> Option<&Spanned<T>> {
        match self {
            Field::Here(value) => Some(value),
            Field::Missing | Field::Broken => None,
        }
    }

    /// Whether the file does not have the key at all.
    pub fn is_missing(&self) -> bool {
        matches!(self, Field::Missing)
    }
}

impl Field<String> {
    /// This text, where the file does not have the key.
    pub fn or(self, text: &str) -> Field<String> {
        match self {
            Field::Missing => Field::Here(Spanned { value: text.to_owned(), span: 0..0 }),
            there => there,
        }
    }
}

impl<T: FromToml + Clone> Field<T> {
    /// The value, or the default of the table, given as TOML.
    pub fn or_default(&self, default: &'static str) -> Spanned<T> {
        self.get().cloned().unwrap_or_else(|| {
            let value = DeValue::parse(default).expect("a test reads every default");
            let mut nobody = Diagnostics::new("default", default);
            let value = T::read(value.get_ref(), &(0..0), "", &mut nobody);
            Spanned { value: value.expect("a test reads every default"), span: 0..0 }
        })
    }
}

/// What the documentation says of one table.
#[derive(Debug)]
pub struct Table {
    /// Its doc comment, line by line.
    pub docs: &'static [&'static str],
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// What the documentation says of one key.
#[derive(Debug)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What the value may be.
    pub type_name: fn() -> String,
    /// The value it has when the file does not name it, as TOML.
    pub default: Option<&'static str>,
    /// Its doc comment, line by line.
    pub docs: &'static [&'static str],
    /// How it is written.
    pub shape: Shape,
    /// The table it opens.
    pub table: fn() -> Option<&'static Table>,
    /// The JSON Schema of its value.
    pub schema: fn() -> Value,
}

/// The name of a key in the file; `r#as` is the Rust spelling of `as`.
pub const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// The reverse of [`plain`], for the keys that are words of Rust.
pub fn written(key: &str) -> &str {
    match key {
        "as" => "r#as",
        "type" => "r#type",
        key if key.starts_with("r#") => "",
        key => key,
    }
}

/// How a key is written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `key = value`
    Value,
    /// `[key]`
    Section,
    /// `[[key]]`
    Many,
    /// `[key.NAME]`
    Named,
    /// `[key]` with lines whose left side is free.
    Lines,
}

/// A value that can be read from the file.
pub trait FromToml: Sized {
    /// How it is written.
    const SHAPE: Shape = Shape::Value;
    /// What a free key in front of it looks like, as a regular expression.
    const NAME_PATTERN: Option<&'static str> = None;

    /// What it may be, for the documentation and for messages.
    fn type_name() -> String;

    /// Its keys, where it is a table.
    fn table() -> Option<&'static Table> {
        None
    }

    /// The JSON Schema of what can be read.
    fn schema() -> Value;

    /// Reads it; what is wrong goes to `out`, and then the answer is `None`. `at` is its dotted key.
    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self>;
}

/// Reads the value of one key.
pub fn field<T: FromToml>(
    value: &toml::Spanned<DeValue<'_>>,
    at: &str,
    out: &mut Diagnostics,
) -> Field<T> {
    let span = value.span();
    match T::read(value.get_ref(), &span, at, out) {
        Some(value) => Field::Here(Spanned { value, span }),
        None => Field::Broken,
    }
}

/// The table in `value`, or a report that there is none.
pub fn table<'t, 'i>(
    value: &'t DeValue<'i>,
    span: &Span,
    at: &str,
    wanted: &str,
    out: &mut Diagnostics,
) -> Option<&'t DeTable<'i>> {
    let table = value.as_table();
    if table.is_none() {
        out.wrong_type(span, at, wanted, value.type_str());
    }
    table
}

/// The dotted name of `key` inside `at`.
pub fn join(at: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let key = if bare { key.to_owned() } else { format!("\"{key}\"") };
    if at.is_empty() { key } else { format!("{at}.{key}") }
}

/// A list. A single value is not a list.
impl<T: FromToml> FromToml for Vec<Spanned<T>> {
    fn type_name() -> String {
        format!("list of {}", T::type_name())
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        let Some(array) = value.as_array() else {
            out.wrong_type(span, at, "a list in brackets, such as [\"…\"]", value.type_str());
            return None;
        };
        let elements = array.iter().filter_map(|one| {
            let span = one.span();
            T::read(one.get_ref(), &span, at, out).map(|value| Spanned { value, span })
        });
        Some(elements.collect())
    }
}

/// `[[key]]`: any number of the same table.
#[derive(Clone, Debug, Default)]
pub struct Many<T>(pub Vec<Spanned<T>>);

impl<T: FromToml> FromToml for Many<T> {
    const SHAPE: Shape = Shape::Many;

    fn type_name() -> String {
        "tables".to_owned()
    }

    fn schema() -> Value {
        Vec::<Spanned<T>>::schema()
    }

    fn table() -> Option<&'static Table> {
        T::table()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        if value.is_table() {
            out.one_table_for_many(span, at);
            return None;
        }
        Vec::read(value, span, at, out).map(Many)
    }
}

/// A table whose keys are free.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(Spanned<String>, Field<T>)>);

impl<T: FromToml> FromToml for Named<T> {
    const SHAPE: Shape =
        if matches!(T::SHAPE, Shape::Section) { Shape::Named } else { Shape::Lines };

    fn type_name() -> String {
        "table".to_owned()
    }

    fn schema() -> Value {
        let mut schema = json!({ "type": "object", "additionalProperties": T::schema() });
        if let Some(pattern) = T::NAME_PATTERN {
            schema["propertyNames"] = json!({ "pattern": pattern });
        }
        schema
    }

    fn table() -> Option<&'static Table> {
        T::table()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        let table = table(value, span, at, &format!("a table: [{at}]"), out)?;
        let lines = table.iter().filter_map(|(key, value)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            // Any key is a line here, so that one from the top of the file, written below a `[table]`, would
            // silently become a header or a pattern.
            if matches!(Self::SHAPE, Shape::Lines) && is_for_the_top(&name.value) {
                out.unknown_key(&name.span, &name.value, at, Vec::new(), Some(String::new()));
                return None;
            }
            let read = field(value, &join(at, &name.value), out);
            Some((name, read))
        });
        Some(Named(lines.collect()))
    }
}
