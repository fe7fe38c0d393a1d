//! One round of a hash function, as LDAP (RFC 2307), Dovecot and htpasswd write it: `{SSHA}` and its relatives.
//!
//! They take a millionth of a second to guess, with a salt or without, and are here so that they can be replaced.

use aws_lc_rs::digest::{self, Algorithm};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{HashFault, Read, Scheme};

/// Some programs leave the `=` at the end out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone)]
pub(super) struct Digest {
    name: &'static str,
    algorithm: &'static Algorithm,
    salt: Vec<u8>,
}

/// `{NAME}` and the Base64 of digest and salt; the names without a second `S` have no salt.
pub(super) fn read(name: &str, rest: &str) -> Read {
    const KNOWN: [(&str, &Algorithm, bool); 8] = [
        ("SHA", &digest::SHA1_FOR_LEGACY_USE_ONLY, false),
        ("SSHA", &digest::SHA1_FOR_LEGACY_USE_ONLY, true),
        ("SHA256", &digest::SHA256, false),
        ("SSHA256", &digest::SHA256, true),
        ("SHA384", &digest::SHA384, false),
        ("SSHA384", &digest::SHA384, true),
        ("SHA512", &digest::SHA512, false),
        ("SSHA512", &digest::SHA512, true),
    ];
    const MALFORMED: HashFault = HashFault::Malformed("an LDAP");
    let known = KNOWN.into_iter().find(|(known, ..)| *known == name);
    let Some((name, algorithm, salted)) = known else {
        return Err(match name {
            "MD5" | "SMD5" => HashFault::Unsupported("an MD5 hash of LDAP"),
            _ => HashFault::Unknown,
        });
    };
    let mut output = BASE64.decode(rest).map_err(|_| MALFORMED)?;
    if output.len() < algorithm.output_len() {
        return Err(MALFORMED);
    }
    let salt = output.split_off(algorithm.output_len());
    if !salted && !salt.is_empty() {
        return Err(MALFORMED);
    }
    Ok((Scheme::Digest(Digest { name, algorithm, salt }), output))
}

impl Digest {
    pub(super) fn compute(&self, password: &[u8]) -> Vec<u8> {
        let mut context = digest::Context::new(self.algorithm);
        context.update(password);
        context.update(&self.salt);
        context.finish().as_ref().to_vec()
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}
