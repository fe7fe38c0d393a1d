//! Key material from PEM (PKCS#1, PKCS#8, SEC1, SPKI): what it holds is parsed once and checked once. `jwk`
//! does the same for JSON.

use std::sync::Arc;

use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RsaKeyPair,
};
use pem::Pem;

use super::crypto::{Signer, Verifier, hmac_key, rsa_encoding, verification};
use super::{Algorithm, Family, KeyFault, rsa};

/// A key that was read: what checks, what signs if it can, and what others may know of it.
pub(super) struct Parsed {
    pub(super) verifier: Verifier,
    pub(super) signer: Option<Signer>,
    pub(super) public: Option<Public>,
}

/// The public numbers of a key, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point: 4, x, y (SEC 1 §2.3.3).
    Ec {
        point: Vec<u8>,
    },
    Ed {
        x: Vec<u8>,
    },
}

/// What stands before the point in the SPKI of each curve (RFC 5480 §2, RFC 8410 §4); DER has one form for it.
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const SPKI_P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const SPKI_P521: &[u8] = &[
    0x30, 0x81, 0x9B, 0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05,
    0x2B, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
];
const SPKI_ED25519: &[u8] =
    &[0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(super) const NOT_PEM: KeyFault = KeyFault(
    "not one key in PEM or JWK (a private key begins with `-----BEGIN PRIVATE KEY-----` or `{\"kty\"`)",
);
pub(super) const NOT_PRIVATE: KeyFault = KeyFault("not a private key of this algorithm's kind");
pub(super) const NOT_PUBLIC: KeyFault = KeyFault("not a public key of this algorithm's kind");
const ENCRYPTED: KeyFault = KeyFault(
    "the private key is encrypted; take its passphrase away: `openssl pkcs8 -topk8 -nocrypt`",
);

/// How a curve signs.
pub(super) fn curve(family: Family) -> Option<&'static EcdsaSigningAlgorithm> {
    match family {
        Family::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Family::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Family::P521 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        Family::Hmac | Family::Rsa | Family::Ed25519 => None,
    }
}

/// A shared secret.
///
/// # Errors
/// It is shorter than the algorithm's hash.
pub(super) fn secret(algorithm: Algorithm, bytes: &[u8]) -> Result<Parsed, KeyFault> {
    let key = hmac_key(algorithm, bytes).ok_or(super::WRONG_MATERIAL)?;
    if bytes.len() < algorithm.secret_bytes_min() {
        return Err(super::short_secret(algorithm));
    }
    Ok(Parsed {
        verifier: Verifier::Hmac(Arc::clone(&key)),
        signer: Some(Signer::Hmac(key)),
        public: None,
    })
}

/// A private key in PEM.
///
/// # Errors
/// What is wrong with it.
pub(super) fn private_pem(algorithm: Algorithm, text: &[u8]) -> Result<Parsed, KeyFault> {
    // `openssl ecparam -genkey` writes the curve's name into a part of its own.
    let parts = pem::parse_many(text).map_err(|_| NOT_PEM)?;
    let mut keys = parts.iter().filter(|part| part.tag() != "EC PARAMETERS");
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(NOT_PEM) };
    if key.tag() == "ENCRYPTED PRIVATE KEY" || key.headers().get("DEK-Info").is_some() {
        return Err(ENCRYPTED);
    }
    match algorithm.family() {
        Family::Hmac => Err(super::WRONG_MATERIAL),
        Family::Rsa => rsa_private(algorithm, key),
        Family::P256 | Family::P384 | Family::P521 => {
            let curve = curve(algorithm.family()).ok_or(NOT_PRIVATE)?;
            let pair = match key.tag() {
                "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(curve, key.contents()),
                "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(curve, key.contents()),
                _ => return Err(NOT_PRIVATE),
            };
            ec_pair(algorithm, pair.map_err(|_| NOT_PRIVATE)?)
        }
        Family::Ed25519 => match key.tag() {
            "PRIVATE KEY" => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.contents());
                ed_pair(algorithm, pair.map_err(|_| NOT_PRIVATE)?)
            }
            _ => Err(NOT_PRIVATE),
        },
    }
}

fn rsa_private(algorithm: Algorithm, key: &Pem) -> Result<Parsed, KeyFault> {
    let pair = match key.tag() {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(key.contents()),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(key.contents()),
        _ => return Err(NOT_PRIVATE),
    };
    rsa_pair(algorithm, pair.map_err(|_| NOT_PRIVATE)?)
}

