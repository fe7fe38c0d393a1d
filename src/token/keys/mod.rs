//! The key ring: which keys verify, which one signs. The algorithm belongs to the key, never to the token
//! (RFC 8725 §3.1), and a key that is too weak for its algorithm is refused before it is ever used.
//!
//! `algorithm` is the closed list; `material` reads PEM and `jwk` JSON, each key once; `rsa` knows weak keys; `crypto`
//! signs and checks; `generate` makes new ones.

mod algorithm;
mod crypto;
mod generate;
mod jwk;
mod material;
mod rsa;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::digest;
use jsonwebtoken::jwk::Jwk;

use super::Secret;
pub use algorithm::{Algorithm, Family};
use crypto::{Signer, Verifier};
pub use generate::generate;
use material::Parsed;

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
        Key { id, algorithm, verifier, signer, public, fingerprint }
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

/// All keys; the first that can sign signs.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
    fingerprint: [u8; digest::SHA256_OUTPUT_LEN],
}

impl KeyRing {
    /// A ring of these keys, in the order of the configuration. The caller has refused duplicate ids.
    pub fn new(keys: Vec<Key>) -> KeyRing {
        let parts: Vec<&[u8]> = keys.iter().map(|key| key.fingerprint.as_slice()).collect();
        let fingerprint = fingerprint(&parts);
        KeyRing { keys, fingerprint }
    }

    /// The keys of a JWK or a JWK set. `unsaid` is the algorithm of those that do not say theirs.
    ///
    /// # Errors
    /// A key is not for signatures, too weak or of a kind that is not known; two have the same `kid`; or secrets stand
    /// beside public keys.
    pub fn from_jwks(text: &[u8], unsaid: Option<Algorithm>) -> Result<KeyRing, KeyFault> {
        let members = jwk::members(text)?;
        let named = members.iter().map(jwk::Named::of).collect::<Result<Vec<_>, _>>()?;
        let secrets = named.iter().filter(|key| key.is_secret()).count();
        if secrets > 0 && secrets < named.len() {
            return Err(KeyFault("the set mixes shared secrets with public keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        for key in &named {
            let algorithm = key.algorithm.or(unsaid).ok_or(NO_ALGORITHM)?;
            let id = key.id.unwrap_or_default();
            if keys.iter().any(|known| known.id == id) {
                return Err(KeyFault("two keys of the set have the same `kid`"));
            }
            keys.push(Key::of(id.to_owned(), algorithm, key.parse(algorithm)?, text));
        }
        Ok(KeyRing::new(keys))
    }

    /// Every key.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Equal for equal rings, and only for those: what was verified by one was verified by the other.
    pub fn fingerprint(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        self.fingerprint
    }

    /// The key that signs new tokens.
    pub fn signer(&self) -> Option<&Key> {
        self.keys.iter().find(|key| key.signs())
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
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
