//! `rewrite` of a route: the path that the backend gets, in parts.

use std::ops::Range;

use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::pattern::{Pattern, Segment};
use crate::policy::route::{Rewrite, RewritePart, RewriteSegment};

/// What is wrong with a rewrite.
pub(super) enum RewriteFault {
    /// `{name}` that the pattern lacks; the range holds the name.
    UnknownCapture(Range<usize>),
    /// Anything else: the place, what is wrong, and what to write instead.
    Bad(Range<usize>, String, &'static str),
}

const SHAPE: &str = "write a path, such as \"/v2/{name}\" or \"/app/**\"";
const REST: &str = "`**` stands alone as the last segment, as in \"/app/**\"";

/// Parses `text` for a route with this pattern. An empty last segment is a slash at the end.
pub(super) fn parse(
    text: &str,
    pattern: &Pattern,
    rules: &PathRules,
) -> Result<Rewrite, RewriteFault> {
    let Some(path) = text.strip_prefix('/') else {
        let what = "it does not begin with `/`".to_owned();
        return Err(RewriteFault::Bad(0..text.len(), what, SHAPE));
    };
    if path.is_empty() {
        return Ok(Rewrite { segments: vec![RewriteSegment::Parts(Vec::new())] });
    }
    let mut segments = Vec::new();
    let mut start = 1;
    for segment in path.split('/') {
        let at = start..start + segment.len();
        start = at.end + 1;
        let last = at.end == text.len();
        if segment == "**" {
            if !last {
                return Err(RewriteFault::Bad(at, "`**` is not its last segment".to_owned(), REST));
            }
            if pattern.segments.last() != Some(&Segment::Rest) {
                let what = "the pattern has no `**` that it could stand for".to_owned();
                return Err(RewriteFault::Bad(
                    at,
                    what,
                    "end the pattern in `/**`, or remove it here",
                ));
            }
            segments.push(RewriteSegment::Rest);
        } else if segment.is_empty() && !last {
            return Err(RewriteFault::Bad(at, "it has `//`".to_owned(), SHAPE));
        } else {
            segments.push(RewriteSegment::Parts(parts(segment, at.start, pattern, rules)?));
        }
    }
    Ok(Rewrite { segments })
}

fn parts(
    segment: &str,
    start: usize,
    pattern: &Pattern,
    rules: &PathRules,
) -> Result<Vec<RewritePart>, RewriteFault> {
    let whole = !segment.contains('{');
    let mut parts = Vec::new();
    let mut rest = segment;
    let mut at = start;
    while !rest.is_empty() {
        let (literal, tail) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.is_empty() {
            let place = at..at + literal.len();
            parts.push(RewritePart::Text(canonical(literal, whole, place, rules)?));
        }
        at += literal.len();
        let Some(inner) = tail.strip_prefix('{') else { break };
        let Some((name, after)) = inner.split_once('}') else {
            let what = "`{` without `}`".to_owned();
            return Err(RewriteFault::Bad(at..at + tail.len(), what, SHAPE));
        };
        let place = at + 1..at + 1 + name.len();
        let index = pattern.named(name).ok_or(RewriteFault::UnknownCapture(place))?;
        parts.push(RewritePart::Capture(index));
        at += name.len() + 2;
        rest = after;
    }
    Ok(parts)
}

/// Literal text in canonical spelling. A piece of a segment is judged behind a letter, since `.` alone
/// is only a dot segment when it is the whole of one.
fn canonical(
    literal: &str,
    whole: bool,
    place: Range<usize>,
    rules: &PathRules,
) -> Result<String, RewriteFault> {
    let strict = PathRules { resolve_dot_segments: false, merge_slashes: false, ..*rules };
    if let Some(odd) = literal.find(['*', '}', '?', '#']) {
        let at = place.start + odd;
        let what = format!("`{}` has no meaning here", &literal[odd..odd + 1]);
        return Err(RewriteFault::Bad(at..at + 1, what, REST_OR_ESCAPE));
    }
    let prefix = if whole { "/" } else { "/x" };
    // Patterns and rewrites may be written with any letters; on the wire those are escapes.
    let escaped: String = literal
        .chars()
        .map(|c| match c {
            c if c.is_ascii_graphic() => c.to_string(),
            c => percent_encoding::utf8_percent_encode(
                c.encode_utf8(&mut [0; 4]),
                percent_encoding::NON_ALPHANUMERIC,
            )
            .to_string(),
        })
        .collect();
    let path = format!("{prefix}{escaped}");
    match CanonicalPath::parse(&path, &strict) {
        Ok(path) => Ok(path.as_str()[prefix.len()..].to_owned()),
        Err(fault) => Err(RewriteFault::Bad(place, fault.0.to_owned(), SHAPE)),
    }
}

const REST_OR_ESCAPE: &str = "captures are written `{name}`, the rest `**` as a segment of its own; escape other signs, such as %2A";
