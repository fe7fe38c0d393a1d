//! The tools of `policy/path.rs`: which octets are plain, a writer that copies only what it must, and a
//! watch over decoded octets. Knows no rule of its own but those of RFC 3986 and RFC 3629.

use std::borrow::Cow;

use super::path::{PathFault, PathRules};

/// Watches the decoded octets of a segment for what only shows across several of them.
#[derive(Default)]
pub(super) struct Watch {
    /// Octets of the UTF-8 sequence that is under way, and how many more it wants.
    sequence: [u8; 4],
    length: usize,
    wanted: usize,
    /// How much of `%XX` was just decoded: 1 after the sign, 2 after the first digit.
    percent: u8,
    /// Some `%XX` came out of decoding, and the rules let that pass.
    deep: bool,
    last: u8,
}

impl Watch {
    /// Whether a UTF-8 sequence has begun and not ended.
    pub(super) fn is_cut_short(&self) -> bool {
        self.wanted > 0
    }

    /// Whether some `%XX` came out of decoding.
    pub(super) fn deep(&self) -> bool {
        self.deep
    }

    pub(super) fn see(&mut self, byte: u8, rules: &PathRules) -> Result<(), PathFault> {
        self.percent = match (self.percent, byte) {
            (_, b'%') => 1,
            (1, digit) if digit.is_ascii_hexdigit() => 2,
            (2, digit) if digit.is_ascii_hexdigit() => {
                if !rules.pass_double_encoding {
                    return Err(PathFault::DOUBLE_ENCODING);
                }
                self.deep = true;
                0
            }
            _ => 0,
        };
        // Overlong forms hide ASCII from all who check before they decode: refused whatever the rules.
        let overlong = matches!(
            (self.last, byte),
            (0xC0 | 0xC1, 0x80..=0xBF)
                | (0xE0, 0x80..=0x9F)
                | (0xF0, 0x80..=0x8F)
                // Five and six octets, as decoders older than RFC 3629 read them (RFC 2279).
                | (0xF8, 0x80..=0x87)
                | (0xFC, 0x80..=0x83)
        );
        self.last = byte;
        if overlong {
            return Err(PathFault::NOT_UTF8);
        }
        if rules.pass_non_utf8 || self.continues(byte) { Ok(()) } else { Err(PathFault::NOT_UTF8) }
    }

    /// Whether the octets so far can still be UTF-8 (RFC 3629).
    fn continues(&mut self, byte: u8) -> bool {
        if self.wanted == 0 {
            self.length = 0;
            self.wanted = match byte {
                0x00..=0x7F => return true,
                0xC2..=0xDF => 2,
                0xE0..=0xEF => 3,
                0xF0..=0xF4 => 4,
                _ => return false,
            };
        } else if byte < 0x80 {
            return false;
        }
        self.sequence[self.length] = byte;
        self.length += 1;
        self.wanted -= 1;
        self.wanted > 0 || std::str::from_utf8(&self.sequence[..self.length]).is_ok()
    }
}

/// What has been written so far: as long as it equals the raw text, nothing is copied.
pub(super) struct Spelling<'a> {
    raw: &'a [u8],
    /// While `own` is `None`: how much of `raw` has been written as it is.
    same: usize,
    own: Option<String>,
}

impl<'a> Spelling<'a> {
    /// Nothing written yet of a canonical spelling of `raw`.
    pub(super) fn of(raw: &'a [u8]) -> Spelling<'a> {
        Spelling { raw, same: 0, own: None }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.own.is_none() && self.raw[self.same..].starts_with(piece) {
            self.same += piece.len();
            return;
        }
        let own = self.own.get_or_insert_with(|| {
            let mut own = String::with_capacity(self.raw.len() + 16);
            own.push_str(ascii(&self.raw[..self.same]));
            own
        });
        own.push_str(ascii(piece));
    }

    pub(super) fn len(&self) -> usize {
        self.own.as_ref().map_or(self.same, String::len)
    }

    pub(super) fn since(&self, start: usize) -> &str {
        match &self.own {
            Some(own) => &own[start..],
            None => ascii(&self.raw[start..self.same]),
        }
    }

    pub(super) fn until(&self, end: usize) -> &str {
        match &self.own {
            Some(own) => &own[..end],
            None => ascii(&self.raw[..end]),
        }
    }

    pub(super) fn finish(self) -> Cow<'a, str> {
        match self.own {
            Some(own) => Cow::Owned(own),
            None => Cow::Borrowed(ascii(&self.raw[..self.same])),
        }
    }
}

/// Only plain octets, slashes and escapes are ever written, so this never fails.
fn ascii(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("a canonical spelling is ASCII")
}

pub(super) fn hex_pair(high: u8, low: u8) -> Result<u8, PathFault> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(PathFault::BAD_ESCAPE);
    Ok((digit(high)? * 16 + digit(low)?) as u8)
}

pub(super) const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Octets that a segment holds unescaped: unreserved, sub-delims, `:` and `@` (RFC 3986 §3.3), but not
/// `;`, which has a rule of its own.
pub(super) const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let one = byte as u8;
        plain[byte] = one.is_ascii_alphanumeric()
            || matches!(one, b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'')
            || matches!(one, b'(' | b')' | b'*' | b'+' | b',' | b'=');
        byte += 1;
    }
    plain
};
