//! A token in the query (RFC 6750 §2.3): found by the decoded name, counted, and cut out of the query again.
//!
//! Pairs are split at `&`, as every backend does, and at `;`, as some still do (HTML 4.01 B.2.2). A name is decoded
//! with `+` for a space (WHATWG URL §5.1); the token itself needs no escapes and may have none.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::Presented;
use super::name::{Tally, fold, folds_to, pair};

/// The one parameter of this name; an empty one is none.
pub(super) fn find<'r>(query: &'r str, name: &str) -> Presented<'r> {
    let folded = fold(name.as_bytes());
    let mut tally = Tally::default();
    for (_, piece) in pieces(query) {
        let (own, value) = pair(piece.as_bytes());
        if is_like(own, &folded) {
            tally.add(percent_decode(own).eq(name.bytes()).then_some(value));
        }
    }
    tally.presented()
}

/// Whether there is one, in any spelling.
pub(super) fn has(query: &str, name: &str) -> bool {
    let folded = fold(name.as_bytes());
    pieces(query).any(|(_, piece)| is_like(pair(piece.as_bytes()).0, &folded))
}

/// The query without it; the others, and what stands between them, as they are.
pub(super) fn strip<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    if !has(query, name) {
        return Some(query.into());
    }
    let folded = fold(name.as_bytes());
    let mut left: Option<String> = None;
    for (sign, piece) in pieces(query) {
        if is_like(pair(piece.as_bytes()).0, &folded) {
            continue;
        }
        match &mut left {
            None => left = Some(piece.to_owned()),
            Some(left) => left.extend([sign, piece]),
        }
    }
    left.map(Cow::Owned)
}

/// Each pair, with the sign in front of it.
fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut start = 0;
    query.split(['&', ';']).map(move |piece| {
        let sign = &query[start.max(1) - 1..start];
        start += piece.len() + 1;
        (sign, piece)
    })
}

fn is_like(name: &[u8], folded: &[u8]) -> bool {
    if name.len() < folded.len() {
        return false;
    }
    let spaced: Vec<u8> =
        name.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    folds_to(&spaced, folded)
}
