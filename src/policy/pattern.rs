//! `[METHOD[,METHOD] ][host]/path`: the left side of a route line.

use std::borrow::Cow;

use super::path::CanonicalPath;

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text, in canonical spelling.
    Literal(String),
    /// `*`: any one segment that is not empty.
    Any,
    /// `{name}`: as `*`, and usable in `claims` and `rewrite`.
    Named(String),
    /// `**`: the rest, which may be empty; last only.
    Rest,
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Methods named; empty means any. `HEAD` follows `GET`.
    pub methods: Vec<String>,
    /// The host named, in canonical spelling; `None` means any.
    pub host: Option<String>,
    /// The path, segment by segment.
    pub segments: Vec<Segment>,
}

/// Why a text is not a pattern; `at` is the byte range inside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault {
    /// Where in the pattern's text.
    pub at: std::ops::Range<usize>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl Pattern {
    /// Parses the left side of a route line.
    ///
    /// # Errors
    /// [`PatternFault`] with the place inside `text`.
    pub fn parse(_text: &str) -> Result<Pattern, PatternFault> {
        todo!()
    }

    /// The index of the segment `{name}`.
    pub fn named(&self, _name: &str) -> Option<usize> {
        todo!()
    }

    /// The decoded text of the path's segment at `index`, when this pattern matched `path`.
    pub fn capture<'p>(&self, _path: &'p CanonicalPath<'_>, _index: usize) -> Option<Cow<'p, str>> {
        todo!()
    }
}
