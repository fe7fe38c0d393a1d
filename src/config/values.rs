//! How single values are read: texts, flags, numbers, durations and sizes. Every duration and size has a unit.

use std::time::Duration;

use serde_json::{Value, json};
use toml::de::DeValue;

use super::diagnostic::{Diagnostics, Span};
use super::read::FromToml;

impl FromToml for String {
    fn type_name() -> String {
        "text".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "string" })
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

    fn schema() -> Value {
        json!({ "type": "boolean" })
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

    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
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

    fn schema() -> Value {
        MaybeZero::schema()
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

    fn schema() -> Value {
        json!({ "type": "string", "pattern": DURATION_PATTERN })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<MaybeZero> {
        match value {
            DeValue::String(text) => match humantime::parse_duration(text) {
                Ok(_) if let Some(unit) = calendar_unit(text) => {
                    out.calendar_unit(span, at, text, &unit);
                    None
                }
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

    fn schema() -> Value {
        json!({ "type": "string", "pattern": SIZE_PATTERN })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Size> {
        match value {
            DeValue::String(text)
                if text.trim().bytes().all(|b| b.is_ascii_digit() || b == b'.') =>
            {
                out.missing_unit(span, at, "B");
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
                out.missing_unit(span, at, "B");
                None
            }
            other => {
                out.wrong_type(span, at, "a size such as \"1MiB\"", other.type_str());
                None
            }
        }
    }
}

/// Where a month or a year stands in a duration. `humantime` reads them, but nobody agrees how long they are, and
/// `"5M"` for five minutes would be five months: a `max_age` that never ends.
fn calendar_unit(text: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    for word in text.split(|c: char| !c.is_alphabetic()) {
        let here = from..from + word.len();
        from = text[here.end..].chars().next().map_or(here.end, |c| here.end + c.len_utf8());
        if word == "M" || word.starts_with("month") || word.starts_with('y') {
            return Some(here);
        }
    }
    None
}

/// Numbers, each with its unit: what `humantime` reads, without months and years.
const DURATION_PATTERN: &str = "^\\s*([0-9]+(\\.[0-9]+)?\\s*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w)\\s*)+$";
/// A number and its unit, in any case: what `bytesize` reads.
const SIZE_PATTERN: &str = "^\\s*[0-9]+(\\.[0-9]*)?\\s*([bB]|[kKmMgGtTpPeE][iI]?[bB]?)\\s*$";
