//! `[METHOD[,METHOD] ][host]/path`: the left side of a route line.
//!
//! Parses once, when the configuration is read; never matches a request (the route table does that).
//! Literals are kept in the canonical spelling of `policy/path.rs`, so `/café` equals `/caf%C3%A9`.

use std::borrow::Cow;
use std::ops::Range;

use super::host;
use super::path::{self, CanonicalPath, PathFault, PathRules};

/// Bytes in one pattern at most.
pub const PATTERN_BYTES_MAX: usize = 2048;
/// Segments in one pattern at most; bounds the depth of the route table's search.
pub const PATTERN_SEGMENTS_MAX: usize = 64;

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

/// A parsed pattern. A trailing slash is not a difference: `/admin/` is `/admin`, and matches both, since
/// many backends read both as one, and they must share a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Methods named; empty means any. `HEAD` follows `GET`.
    pub methods: Vec<String>,
    /// The host named, in canonical spelling; `None` means any.
    pub host: Option<String>,
    /// The path, segment by segment; `/` has none.
    pub segments: Vec<Segment>,
}

/// Why a text is not a pattern; `at` is the byte range inside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault {
    /// Where in the pattern's text.
    pub at: Range<usize>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

fn fault<T>(at: Range<usize>, what: impl Into<String>) -> Result<T, PatternFault> {
    Err(PatternFault { at, what: what.into() })
}

impl Pattern {
    /// Parses the left side of a route line.
    ///
    /// # Errors
    /// [`PatternFault`] with the place inside `text`.
    pub fn parse(text: &str) -> Result<Pattern, PatternFault> {
        if text.len() > PATTERN_BYTES_MAX {
            return fault(
                0..text.len(),
                format!("a pattern has at most {PATTERN_BYTES_MAX} bytes"),
            );
        }
        let Some(slash) = text.find('/') else {
            return fault(
                0..text.len(),
                "a pattern holds a path, which begins with `/`, as in `/account/**`",
            );
        };
        let host_at = text[..slash].rfind(' ').map_or(0, |space| space + 1);
        let methods = match host_at {
            0 => Vec::new(),
            end => parse_methods(&text[..end - 1])?,
        };
        let host = match &text[host_at..slash] {
            "" => None,
            host => Some(parse_host(host, host_at)?),
        };
        Ok(Pattern { methods, host, segments: parse_path(text, slash)? })
    }

    /// The index of the segment `{name}`.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|one| matches!(one, Segment::Named(own) if own == name))
    }

    /// Whether the pattern ends in `**`.
    pub fn has_rest(&self) -> bool {
        self.segments.last() == Some(&Segment::Rest)
    }

    /// The decoded text of the path's segment at `index`, when this pattern matched `path`. `None` for
    /// `**`, for an index beyond the pattern, and for a segment that is not UTF-8.
    pub fn capture<'p>(&self, path: &'p CanonicalPath<'_>, index: usize) -> Option<Cow<'p, str>> {
        match self.segments.get(index)? {
            Segment::Rest => None,
            Segment::Literal(_) | Segment::Any | Segment::Named(_) => {
                let segment = path::segments(path.judged()).nth(index)?;
                percent_encoding::percent_decode_str(segment).decode_utf8().ok()
            }
        }
    }
}

fn parse_methods(text: &str) -> Result<Vec<String>, PatternFault> {
    let mut methods: Vec<String> = Vec::new();
    let mut start = 0;
    for method in text.split(',') {
        let at = start..start + method.len();
        start = at.end + 1;
        if method.is_empty() || method.contains(' ') {
            return fault(
                at,
                "methods are separated by `,` alone, and one space stands before the path, as in `GET,POST /x`",
            );
        }
        if !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            let upper = method.to_ascii_uppercase();
            return fault(
                at,
                format!("a method is upper-case letters and `-`; is `{upper}` meant?"),
            );
        }
        if matches!(method, "CONNECT" | "TRACE") {
            return fault(
                at,
                format!("`{method}` is refused before any route is looked at; leave it out"),
            );
        }
        if methods.iter().any(|one| one == method) {
            return fault(at, format!("`{method}` is named twice"));
        }
        methods.push(method.to_owned());
    }
    Ok(methods)
}

fn parse_host(text: &str, start: usize) -> Result<String, PatternFault> {
    let at = start..start + text.len();
    if text.contains(['*', '{']) {
        return fault(at, "a host is written in full; leave it out to match every host");
    }
    let host = match host::canonical(text) {
        Ok(host) => host,
        Err(why) => return fault(at, format!("{}; write `host/path` or `/path`", why.0)),
    };
    if text.rsplit(']').next().is_some_and(|after| after.contains(':')) {
        return fault(at, format!("a host is matched without its port; write `{host}`"));
    }
    Ok(host.into_owned())
}

fn parse_path(text: &str, slash: usize) -> Result<Vec<Segment>, PatternFault> {
    let body = &text[slash + 1..];
    let body = body.strip_suffix('/').unwrap_or(body);
    let mut segments: Vec<Segment> = Vec::new();
    if body.is_empty() && text.len() - slash <= 1 {
        return Ok(segments);
    }
    let mut start = slash + 1;
    for part in body.split('/') {
        let at = start..start + part.len();
        start = at.end + 1;
        if segments.len() == PATTERN_SEGMENTS_MAX {
            return fault(at, format!("a pattern has at most {PATTERN_SEGMENTS_MAX} segments"));
        }
        if segments.last() == Some(&Segment::Rest) {
            return fault(
                at,
                "nothing can follow `**`: it matches all the rest; `*` is one segment",
            );
        }
        let segment = parse_segment(part, at.clone())?;
        if let Segment::Named(name) = &segment
            && segments.contains(&segment)
        {
            return fault(
                at,
                format!("`{{{name}}}` is named twice; give each segment its own name"),
            );
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse_segment(part: &str, at: Range<usize>) -> Result<Segment, PatternFault> {
    match part {
        "" => return fault(at.start.saturating_sub(1)..at.end + 1, "`//`: a segment is empty"),
        "*" => return Ok(Segment::Any),
        "**" => return Ok(Segment::Rest),
        _ => {}
    }
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(ok) {
            return fault(at, "a name is letters, digits, `_` and `-`, as in `{user_id}`");
        }
        return Ok(Segment::Named(name.to_owned()));
    }
    if part.contains('*') {
        return fault(
            at,
            "`*` stands for one whole segment and `**` for all the rest, as in `/a/*/c` or `/a/**`; \
             inside a text there is only the character itself, written `%2A`",
        );
    }
    if part.contains(['{', '}']) {
        return fault(
            at,
            "`{name}` takes a whole segment; a brace itself is written `%7B` or `%7D`",
        );
    }
    match canonical_segment(part) {
        Ok(literal) => Ok(Segment::Literal(literal)),
        Err(why) => fault(at, format!("no request can have this path: {}", why.0)),
    }
}

/// The canonical spelling of one segment's text.
///
/// # Errors
/// The [`PathFault`] of a path that holds it, under the strict rules.
pub fn canonical_segment(text: &str) -> Result<String, PathFault> {
    let whole = format!("/{text}");
    let path = CanonicalPath::parse(&whole, &PathRules::default())?;
    Ok(path.as_str()[1..].to_owned())
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
