//! How one table of `gateway.toml` is read: every wrong type and every unknown key is reported, and reading goes on.
//!
//! `section!` makes three things of one list of keys: the struct, its reader, and the [`Table`] that the
//! documentation is printed from. Nothing here knows what a key means; `lower` does.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What it says.
    pub value: T,
    /// Where: a byte range of the file; `0..0` for a default.
    pub span: Span,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub enum Field<T> {
    /// The file does not have it.
    Missing,
    /// The file has it, it could not be read, and that was reported.
    Broken,
    /// The file has it.
    Here(Spanned<T>),
}

impl<T> Default for Field<T> {
    fn default() -> Field<T> {
        Field::Missing
    }
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

    /// What it may be, for the documentation and for messages.
    fn type_name() -> String;

    /// Its keys, where it is a table.
    fn table() -> Option<&'static Table> {
        None
    }

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

impl FromToml for String {
    fn type_name() -> String {
        "text".to_owned()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<String> {
        let text = value.as_str();
        if text.is_none() {
            out.wrong_type(span, at, "text in quotes", value.type_str());
        }
        text.map(str::to_owned)
    }
}

impl FromToml for bool {
    fn type_name() -> String {
        "`true` or `false`".to_owned()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<bool> {
        let flag = value.as_bool();
        if flag.is_none() {
            out.wrong_type(span, at, "`true` or `false`, without quotes", value.type_str());
        }
        flag
    }
}

impl FromToml for usize {
    fn type_name() -> String {
        "number".to_owned()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<usize> {
        let Some(number) = value.as_integer() else {
            out.wrong_type(span, at, "a whole number, without quotes", value.type_str());
            return None;
        };
        // Half the range keeps sums of limits from overflowing.
        let read = u32::from_str_radix(number.as_str(), number.radix()).ok();
        if read.is_none() {
            out.number_out_of_range(span, at);
        }
        read.map(|number| number as usize)
    }
}

/// A span of time that is not zero.
impl FromToml for Duration {
    fn type_name() -> String {
        "duration".to_owned()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Duration> {
        let MaybeZero(duration) = MaybeZero::read(value, span, at, out)?;
        if duration.is_zero() {
            out.zero_duration(span, at);
            return None;
        }
        Some(duration)
    }
}

/// A span of time that may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaybeZero(pub Duration);

/// No span of time in the file is longer: sums of them and dates stay in range.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

impl FromToml for MaybeZero {
    fn type_name() -> String {
        "duration".to_owned()
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<MaybeZero> {
        match value {
            DeValue::String(text) => match humantime::parse_duration(text) {
                Ok(duration) if duration > DURATION_MAX => {
                    out.duration_too_long(span, at);
                    None
                }
                Ok(duration) => Some(MaybeZero(duration)),
                Err(fault) => {
                    out.bad_duration(span, at, text, &fault);
                    None
                }
            },
            DeValue::Integer(_) | DeValue::Float(_) => {
                out.missing_unit(span, at, "s");
                None
            }
            other => {
                out.wrong_type(span, at, "a duration such as \"15s\"", other.type_str());
                None
            }
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromToml for Size {
    fn type_name() -> String {
        "size".to_owned()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Size> {
        match value {
            DeValue::String(text)
                if text.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.') =>
            {
                out.missing_unit(span, at, "KiB");
                None
            }
            DeValue::String(text) => {
                let size = text.trim().parse::<bytesize::ByteSize>().ok();
                if size.is_none() {
                    out.bad_size(span, at, text);
                }
                size.map(|size| Size(size.as_u64()))
            }
            DeValue::Integer(_) | DeValue::Float(_) => {
                out.missing_unit(span, at, "KiB");
                None
            }
            other => {
                out.wrong_type(span, at, "a size such as \"1MiB\"", other.type_str());
                None
            }
        }
    }
}

/// A list. A single value is not a list.
impl<T: FromToml> FromToml for Vec<Spanned<T>> {
    fn type_name() -> String {
        format!("list of {}", T::type_name())
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

    fn table() -> Option<&'static Table> {
        T::table()
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
        let table = table(value, span, at, "a table", out)?;
        let lines = table.iter().map(|(key, value)| {
            let name = Spanned { value: key.get_ref().to_string(), span: key.span() };
            let read = field(value, &join(at, &name.value), out);
            (name, read)
        });
        Some(Named(lines.collect()))
    }
}
