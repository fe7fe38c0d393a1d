//! Hashes as other programs write them, each read once into a value that can be checked.
//!
//! Here is which spelling is whose; the files beside know one family each: how it is taken apart, what it may
//! cost, and how it is computed. The costs come from outside, so each is capped where it is read and what is over
//! the cap is never computed. The list for operators, with every cap, is docs/users.md.

mod bcrypt;
mod crypt;
mod digests;
mod pbkdf2;
mod phpass;
mod scrypt;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::{constant_time, digest, rand};

use super::{Hash, PASSWORD_MAX_BYTES, PasswordFault};
use crate::token::Secret;
use bcrypt::{Bcrypt, Before};
use crypt::Crypt;
use digests::Digest;
use pbkdf2::Pbkdf2;
use phpass::Phpass;
use scrypt::Scrypt;

/// Longest text of a hash, in bytes.
pub const HASH_MAX_BYTES: usize = 1024;
/// Shortest output that a hash may have, in bytes: below it a wrong password could match by chance.
const OUTPUT_BYTES_MIN: usize = 16;
/// What takes less time than this, in microseconds of one core, is computed together with an argon2id hash of our
/// cost: about what that takes, so that a cheap hash is not told from a user who does not exist.
const QUICK_MICROSECONDS: u64 = 20_000;

