//! One path, one spelling: the form that is judged is the form that is forwarded.

use std::borrow::Cow;

/// What `[paths]` lets pass; everything is refused by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    /// `dot_segments = "resolve"`: `.` and `..` are removed before judging (RFC 3986 §5.2.4).
    pub resolve_dot_segments: bool,
    /// `double_slash = "merge"`: runs of `/` become one.
    pub merge_slashes: bool,
    /// `encoded_slash = "pass"`: `%2F` stays inside its segment.
    pub pass_encoded_slash: bool,
    /// `backslash = "pass"`: `\` and `%5C` are an ordinary character, sent as `%5C`.
    pub pass_backslash: bool,
    /// `semicolon = "pass"`: `;…` is judged as if cut off, and forwarded.
    pub pass_semicolon: bool,
    /// `double_encoding = "pass"`: `%25XX` passes unless it decodes to a separator, dot or control.
    pub pass_double_encoding: bool,
    /// `non_utf8 = "pass"`: escapes that are no UTF-8 pass as they are.
    pub pass_non_utf8: bool,
}

/// A path with one meaning, for us and for the backend: it starts with `/`, has no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    text: Cow<'a, str>,
}

/// The path has more than one reading; which rule it broke, for `explain` and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFault(pub &'static str);

impl<'a> CanonicalPath<'a> {
    /// Parses the path part of an origin-form target.
    pub fn parse(_raw: &'a str, _rules: &PathRules) -> Result<CanonicalPath<'a>, PathFault> {
        todo!()
    }

    /// The canonical spelling: what is sent to the backend.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text that patterns are compared with: the canonical spelling, without `;` parameters where
    /// the rules let them pass.
    pub fn judged(&self) -> &str {
        todo!()
    }
}
