//! New keys, for the first run, for `freshgate key` and for benches. The texts are what the files hold.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::{EncodeConfig, LineEnding, Pem};
use zeroize::Zeroizing;

use super::{Algorithm, Family, KeyFault, KeyMaterial, material};
use crate::token::Secret;

const FAILED: KeyFault = KeyFault("this machine gave no random bytes for a key");

/// Makes a key: a private one in PEM (PKCS#8), or a secret as text of base64url. RSA keys have 2048 bits.
///
/// # Errors
/// The machine gives no random bytes.
pub fn generate(algorithm: Algorithm) -> Result<KeyMaterial, KeyFault> {
    let der = match algorithm.family() {
        Family::Hmac => return secret(algorithm),
        Family::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| FAILED)?;
            pair.as_der().map_err(|_| FAILED)?.as_ref().to_vec()
        }
        Family::P256 | Family::P384 | Family::P521 => {
            let curve = material::curve(algorithm.family()).ok_or(FAILED)?;
            let pair = EcdsaKeyPair::generate(curve).map_err(|_| FAILED)?;
            pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec()
        }
        Family::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(|_| FAILED)?;
            pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec()
        }
    };
    let der = Zeroizing::new(der);
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let text = pem::encode_config(&Pem::new("PRIVATE KEY", der.as_slice()), lines);
    Ok(KeyMaterial::Private(Secret::new(text)))
}

/// Half as many bytes again as the hash has: the text of them is longer than any algorithm asks for.
fn secret(algorithm: Algorithm) -> Result<KeyMaterial, KeyFault> {
    let mut bytes = Zeroizing::new(vec![0; algorithm.secret_bytes_min() * 3 / 2]);
    rand::fill(&mut bytes).map_err(|_| FAILED)?;
    Ok(KeyMaterial::Secret(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}
