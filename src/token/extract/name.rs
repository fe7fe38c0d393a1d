//! One fold for all that some backend reads as one name, and the count of those that fold alike: the common part of
//! cookies and query parameters.
//!
//! Backends differ: PHP decodes the names of cookies, cuts leading white space and makes `_` of `.` and of spaces
//! (CVE-2020-7070), Python strips Unicode spaces, ASP.NET ignores case. Whoever is read as ours by any of them is
//! counted, and never forwarded; a token is only what stands under the exact name.

use percent_encoding::percent_decode;

use super::Presented;

/// The fold of a name: decoded, without what stands around it, in lower case, and `_` for all but letters and digits.
pub(super) fn fold(name: &[u8]) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode(name).collect();
    let odd = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\'');
    let start = decoded.iter().position(|byte| !odd(byte)).unwrap_or(decoded.len());
    let end = decoded.iter().rposition(|byte| !odd(byte)).map_or(start, |last| last + 1);
    let plain =
        |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
    decoded[start..end].iter().map(plain).collect()
}

/// Whether a name, as sent, folds to this fold.
pub(super) fn folds_to(name: &[u8], folded: &[u8]) -> bool {
    // No spelling is shorter.
    name.len() >= folded.len() && (fold(name) == folded || fold(stem(name)) == folded)
}

/// Names that belong together, as backends may read them: one, or with `*` at its end all that begin so.
#[derive(Debug)]
pub struct NamePattern {
    folded: Vec<u8>,
    is_beginning: bool,
}

impl NamePattern {
    /// Of `name` or `beginning*`.
    pub fn of(text: &str) -> NamePattern {
        let beginning = text.strip_suffix('*');
        let folded = fold(beginning.unwrap_or(text).as_bytes());
        NamePattern { folded, is_beginning: beginning.is_some() }
    }

    /// Whether some backend takes a name, as sent, for one of these.
    pub(super) fn means(&self, name: &[u8]) -> bool {
        match self.is_beginning {
            true => fold(name).starts_with(&self.folded),
            false => folds_to(name, &self.folded),
        }
    }
}

/// What PHP takes for the name: it ends at a NUL, and what stands in brackets behind it is a key of a list.
fn stem(name: &[u8]) -> &[u8] {
    let bracket = name.iter().position(|&byte| byte == b'[');
    let escape = |three: &[u8]| three == b"%00" || three.eq_ignore_ascii_case(b"%5b");
    let escape = name.windows(3).position(escape);
    &name[..bracket.into_iter().chain(escape).min().unwrap_or(name.len())]
}

/// What was found under a name so far.
#[derive(Default)]
pub(super) struct Tally<'r> {
    like: usize,
    value: Option<&'r [u8]>,
}

impl<'r> Tally<'r> {
    /// One more that some backend reads as ours; with its value, if it has the exact name.
    pub(super) fn add(&mut self, value: Option<&'r [u8]>) {
        self.like += 1;
        self.value = value.or(self.value);
    }

    /// One under the exact name is a token or none; two in any spelling are too many.
    pub(super) fn presented(self) -> Presented<'r> {
        match (self.like, self.value) {
            (0, _) | (1, None) => Presented::Nothing,
            (1, Some(value)) => Presented::whole(value),
            _ => Presented::Duplicated,
        }
    }
}

/// A name and its value, at the first `=`; without one the whole is the name.
pub(super) fn pair(piece: &[u8]) -> (&[u8], &[u8]) {
    match piece.iter().position(|&byte| byte == b'=') {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, b""),
    }
}
