//! One path, one spelling: the form that is judged is the form that is forwarded.
//!
//! In this order, and no other: (1) `merge` and `resolve`, where the rules ask for them, on the raw
//! segments; (2) each segment is percent-decoded once and spelled again, so that every octet has one
//! spelling; (3) what another reader could take for a separator, a dot segment or a parameter is
//! refused. Never matches a route, never sees a query. Called by the gateway for each request, and for
//! literals of patterns and the outcome of rewrites.

use std::borrow::Cow;

use super::spelling::{HEX, PLAIN, Spelling, Watch, hex_pair};

/// Segments in one path at most; also bounds the work of the route table.
pub const SEGMENTS_MAX: usize = 128;
/// Layers of percent-encoding that are peeled under `double_encoding = "pass"`; more are refused.
const LAYERS_MAX: usize = 4;

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
    /// `semicolon = "pass"`: `;…` is judged as if cut off, and forwarded; `%3B` is still refused.
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
    /// Only where a `;` was cut off for judging.
    cut: Option<String>,
}

/// The path has more than one reading; which rule it broke, for `explain` and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFault(pub &'static str);

impl PathFault {
    /// RFC 9112 §3.2.1: origin-form begins with a slash.
    pub const NOT_ABSOLUTE: PathFault = PathFault("the path does not begin with `/`");
    /// RFC 3986 §5.2.4; CVE-2026-33494, CVE-2019-9901.
    pub const DOT_SEGMENT: PathFault =
        PathFault("a segment is `.` or `..`, in plain or encoded spelling");
    /// `resolve` met more `..` than there are segments.
    pub const ABOVE_ROOT: PathFault = PathFault("`..` climbs above the root");
    /// CVE-2021-29492, CVE-2025-66490.
    pub const ENCODED_SLASH: PathFault =
        PathFault("`%2F` is a slash to some and a letter to others");
    /// CVE-2021-29492.
    pub const BACKSLASH: PathFault =
        PathFault("a backslash (`\\` or `%5C`) is a slash to some and a letter to others");
    /// CVE-2026-73551: servlet containers cut `;…` off.
    pub const SEMICOLON: PathFault =
        PathFault("`;` (or `%3B`) begins a parameter to some and is a letter to others");
    /// ISTIO-SECURITY-2021-005, CVE-2026-26205.
    pub const EMPTY_SEGMENT: PathFault = PathFault("`//`: a segment is empty");
    /// CWE-158.
    pub const CONTROL: PathFault =
        PathFault("a control character (00 to 1F, 7F), in plain or encoded spelling");
    /// RFC 3986 §2.1.
    pub const BAD_ESCAPE: PathFault = PathFault("a `%` is not followed by two hexadecimal digits");
    /// CVE-2026-41059, CVE-2021-39156.
    pub const FRAGMENT: PathFault = PathFault("a raw `#` begins a fragment to some");
    /// The caller cuts the query off.
    pub const QUERY: PathFault = PathFault("a raw `?` begins a query, which no path holds");
    /// Overlong forms included (RFC 3629 §3).
    pub const NOT_UTF8: PathFault = PathFault("the decoded path is not UTF-8");
    /// CVE-2026-42272.
    pub const DOUBLE_ENCODING: PathFault =
        PathFault("`%25` followed by two hexadecimal digits: decoding twice changes the path");
    /// `pass` of double encoding, and what is under it is not harmless.
    pub const DEEP_SEPARATOR: PathFault =
        PathFault("decoding more than once gives a separator, a dot segment, a control or no text");
    /// More than [`SEGMENTS_MAX`].
    pub const TOO_MANY_SEGMENTS: PathFault = PathFault("the path has more than 128 segments");
}

