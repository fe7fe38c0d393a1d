//! A path that passes has one spelling, and every reader that its knobs leave in the game reads the segments that
//! were judged. Without `resolve` and `merge`, what passes is exactly what the written rules let pass.

use freshgate::policy::path::{CanonicalPath, PathRules, SEGMENTS_MAX};

use super::bytes::Bytes;
use super::readings::{
    BACKSLASH, MERGING, PLAIN, READINGS, SERVLET, TWICE, decode, decoded, split,
};

/// The knobs, one bit each.
pub fn rules(bits: u8) -> PathRules {
    let on = |bit: u8| bits >> bit & 1 == 1;
    PathRules {
        resolve_dot_segments: on(0),
        merge_slashes: on(1),
        pass_encoded_slash: on(2),
        pass_backslash: on(3),
        pass_semicolon: on(4),
        pass_double_encoding: on(5),
        pass_non_utf8: on(6),
    }
}

/// The first byte is the knobs, the rest the path.
pub fn hold(input: &[u8]) {
    let mut input = Bytes(input);
    let knobs = rules(input.byte());
    hold_for(input.0, &knobs);
}

/// All statements on one path.
pub fn hold_for(raw: &[u8], rules: &PathRules) {
    let parsed = CanonicalPath::parse_bytes(raw, rules);
    if !rules.resolve_dot_segments && !rules.merge_slashes {
        assert_eq!(parsed.is_ok(), may_pass(raw, rules), "{}, {rules:?}", raw.escape_ascii());
    }
    let Ok(path) = parsed else { return };
    one_spelling(&path, rules);
    readers_agree(&path, rules);
    if let Ok(text) = std::str::from_utf8(raw) {
        assert_eq!(CanonicalPath::parse(text, rules).as_ref(), Ok(&path));
    }
    if !rules.resolve_dot_segments && !rules.merge_slashes {
        let judged = decoded(&split(path.as_str()));
        let text = String::from_utf8_lossy(raw);
        if text.as_bytes() == raw {
            assert_eq!(judged, decoded(&split(&text)), "the bytes stay the same: {text:?}");
        }
    }
}

