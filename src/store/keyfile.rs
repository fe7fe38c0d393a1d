//! The signing key made on first run: `<state dir>/keys/signing.pem`, ES256, PKCS#8, mode 0600.
//!
//! Used when the configuration names no key. It is made once: of two processes that start together one
//! makes it and both use it. A key that others can read is refused, never repaired in silence, because
//! it may have been read already. Called when a gateway or the command line builds its key ring.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::token::Secret;
use crate::token::keys::{Algorithm, KeyMaterial, KeySpec};

/// Characters of the thumbprint that name the key: 96 bits, so two keys never share a name.
const KEY_ID_CHARS: usize = 16;
/// Largest key file read, in bytes; a P-256 key in PEM has 241.
const KEY_FILE_MAX_BYTES: u64 = 16 * 1024;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why there is no signing key; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// The file or its directory cannot be read or made.
    #[error("the signing key {}: {error}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else may have read the key.
    #[error("the signing key {} can be read by others (mode {mode:03o}); if nobody has, run: chmod 600 '{}'", path.display(), path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a P-256 key in PKCS#8 PEM.
    #[error("the signing key {} is not an EC P-256 private key in PKCS#8 PEM; remove it to have a new one made (all tokens end)", .0.display())]
    NotAKey(PathBuf),
    /// The crypto library made no key.
    #[error("no signing key could be made: the crypto library refused")]
    Crypto,
}

/// Loads the signing key of a state directory, making it first when there is none.
///
/// # Errors
/// [`KeyFileFault`]; nothing that exists is ever overwritten.
pub fn load_or_create(state_dir: &Path) -> Result<KeySpec, KeyFileFault> {
    let path = state_dir.join("keys").join("signing.pem");
    match load(&path) {
        Err(KeyFileFault::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            create(&path)?;
            load(&path)
        }
        outcome => outcome,
    }
}

fn load(path: &Path) -> Result<KeySpec, KeyFileFault> {
    let io_fault = |error| KeyFileFault::Io { path: path.to_owned(), error };
    let file = fs::File::open(path).map_err(io_fault)?;
    let metadata = file.metadata().map_err(io_fault)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileFault::Exposed { path: path.to_owned(), mode });
    }
    if !metadata.is_file() || metadata.len() > KEY_FILE_MAX_BYTES {
        return Err(KeyFileFault::NotAKey(path.to_owned()));
    }
    let pem = Zeroizing::new(io::read_to_string(file).map_err(io_fault)?);
    let id = pem_body(&pem)
        .and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).ok())
        .and_then(|pair| key_id(pair.public_key().as_ref()))
        .ok_or_else(|| KeyFileFault::NotAKey(path.to_owned()))?;
    let material = KeyMaterial::Private(Secret::new(pem.as_bytes()));
    Ok(KeySpec { id, algorithm: Algorithm::Es256, material })
}

/// Makes the key under another name and links it into place, which fails if a key is there already:
/// then the other process was first and its key is the one.
fn create(path: &Path) -> Result<(), KeyFileFault> {
    let io_fault = |error| KeyFileFault::Io { path: path.to_owned(), error };
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_fault)?;
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|_| KeyFileFault::Crypto)?;
    let der = pair.to_pkcs8v1().map_err(|_| KeyFileFault::Crypto)?;
    // A temporary file has mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io_fault)?;
    file.write_all(pem_text(der.as_ref()).as_bytes()).map_err(io_fault)?;
    file.as_file().sync_all().map_err(io_fault)?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_fault),
        Err(fault) if fault.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(io_fault(fault.error)),
    }
}

/// The beginning of the thumbprint of the public key (RFC 7638 §3), so the name follows from the key.
fn key_id(point: &[u8]) -> Option<String> {
    let coordinates = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64)?;
    let x = URL_SAFE_NO_PAD.encode(&coordinates[..32]);
    let y = URL_SAFE_NO_PAD.encode(&coordinates[32..]);
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
    let mut id = URL_SAFE_NO_PAD.encode(thumbprint);
    id.truncate(KEY_ID_CHARS);
    Some(id)
}

/// PEM as RFC 7468 §2 writes it: 64 characters a line.
fn pem_text(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + 64));
    text.push_str(PEM_BEGIN);
    for (index, character) in body.chars().enumerate() {
        if index % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push('\n');
    text.push_str(PEM_END);
    text.push('\n');
    text
}

fn pem_body(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let joined: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    STANDARD.decode(joined.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn pem(spec: &KeySpec) -> Vec<u8> {
        match &spec.material {
            KeyMaterial::Private(secret) => secret.expose().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn key_is_made_once_and_then_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_create(dir.path()).unwrap();
        let loaded = load_or_create(dir.path()).unwrap();
        assert_eq!(made.id, loaded.id);
        assert_eq!(made.id.len(), KEY_ID_CHARS);
        assert_eq!(pem(&made), pem(&loaded));
        assert_eq!(mode(&dir.path().join("keys")), 0o700);
        assert_eq!(mode(&dir.path().join("keys/signing.pem")), 0o600);
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn processes_that_start_together_share_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..16).map(|_| scope.spawn(|| load_or_create(dir.path()).unwrap().id)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        load_or_create(dir.path()).unwrap();
        let path = dir.path().join("keys/signing.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let fault = load_or_create(dir.path()).unwrap_err().to_string();
        assert!(fault.contains(&format!("chmod 600 '{}'", path.display())), "{fault}");
        assert!(fault.contains("mode 640"), "{fault}");
    }

    #[test]
    fn file_that_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/signing.pem");
        load_or_create(dir.path()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for broken in ["", "hello", &whole[..100], &whole.replace("PRIVATE", "PUBLIC")] {
            fs::write(&path, broken).unwrap();
            let fault = load_or_create(dir.path()).unwrap_err();
            assert!(matches!(fault, KeyFileFault::NotAKey(_)), "{fault}");
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
    }
}
