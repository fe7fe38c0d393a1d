//! crypt(3): `$5$` and `$6$` (SHA-crypt), `$1$` (MD5-crypt) and Apache's `$apr1$`, which differs in its name only.
//!
//! Their outputs stay text, in an alphabet and an order of their own: what is computed is written the same way and
//! then compared. MD5-crypt is computed here, by its description in FreeBSD's crypt.c.

use md5::{Digest as _, Md5};
use sha_crypt::{Params, sha256_crypt, sha512_crypt};

use super::{HashFault, Read, Scheme, number};

/// The 64 signs of crypt(3).
pub(super) const ALPHABET: &[u8; 64] =
    b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Most rounds of SHA-crypt: about a second of one core. passlib makes hashes of 656,000.
const ROUNDS_MAX: u32 = 1_000_000;
/// Longest password, in bytes; libxcrypt takes no longer one. The time grows with it.
const PASSWORD_MAX_BYTES: usize = 512;
const SHA_SALT_MAX_BYTES: usize = 16;
const MD5_SALT_MAX_BYTES: usize = 8;
const MD5_ROUNDS: usize = 1000;

#[derive(Clone)]
pub(super) struct Crypt {
    function: Function,
    salt: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Function {
    Sha256(Params),
    Sha512(Params),
    /// With the name that is hashed too.
    Md5(&'static str),
}

/// `$6$[rounds=N$]SALT$OUTPUT`.
pub(super) fn sha(text: &str) -> Read {
    const MALFORMED: HashFault = HashFault::Malformed("a SHA-crypt");
    let parts: Vec<&str> = text.split('$').collect();
    let (id, rounds, salt, output) = match parts.as_slice() {
        ["", id, salt, output] => (*id, None, *salt, *output),
        ["", id, rounds, salt, output] => {
            (*id, Some(rounds.strip_prefix("rounds=").ok_or(MALFORMED)?), *salt, *output)
        }
        _ => return Err(MALFORMED),
    };
    let params = match rounds.map(|rounds| number::<u64>(rounds).ok_or(MALFORMED)).transpose()? {
        None => Params::RECOMMENDED,
        Some(rounds) if rounds > u64::from(ROUNDS_MAX) => {
            return Err(HashFault::TooCostly("more than 1,000,000 rounds of SHA-crypt"));
        }
        Some(rounds) => Params::new(rounds as u32).map_err(|_| MALFORMED)?,
    };
    let (function, signs) = match id {
        "5" => (Function::Sha256(params), 43),
        _ => (Function::Sha512(params), 86),
    };
    if salt.len() > SHA_SALT_MAX_BYTES || !is_output(output, signs) {
        return Err(MALFORMED);
    }
    Ok((Scheme::Crypt(Crypt { function, salt: salt.into() }), output.into()))
}

/// `$1$SALT$OUTPUT` and `$apr1$SALT$OUTPUT`.
pub(super) fn md5(text: &str) -> Read {
    const MALFORMED: HashFault = HashFault::Malformed("an MD5-crypt");
    let parts: Vec<&str> = text.split('$').collect();
    let ["", id, salt, output] = parts.as_slice() else { return Err(MALFORMED) };
    if salt.len() > MD5_SALT_MAX_BYTES || !is_output(output, 22) {
        return Err(MALFORMED);
    }
    let function = Function::Md5(if *id == "1" { "$1$" } else { "$apr1$" });
    Ok((Scheme::Crypt(Crypt { function, salt: (*salt).into() }), (*output).into()))
}

/// What is computed of a password, and whether it is the whole of one that can be right. One that is too long or
/// has a zero byte, where C's strings end, costs what any wrong one costs.
pub(super) fn cut(password: &[u8]) -> (&[u8], bool) {
    let cut = &password[..password.len().min(PASSWORD_MAX_BYTES)];
    (cut, cut.len() == password.len() && !password.contains(&0))
}

/// Whether a text has so many signs, all of the alphabet.
pub(super) fn is_output(text: &str, signs: usize) -> bool {
    text.len() == signs && text.bytes().all(|sign| ALPHABET.contains(&sign))
}

impl Crypt {
    pub(super) fn compute(&self, password: &[u8]) -> Option<Vec<u8>> {
        let (password, whole) = cut(password);
        let output = match self.function {
            Function::Sha256(params) => sha256_text(&sha256_crypt(password, &self.salt, params)),
            Function::Sha512(params) => sha512_text(&sha512_crypt(password, &self.salt, params)),
            Function::Md5(magic) => md5_text(&md5_crypt(password, &self.salt, magic)),
        };
        whole.then_some(output)
    }

    pub(super) fn name(&self) -> &'static str {
        match self.function {
            Function::Sha256(_) => "sha256-crypt",
            Function::Sha512(_) => "sha512-crypt",
            Function::Md5(_) => "md5-crypt",
        }
    }

    pub(super) fn microseconds(&self) -> u64 {
        match self.function {
            Function::Sha256(params) | Function::Sha512(params) => rounds(params),
            Function::Md5(_) => 500,
        }
    }
}

/// The crate tells its rounds in words only.
fn rounds(params: Params) -> u64 {
    let words = params.to_string();
    words.strip_prefix("rounds=").and_then(number).unwrap_or(0)
}

fn md5_crypt(password: &[u8], salt: &[u8], magic: &str) -> [u8; 16] {
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password);
    let inner: [u8; 16] = inner.finalize().into();
    let mut first = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        first.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    let mut output: [u8; 16] = first.finalize().into();
    for round in 0..MD5_ROUNDS {
        let mut next = Md5::new();
        let odd = round % 2 == 1;
        next.update(if odd { password } else { &output });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { &output[..] } else { password });
        output = next.finalize().into();
    }
    output
}

/// Writes up to three bytes, the highest first, in so many signs, the lowest first.
fn put(text: &mut Vec<u8>, bytes: [u8; 3], signs: usize) {
    let mut bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    for _ in 0..signs {
        text.push(ALPHABET[(bits & 63) as usize]);
        bits >>= 6;
    }
}

fn sha256_text(all: &[u8; 32]) -> Vec<u8> {
    let mut text = Vec::with_capacity(43);
    let mut at = [0, 10, 20];
    for _ in 0..10 {
        put(&mut text, at.map(|index| all[index]), 4);
        at = [at[2] + 1, at[0] + 1, at[1] + 1];
    }
    put(&mut text, [0, all[31], all[30]], 3);
    text
}

fn sha512_text(all: &[u8; 64]) -> Vec<u8> {
    let mut text = Vec::with_capacity(86);
    let mut at = [0, 21, 42];
    for _ in 0..21 {
        put(&mut text, at.map(|index| all[index]), 4);
        at = [at[1] + 1, at[2] + 1, at[0] + 1];
    }
    put(&mut text, [0, 0, all[63]], 2);
    text
}

fn md5_text(all: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(22);
    for [one, two, three] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(&mut text, [all[one], all[two], all[three]], 4);
    }
    put(&mut text, [0, 0, all[11]], 2);
    text
}

/// The order of phpass: the first byte is the lowest.
pub(super) fn plain_text(all: &[u8; 16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(22);
    let (triples, rest) = all.as_chunks::<3>();
    for [one, two, three] in triples {
        put(&mut text, [*three, *two, *one], 4);
    }
    put(&mut text, [0, 0, rest[0]], 2);
    text
}