/// A public key in PEM.
///
/// # Errors
/// What is wrong with it.
pub(super) fn public_pem(algorithm: Algorithm, text: &[u8]) -> Result<Parsed, KeyFault> {
    let parts = pem::parse_many(text).map_err(|_| NOT_PEM)?;
    let [key] = parts.as_slice() else { return Err(NOT_PEM) };
    let after = |prefix: &[u8]| key.contents().strip_prefix(prefix).map(<[u8]>::to_vec);
    let public = match (algorithm.family(), key.tag()) {
        (Family::Hmac, _) => return Err(super::WRONG_MATERIAL),
        (Family::Rsa, "PUBLIC KEY" | "RSA PUBLIC KEY") => {
            let key = RsaPublicKey::from_der(key.contents()).map_err(|_| NOT_PUBLIC)?;
            rsa_numbers(&key)
        }
        (Family::P256, "PUBLIC KEY") => Public::Ec { point: after(SPKI_P256).ok_or(NOT_PUBLIC)? },
        (Family::P521, "PUBLIC KEY") => Public::Ec { point: after(SPKI_P521).ok_or(NOT_PUBLIC)? },
        (Family::P384, "PUBLIC KEY") => Public::Ec { point: after(SPKI_P384).ok_or(NOT_PUBLIC)? },
        (Family::Ed25519, "PUBLIC KEY") => Public::Ed { x: after(SPKI_ED25519).ok_or(NOT_PUBLIC)? },
        _ => return Err(NOT_PUBLIC),
    };
    from_public(algorithm, public)
}

/// A key that only checks.
///
/// # Errors
/// The numbers are no key of the algorithm, or too weak a one.
pub(super) fn from_public(algorithm: Algorithm, public: Public) -> Result<Parsed, KeyFault> {
    let verification = verification(algorithm).ok_or(super::WRONG_MATERIAL)?;
    let key = match &public {
        Public::Rsa { n, e } => {
            rsa::check_public(n, e)?;
            ParsedPublicKey::new(verification, rsa_der(n, e))
        }
        Public::Ec { point } => ParsedPublicKey::new(verification, point),
        Public::Ed { x } => ParsedPublicKey::new(verification, x),
    };
    let verifier = Verifier::Public(key.map_err(|_| NOT_PUBLIC)?);
    Ok(Parsed { verifier, signer: None, public: Some(public) })
}

/// An RSA key pair.
///
/// # Errors
/// It is too weak.
pub(super) fn rsa_pair(algorithm: Algorithm, pair: RsaKeyPair) -> Result<Parsed, KeyFault> {
    let encoding = rsa_encoding(algorithm).ok_or(super::WRONG_MATERIAL)?;
    let parsed = from_public(algorithm, rsa_numbers(pair.public_key()))?;
    Ok(Parsed { signer: Some(Signer::Rsa(Box::new(pair), encoding)), ..parsed })
}

/// A key pair on P-256 or P-384.
///
/// # Errors
/// It is on another curve than the algorithm's.
pub(super) fn ec_pair(algorithm: Algorithm, pair: EcdsaKeyPair) -> Result<Parsed, KeyFault> {
    let point = pair.public_key().as_ref().to_vec();
    let parsed = from_public(algorithm, Public::Ec { point })?;
    Ok(Parsed { signer: Some(Signer::Ec(Box::new(pair))), ..parsed })
}

/// A key pair on Ed25519.
///
/// # Errors
/// Its public half is no point.
pub(super) fn ed_pair(algorithm: Algorithm, pair: Ed25519KeyPair) -> Result<Parsed, KeyFault> {
    let x = pair.public_key().as_ref().to_vec();
    let parsed = from_public(algorithm, Public::Ed { x })?;
    Ok(Parsed { signer: Some(Signer::Ed(Box::new(pair))), ..parsed })
}

fn rsa_numbers(key: &RsaPublicKey) -> Public {
    let n = key.modulus().big_endian_without_leading_zero().to_vec();
    let e = key.exponent().big_endian_without_leading_zero().to_vec();
    Public::Rsa { n, e }
}

/// `RSAPublicKey` (RFC 8017 §A.1.1): the form in which the library parses a key for good.
fn rsa_der(n: &[u8], e: &[u8]) -> Vec<u8> {
    let body = [der_integer(n), der_integer(e)].concat();
    der(0x30, &body)
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros.min(number.len())..];
    let sign = number.first().is_none_or(|first| first & 0x80 != 0);
    der(0x02, &[if sign { &[0][..] } else { &[] }, number].concat())
}

fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = match length {
        0..=0x7F => vec![tag, length as u8],
        0x80..=0xFF => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), body].concat()
}
