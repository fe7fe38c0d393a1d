//! Keys in JSON (RFC 7517, RFC 7518 §6, RFC 8037 §2): one, or a set of them. Read strictly, since who may sign
//! depends on it: a member of the wrong type, a key for another use or another algorithm, and a name that is there
//! twice are faults. Also writes the public half of ours.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters,
    EllipticCurveKeyType, Jwk, OctetKeyPairParameters, OctetKeyPairType, PublicKeyUse,
    RSAKeyParameters, RSAKeyType,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::material::{self, Parsed, Public};
use super::{Algorithm, Family, KeyFault};
use crate::token::json;

/// Most keys in one set: more than any issuer publishes.
pub const SET_KEYS_MAX: usize = 100;

/// The operations that make a key one for signatures (RFC 7517 §4.3).
const OPERATIONS: [&str; 2] = ["verify", "sign"];

const WRONG_TYPE: KeyFault = KeyFault("a member of the JWK is missing or of the wrong type");
const WRONG_KEY: KeyFault = KeyFault("the JWK's numbers are no key of its kind");

/// One key as its JSON says it, judged but not parsed.
pub(super) struct Named<'j> {
    members: &'j Map<String, Value>,
    /// `kid`.
    pub(super) id: Option<&'j str>,
    /// The one algorithm it is for: `alg`, or what its curve leaves.
    pub(super) algorithm: Option<Algorithm>,
}

/// The members of the JSON of one key, or of each key of a set.
///
/// # Errors
/// It is not JSON, or neither a key nor a set of them.
pub(super) fn members(text: &[u8]) -> Result<Vec<Map<String, Value>>, KeyFault> {
    let mut object = json::object(text).map_err(|_| KeyFault("the JWK is not a JSON object"))?;
    match object.remove("keys") {
        None => Ok(vec![object]),
        Some(Value::Array(keys)) if keys.len() <= SET_KEYS_MAX => keys
            .into_iter()
            .map(|key| match key {
                Value::Object(key) => Ok(key),
                _ => Err(KeyFault("a key of the set is not an object")),
            })
            .collect(),
        Some(_) => Err(KeyFault("`keys` is not a list of at most 100 keys")),
    }
}

impl<'j> Named<'j> {
    /// Judges what the key says it is for.
    ///
    /// # Errors
    /// It is for something else than signatures, or contradicts itself.
    pub(super) fn of(members: &'j Map<String, Value>) -> Result<Named<'j>, KeyFault> {
        let named = Named { members, id: optional(members, "kid")?, algorithm: None };
        if optional(members, "use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyFault("the JWK's `use` is not \"sig\""));
        }
        if !named.may_verify()? {
            return Err(KeyFault("the JWK's `key_ops` name neither \"verify\" nor \"sign\""));
        }
        let by_curve = match (text(members, "kty")?, optional(members, "crv")?) {
            ("EC", Some("P-256")) => Some(Algorithm::Es256),
            ("EC", Some("P-384")) => Some(Algorithm::Es384),
            ("EC", Some("P-521")) => Some(Algorithm::Es512),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDsa),
            ("RSA" | "oct", None) => None,
            _ => {
                return Err(KeyFault(
                    "the JWK is of a kind or on a curve that no algorithm here is for",
                ));
            }
        };
        let said = match optional(members, "alg")? {
            None => None,
            // A slip that is older than the name's registration, and in vectors that others test with.
            Some("ES521") => Some(Algorithm::Es512),
            Some(name) => Some(
                Algorithm::from_name(name)
                    .ok_or(KeyFault("the JWK's `alg` is no algorithm that signs here"))?,
            ),
        };
        if let (Some(said), Some(by_curve)) = (said, by_curve)
            && said != by_curve
        {
            return Err(KeyFault("the JWK's `alg` does not fit its curve"));
        }
        Ok(Named { algorithm: said.or(by_curve), ..named })
    }

