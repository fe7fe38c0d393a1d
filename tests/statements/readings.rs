//! Five other readers of a path, after those that backends have: what each takes for its segments.
//!
//! None of them refuses anything: they read as the careless do.

/// A way to read the path that a backend was sent, as its segments.
pub type Reading = fn(&str) -> Vec<Vec<u8>>;

/// RFC 3986 §5.2.4 and §6.2.2: dot segments removed, then decoded.
pub const PLAIN: usize = 0;
/// Decoded first, then slashes merged and dot segments removed (nginx, PHP's `PATH_INFO`).
pub const MERGING: usize = 1;
/// Servlet containers: `;…` cut off each segment, then decoded, then dot segments removed.
pub const SERVLET: usize = 2;
/// Windows: as the second, and a backslash is a slash.
pub const BACKSLASH: usize = 3;
/// Decoded twice, cut at a NUL.
pub const TWICE: usize = 4;

/// All of them, with their names, at the indices above.
pub const READINGS: [(&str, Reading); 5] = [
    ("RFC 3986: dots removed, then decoded", |text| decoded(&without_dots(&split(text)))),
    ("decoded, slashes merged, dots removed", |text| {
        let text = decode(text.as_bytes());
        let merged = text.split(|byte| *byte == b'/').filter(|one| !one.is_empty());
        without_dots(&merged.map(<[u8]>::to_vec).collect::<Vec<_>>())
    }),
    ("servlet: parameters cut, decoded, dots removed", |text| {
        let cut = split(text).into_iter().map(|one| {
            one.split(|byte| *byte == b';').next().map(<[u8]>::to_vec).unwrap_or_default()
        });
        without_dots(&decoded(&cut.filter(|one| !one.is_empty()).collect::<Vec<_>>()))
    }),
    ("backslash is a slash", |text| {
        let text = decode(text.as_bytes());
        let parts = text.split(|byte| matches!(byte, b'/' | b'\\')).filter(|one| !one.is_empty());
        without_dots(&parts.map(<[u8]>::to_vec).collect::<Vec<_>>())
    }),
    ("decoded twice", |text| {
        let twice = decode(&decode(text.as_bytes()));
        let end = twice.iter().position(|byte| *byte == 0).unwrap_or(twice.len());
        let parts = twice[..end].split(|byte| *byte == b'/').filter(|one| !one.is_empty());
        without_dots(&parts.map(<[u8]>::to_vec).collect::<Vec<_>>())
    }),
];

/// Percent-decoded once; what is no escape stays.
pub fn decode(text: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(text).collect()
}

/// The segments as written, without the empty ones.
pub fn split(text: &str) -> Vec<Vec<u8>> {
    text.as_bytes()
        .split(|byte| *byte == b'/')
        .filter(|one| !one.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// Each segment decoded once.
pub fn decoded(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    parts.iter().map(|one| decode(one)).collect()
}

fn without_dots(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for part in parts {
        match part.as_slice() {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(part.clone()),
        }
    }
    kept
}
