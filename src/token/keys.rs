//! The key ring: which keys verify, which one signs. The algorithm belongs to the key, never to the token.

use super::Secret;

/// The algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret has 32 bytes or more (RFC 7518 §3.2).
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// One `[[tokens.key]]`, its material read but not yet parsed.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// `kid`.
    pub id: String,
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// What it can do.
    pub material: KeyMaterial,
}

/// Key material as read from its file or variable.
#[derive(Clone, Debug)]
pub enum KeyMaterial {
    /// HMAC secret bytes: signs and verifies.
    Secret(Secret),
    /// PEM of a private key (PKCS#8 or SEC1): signs and verifies.
    Private(Secret),
    /// PEM of a public key (SPKI): verifies only.
    Public(Secret),
}

/// Why key material is refused; the remedy is in the sentence, the material never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFault(pub &'static str);

/// All keys, one of which signs.
#[derive(Debug)]
pub struct KeyRing {}

/// One parsed key.
#[derive(Debug)]
pub struct Key {}

impl Key {
    /// Parses and checks the material: length, curve, form.
    ///
    /// # Errors
    /// [`KeyFault`] says what to change.
    pub fn parse(_spec: &KeySpec) -> Result<Key, KeyFault> {
        todo!()
    }
}