impl<'a> CanonicalPath<'a> {
    /// Parses the path part of an origin-form target; borrows it when it is canonical already.
    ///
    /// # Errors
    /// The [`PathFault`] that makes the path ambiguous under `rules`.
    pub fn parse(raw: &'a str, rules: &PathRules) -> Result<CanonicalPath<'a>, PathFault> {
        CanonicalPath::parse_bytes(raw.as_bytes(), rules)
    }

    /// As [`CanonicalPath::parse`], for a target that may hold bytes that are not UTF-8.
    ///
    /// # Errors
    /// As [`CanonicalPath::parse`].
    pub fn parse_bytes(raw: &'a [u8], rules: &PathRules) -> Result<CanonicalPath<'a>, PathFault> {
        let body = raw.strip_prefix(b"/").ok_or(PathFault::NOT_ABSOLUTE)?;
        match tidy(body, rules)? {
            Some(tidied) => Ok(spell(&tidied, rules)?.into_owned()),
            None => spell(raw, rules),
        }
    }

    /// The canonical spelling: what is sent to the backend.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text that patterns are compared with: the canonical spelling, without `;` parameters where
    /// the rules let them pass. It has the same number of segments as [`CanonicalPath::as_str`].
    pub fn judged(&self) -> &str {
        self.cut.as_deref().unwrap_or(&self.text)
    }

    /// The same path, holding its own text.
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath { text: Cow::Owned(self.text.into_owned()), cut: self.cut }
    }
}

/// The segments of a canonical text; a trailing slash adds none, and `/` has none.
pub fn segments(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.split('/').filter(|segment| !segment.is_empty())
}

/// Merges slashes and removes dot segments where the rules ask; `None` when nothing changes.
fn tidy(body: &[u8], rules: &PathRules) -> Result<Option<Vec<u8>>, PathFault> {
    let merge =
        rules.merge_slashes && (body.starts_with(b"/") || body.windows(2).any(|w| w == b"//"));
    let resolve = rules.resolve_dot_segments && slices(body).any(|one| dots(one) > 0);
    if !merge && !resolve {
        return Ok(None);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut open = false;
    for one in slices(body) {
        // What stays open at the end gets a trailing slash: `/a/.` is `/a/` (RFC 3986 §5.2.4).
        open = true;
        match dots(one) {
            1 if rules.resolve_dot_segments => {}
            2 if rules.resolve_dot_segments => {
                if kept.pop().ok_or(PathFault::ABOVE_ROOT)?.is_empty() {
                    return Err(PathFault::EMPTY_SEGMENT);
                }
            }
            _ if one.is_empty() && rules.merge_slashes => {}
            _ => {
                kept.push(one);
                open = one.is_empty();
            }
        }
    }
    let mut tidied = Vec::with_capacity(body.len() + 1);
    let closed = open && kept.last().is_some_and(|one| one.is_empty());
    for one in &kept {
        tidied.push(b'/');
        tidied.extend_from_slice(one);
    }
    if (open && !closed) || tidied.is_empty() {
        tidied.push(b'/');
    }
    Ok(Some(tidied))
}

fn slices(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'/')
}

/// 1 for `.`, 2 for `..`, in any spelling; 0 for all else.
fn dots(mut segment: &[u8]) -> usize {
    let mut count = 0;
    while !segment.is_empty() {
        segment = match segment {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return 0,
        };
        count += 1;
    }
    if count > 2 { 0 } else { count }
}

/// Spells every segment canonically, and refuses what has two readings.
fn spell<'a>(raw: &'a [u8], rules: &PathRules) -> Result<CanonicalPath<'a>, PathFault> {
    let body = raw.strip_prefix(b"/").ok_or(PathFault::NOT_ABSOLUTE)?;
    let mut out = Spelling::of(raw);
    let mut judged: Option<String> = None;
    let mut rest = slices(body).enumerate().peekable();
    while let Some((index, segment)) = rest.next() {
        if index == SEGMENTS_MAX {
            return Err(PathFault::TOO_MANY_SEGMENTS);
        }
        out.push(b"/");
        let start = out.len();
        let cut = spell_segment(segment, rules, &mut out)?;
        let text = out.since(start);
        let seen = &text[..cut.unwrap_or(text.len())];
        if seen.is_empty() && rest.peek().is_some() {
            return Err(PathFault::EMPTY_SEGMENT);
        }
        if has_dot_segment(seen) {
            return Err(PathFault::DOT_SEGMENT);
        }
        if cut.is_some() && judged.is_none() {
            judged = Some(out.until(start - 1).to_owned());
        }
        if let Some(judged) = &mut judged {
            judged.push('/');
            judged.push_str(seen);
        }
    }
    Ok(CanonicalPath { text: out.finish(), cut: judged })
}

