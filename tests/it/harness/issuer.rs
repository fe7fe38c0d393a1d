//! Another issuer: a key made here, its JWK as the world reads it, and any token signed with it.

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::forge::now;

/// A key pair of an issuer.
#[derive(Debug)]
pub struct Issuer {
    /// Its `iss`.
    pub name: String,
    /// The `kid` of its key.
    pub kid: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Issuer {
    /// One that signs with RS256, as most do.
    pub fn rsa(name: &str, kid: &str) -> Issuer {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("random bytes");
        Issuer { name: name.into(), kid: kid.into(), pair: Pair::Rsa(pair) }
    }

    /// One that signs with ES256.
    pub fn p256(name: &str, kid: &str) -> Issuer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("random bytes");
        Issuer { name: name.into(), kid: kid.into(), pair: Pair::P256(pair) }
    }

    /// Its `alg`.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
        }
    }

    /// Its public key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                json!({"kty": "RSA", "n": encode(&n), "e": encode(&e)})
            }
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
        };
        for (name, value) in [("kid", &*self.kid), ("use", "sig"), ("alg", self.algorithm())] {
            jwk[name] = json!(value);
        }
        jwk
    }

    /// A JWK set with this key alone.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// The public key in PEM.
    pub fn pem(&self) -> String {
        use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::P256(pair) => pair.public_key().as_der(),
        }
        .expect("a public key has one");
        pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()))
    }

    /// A token that lives for an hour, with these claims besides `iss`, `iat` and `exp`, or instead.
    pub fn token(&self, claims: &Value) -> String {
        let mut all = json!({"iss": self.name, "iat": now(), "exp": now() + 3600});
        for (name, value) in claims.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let header = json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.kid});
        self.sign(&header, &all)
    }

    /// Any header and payload; with PS256 where the header says so.
    pub fn sign(&self, header: &Value, payload: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(payload));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let pss = header["alg"] == "PS256";
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, bytes, &mut signature).expect("a signature");
                signature
            }
            Pair::P256(pair) => pair.sign(&random, bytes).expect("a signature").as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
