//! Looks through the whole text, comments included, for what should not be in it: private keys, tokens, and passwords
//! in comments. Only warns, and hides what it finds wherever its line is shown.

use std::path::Path;
use std::string::FromUtf8Error;

use super::Lowering;
use crate::config::diagnostic::Diagnostics;

/// A quoted text behind the name of a secret, in a comment: shorter ones are examples.
const COMMENTED_BYTES_MIN: usize = 16;
/// Names of secrets.
const NAMES: [&str; 4] = ["secret", "password", "token", "private"];
/// Fewest characters of a signature: that of ES256 and HS256 has 43 or more.
const SIGNATURE_BYTES_MIN: usize = 40;

impl Lowering<'_> {
    pub(super) fn secrets(&mut self, text: &str) {
        let mut start = 0;
        let mut in_key: Option<usize> = None;
        for line in text.split_inclusive('\n') {
            let (from, to) = (start, start + line.trim_end().len());
            start += line.len();
            if let Some(began) = in_key {
                self.out.hide(&(from..to));
                if line.contains("-----END") || from - began > KEY_BYTES_MAX {
                    in_key = None;
                }
            } else if let Some(at) =
                line.find("-----BEGIN").filter(|_| line.contains("PRIVATE KEY"))
            {
                self.out.secret_in_file(&(from + at..to), "a private key");
                in_key = (!line.contains("-----END")).then_some(from);
            } else if let Some((at, length)) = token_in(line) {
                self.out.secret_in_file(&(from + at..from + at + length), "a token");
            } else if let Some((at, length)) = commented(line) {
                self.out.secret_in_file(&(from + at..from + at + length), "a secret in a comment");
            }
        }
    }
}

/// No private key in PEM is longer.
const KEY_BYTES_MAX: usize = 16 * 1024;

/// A signed token (RFC 7515 §7.1): three parts, of which the first two are JSON objects.
fn token_in(line: &str) -> Option<(usize, usize)> {
    let at = line.find("eyJ")?;
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let length = line[at..].bytes().take_while(|byte| part(*byte)).count();
    let mut parts = line[at..at + length].split('.');
    let (_, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let is = payload.starts_with("eyJ") && signature.len() >= SIGNATURE_BYTES_MIN;
    is.then_some((at, length))
}

/// `# secret = "…"`: the quoted text.
fn commented(line: &str) -> Option<(usize, usize)> {
    let comment = line.find('#')?;
    let words = &line[comment + 1..];
    let (key, value) = words.split_once('=')?;
    let name = key.trim().trim_matches(['"', '\'']);
    let value = value.trim_start();
    let quote = value.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    let inner = value[1..].split(quote).next()?;
    let is = NAMES.contains(&name)
        && inner.len() >= COMMENTED_BYTES_MIN
        && inner.bytes().all(|byte| byte.is_ascii_graphic())
        && !inner.contains("...");
    let at = line.trim_end().len() - value.trim_end().len();
    is.then_some((at + 1, inner.len()))
}

/// Says where a text in another encoding begins to be one, without showing a secret beside the place.
pub(super) fn not_utf8(path: &Path, fault: &FromUtf8Error) -> Diagnostics {
    let text = String::from_utf8_lossy(fault.as_bytes());
    let mut out = super::diagnostics(&text, Some(path));
    // Hides what must not be shown in the excerpt.
    Lowering { base: super::base_of(path), out: &mut out, users_must_exist: false, outlined: None }
        .secrets(&text);
    out.not_utf8(fault.utf8_error().valid_up_to());
    out.sort();
    out
}
