//! PBKDF2 (RFC 8018) as Django, Werkzeug and passlib write it.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, Algorithm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{HashFault, Read, Scheme, number, unhex};

/// Most iterations: one to two seconds of one core. Django 5.2 and Werkzeug 3.1 make hashes of 1,000,000.
const ITERATIONS_MAX: u32 = 4_000_000;
/// The fewest that OWASP recommends for HMAC-SHA-256 and HMAC-SHA-512; those of HMAC-SHA-1 are always weak.
const SHA256_FAIR: u32 = 600_000;
const SHA512_FAIR: u32 = 210_000;

const MALFORMED: HashFault = HashFault::Malformed("a PBKDF2");

#[derive(Clone)]
pub(super) struct Pbkdf2 {
    function: Function,
    iterations: NonZeroU32,
    salt: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
}

/// `pbkdf2_sha256$ITERATIONS$SALT$BASE64`, of which the first part is taken away.
pub(super) fn django(method: &str, rest: &str) -> Read {
    let function = match method {
        "pbkdf2_sha1" => Function::Sha1,
        _ => Function::Sha256,
    };
    let [iterations, salt, output] = parts(rest)?;
    finish(function, iterations, salt.into(), STANDARD.decode(output).ok())
}

/// `pbkdf2:sha256:ITERATIONS$SALT$HEX`, of which the first part is taken away.
pub(super) fn werkzeug(rest: &str) -> Read {
    let [method, salt, output] = parts(rest)?;
    let Some((name, iterations)) = method.split_once(':') else {
        return Err(HashFault::Unsupported(
            "a PBKDF2 hash that does not say how many iterations it has",
        ));
    };
    let function = match name {
        "sha1" => Function::Sha1,
        "sha256" => Function::Sha256,
        "sha512" => Function::Sha512,
        _ => return Err(HashFault::Unsupported("a PBKDF2 hash of an unusual hash function")),
    };
    finish(function, iterations, salt.into(), unhex(output))
}

/// `$pbkdf2-sha256$ROUNDS$SALT$OUTPUT`, both in a Base64 that has `.` for `+` and no end.
pub(super) fn passlib(text: &str) -> Read {
    let (name, rest) = text[1..].split_once('$').ok_or(MALFORMED)?;
    let function = match name {
        "pbkdf2" => Function::Sha1,
        "pbkdf2-sha256" => Function::Sha256,
        _ => Function::Sha512,
    };
    let decode = |part: &str| STANDARD_NO_PAD.decode(part.replace('.', "+")).ok();
    let [rounds, salt, output] = parts(rest)?;
    finish(function, rounds, decode(salt).ok_or(MALFORMED)?, decode(output))
}

fn parts(rest: &str) -> Result<[&str; 3], HashFault> {
    let all: Vec<&str> = rest.split('$').collect();
    all.try_into().map_err(|_| MALFORMED)
}

fn finish(function: Function, iterations: &str, salt: Vec<u8>, output: Option<Vec<u8>>) -> Read {
    // More digits than fit are too many iterations, not a mistake of spelling.
    let iterations: u64 = match iterations.len() {
        0..=10 => number(iterations).ok_or(MALFORMED)?,
        _ => u64::MAX,
    };
    if iterations > u64::from(ITERATIONS_MAX) {
        return Err(HashFault::TooCostly("more than 4,000,000 iterations of PBKDF2"));
    }
    let iterations = NonZeroU32::new(iterations as u32).ok_or(MALFORMED)?;
    let output = output.filter(|output| output.len() == function.bytes()).ok_or(MALFORMED)?;
    Ok((Scheme::Pbkdf2(Pbkdf2 { function, iterations, salt }), output))
}

impl Function {
    /// Length of the output, which is that of the hash function.
    fn bytes(self) -> usize {
        match self {
            Function::Sha1 => 20,
            Function::Sha256 => 32,
            Function::Sha512 => 64,
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Function::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Function::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Function::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl Pbkdf2 {
    pub(super) fn compute(&self, password: &[u8]) -> Vec<u8> {
        let mut output = vec![0; self.function.bytes()];
        let algorithm = self.function.algorithm();
        pbkdf2::derive(algorithm, self.iterations, &self.salt, password, &mut output);
        output
    }

    pub(super) fn name(&self) -> &'static str {
        match self.function {
            Function::Sha1 => "pbkdf2-sha1",
            Function::Sha256 => "pbkdf2-sha256",
            Function::Sha512 => "pbkdf2-sha512",
        }
    }

    pub(super) fn is_weak(&self) -> bool {
        match self.function {
            Function::Sha1 => true,
            Function::Sha256 => self.iterations.get() < SHA256_FAIR,
            Function::Sha512 => self.iterations.get() < SHA512_FAIR,
        }
    }

    pub(super) fn microseconds(&self) -> u64 {
        let (numerator, denominator) = match self.function {
            Function::Sha1 | Function::Sha256 => (2, 5),
            Function::Sha512 => (9, 10),
        };
        u64::from(self.iterations.get()) * numerator / denominator
    }
}
