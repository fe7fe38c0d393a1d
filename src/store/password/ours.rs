//! argon2 hashes (RFC 9106): the ones that we make, and those of other programs in the same spelling.
//!
//! Ours are argon2id. Of others argon2i and argon2d are read too. Called by `formats`, the users file and
//! the command line.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{constant_time, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::{HashFault, PASSWORD_MAX_BYTES, PasswordFault};
use crate::token::Secret;

/// Memory of a hash that we make, in KiB (OWASP's first choice for argon2id).
pub const MEMORY_KIB: u32 = 19_456;
/// Passes of a hash that we make.
pub const PASSES: u32 = 2;
/// Lanes of a hash that we make.
pub const LANES: u32 = 1;
/// Most memory that a hash from a file may ask for, in KiB.
const MEMORY_KIB_MAX: u32 = 262_144;
/// Most memory times passes that a hash from a file may ask for, in KiB: about a second of one core.
const WORK_KIB_MAX: u64 = 1_048_576;
/// Most lanes that a hash from a file may ask for.
const LANES_MAX: u32 = 16;
/// Salt and output of a hash that we make, in bytes (RFC 9106 §3.1).
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;
/// Shortest output that a hash from a file may have: below it a wrong password could match by chance.
const OUTPUT_BYTES_MIN: usize = 16;

/// An argon2 hash whose costs are within what we are willing to pay.
#[derive(Clone)]
pub struct Hash {
    algorithm: Algorithm,
    params: Params,
    version: Version,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Hash {
    /// Hashes a new password, with a random salt.
    ///
    /// # Errors
    /// [`PasswordFault`] for an empty or over-long password.
    pub fn of(password: &Secret) -> Result<Hash, PasswordFault> {
        Hash::check_new(password)?;
        let mut hash = Hash::dummy()?;
        let output = hash.compute(password).ok_or(PasswordFault::Machine)?;
        hash.output = output;
        Ok(hash)
    }

    /// Whether a new password can be hashed.
    ///
    /// # Errors
    /// [`PasswordFault`] for an empty or over-long password.
    pub fn check_new(password: &Secret) -> Result<(), PasswordFault> {
        match password.expose().len() {
            0 => Err(PasswordFault::Empty),
            1..=PASSWORD_MAX_BYTES => Ok(()),
            _ => Err(PasswordFault::TooLong),
        }
    }

    /// A hash of no password, as dear as one that we make: checked for a user that does not exist.
    ///
    /// # Errors
    /// [`PasswordFault::Machine`].
    pub fn dummy() -> Result<Hash, PasswordFault> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES))
            .expect("our own costs are within what argon2 takes");
        Hash::dummy_with(Algorithm::Argon2id, params, Version::V0x13)
    }

    fn dummy_with(
        algorithm: Algorithm,
        params: Params,
        version: Version,
    ) -> Result<Hash, PasswordFault> {
        let mut salt = vec![0; SALT_BYTES];
        let mut output = vec![0; params.output_len().unwrap_or(OUTPUT_BYTES)];
        rand::fill(&mut salt).map_err(|_| PasswordFault::Machine)?;
        rand::fill(&mut output).map_err(|_| PasswordFault::Machine)?;
        Ok(Hash { algorithm, params, version, salt, output })
    }

    /// Reads a PHC string. Its costs come from outside, so they are capped before anything is computed.
    ///
    /// # Errors
    /// [`HashFault`] says what is wrong with it; the text itself is never repeated.
    pub fn parse(text: &str) -> Result<Hash, HashFault> {
        const MALFORMED: HashFault = HashFault::Malformed("an argon2");
        let phc = PasswordHash::new(text).map_err(|_| MALFORMED)?;
        let algorithm = Algorithm::new(phc.algorithm.as_str()).map_err(|_| MALFORMED)?;
        let version = match phc.version {
            Some(19) => Version::V0x13,
            // The PHC strings of argon2 1.0 carry no version.
            None | Some(16) => Version::V0x10,
            Some(_) => return Err(MALFORMED),
        };
        let params = Params::try_from(&phc).map_err(|_| MALFORMED)?;
        let work_kib = u64::from(params.m_cost()) * u64::from(params.t_cost());
        if params.m_cost() > MEMORY_KIB_MAX
            || work_kib > WORK_KIB_MAX
            || params.p_cost() > LANES_MAX
        {
            return Err(HashFault::TooCostly(
                "more than 256 MiB, more than 1 GiB over all passes, or more than 16 lanes",
            ));
        }
        let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
            return Err(MALFORMED);
        };
        let (salt, output): (&[u8], &[u8]) = (salt.as_ref(), output.as_ref());
        if salt.len() < argon2::MIN_SALT_LEN || output.len() < OUTPUT_BYTES_MIN {
            return Err(HashFault::TooShort);
        }
        Ok(Hash { algorithm, params, version, salt: salt.to_vec(), output: output.to_vec() })
    }

    /// `argon2id`, `argon2i` or `argon2d`.
    pub(super) fn name(&self) -> &'static str {
        self.algorithm.as_str()
    }

    /// The bytes that the right password gives.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Memory in KiB, passes and lanes.
    pub fn costs(&self) -> (u32, u32, u32) {
        (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
    }

    /// Computes and compares; blocks for the whole cost of the hash, so only the pool and the command
    /// line call it. An over-long password is wrong without being computed, whoever the user is.
    pub fn verify(&self, password: &Secret) -> bool {
        if password.expose().len() > PASSWORD_MAX_BYTES {
            return false;
        }
        self.compute(password).is_some_and(|output| {
            constant_time::verify_slices_are_equal(&output, &self.output).is_ok()
        })
    }

    pub(super) fn compute(&self, password: &Secret) -> Option<Vec<u8>> {
        let mut output = vec![0; self.output.len()];
        Argon2::new(self.algorithm, self.version, self.params.clone())
            .hash_password_into(password.expose(), &self.salt, &mut output)
            .ok()?;
        Some(output)
    }
}

