//! The key ring: which keys verify, which one signs. The algorithm belongs to the key, never to the token
//! (RFC 8725 §3.1), and a key that is too weak for its algorithm is refused before it is ever used.
//!
//! `algorithm` is the closed list; `material` reads PEM and `jwk` JSON, each key once; `recognise` says what a file
//! of unknown content holds; `remote` reads the sets of other issuers, `published` files with their keys; `rsa` knows weak keys;
//! `crypto` signs and checks; `generate` makes new ones; `ring` holds
//! them all and knows at every moment which one signs.

mod algorithm;
mod crypto;
mod generate;
mod jwk;
mod material;
mod published;
mod recognise;
mod remote;
#[cfg(test)]
mod remote_tests;
mod ring;
mod rsa;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::digest;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};

use super::{Secret, UnixTime};
pub use algorithm::{Algorithm, Family};
use crypto::{Signer, Verifier};
pub use generate::generate;
use material::Parsed;
pub use recognise::{Recognised, recognise};
pub use remote::{BadKey, RemoteSet};
pub use ring::{KeyRing, KeyState};

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
    /// The bytes of a shared secret, or a JWK of kind `oct`: signs and verifies.
    Secret(Secret),
    /// A private key in PEM (PKCS#1, PKCS#8, SEC1) or JWK: signs and verifies.
    Private(Secret),
    /// A public key in PEM (SPKI, PKCS#1) or JWK: verifies only.
    Public(Secret),
}

/// Why key material is refused; the remedy is in the sentence, the material never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFault(pub &'static str);

const WRONG_MATERIAL: KeyFault =
    KeyFault("HS256, HS384 and HS512 take `secret`, all others `private` or `public`");

const NO_ALGORITHM: KeyFault = KeyFault("the JWK does not say its `alg`");

/// What others may read must never be what signs (CVE-2026-39999).
const NO_SECRET: KeyFault = KeyFault("this is a key in PEM, not a shared secret");

fn short_secret(algorithm: Algorithm) -> KeyFault {
    KeyFault(match algorithm {
        Algorithm::Hs384 => {
            "an HS384 secret needs 48 bytes or more (try `openssl rand -base64 72`)"
        }
        Algorithm::Hs512 => {
            "an HS512 secret needs 64 bytes or more (try `openssl rand -base64 96`)"
        }
        _ => "an HS256 secret needs 32 bytes or more (try `openssl rand -base64 48`)",
    })
}

/// One parsed key.
pub struct Key {
    id: String,
    algorithm: Algorithm,
    verifier: Verifier,
    signer: Option<Signer>,
    /// What others may know of it; `None` for a shared secret.
    public: Option<Jwk>,
    /// SHA-256 of all that the key is made of.
    fingerprint: [u8; digest::SHA256_OUTPUT_LEN],
    life: Life,
}

/// When a key begins to sign and when it ends. A key of the configuration has neither time: there the order decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// The first second in which it signs; `None`: it was never chosen to.
    pub signs_from: Option<UnixTime>,
    /// The first second in which it neither signs nor verifies; `None`: no end is set.
    pub retires_at: Option<UnixTime>,
}

impl Key {
    /// Parses and checks the material: length, curve, form.
    ///
    /// # Errors
    /// [`KeyFault`] says what to change.
    pub fn parse(spec: &KeySpec) -> Result<Key, KeyFault> {
        let algorithm = spec.algorithm;
        let (KeyMaterial::Secret(text) | KeyMaterial::Private(text) | KeyMaterial::Public(text)) =
            &spec.material;
        let bytes = text.expose();
        let parsed = match &spec.material {
            KeyMaterial::Secret(_) if is_oct(bytes) => from_jwk(algorithm, bytes)?,
            KeyMaterial::Secret(_) if bytes.starts_with(b"-----BEGIN") => return Err(NO_SECRET),
            KeyMaterial::Secret(_) => material::secret(algorithm, bytes)?,
            _ if algorithm.is_symmetric() => return Err(WRONG_MATERIAL),
            KeyMaterial::Private(_) | KeyMaterial::Public(_) if is_json(bytes) => {
                from_jwk(algorithm, bytes)?
            }
            KeyMaterial::Private(_) => material::private_pem(algorithm, bytes)?,
            KeyMaterial::Public(_) => material::public_pem(algorithm, bytes)?,
        };
        match (&spec.material, &parsed.signer) {
            (KeyMaterial::Private(_), None) => {
                Err(KeyFault("this is only the public half of a key"))
            }
            // Nobody should leave a private key where a public one is enough.
            (KeyMaterial::Public(_), Some(_)) => {
                Err(KeyFault("this is a private key, not a public one"))
            }
            _ => Ok(Key::of(spec.id.clone(), algorithm, parsed, bytes)),
        }
    }

    fn of(id: String, algorithm: Algorithm, parsed: Parsed, material: &[u8]) -> Key {
        let fingerprint = fingerprint(&[id.as_bytes(), algorithm.name().as_bytes(), material]);
        let public = parsed.public.map(|public| jwk::write(&id, algorithm, &public));
        let Parsed { verifier, signer, .. } = parsed;
        Key { id, algorithm, verifier, signer, public, fingerprint, life: Life::default() }
    }

    /// The same key with these times.
    pub fn living(self, life: Life) -> Key {
        Key { life, ..self }
    }

    /// When it begins to sign and when it ends.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Whether it has ended: it signs nothing and verifies nothing more.
    pub fn is_retired(&self, now: UnixTime) -> bool {
        self.life.retires_at.is_some_and(|end| end <= now)
    }

    /// The name that follows from the public half (RFC 7638 §3, SHA-256); `None` for a shared secret, whose
    /// thumbprint would help to guess it (RFC 7638 §7).
    pub fn thumbprint(&self) -> Option<String> {
        self.public.as_ref()?.thumbprint(ThumbprintHash::SHA256).ok()
    }

    /// `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The one algorithm it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it can sign.
    pub fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// The public half, for the JWK set.
    pub fn public(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }

    /// The signature over `message`; `None` when the key cannot sign.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.as_ref()?.sign(message)
    }
}

fn from_jwk(algorithm: Algorithm, text: &[u8]) -> Result<Parsed, KeyFault> {
    let members = jwk::members(text)?;
    let [one] = members.as_slice() else {
        return Err(KeyFault("this is a set of keys; give each key a file of its own"));
    };
    jwk::Named::of(one)?.parse(algorithm)
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// Whether a secret is written as a JWK: nobody's random bytes are a JSON object with `kty`.
fn is_oct(bytes: &[u8]) -> bool {
    is_json(bytes)
        && jwk::members(bytes).is_ok_and(|all| all.iter().all(|one| one.contains_key("kty")))
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.id, self.algorithm.name())
    }
}

fn fingerprint(parts: &[&[u8]]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
