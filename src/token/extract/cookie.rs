//! A token in a cookie (RFC 6265 §4.2, §5.4): found, counted, and cut out of the `Cookie` fields again.
//!
//! The fields are taken apart here and not by a cookie library, because what is removed must be the very bytes that
//! were judged: a library leaves out pieces that it cannot parse, and a backend with another library reads them.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use super::Presented;
use super::name::{Tally, fold, folds_to, pair};

/// The one cookie of this name.
pub(super) fn find<'r>(headers: &'r HeaderMap, name: &str) -> Presented<'r> {
    let folded = fold(name.as_bytes());
    let mut tally = Tally::default();
    let fields = headers.get_all(COOKIE).iter();
    for piece in fields.flat_map(|field| pieces(field.as_bytes())) {
        if is_like(piece, |name| folds_to(name, &folded)) {
            let (own, value) = pair(piece);
            let exact = own.trim_ascii() == name.as_bytes() && piece.contains(&b'=');
            tally.add(exact.then(|| unquoted(value.trim_ascii())));
            // Old parsers end a value at white space and find the next cookie behind it.
            let behind = is_like(value, |name| folds_to(name, &folded));
            if behind && folds_to(own, &folded) {
                tally.add(None);
            }
        }
    }
    tally.presented()
}

/// Removes every piece that some backend reads as one of these names. A field that has none is left alone.
pub(super) fn strip(headers: &mut HeaderMap, names: &[&str]) {
    let folds: Vec<Vec<u8>> = names.iter().map(|name| fold(name.as_bytes())).collect();
    strip_where(headers, |name| folds.iter().any(|folded| folds_to(name, folded)));
}

/// Removes every piece that some backend reads as a cookie whose name is one of `ours`, which is asked with names as sent.
pub(super) fn strip_where(headers: &mut HeaderMap, ours: impl Fn(&[u8]) -> bool) {
    let ours = |piece: &[u8]| is_like(piece, &ours);
    let fields = || headers.get_all(COOKIE).iter();
    if !fields().any(|field| pieces(field.as_bytes()).any(ours)) {
        return;
    }
    let kept: Vec<HeaderValue> = fields()
        .filter_map(|field| {
            let others: Vec<&[u8]> =
                pieces(field.as_bytes()).filter(|piece| !ours(piece)).collect();
            let field = others.join(&b';');
            let field = field.trim_ascii_start();
            if field.is_empty() { None } else { HeaderValue::from_bytes(field).ok() }
        })
        .collect();
    headers.remove(COOKIE);
    for field in kept {
        headers.append(COOKIE, field);
    }
}

/// Where old parsers end a cookie inside a piece.
fn ends(byte: &u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b',' | b'"')
}

/// Whether a `Set-Cookie` field sets what some backend later reads as a cookie of one of these names; also a cookie without a
/// name, whose value browsers send alone (RFC 6265bis §5.7).
pub(super) fn sets(field: &[u8], names: &[&str]) -> bool {
    let folds: Vec<Vec<u8>> = names.iter().map(|name| fold(name.as_bytes())).collect();
    sets_where(field, |name| folds.iter().any(|folded| folds_to(name, folded)))
}

/// The same, for a cookie whose name is one of `ours`.
pub(super) fn sets_where(field: &[u8], ours: impl Fn(&[u8]) -> bool) -> bool {
    let piece = pieces(field).next().unwrap_or_default();
    let named = piece.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    is_like(&piece[named.unwrap_or(piece.len())..], ours)
}

fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|&byte| byte == b';')
}

/// Whether some backend reads a cookie of such a name in a piece: as its name, or behind a comma, a space or a quote,
/// where old parsers begin the next one (RFC 2109 §4.4; Python's `http.cookies`, Tomcat's legacy processor).
fn is_like(piece: &[u8], ours: impl Fn(&[u8]) -> bool) -> bool {
    if ours(pair(piece).0) {
        return true;
    }
    if !piece.trim_ascii().iter().any(ends) {
        return false;
    }
    let mut words = piece.split(ends).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let assigns =
            word.contains(&b'=') || words.peek().is_some_and(|next| next.first() == Some(&b'='));
        if assigns && ours(pair(word).0) {
            return true;
        }
    }
    false
}

/// RFC 6265 §4.1.1: a value may stand in a pair of quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
