//! The words for what is wrong with keys, values, tokens, login and identity: one method for each mistake.

use std::path::Path;

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

    /// It is not TOML.
    pub(crate) fn syntax(&mut self, span: &Span, what: &str) {
        let help = if what.contains("string values must be quoted") {
            "put the value in quotes: key = \"value\""
        } else if what.contains("unquoted key") || what.contains("key with no value") {
            "a line is `key = value`; a key with other characters than letters, digits, `-` and `_`, such as a route, is written in quotes"
        } else if what.contains("unclosed") || what.contains("missing") {
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
            self.hide(&(span.end..span.end + rest.find('\n').unwrap_or(rest.len())));
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
        let help = format!("write {wanted}");
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
        let help = match nearest(found, known.iter().copied()) {
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
        let help = format!("write \"{source}{unit}\"; the units of a {what} are {units}");
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

    // Tokens.

    /// `access_ttl` over `refresh_ttl`.
    pub(crate) fn ttl_order(&mut self, access: &Span, refresh: &Span) {
        let (span, other, label) = if access.is_empty() {
            (refresh, access, "shorter than `access_ttl`")
        } else {
            (access, refresh, "longer than `refresh_ttl`")
        };
        self.error(
            "ttl-order",
            span,
            "`access_ttl` is longer than `refresh_ttl`".to_owned(),
            label,
            "make `access_ttl` the shorter one: usual are \"15m\" and \"30d\"",
        );
        if !other.is_empty() {
            self.beside(other, "the session ends after this");
        }
    }

    /// More than five minutes of forgiveness.
    pub(crate) fn leeway_too_long(&mut self, span: &Span) {
        self.error(
            "leeway-too-long",
            span,
            "`tokens.leeway` is longer than 5 minutes".to_owned(),
            "an expired token would be good for this long",
            "write at most \"5m\", and let the machines' clocks be set by NTP",
        );
    }

    /// Two keys with one name.
    pub(crate) fn duplicate_key_id(&mut self, span: &Span, first: &Span, id: &str) {
        self.error(
            "duplicate-key-id",
            span,
            format!("two keys have the id `{id}`"),
            "the second one",
            "give each key its own `id`: a token names its key by it",
        );
        self.beside(first, "the first one");
    }

    /// Not exactly one of `secret`, `private`, `public`, or not the one that fits.
    pub(crate) fn key_material(&mut self, span: &Span, why: &str, help: &str) {
        self.error("key-material", span, why.to_owned(), "this key", help);
    }

    /// A secret in the file, or something that is no reference.
    pub(crate) fn bad_secret_reference(&mut self, span: &Span, at: &str, is_text: bool) {
        let title = if is_text {
            format!("`{at}` is a secret written into the file")
        } else {
            format!("`{at}` does not say where the secret is")
        };
        let label = if is_text {
            "readable by whoever reads the file or its backups"
        } else {
            "not a reference to a secret"
        };
        self.error("secret-reference", span, title, label, "move it out and refer to it: { env = \"NAME\" } for an environment variable, { file = \"PATH\" } for a file with mode 0600");
    }

    /// The reference leads nowhere.
    pub(crate) fn secret_unresolved(&mut self, span: &Span, why: &str, help: &str) {
        self.error("secret-unresolved", span, why.to_owned(), "wanted here", help);
    }

    /// Others can read the file of a secret.
    pub(crate) fn secret_readable(&mut self, span: &Span, path: &Path, mode: u32) {
        let title = format!(
            "the secret in {} can be read by others (mode {:04o})",
            path.display(),
            mode & 0o7777
        );
        self.error(
            "secret-readable",
            span,
            title,
            "wanted here",
            &format!("run: chmod 600 {}", path.display()),
        );
    }

    /// An HMAC secret that can be guessed.
    pub(crate) fn weak_secret(&mut self, span: &Span, found: usize, wanted: usize) {
        let help = "make one with `openssl rand -base64 48`, and give it to every backend that shares the key";
        self.error(
            "weak-secret",
            span,
            format!("the secret has {found} bytes, HS256 needs {wanted} or more"),
            "too short: it could be guessed from one token",
            help,
        );
    }

    /// The key ring refuses the material.
    pub(crate) fn key_fault(&mut self, span: &Span, id: &str, why: &str) {
        self.error(
            "key-refused",
            span,
            format!("the key `{id}` cannot be used: {why}"),
            "read from here",
            "",
        );
    }

    // Login and identity.

    /// Not a plain path.
    pub(crate) fn bad_login_path(&mut self, span: &Span, why: &str) {
        self.error(
            "login-path",
            span,
            format!("`login.at` is not a path prefix: {why}"),
            "here",
            "write a plain path without wildcards, such as \"/auth\"",
        );
    }

    /// The users file is named and not there.
    pub(crate) fn users_file(&mut self, span: &Span, path: &Path, why: &str) {
        let help = format!("make it with: freshgate user add NAME --users {}", path.display());
        self.error(
            "users-file",
            span,
            format!("the users file {} {why}", path.display()),
            "named here",
            &help,
        );
    }

    /// Not the name of a header field.
    pub(crate) fn bad_header_name(&mut self, span: &Span, name: &str) {
        self.error(
            "header-name",
            span,
            format!("`{name}` is not the name of a header"),
            "here",
            "use letters, digits and `-`, such as X-User-Id",
        );
    }

    /// A header with a meaning of its own.
    pub(crate) fn reserved_header(&mut self, span: &Span, name: &str) {
        self.error(
            "reserved-header",
            span,
            format!("`{name}` cannot carry a claim"),
            "HTTP or the gateway uses this header itself",
            "choose a name of your own, such as X-User-Id",
        );
    }

    /// Two headers that some backend cannot tell apart.
    pub(crate) fn header_collision(&mut self, span: &Span, first: &Span, name: &str, other: &str) {
        self.error(
            "header-collision",
            span,
            format!("`{name}` and `{other}` are one header to many backends"),
            "the same but for case, `-`, `_` and `.`",
            "rename one of the two",
        );
        self.beside(first, "already named here");
    }

    /// A claim without a name.
    pub(crate) fn empty_claim(&mut self, span: &Span) {
        self.error(
            "empty-claim",
            span,
            "a claim needs a name".to_owned(),
            "empty",
            "write the name of a claim of the token, such as \"sub\"",
        );
    }
}

const DURATION_UNITS: &str = "s, m (minutes), h, d (days), w, and ms";
const SIZE_UNITS: &str = "B, KiB, MiB, GiB (and KB, MB, GB of 1000)";

/// `a`, `b` and `c`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}