    fn may_verify(&self) -> Result<bool, KeyFault> {
        match self.members.get("key_ops") {
            None => Ok(true),
            Some(Value::Array(all)) => {
                let known = |one: &Value| one.as_str().is_some_and(|one| OPERATIONS.contains(&one));
                Ok(all.iter().any(known))
            }
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// Whether it is a shared secret.
    pub(super) fn is_secret(&self) -> bool {
        self.members.get("kty").and_then(Value::as_str) == Some("oct")
    }

    /// Parses the key for this algorithm.
    ///
    /// # Errors
    /// It is for another one, too weak, or no key at all.
    pub(super) fn parse(&self, algorithm: Algorithm) -> Result<Parsed, KeyFault> {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return Err(KeyFault("the JWK is for another algorithm than this key's `alg`"));
        }
        match (algorithm.family(), text(self.members, "kty")?) {
            (Family::Hmac, "oct") => material::secret(algorithm, &self.bytes("k")?),
            (Family::Rsa, "RSA") => self.rsa(algorithm),
            (Family::P256, "EC") => self.ec(algorithm, P256_BYTES),
            (Family::P384, "EC") => self.ec(algorithm, P384_BYTES),
            (Family::P521, "EC") => self.ec(algorithm, P521_BYTES),
            (Family::Ed25519, "OKP") => self.ed(algorithm),
            _ => Err(KeyFault("the JWK's `kty` does not fit the algorithm")),
        }
    }

    fn rsa(&self, algorithm: Algorithm) -> Result<Parsed, KeyFault> {
        let (n, e) = (self.bytes("n")?, self.bytes("e")?);
        if !self.members.contains_key("d") {
            return material::from_public(algorithm, Public::Rsa { n: n.to_vec(), e: e.to_vec() });
        }
        let part = |name| self.bytes(name);
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
            d: part("d")?.as_slice(),
            p: part("p")?.as_slice(),
            q: part("q")?.as_slice(),
            dP: part("dp")?.as_slice(),
            dQ: part("dq")?.as_slice(),
            qInv: part("qi")?.as_slice(),
        });
        material::rsa_pair(algorithm, pair.map_err(|_| WRONG_KEY)?)
    }

    fn ec(&self, algorithm: Algorithm, width: usize) -> Result<Parsed, KeyFault> {
        let (x, y) = (self.fixed("x", width)?, self.fixed("y", width)?);
        let point = [&[4][..], &x, &y].concat();
        if !self.members.contains_key("d") {
            return material::from_public(algorithm, Public::Ec { point });
        }
        let curve = material::curve(algorithm.family()).ok_or(WRONG_KEY)?;
        let d = self.fixed("d", width)?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve, &d, &point);
        material::ec_pair(algorithm, pair.map_err(|_| WRONG_KEY)?)
    }

    fn ed(&self, algorithm: Algorithm) -> Result<Parsed, KeyFault> {
        let x = self.fixed("x", ED25519_BYTES)?;
        if !self.members.contains_key("d") {
            return material::from_public(algorithm, Public::Ed { x: x.to_vec() });
        }
        let d = self.fixed("d", ED25519_BYTES)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&d, &x).map_err(|_| WRONG_KEY)?;
        material::ed_pair(algorithm, pair)
    }

    /// A member in base64url, in its one spelling.
    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let bytes = URL_SAFE_NO_PAD.decode(text(self.members, name)?).map_err(|_| WRONG_TYPE)?;
        Ok(Zeroizing::new(bytes))
    }

    /// The same, of this width (RFC 7518 §6.2.1.2).
    fn fixed(&self, name: &str, width: usize) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        self.bytes(name)
            .and_then(|bytes| if bytes.len() == width { Ok(bytes) } else { Err(WRONG_KEY) })
    }
}

/// Bytes of a coordinate.
const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;
const P521_BYTES: usize = 66;
const ED25519_BYTES: usize = 32;

fn text<'j>(members: &'j Map<String, Value>, name: &str) -> Result<&'j str, KeyFault> {
    members.get(name).and_then(Value::as_str).ok_or(WRONG_TYPE)
}

fn optional<'j>(members: &'j Map<String, Value>, name: &str) -> Result<Option<&'j str>, KeyFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(WRONG_TYPE),
    }
}

/// The public half of a key of ours, as others may read it.
pub(super) fn write(id: &str, algorithm: Algorithm, public: &Public) -> Jwk {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let parameters = match public {
        Public::Rsa { n, e } => AlgorithmParameters::RSA(RSAKeyParameters {
            key_type: RSAKeyType::RSA,
            n: encode(n),
            e: encode(e),
        }),
        Public::Ec { point } => {
            let (x, y) = point[1..].split_at(point.len() / 2);
            AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                key_type: EllipticCurveKeyType::EC,
                curve: match algorithm.family() {
                    Family::P384 => EllipticCurve::P384,
                    Family::P521 => EllipticCurve::P521,
                    _ => EllipticCurve::P256,
                },
                x: encode(x),
                y: encode(y),
            })
        }
        Public::Ed { x } => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: encode(x),
        }),
    };
    let common = CommonParameters {
        public_key_use: Some(PublicKeyUse::Signature),
        // The library has no name for ES512; there the curve says it.
        key_algorithm: algorithm.name().parse().ok(),
        key_id: Some(id.to_owned()),
        ..CommonParameters::default()
    };
    Jwk { common, algorithm: parameters }
}
