//! The words for what is wrong with the file as such, its keys and its values: one method for each mistake.

use super::{Diagnostic, Diagnostics, Label, SYNTAX, Severity, Span, nearest};

impl Diagnostics {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: &Span,
        title: String,
        label: &str,
        help: &str,
    ) {
        let primary = Some(Label { span: span.clone(), text: label.to_owned() });
        let help = (!help.is_empty()).then(|| help.to_owned());
        let severity = Severity::Error;
        self.push(Diagnostic { severity, code, title, primary, second: None, help });
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        span: Option<&Span>,
        title: String,
        label: &str,
        help: &str,
    ) {
        let primary = span.map(|span| Label { span: span.clone(), text: label.to_owned() });
        let help = Some(help.to_owned());
        self.push(Diagnostic {
            severity: Severity::Warning,
            code,
            title,
            primary,
            second: None,
            help,
        });
    }

    /// Adds the other place to the mistake that was just reported.
    pub(super) fn beside(&mut self, span: &Span, label: &str) {
        if self.last_dropped {
            return;
        }
        if let Some(last) = self.list.last_mut() {
            last.second = Some(Label { span: span.clone(), text: label.to_owned() });
        }
    }

    // The file.

    /// The file cannot be read at all.
    pub fn unreadable_file(&mut self, why: &str, help: &str) {
        self.push(Diagnostic {
            severity: Severity::Error,
            code: "unreadable-file",
            title: why.to_owned(),
            primary: None,
            second: None,
            help: Some(help.to_owned()),
        });
    }

    /// The users file that it names has mistakes of its own, each with its line.
    pub fn unusable_users(&mut self, why: &str) {
        self.push(Diagnostic {
            severity: Severity::Error,
            code: "unusable-users",
            title: why.to_owned(),
            primary: None,
            second: None,
            help: Some("the gateway would not start with these users".to_owned()),
        });
    }

    /// It is not TOML.
    pub(crate) fn syntax(&mut self, span: &Span, what: &str) {
        let help = if what.contains("string values must be quoted") {
            "put the value in quotes: key = \"value\""
        } else if what.contains("unquoted key") || what.contains("key with no value") {
            "a line is `key = value`; a key with other characters than letters, digits, `-` and `_`, such as a route, is written in quotes"
        } else if ["float", "integer", "number", "date", "zero", "sign"]
            .iter()
            .any(|kind| what.contains(kind))
        {
            "if this is text, put it in quotes: key = \"value\""
        } else if ["unclosed", "missing", "string"].iter().any(|kind| what.contains(kind)) {
            "every quote, bracket and brace that is opened must be closed, and `=` stands between a key and its value"
        } else {
            "see https://toml.io for how values are written"
        };
        self.error(SYNTAX, span, format!("not valid TOML: {what}"), "here", help);
    }

    /// A key or table that is there twice.
    pub(crate) fn duplicate(&mut self, span: &Span, key: &str, first: Option<Span>) {
        self.error(
            "duplicate-key",
            span,
            format!("`{key}` is given twice"),
            "given again here",
            "keep one of the two",
        );
        if let Some(first) = first {
            self.beside(&first, "first given here");
        }
    }

    // Keys and types.

    /// A key that no table knows.
    pub(crate) fn unknown_key(
        &mut self,
        span: &Span,
        key: &str,
        at: &str,
        known: Vec<&str>,
        home: Option<String>,
    ) {
        if at == "tokens.key" {
            // The value of a mistyped `secret` is a secret.
            let rest = self.text.get(span.end..).unwrap_or_default();
            let value = rest.find('=').map_or(0, |at| at + 1);
            let end = rest.find('\n').unwrap_or(rest.len()).max(value);
            self.hide(&(span.end + value..span.end + end));
        }
        if self.is_full() {
            // No "did you mean" for a million of them.
            return self.error("unknown-key", span, String::new(), "", "");
        }
        let place =
            if at.is_empty() { "at the top of the file".to_owned() } else { format!("in `{at}`") };
        let help = match (nearest(key, known.iter().copied()), home) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, Some(home)) if home.is_empty() => {
                format!("`{key}` belongs at the top of the file, before the first `[table]`")
            }
            (None, Some(home)) => format!("`{key}` belongs in `{home}`"),
            (None, None) => format!("the keys here are {}", listed(&known)),
        };
        self.error(
            "unknown-key",
            span,
            format!("unknown key `{key}` {place}"),
            "not a key that freshgate knows",
            &help,
        );
    }

    /// A number where a text should be, and the like.
    pub(crate) fn wrong_type(&mut self, span: &Span, at: &str, wanted: &str, found: &str) {
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        let help = match (at, found) {
            ("upstream", "table") => "did you mean `[upstreams.NAME]`, with an `s`?".to_owned(),
            _ => format!("write {wanted}"),
        };
        self.error(
            "wrong-type",
            span,
            format!("`{at}` cannot be {article} {found}"),
            &format!("this is {article} {found}"),
            &help,
        );
    }

    /// `[tokens.key]` instead of `[[tokens.key]]`.
    pub(crate) fn one_table_for_many(&mut self, span: &Span, at: &str) {
        let help = format!("there can be several: write `[[{at}]]`, with two brackets");
        self.error(
            "wrong-type",
            span,
            format!("`{at}` is a list of tables"),
            "one pair of brackets",
            &help,
        );
    }

    /// A word outside a closed list.
    pub(crate) fn unknown_word(&mut self, span: &Span, at: &str, found: &str, known: &[&str]) {
        let is_policy = known.contains(&"fresh-required");
        let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        let all = quoted.join(", ");
        // A near name is not what is meant: RS256 is another algorithm than ES256.
        let algorithms = known.contains(&"ES256") && !known.contains(&&*found.to_uppercase());
        let help = match nearest(found, known.iter().copied()) {
            _ if algorithms => {
                format!("write {}: others are not supported yet", quoted.join(" or "))
            }
            Some(meant) if known.len() > LISTED_MAX => format!("did you mean \"{meant}\"?"),
            Some(meant) => format!("did you mean \"{meant}\"? The choices are {all}"),
            None => format!("write one of {all}"),
        };
        let (code, title) = if is_policy {
            ("unknown-policy", format!("unknown policy `{found}`"))
        } else {
            ("unknown-word", format!("`{at}` cannot be `{found}`"))
        };
        self.error(code, span, title, "not one of the choices", &help);
    }

    /// A required key that is not there.
    pub(crate) fn missing_key(&mut self, span: &Span, at: &str, key: &str, example: &str) {
        self.error(
            "missing-key",
            span,
            format!("`{at}` has no `{key}`"),
            "in here",
            &format!("add {example}"),
        );
    }

    /// A number that is out of any sensible range.
    pub(crate) fn number_out_of_range(&mut self, span: &Span, at: &str) {
        self.error(
            "out-of-range",
            span,
            format!("`{at}` is out of range"),
            "this number",
            &format!("write a number from 0 to {}", u32::MAX),
        );
    }

    /// A limit outside of what can work.
    pub(crate) fn limit_out_of_range(&mut self, span: &Span, at: &str, why: &str, help: &str) {
        self.error("out-of-range", span, format!("`{at}` {why}"), "this limit", help);
    }

    // Durations and sizes.

    /// A bare number.
    pub(crate) fn missing_unit(&mut self, span: &Span, at: &str, unit: &str) {
        let source = self.text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
        let (what, units) =
            if unit == "s" { ("duration", DURATION_UNITS) } else { ("size", SIZE_UNITS) };
        // Without a unit people mean bytes: the same number in the largest unit that fits.
        let (number, unit) = match source.parse::<u64>() {
            Ok(bytes) if what == "size" && bytes > 0 && bytes % MIB == 0 => {
                ((bytes / MIB).to_string(), "MiB")
            }
            Ok(bytes) if what == "size" && bytes > 0 && bytes % KIB == 0 => {
                ((bytes / KIB).to_string(), "KiB")
            }
            _ => (source.to_owned(), unit),
        };
        let help = format!("write \"{number}{unit}\"; the units of a {what} are {units}");
        self.error(
            "missing-unit",
            span,
            format!("missing unit: `{at}` is a {what}"),
            "a number without a unit",
            &help,
        );
    }

    /// A text that is no duration.
    pub(crate) fn bad_duration(
        &mut self,
        span: &Span,
        at: &str,
        text: &str,
        fault: &humantime::DurationError,
    ) {
        use humantime::DurationError as Fault;
        match fault {
            Fault::UnknownUnit { unit, .. } if unit.is_empty() => {
                return self.missing_unit(span, at, "s");
            }
            Fault::UnknownUnit { start, end, unit, .. } => {
                let place = self.within(span, text, &(*start..*end));
                let help = format!("the units are {DURATION_UNITS}");
                return self.error(
                    "bad-duration",
                    &place,
                    format!("`{at}`: `{unit}` is not a unit of time"),
                    "not a unit",
                    &help,
                );
            }
            _ => {}
        }
        let help = format!(
            "write a number and its unit, such as \"15m\" or \"1h 30m\"; the units are {DURATION_UNITS}"
        );
        self.error(
            "bad-duration",
            span,
            format!("`{at}` is not a duration"),
            "cannot be read as a span of time",
            &help,
        );
    }

    /// Nothing works with zero here.
    pub(crate) fn zero_duration(&mut self, span: &Span, at: &str) {
        self.error(
            "zero-duration",
            span,
            format!("`{at}` cannot be zero"),
            "no time at all",
            "write a longer time, such as \"5s\"",
        );
    }

    /// Centuries.
    pub(crate) fn duration_too_long(&mut self, span: &Span, at: &str) {
        self.error(
            "bad-duration",
            span,
            format!("`{at}` is longer than 100 years"),
            "too long",
            "write a shorter time, such as \"30d\"",
        );
    }

    /// A text that is no size.
    pub(crate) fn bad_size(&mut self, span: &Span, at: &str, text: &str) {
        let help =
            format!("write a number and its unit, such as \"1MiB\"; the units are {SIZE_UNITS}");
        self.error(
            "bad-size",
            span,
            format!("`{at}`: `{text}` is not a size"),
            "cannot be read as a number of bytes",
            &help,
        );
    }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;
pub(super) const DURATION_UNITS: &str = "s, m (minutes), h, d (days), w, and ms";
const SIZE_UNITS: &str = "B, KiB, MiB, GiB (and KB, MB, GB of 1000)";

/// `a`, `b` and `c`; of very many the first ones.
pub(super) fn listed(words: &[&str]) -> String {
    if words.len() > LISTED_MAX {
        let first = words[..LISTED_MAX].iter().map(|word| format!("`{word}`"));
        let first: Vec<String> = first.collect();
        return format!("{} and {} more", first.join(", "), words.len() - LISTED_MAX);
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}

/// More than the keys of any table.
const LISTED_MAX: usize = 24;
