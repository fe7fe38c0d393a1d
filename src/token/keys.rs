//! The key ring: which keys verify, which one signs. The algorithm belongs to the key, never to the token
//! (RFC 8725 §3.1), and a key that is too weak for its algorithm is refused before it is ever used.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};

use super::Secret;

/// The algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256; the secret has 32 bytes or more (RFC 7518 §3.2).
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// Fewest bytes of an HS256 secret (RFC 7518 §3.2).
pub const HS256_SECRET_BYTES_MIN: usize = 32;

impl Algorithm {
    /// Every algorithm, for messages that list them.
    pub const ALL: [Algorithm; 2] = [Algorithm::Hs256, Algorithm::Es256];

    /// The name in `alg` (RFC 7518 §3.1).
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Es256 => "ES256",
        }
    }

    fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }
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
    /// PEM of a PKCS#8 private key: signs and verifies.
    Private(Secret),
    /// PEM of a public key (SPKI): verifies only.
    Public(Secret),
}

/// Why key material is refused; the remedy is in the sentence, the material never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFault(pub &'static str);

const SHORT_SECRET: KeyFault =
    KeyFault("an HS256 secret needs 32 bytes or more (try `openssl rand -base64 48`)");
const NOT_PRIVATE: KeyFault = KeyFault(
    "not a PKCS#8 private key on P-256 in PEM (make one with `openssl genpkey -algorithm EC \
     -pkeyopt ec_paramgen_curve:P-256`, convert one with `openssl pkcs8 -topk8 -nocrypt`)",
);
const NOT_PUBLIC: KeyFault = KeyFault(
    "not a public key on P-256 in PEM (write it with `openssl pkey -in private.pem -pubout`)",
);
const WRONG_MATERIAL: KeyFault =
    KeyFault("HS256 takes `secret`, ES256 takes `private` or `public`");

/// One parsed key.
pub struct Key {
    id: String,
    algorithm: Algorithm,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
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
        let (material, signing, verifying, public) = match (spec.algorithm, &spec.material) {
            (Algorithm::Hs256, KeyMaterial::Secret(secret)) => {
                let bytes = secret.expose();
                if bytes.len() < HS256_SECRET_BYTES_MIN {
                    return Err(SHORT_SECRET);
                }
                let signing = EncodingKey::from_secret(bytes);
                (secret, Some(signing), DecodingKey::from_secret(bytes), None)
            }
            (Algorithm::Es256, KeyMaterial::Private(pem)) => {
                let (signing, public) = es256_private(pem).map_err(|_| NOT_PRIVATE)?;
                let verifying = DecodingKey::from_jwk(&public).map_err(|_| NOT_PRIVATE)?;
                (pem, Some(signing), verifying, Some(public))
            }
            (Algorithm::Es256, KeyMaterial::Public(pem)) => {
                let (verifying, public) = es256_public(pem).map_err(|_| NOT_PUBLIC)?;
                (pem, None, verifying, Some(public))
            }
            _ => return Err(WRONG_MATERIAL),
        };
        let fingerprint =
            fingerprint(&[spec.id.as_bytes(), spec.algorithm.name().as_bytes(), material.expose()]);
        let public = public.map(|jwk| named(jwk, &spec.id));
        Ok(Key {
            id: spec.id.clone(),
            algorithm: spec.algorithm,
            verifying,
            signing,
            public,
            fingerprint,
        })
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
        self.signing.is_some()
    }

    /// The public half, for the JWK set.
    pub fn public(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub fn verifies(&self, message: &str, signature: &str) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.verifying, self.algorithm.library())
            .unwrap_or(false)
    }

    /// The base64url signature over `message`; `None` when the key cannot sign.
    pub fn sign(&self, message: &str) -> Option<String> {
        let signing = self.signing.as_ref()?;
        crypto::sign(message.as_bytes(), signing, self.algorithm.library()).ok()
    }
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

fn es256_private(pem: &Secret) -> Result<(EncodingKey, Jwk), jsonwebtoken::errors::Error> {
    let signing = EncodingKey::from_ec_pem(pem.expose())?;
    // Deriving the public half is also what proves the curve.
    let public = Jwk::from_encoding_key(&signing, jsonwebtoken::Algorithm::ES256)?;
    Ok((signing, public))
}

fn es256_public(pem: &Secret) -> Result<(DecodingKey, Jwk), jsonwebtoken::errors::Error> {
    let verifying = DecodingKey::from_ec_pem(pem.expose())?;
    let point = verifying.try_get_as_bytes()?;
    // The library takes what stands where a point should: of another curve, or on none. Such a key would believe
    // nothing, or what a weaker key has signed (RFC 8725 §3.4, §3.5).
    let names_p256 = without_spaces(pem).contains(&STANDARD.encode([SPKI_P256, point].concat()));
    if !names_p256 || ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_err() {
        return Err(ErrorKind::InvalidEcdsaKey.into());
    }
    let public = Jwk::from_decoding_key(&verifying, Some(jsonwebtoken::Algorithm::ES256))?;
    Ok((verifying, public))
}

/// What stands before the 65 bytes of an uncompressed point in a public key on P-256 (RFC 5480 §2).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

fn without_spaces(pem: &Secret) -> String {
    String::from_utf8_lossy(pem.expose()).split_whitespace().collect()
}

fn named(mut jwk: Jwk, id: &str) -> Jwk {
    jwk.common.key_id = Some(id.to_owned());
    jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
    jwk
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
