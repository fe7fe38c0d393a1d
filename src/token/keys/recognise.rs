//! What a key file holds that says neither its algorithm nor its kind: the key tells both. Called for what is put
//! into the key folder by hand.

use super::{Algorithm, Key, KeyFault, KeyMaterial, KeySpec, from_jwk, is_json, jwk, material};
use crate::token::Secret;

/// What was recognised.
#[derive(Debug)]
pub struct Recognised {
    /// `kid`, where a JWK says it.
    pub id: Option<String>,
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// What it can do.
    pub material: KeyMaterial,
}

/// The algorithms whose kind of key says them; RSA keys serve six, of which this takes the one that everybody knows.
const BY_KIND: [Algorithm; 5] =
    [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa, Algorithm::Rs256];

/// Recognises one key in PEM or JWK. `said` is the algorithm that a record of the key names.
///
/// # Errors
/// It is no key, too weak a one, or for another algorithm than was said.
pub fn recognise(text: &Secret, said: Option<Algorithm>) -> Result<Recognised, KeyFault> {
    let bytes = text.expose();
    if is_json(bytes) {
        return recognise_jwk(text, said);
    }
    let mut fault = material::NOT_PEM;
    for algorithm in BY_KIND.into_iter().filter(|_| said.is_none()).chain(said) {
        for material in [KeyMaterial::Private(text.clone()), KeyMaterial::Public(text.clone())] {
            let spec = KeySpec { id: String::new(), algorithm, material };
            match Key::parse(&spec) {
                Ok(_) => {
                    return Ok(Recognised { id: None, algorithm, material: spec.material });
                }
                // Of all the faults, the one that is not "another kind of key" says what is wrong.
                Err(why) if ![material::NOT_PRIVATE, material::NOT_PUBLIC].contains(&why) => {
                    fault = why;
                }
                Err(_) if fault == material::NOT_PEM => fault = NO_KIND,
                Err(_) => {}
            }
        }
    }
    Err(fault)
}

const NO_KIND: KeyFault = KeyFault(
    "not a key of a kind that an algorithm here is for, or too weak a one (RSA takes 2048 bits or more)",
);

fn recognise_jwk(text: &Secret, said: Option<Algorithm>) -> Result<Recognised, KeyFault> {
    let members = jwk::members(text.expose())?;
    let [one] = members.as_slice() else {
        return Err(KeyFault("this is a set of keys; give each key a file of its own"));
    };
    let named = jwk::Named::of(one)?;
    let algorithm = named.algorithm.or(said).ok_or(super::NO_ALGORITHM)?;
    let signs = from_jwk(algorithm, text.expose())?.signer.is_some();
    let material = match (named.is_secret(), signs) {
        (true, _) => KeyMaterial::Secret(text.clone()),
        (false, true) => KeyMaterial::Private(text.clone()),
        (false, false) => KeyMaterial::Public(text.clone()),
    };
    Ok(Recognised { id: named.id.map(str::to_owned), algorithm, material })
}