/// Judged again, it is the same, also by those who neither merge nor resolve.
fn one_spelling(path: &CanonicalPath<'_>, rules: &PathRules) {
    let text = path.as_str();
    let plain = PathRules { resolve_dot_segments: false, merge_slashes: false, ..*rules };
    for rules in [rules, &plain] {
        assert_eq!(CanonicalPath::parse(text, rules).as_ref(), Ok(path), "{text}, {rules:?}");
    }
    assert!(text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    assert!(!text.contains(['#', '?', '\\', '"', '<', '>', '^', '`', '{', '|', '}']), "{text}");
    assert!(!path.judged().contains(';') && !path.judged().contains("//"), "{text}");
    let count = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    assert_eq!(count(path.judged()), count(text), "{text} has other segments than its judged form");
    assert!(count(text) <= SEGMENTS_MAX, "{text}");
}

/// Each reader finds the judged segments; one that decodes twice may find other names where that was asked for,
/// and never other separators.
fn readers_agree(path: &CanonicalPath<'_>, rules: &PathRules) {
    let ours = decoded(&split(path.judged()));
    for at in meant(rules) {
        let (name, reading) = READINGS[at];
        let theirs = reading(path.as_str());
        if at == TWICE && rules.pass_double_encoding {
            let deeper: Vec<Vec<u8>> = ours.iter().map(|one| decode(one)).collect();
            assert_eq!(theirs, deeper, "{name}: {}, {rules:?}", path.as_str());
        } else {
            assert_eq!(theirs, ours, "{name}: {}, {rules:?}", path.as_str());
        }
    }
}

/// The readers for whom a set of knobs is meant: a knob that hands a sign over to the backend is a danger to those
/// who read it otherwise, as its documentation says.
fn meant(rules: &PathRules) -> Vec<usize> {
    let mut readers = vec![PLAIN, MERGING, SERVLET, BACKSLASH, TWICE];
    if rules.pass_encoded_slash {
        readers.retain(|one| matches!(*one, PLAIN | SERVLET));
    }
    if rules.pass_backslash {
        readers.retain(|one| *one != BACKSLASH);
    }
    if rules.pass_semicolon {
        readers.retain(|one| *one == SERVLET);
    }
    readers
}

/// The written rules of docs/policies.md and docs/configuration.md, segment by segment, for paths that are neither
/// merged nor resolved.
fn may_pass(raw: &[u8], rules: &PathRules) -> bool {
    let Some(body) = raw.strip_prefix(b"/") else { return false };
    let segments: Vec<&[u8]> = body.split(|byte| *byte == b'/').collect();
    let last = segments.len() - 1;
    segments.len() <= SEGMENTS_MAX
        && segments.iter().enumerate().all(|(at, one)| segment_may_pass(one, at == last, rules))
}

fn segment_may_pass(segment: &[u8], last: bool, rules: &PathRules) -> bool {
    let escapes = segment.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let hex = |at: usize| segment.get(at).is_some_and(u8::is_ascii_hexdigit);
    if !escapes.map(|(at, _)| at).all(|at| hex(at + 1) && hex(at + 2)) {
        return false;
    }
    if segment.iter().any(|byte| matches!(byte, b'#' | b'?')) {
        return false;
    }
    // `%3B` is a letter to those who cut parameters off first, and begins one to those who decode first.
    if segment.windows(3).any(|three| three.eq_ignore_ascii_case(b"%3b")) {
        return false;
    }
    let text = decode(segment);
    let has = |sign: u8| text.contains(&sign);
    let forbidden = (has(b'/') && !rules.pass_encoded_slash)
        || (has(b'\\') && !rules.pass_backslash)
        || (has(b';') && !rules.pass_semicolon)
        || text.iter().any(u8::is_ascii_control);
    let seen = text.split(|byte| *byte == b';').next().unwrap_or_default();
    let dots = |part: &[u8]| matches!(part, b"." | b"..");
    // Some cut parameters off, some do not: neither must find a way up.
    let mut readings = [seen, &text].into_iter();
    let has_dots = readings.any(|one| one.split(|byte| matches!(byte, b'/' | b'\\')).any(dots));
    let empty = seen.is_empty() && !last;
    let readable = std::str::from_utf8(&text).is_ok() || rules.pass_non_utf8;
    !forbidden && !has_dots && !empty && readable && !overlong(&text) && depth_is_fine(&text, rules)
}

/// Overlong UTF-8 hides ASCII (RFC 3629 §3), also in five and six octets (RFC 2279 §2): never, whatever the knobs.
fn overlong(text: &[u8]) -> bool {
    text.windows(2).any(|two| {
        matches!(
            two,
            [0xC0 | 0xC1, 0x80..=0xBF]
                | [0xE0, 0x80..=0x9F]
                | [0xF0, 0x80..=0x8F]
                | [0xF8, 0x80..=0x87]
                | [0xFC, 0x80..=0x83]
        )
    })
}

/// Decoding again changes nothing, or, where that may pass, ends soon and never gives a sign with a meaning.
fn depth_is_fine(text: &[u8], rules: &PathRules) -> bool {
    let mut layer = text.to_vec();
    for depth in 0..4 {
        let next = decode(&layer);
        if next == layer {
            return true;
        }
        let signs = |byte: &u8| matches!(byte, b'/' | b'\\' | b';') || byte.is_ascii_control();
        let bad = next.iter().any(signs)
            || matches!(next.as_slice(), b"." | b"..")
            || std::str::from_utf8(&next).is_err();
        if !rules.pass_double_encoding || bad || depth == 3 {
            return false;
        }
        layer = next;
    }
    false
}
