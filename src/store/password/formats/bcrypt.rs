//! bcrypt: `$2b$COST$` and 53 signs, and what others do to a password before it.
//!
//! bcrypt itself looks at 72 bytes and at nothing behind a zero byte. Neither may make two passwords equal, so a
//! password that is longer, or has a zero byte, is wrong here whatever its beginning.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use zeroize::Zeroizing;

use super::{HashFault, Read, Scheme, number};

/// Greatest cost: 2^14 rounds take about a second of one core.
const COST_MAX: u32 = 14;
const COST_MIN: u32 = 4;
/// The least cost that OWASP recommends.
const COST_FAIR: u32 = 10;
/// Bytes of a password that bcrypt looks at.
const KEY_BYTES: usize = 72;
const SALT_SIGNS: usize = 22;
const SIGNS: usize = 53;
/// bcrypt drops the last of its 24 bytes.
const OUTPUT_BYTES: usize = 23;

/// Some programs leave bits in the last sign of a salt that mean nothing.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// What a password goes through first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    /// `$2x$` marks hashes of a program that read bytes above 127 as negative numbers, so that they overwrote the
    /// ones before: many passwords were one. Those are refused; the others are as they should be.
    AsciiOnly,
    /// Django's `bcrypt_sha256`: the hexadecimal SHA-256.
    Sha256Hex,
    /// WordPress since 6.8, `$wp$2y$…`: the Base64 of HMAC-SHA384 of the trimmed password.
    WordPress,
}

#[derive(Clone)]
pub(super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    before: Before,
}

/// Reads `$2?$COST$…`.
pub(super) fn read(text: &str, before: Before) -> Read {
    const MALFORMED: HashFault = HashFault::Malformed("a bcrypt");
    let mut parts = text.split('$');
    let (Some(""), Some(id), Some(cost), Some(signs), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED);
    };
    let before = match (id, before) {
        ("2x", Before::Nothing) => Before::AsciiOnly,
        ("2a" | "2b" | "2y", _) | ("2x", Before::AsciiOnly) => before,
        _ => return Err(MALFORMED),
    };
    let cost = number(cost).filter(|_| cost.len() == 2).ok_or(MALFORMED)?;
    match cost {
        COST_MIN..=COST_MAX => {}
        0..COST_MIN => return Err(MALFORMED),
        _ => return Err(HashFault::TooCostly("a bcrypt cost above 14")),
    }
    let (salt, output) = signs.split_at_checked(SALT_SIGNS).ok_or(MALFORMED)?;
    let decoded = (BASE64.decode(salt), BASE64.decode(output));
    let (Ok(salt), Ok(output), SIGNS) = (decoded.0, decoded.1, signs.len()) else {
        return Err(MALFORMED);
    };
    let salt = salt.try_into().map_err(|_| MALFORMED)?;
    Ok((Scheme::Bcrypt(Bcrypt { cost, salt, before }), output))
}

impl Bcrypt {
    pub(super) fn compute(&self, password: &[u8]) -> Option<Vec<u8>> {
        let password = self.before.prepare(password);
        let known = password.is_ascii() || self.before != Before::AsciiOnly;
        let whole = password.len() <= KEY_BYTES && !password.contains(&0);
        // What cannot be right is computed all the same, so that the time does not tell whose hash is bcrypt.
        let mut key = Zeroizing::new(password[..password.len().min(KEY_BYTES)].to_vec());
        if key.len() < KEY_BYTES {
            key.push(0);
        }
        let output = bcrypt::bcrypt(self.cost, self.salt, &key);
        (known && whole).then(|| output[..OUTPUT_BYTES].to_vec())
    }

    pub(super) fn is_weak(&self) -> bool {
        self.cost < COST_FAIR
    }

    pub(super) fn microseconds(&self) -> u64 {
        50 << self.cost
    }
}

impl Before {
    fn prepare(self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Before::Nothing | Before::AsciiOnly => password.to_vec(),
            Before::Sha256Hex => {
                let digest = digest::digest(&digest::SHA256, password);
                digest.as_ref().iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
            }
            Before::WordPress => {
                let key = hmac::Key::new(hmac::HMAC_SHA384, b"wp-sha384");
                STANDARD.encode(hmac::sign(&key, trimmed(password))).into_bytes()
            }
        })
    }
}

/// As PHP's `trim`.
fn trimmed(password: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t\n\r\0\x0B".contains(byte);
    let from = password.iter().position(|byte| !blank(byte)).unwrap_or(password.len());
    let to = password.iter().rposition(|byte| !blank(byte)).map_or(from, |last| last + 1);
    &password[from..to]
}