/// Whether a reader who takes a passed `%2F` or `%5C` for a slash would find a dot segment.
fn has_dot_segment(segment: &str) -> bool {
    let is_dots = |part: &str| part == "." || part == "..";
    is_dots(segment)
        || (segment.contains('%')
            && segment.split("%2F").flat_map(|part| part.split("%5C")).any(is_dots))
}

/// Spells one segment; gives where its `;` parameters begin in what was written, if it has any.
fn spell_segment(
    segment: &[u8],
    rules: &PathRules,
    out: &mut Spelling<'_>,
) -> Result<Option<usize>, PathFault> {
    let start = out.len();
    let plain = segment.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(segment.len());
    out.push(&segment[..plain]);
    let mut rest = &segment[plain..];
    let mut watch = Watch::default();
    let mut cut = None;
    while let [first, after @ ..] = rest {
        let (byte, escaped, tail) = match (first, after) {
            (b'%', [high, low, tail @ ..]) => (hex_pair(*high, *low)?, true, tail),
            (b'%', _) => return Err(PathFault::BAD_ESCAPE),
            (byte, tail) => (*byte, false, tail),
        };
        watch.see(byte, rules)?;
        if byte == b';' && cut.is_none() {
            cut = Some(out.len() - start);
        }
        if needs_escape(byte, escaped, rules)? {
            out.push(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.push(&[byte]);
        }
        rest = tail;
    }
    if watch.is_cut_short() && !rules.pass_non_utf8 {
        return Err(PathFault::NOT_UTF8);
    }
    if watch.deep() {
        peel(segment)?;
    }
    Ok(cut)
}

/// Whether this octet is spelled as an escape; refuses those that mean something else to some.
fn needs_escape(byte: u8, escaped: bool, rules: &PathRules) -> Result<bool, PathFault> {
    match byte {
        0x00..=0x1F | 0x7F => Err(PathFault::CONTROL),
        b'/' if !rules.pass_encoded_slash => Err(PathFault::ENCODED_SLASH),
        b'\\' if !rules.pass_backslash => Err(PathFault::BACKSLASH),
        // Whoever cuts parameters off before decoding reads `%3B` as a letter, others as `;`: it never passes.
        b';' if escaped || !rules.pass_semicolon => Err(PathFault::SEMICOLON),
        b';' => Ok(false),
        b'#' if !escaped => Err(PathFault::FRAGMENT),
        b'?' if !escaped => Err(PathFault::QUERY),
        _ => Ok(!PLAIN[usize::from(byte)]),
    }
}

/// Peels layer after layer of percent-encoding off a segment until none is left.
fn peel(segment: &[u8]) -> Result<(), PathFault> {
    let mut layer: Vec<u8> = percent_encoding::percent_decode(segment).collect();
    for _ in 0..LAYERS_MAX {
        let next: Vec<u8> = percent_encoding::percent_decode(&layer).collect();
        if next == layer {
            return Ok(());
        }
        let harmful = |byte: &u8| matches!(byte, b'/' | b'\\' | b';' | 0x00..=0x1F | 0x7F);
        if next.iter().any(harmful) || dots(&next) > 0 || std::str::from_utf8(&next).is_err() {
            return Err(PathFault::DEEP_SEPARATOR);
        }
        layer = next;
    }
    Err(PathFault::DEEP_SEPARATOR)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