/// Why the text of a hash is not taken. The text is never repeated: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// None of the spellings that are known, or no hash at all (perhaps the password itself).
    #[error(
        "is not a password hash that is known here (docs/users.md lists them; `freshgate user password` makes one for users.toml)"
    )]
    Unknown,
    /// A hash that is known by its spelling but cannot be checked.
    #[error("is {0}, which cannot be checked here; `freshgate user password` gives a new one")]
    Unsupported(&'static str),
    /// It begins like a hash of this kind and goes on otherwise.
    #[error("begins like {0} hash but is none: it may have been cut off")]
    Malformed(&'static str),
    /// It names costs that would stall the gateway.
    #[error("asks for {0}")]
    TooCostly(&'static str),
    /// It is too short to prove anything.
    #[error("has a salt under 8 or a hash under 16 bytes")]
    TooShort,
}

/// A hash, as somebody keeps it, whose costs are within what we are willing to pay.
#[derive(Clone)]
pub struct StoredHash {
    scheme: Scheme,
    /// What the right password gives.
    output: Vec<u8>,
    /// SHA-256 of its text.
    fingerprint: [u8; 32],
}

/// How the output comes from a password.
#[derive(Clone)]
enum Scheme {
    Argon2(Hash),
    Bcrypt(Bcrypt),
    Pbkdf2(Pbkdf2),
    Scrypt(Scrypt),
    Crypt(Crypt),
    Phpass(Phpass),
    Digest(Digest),
    /// No password opens it.
    Locked,
}

/// A scheme, and what the right password gives.
type Read = Result<(Scheme, Vec<u8>), HashFault>;

impl StoredHash {
    /// Reads a hash in any spelling that is known.
    ///
    /// # Errors
    /// [`HashFault`]: the end of a sentence that begins with whose hash it is.
    pub fn parse(text: &str) -> Result<StoredHash, HashFault> {
        if text.len() > HASH_MAX_BYTES || !text.is_ascii() {
            return Err(HashFault::Unknown);
        }
        let (scheme, output) = read(text)?;
        Ok(StoredHash { scheme, output, fingerprint: fingerprint(text) })
    }

    /// A hash of no password, as dear as one that we make: checked for a user that does not exist.
    ///
    /// # Errors
    /// [`PasswordFault::Machine`].
    pub fn dummy() -> Result<StoredHash, PasswordFault> {
        Hash::dummy().map(StoredHash::from)
    }

    /// A hash of no password, as dear as this one.
    ///
    /// # Errors
    /// [`PasswordFault::Machine`].
    pub fn dummy_alike(&self) -> Result<StoredHash, PasswordFault> {
        let mut dummy = self.clone();
        rand::fill(&mut dummy.output).map_err(|_| PasswordFault::Machine)?;
        Ok(dummy)
    }

    /// Computes and compares; blocks for the whole cost of the hash, so only the pool and the command
    /// line call it. An over-long password is wrong without being computed, whoever the user is.
    pub fn verify(&self, password: &Secret) -> bool {
        if password.expose().len() > PASSWORD_MAX_BYTES {
            return false;
        }
        let computed = self.scheme.compute(password);
        if self.scheme.is_padded() {
            // What it says is nobody's; only its time counts.
            let _ = Hash::dummy().map(|dummy| dummy.verify(password));
        }
        computed.is_some_and(|output| {
            constant_time::verify_slices_are_equal(&output, &self.output).is_ok()
        })
    }

    /// Whether whoever steals it guesses passwords faster than from a hash that we would make; the numbers are
    /// those that OWASP recommends at least. A hash that no password opens is not weak.
    pub fn is_weak(&self) -> bool {
        match &self.scheme {
            Scheme::Argon2(hash) => {
                let (memory_kib, passes, _) = hash.costs();
                memory_kib < ARGON2_MEMORY_KIB_FAIR
                    || u64::from(memory_kib) * u64::from(passes) < ARGON2_WORK_KIB_FAIR
            }
            Scheme::Bcrypt(bcrypt) => bcrypt.is_weak(),
            Scheme::Pbkdf2(pbkdf2) => pbkdf2.is_weak(),
            Scheme::Scrypt(scrypt) => scrypt.is_weak(),
            Scheme::Crypt(_) | Scheme::Phpass(_) | Scheme::Digest(_) => true,
            Scheme::Locked => false,
        }
    }

    /// The scheme's name, for people: `bcrypt`, `md5-crypt`, `SSHA`, ….
    pub fn scheme(&self) -> &'static str {
        match &self.scheme {
            Scheme::Argon2(hash) => hash.name(),
            Scheme::Bcrypt(_) => "bcrypt",
            Scheme::Pbkdf2(pbkdf2) => pbkdf2.name(),
            Scheme::Scrypt(_) => "scrypt",
            Scheme::Crypt(crypt) => crypt.name(),
            Scheme::Phpass(_) => "phpass",
            Scheme::Digest(digest) => digest.name(),
            Scheme::Locked => "locked",
        }
    }

    /// About how long a check takes, in microseconds of one core: hashes that agree in it take the same time.
    pub fn microseconds(&self) -> u64 {
        let own = self.scheme.microseconds();
        own + if self.scheme.is_padded() { QUICK_MICROSECONDS } else { 0 }
    }

    /// SHA-256 of the text of the hash: another one when the password was changed where the hash is kept.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

/// The least memory and work of argon2id that OWASP recommends, in KiB.
const ARGON2_MEMORY_KIB_FAIR: u32 = 7_168;
const ARGON2_WORK_KIB_FAIR: u64 = 35_840;

impl From<Hash> for StoredHash {
    fn from(hash: Hash) -> StoredHash {
        let fingerprint = fingerprint(&hash.to_string());
        StoredHash { output: hash.output().to_vec(), scheme: Scheme::Argon2(hash), fingerprint }
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredHash({})", self.scheme())
    }
}

impl Scheme {
    /// `None` when no password of this kind can be right.
    fn compute(&self, password: &Secret) -> Option<Vec<u8>> {
        match self {
            Scheme::Argon2(hash) => hash.compute(password),
            Scheme::Bcrypt(bcrypt) => bcrypt.compute(password.expose()),
            Scheme::Pbkdf2(pbkdf2) => Some(pbkdf2.compute(password.expose())),
            Scheme::Scrypt(scrypt) => scrypt.compute(password.expose()),
            Scheme::Crypt(crypt) => crypt.compute(password.expose()),
            Scheme::Phpass(phpass) => phpass.compute(password.expose()),
            Scheme::Digest(digest) => Some(digest.compute(password.expose())),
            Scheme::Locked => None,
        }
    }

    /// Whether it is computed together with a hash of ours. Not argon2: whoever chose its costs may raise them.
    fn is_padded(&self) -> bool {
        !matches!(self, Scheme::Argon2(_)) && self.microseconds() < QUICK_MICROSECONDS
    }

    /// An estimate for one core of today; of a short password.
    fn microseconds(&self) -> u64 {
        match self {
            // 19 MiB twice take 20 ms.
            Scheme::Argon2(hash) => {
                let (memory_kib, passes, _) = hash.costs();
                u64::from(memory_kib) * u64::from(passes) * QUICK_MICROSECONDS / 38_912
            }
            Scheme::Bcrypt(bcrypt) => bcrypt.microseconds(),
            Scheme::Pbkdf2(pbkdf2) => pbkdf2.microseconds(),
            Scheme::Scrypt(scrypt) => scrypt.microseconds(),
            Scheme::Crypt(crypt) => crypt.microseconds(),
            Scheme::Phpass(phpass) => phpass.microseconds(),
            Scheme::Digest(_) | Scheme::Locked => 0,
        }
    }
}

fn fingerprint(text: &str) -> [u8; 32] {
    let mut all = [0; 32];
    all.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    all
}

/// Says whose spelling it is; the rest is for those who know it.
fn read(text: &str) -> Read {
    if text.starts_with(['!', '*']) {
        // Django, shadow files and LDAP: the account has no password, or is locked.
        return Ok((Scheme::Locked, Vec::new()));
    }
    if let Some(rest) = text.strip_prefix('{') {
        let (name, rest) = rest.split_once('}').ok_or(HashFault::Unknown)?;
        return labelled(&name.to_ascii_uppercase(), rest);
    }
    if text.starts_with('$') {
        return modular(text);
    }
    if let Some((method, rest)) = text.split_once(':') {
        return match method {
            "pbkdf2" => pbkdf2::werkzeug(rest),
            "scrypt" => scrypt::werkzeug(rest),
            _ => Err(HashFault::Unknown),
        };
    }
    match text.split_once('$') {
        Some((method, rest)) => django(method, rest),
        None if is_des(text) => Err(HashFault::Unsupported(
            "perhaps a hash of the old DES crypt, which looks at eight characters of a password only",
        )),
        None => Err(HashFault::Unknown),
    }
}

/// `$id$…`, as crypt(3) and many after it write.
fn modular(text: &str) -> Read {
    let id = text[1..].split('$').next().unwrap_or_default();
    match id {
        "argon2id" | "argon2i" | "argon2d" => {
            let hash = Hash::parse(text)?;
            let output = hash.output().to_vec();
            Ok((Scheme::Argon2(hash), output))
        }
        "2a" | "2b" | "2y" => bcrypt::read(text, Before::Nothing),
        "2x" => bcrypt::read(text, Before::AsciiOnly),
        "wp" => bcrypt::read(&text[3..], Before::WordPress),
        "5" | "6" => crypt::sha(text),
        "1" | "apr1" => crypt::md5(text),
        "P" | "H" => phpass::read(text),
        "pbkdf2" | "pbkdf2-sha256" | "pbkdf2-sha512" => pbkdf2::passlib(text),
        "y" | "gy" => Err(HashFault::Unsupported("a yescrypt hash")),
        "7" => Err(HashFault::Unsupported("a scrypt hash of crypt(3)")),
        "3" => Err(HashFault::Unsupported("an NT hash")),
        "S" => Err(HashFault::Unsupported("a hash of Drupal 7")),
        "sha1" | "md5" | "md5,rounds" => Err(HashFault::Unsupported("a hash of a BSD or Solaris")),
        "bcrypt-sha256" | "scrypt" => {
            Err(HashFault::Unsupported("a hash in passlib's own spelling"))
        }
        _ => Err(HashFault::Unknown),
    }
}

/// `{NAME}…` of LDAP (RFC 2307), Dovecot and htpasswd.
fn labelled(name: &str, rest: &str) -> Read {
    match name {
        "CRYPT" | "BLF-CRYPT" | "MD5-CRYPT" | "SHA256-CRYPT" | "SHA512-CRYPT" | "ARGON2"
        | "ARGON2I" | "ARGON2ID" => match rest.starts_with(['$', '!', '*']) || is_des(rest) {
            true => read(rest),
            false => Err(HashFault::Unknown),
        },
        "CLEARTEXT" | "PLAIN" => Err(HashFault::Unsupported("a password in clear text")),
        _ => digests::read(name, rest),
    }
}

/// `algorithm$…` of Django.
fn django(method: &str, rest: &str) -> Read {
    match method {
        "pbkdf2_sha256" | "pbkdf2_sha1" => pbkdf2::django(method, rest),
        "scrypt" => scrypt::django(rest),
        "argon2" if rest.starts_with("argon2") => modular(&format!("${rest}")),
        "bcrypt" => bcrypt::read(rest, Before::Nothing),
        "bcrypt_sha256" => bcrypt::read(rest, Before::Sha256Hex),
        "sha1" | "md5" | "unsalted_sha1" | "unsalted_md5" | "crypt" => {
            Err(HashFault::Unsupported("one of the hashes that Django itself has given up"))
        }
        _ => Err(HashFault::Unknown),
    }
}

/// The 13 characters of the crypt(3) of 1979.
fn is_des(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|sign| crypt::ALPHABET.contains(&sign))
}

/// A number as programs write it: digits only, no sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|sign| sign.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Bytes from hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |sign: u8| char::from(sign).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? * 16 + digit(*low)?) as u8);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}
