//! How real backends read one path: five readings, and all of them at once.
//!
//! Each gives the segments that the backend would look up. A gateway is safe before a backend when its route covers
//! what that backend reads, whatever it looks like; before an unknown one, when all readings agree.

/// The segments of a path as one backend reads it.
pub type Reading = fn(&[u8]) -> Vec<Vec<u8>>;

/// The readers, by the habit that tells them apart.
pub const READINGS: [(&str, Reading); 7] = [
    ("RFC 3986", |path| decoded(&without_dots(&split(path)))),
    ("decoded, slashes merged", |path| without_dots(&merged(&split(&decode(path))))),
    ("servlet, parameters cut before decoding", |path| {
        let cut = split(path).iter().map(|one| cut(one)).collect::<Vec<_>>();
        let whole = slashed(&decode(&cut.join(&b'/')));
        without_dots(&merged(&split(&whole)))
    }),
    ("servlet, parameters cut after decoding", |path| {
        let parts = split(&decode(path)).iter().map(|one| cut(one)).collect::<Vec<_>>();
        without_dots(&merged(&parts))
    }),
    ("backslash is a slash", |path| without_dots(&merged(&split(&slashed(&decode(path)))))),
    ("decoded twice", |path| without_dots(&merged(&split(&until_nul(&decode(&decode(path))))))),
    ("everything at once", |path| {
        let mut text = path.to_vec();
        for _ in 0..5 {
            text = short(&decode(&text));
        }
        let parts = split(&slashed(&until_nul(&text)));
        without_dots(&merged(&parts.iter().map(|one| cut(one)).collect::<Vec<_>>()))
    }),
];

/// The segments of a path in origin-form; a trailing slash adds none.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    if inner.is_empty() {
        return Vec::new();
    }
    inner.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

/// Percent-decoding, once; what is no escape stays.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let (byte, tail) = match (first, after) {
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, tail),
                _ => (b'%', after),
            },
            (byte, tail) => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
    out
}

fn decoded(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    parts.iter().map(|one| decode(one)).collect()
}

/// Dot segments removed, also where they are spelled `%2e` (RFC 3986 §5.2.4, §6.2.2.3).
fn without_dots(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for part in parts {
        match &decode(part)[..] {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(part.clone()),
        }
    }
    kept
}

fn merged(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    parts.iter().filter(|one| !one.is_empty()).cloned().collect()
}

fn cut(segment: &[u8]) -> Vec<u8> {
    segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec()
}

fn slashed(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn until_nul(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// Overlong UTF-8 and `%u00XX` as lenient decoders take them.
fn short(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let (byte, tail) = match (first, after) {
            (0xC0 | 0xC1, [low @ 0x80..=0xBF, tail @ ..]) => {
                ((first & 1) << 6 | (low & 0x3F), tail)
            }
            (0xE0, [middle @ 0x80..=0x81, low @ 0x80..=0xBF, tail @ ..]) => {
                ((middle & 1) << 6 | (low & 0x3F), tail)
            }
            (b'%', [b'u' | b'U', b'0', b'0', high, low, tail @ ..]) => {
                let hex = [*high, *low];
                let hex = std::str::from_utf8(&hex).ok();
                match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => (byte, tail),
                    None => (b'%', after),
                }
            }
            (byte, tail) => (*byte, tail),
        };
        out.push(byte);
        rest = tail;
    }
    out
}