impl fmt::Display for Hash {
    /// The PHC string, for the users file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = u32::from(self.version);
        let (memory, passes, lanes) = self.costs();
        let salt = STANDARD_NO_PAD.encode(&self.salt);
        let output = STANDARD_NO_PAD.encode(&self.output);
        let name = self.name();
        write!(f, "${name}$v={version}$m={memory},t={passes},p={lanes}${salt}${output}")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, passes, lanes) = self.costs();
        write!(f, "Hash({}, m={memory}, t={passes}, p={lanes})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn hash_verifies_its_password_and_no_other() {
        let hash = Hash::of(&secret("correct horse")).unwrap();
        let read = Hash::parse(&hash.to_string()).unwrap();
        assert!(hash.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(read.verify(&secret("correct horse")));
        assert!(!read.verify(&secret("correct horsf")));
        assert!(!read.verify(&secret("")));
        assert_ne!(hash.to_string(), Hash::of(&secret("correct horse")).unwrap().to_string());
        assert!(!format!("{hash:?}").contains(&STANDARD_NO_PAD.encode(&hash.output)));
    }

    #[test]
    fn nothing_is_cut_off() {
        let long = "x".repeat(100);
        let hash = Hash::of(&secret(&long)).unwrap();
        assert!(hash.verify(&secret(&long)));
        assert!(!hash.verify(&secret(&long[..72])));
        assert!(!hash.verify(&secret(&format!("{}y", &long[..99]))));
        let unicode = "пароль-密码-🔑".repeat(6);
        assert!(Hash::of(&secret(&unicode)).unwrap().verify(&secret(&unicode)));
        let longest = "a".repeat(PASSWORD_MAX_BYTES);
        assert!(Hash::of(&secret(&longest)).unwrap().verify(&secret(&longest)));
        let longer = Hash::of(&secret(&"a".repeat(PASSWORD_MAX_BYTES + 1)));
        assert_eq!(longer.unwrap_err(), PasswordFault::TooLong);
        assert_eq!(Hash::of(&secret("")).unwrap_err(), PasswordFault::Empty);
    }

    /// A test vector of the reference implementation (phc-winner-argon2, `src/test.c`).
    #[test]
    fn hash_of_another_program_verifies() {
        let phc =
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = Hash::parse(phc).unwrap();
        assert!(hash.verify(&secret("password")));
        assert!(!hash.verify(&secret("passwort")));
    }

    #[test]
    fn hashes_that_stall_or_prove_nothing_are_refused() {
        let tail = "c29tZXNhbHRzb21lc2FsdA$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f";
        let parse = |head: &str| Hash::parse(&format!("{head}${tail}")).map(|_| ()).unwrap_err();
        let costly = |head| assert!(matches!(parse(head), HashFault::TooCostly(_)), "{head}");
        let malformed = |head| assert!(matches!(parse(head), HashFault::Malformed(_)), "{head}");
        costly("$argon2id$v=19$m=4194304,t=1,p=1");
        costly("$argon2id$v=19$m=19456,t=4000000000,p=1");
        costly("$argon2i$v=19$m=19456,t=2,p=17");
        malformed("$argon2x$v=19$m=19456,t=2,p=1");
        malformed("$argon2id$v=99$m=19456,t=2,p=1");
        malformed("$2b$12$abc");
        malformed("hunter2");
        let no_output = Hash::parse("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA");
        assert!(matches!(no_output.unwrap_err(), HashFault::Malformed(_)));
        let short = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo7";
        assert_eq!(Hash::parse(short).unwrap_err(), HashFault::TooShort);
    }
}
