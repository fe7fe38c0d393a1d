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
        if is_like(piece, &folded) {
            let (own, value) = pair(piece);
            let exact = own.trim_ascii() == name.as_bytes() && piece.contains(&b'=');
            tally.add(exact.then(|| unquoted(value.trim_ascii())));
            // Old parsers end a value at white space and find the next cookie behind it.
            if folds_to(own, &folded) && is_like(value, &folded) {
                tally.add(None);
            }
        }
    }
    tally.presented()
}

/// Removes every piece that some backend reads as one of these names. A field that has none is left alone.
pub(super) fn strip(headers: &mut HeaderMap, names: &[&str]) {
    let folds: Vec<Vec<u8>> = names.iter().map(|name| fold(name.as_bytes())).collect();
    let ours = |piece: &[u8]| folds.iter().any(|folded| is_like(piece, folded));
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

/// The names of all cookies of a request, as some backend may read them; one may stand there twice.
pub(super) fn names(headers: &HeaderMap) -> Vec<String> {
    let mut names = Vec::new();
    for field in headers.get_all(COOKIE) {
        for piece in pieces(field.as_bytes()) {
            let words = piece.split(ends).filter(|word| !word.is_empty());
            let all =
                [pair(piece).0.trim_ascii()].into_iter().chain(words.map(|word| pair(word).0));
            names.extend(all.map(|name| String::from_utf8_lossy(name).into_owned()));
        }
    }
    names
}

/// Where old parsers end a cookie inside a piece.
fn ends(byte: &u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b',' | b'"')
}

/// Whether a `Set-Cookie` field sets what some backend later reads as a cookie of one of these names; also a cookie without a
/// name, whose value browsers send alone (RFC 6265bis §5.7).
pub(super) fn sets(field: &[u8], names: &[&str]) -> bool {
    let piece = pieces(field).next().unwrap_or_default();
    let named = piece.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    let piece = &piece[named.unwrap_or(piece.len())..];
    names.iter().any(|name| is_like(piece, &fold(name.as_bytes())))
}

fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|&byte| byte == b';')
}

/// Whether some backend reads a cookie of this name in a piece: as its name, or behind a comma, a space or a quote,
/// where old parsers begin the next one (RFC 2109 §4.4; Python's `http.cookies`, Tomcat's legacy processor).
fn is_like(piece: &[u8], folded: &[u8]) -> bool {
    if folds_to(pair(piece).0, folded) {
        return true;
    }
    if !piece.trim_ascii().iter().any(ends) {
        return false;
    }
    let mut words = piece.split(ends).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let assigns =
            word.contains(&b'=') || words.peek().is_some_and(|next| next.first() == Some(&b'='));
        if assigns && folds_to(pair(word).0, folded) {
            return true;
        }
    }
    false
}

/// RFC 6265 §4.1.1: a value may stand in a pair of quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}
