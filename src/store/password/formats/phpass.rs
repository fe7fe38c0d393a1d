//! phpass, the portable hashes of PHP programs: `$P$` of WordPress before 6.8, `$H$` of phpBB.

use md5::{Digest as _, Md5};

use super::crypt::{ALPHABET, cut, is_output, plain_text};
use super::{HashFault, Read, Scheme};

/// Most rounds, as a power of two: under a second of one core even for the longest password. WordPress has 2^13,
/// passlib 2^19.
const ROUNDS_LOG2_MAX: u8 = 19;
/// Fewest rounds, as a power of two, that phpass takes.
const ROUNDS_LOG2_MIN: u8 = 7;
const SALT_SIGNS: usize = 8;

#[derive(Clone)]
pub(super) struct Phpass {
    rounds_log2: u8,
    salt: Vec<u8>,
}

/// `$P$`, one sign for the rounds, eight of salt and 22 of output.
pub(super) fn read(text: &str) -> Read {
    const MALFORMED: HashFault = HashFault::Malformed("a phpass");
    // `$P` alone is shorter.
    let rest = text.get(3..).ok_or(MALFORMED)?;
    let rounds = rest.bytes().next().ok_or(MALFORMED)?;
    let rounds_log2 = ALPHABET.iter().position(|sign| *sign == rounds).ok_or(MALFORMED)? as u8;
    let (salt, output) = rest[1..].split_at_checked(SALT_SIGNS).ok_or(MALFORMED)?;
    if !is_output(output, 22) || !(ROUNDS_LOG2_MIN..=30).contains(&rounds_log2) {
        return Err(MALFORMED);
    }
    if rounds_log2 > ROUNDS_LOG2_MAX {
        return Err(HashFault::TooCostly("more than 524,288 rounds of phpass"));
    }
    Ok((Scheme::Phpass(Phpass { rounds_log2, salt: salt.into() }), output.into()))
}

impl Phpass {
    pub(super) fn compute(&self, password: &[u8]) -> Option<Vec<u8>> {
        let (password, whole) = cut(password);
        let mut output: [u8; 16] =
            Md5::new().chain_update(&self.salt).chain_update(password).finalize().into();
        for _ in 0..1u32 << self.rounds_log2 {
            output = Md5::new().chain_update(output).chain_update(password).finalize().into();
        }
        whole.then(|| plain_text(&output))
    }

    pub(super) fn microseconds(&self) -> u64 {
        (1 << self.rounds_log2) / 5
    }
}
