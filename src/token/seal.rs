//! Keeps the next refresh token so that only the holder of the one that it replaced can read it.
//!
//! Whoever sends a refresh token twice, because an answer was lost or two tabs asked at once, must get the same
//! successor both times, so a store keeps it for a while. It keeps it sealed: AES-256-GCM under a key made (HKDF, RFC 5869)
//! of the presented token itself, which no store has. Called by `auth`; stores carry [`Sealed`] about.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::Secret;

/// Parts these keys from all others that could be made of a token.
const PURPOSE: &[u8] = b"freshgate refresh successor v1";
/// Bytes of the key of AES-256.
const KEY_BYTES: usize = 32;

/// A token that only the holder of another one can read: nonce, text under the key, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// It was not sealed under this token, or is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed cannot be opened with this token")]
pub struct NotOpened;

impl Sealed {
    /// Seals `successor` under the token `presented`.
    ///
    /// # Errors
    /// [`NotOpened`] when the cryptography of this machine fails, as it does not otherwise.
    pub fn seal(presented: &Secret, successor: &str) -> Result<Sealed, NotOpened> {
        let mut text = successor.as_bytes().to_vec();
        let key = key_of(presented)?;
        let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut text);
        let mut sealed = nonce.map_err(|_| NotOpened)?.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(Sealed(sealed))
    }

    /// The successor, for whoever presents the token again.
    ///
    /// # Errors
    /// [`NotOpened`]: another token, or bytes that were damaged.
    pub fn open(&self, presented: &Secret) -> Result<Secret, NotOpened> {
        let (nonce, text) = self.0.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key_of(presented)?.open_in_place(nonce, Aad::empty(), &mut text);
        Ok(Secret::new(&*opened.map_err(|_| NotOpened)?))
    }

    /// As a store keeps it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a store kept it; what it holds shows when it is opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Sealed {
        Sealed(bytes)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

fn key_of(presented: &Secret) -> Result<RandomizedNonceKey, NotOpened> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let secret = Salt::none(HKDF_SHA256).extract(presented.expose());
    let made = secret.expand(&[PURPOSE], &AES_256_GCM).and_then(|made| made.fill(&mut *key));
    made.map_err(|_| NotOpened)?;
    RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| NotOpened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn holder_of_the_presented_token_alone_reads_the_successor() {
        let sealed = Sealed::seal(&token("a.b.c"), "d.e.f").unwrap();
        assert_eq!(sealed.open(&token("a.b.c")).unwrap().expose(), b"d.e.f");
        for other in ["", "a.b.d", "a.b.c ", "d.e.f"] {
            assert_eq!(sealed.open(&token(other)).unwrap_err(), NotOpened, "{other:?}");
        }
        let text = String::from_utf8_lossy(sealed.as_bytes()).into_owned();
        assert!(!text.contains("d.e.f") && !format!("{sealed:?}").contains("d.e"));
    }

    #[test]
    fn no_two_are_alike_and_none_survives_a_changed_bit() {
        let sealed = Sealed::seal(&token("a.b.c"), "d.e.f").unwrap();
        assert_ne!(sealed, Sealed::seal(&token("a.b.c"), "d.e.f").unwrap());
        let whole = sealed.as_bytes().to_vec();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(
                Sealed::from_bytes(bytes).open(&token("a.b.c")).unwrap_err(),
                NotOpened,
                "{at}"
            );
            let cut = Sealed::from_bytes(whole[..at].to_vec());
            assert_eq!(cut.open(&token("a.b.c")).unwrap_err(), NotOpened, "{at}");
        }
    }
}
