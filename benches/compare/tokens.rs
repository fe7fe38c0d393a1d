//! Keys and tokens of a run, made anew each time: what freshgate, HAProxy and Envoy all accept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use freshgate::telemetry;
use freshgate::token::keys::{Algorithm, Key, KeyMaterial, KeyRing, KeySpec, generate};
use freshgate::token::mint::Mint;
use freshgate::token::verify::TokenRules;
use freshgate::token::{TokenKind, UnixTime};
use serde_json::{Map, Value, json};

/// The algorithms that are compared.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256];

/// How long the tokens of a run live: longer than any run.
pub const TTL: Duration = Duration::from_secs(24 * 3600);

/// One key, in the forms that the proxies read.
pub struct SigningKey {
    pub algorithm: Algorithm,
    /// The secret of HMAC as text, or the private key as PEM.
    pub private: String,
    /// The public key as PEM; empty for HMAC.
    pub public: String,
    /// As a member of a JWK set.
    pub jwk: Value,
    ring: KeyRing,
}

impl SigningKey {
    fn new(algorithm: Algorithm) -> SigningKey {
        let material = generate(algorithm).expect("random bytes");
        let (KeyMaterial::Secret(text) | KeyMaterial::Private(text) | KeyMaterial::Public(text)) =
            &material;
        let private = String::from_utf8(text.expose().to_vec()).expect("text");
        let id = name(algorithm);
        let spec = KeySpec { id: id.clone(), algorithm, material };
        let key = Key::parse(&spec).expect("a new key is good");
        let (public, mut jwk) = match key.public() {
            Some(jwk) => {
                let pair = rcgen::KeyPair::from_pem(&private).expect("its own PEM");
                (pair.public_key_pem(), serde_json::to_value(jwk).expect("JSON"))
            }
            None => {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&private);
                (String::new(), json!({ "kty": "oct", "k": bytes }))
            }
        };
        jwk["kid"] = json!(id);
        jwk["alg"] = json!(algorithm.name());
        SigningKey { algorithm, private, public, jwk, ring: KeyRing::new(vec![key]) }
    }

    /// A new access token, valid from now on; `at` is when it was minted.
    pub fn token(&self, ttl: Duration, at: UnixTime) -> String {
        let rules = TokenRules {
            issuer: None,
            audience: None,
            access_ttl: TTL,
            refresh_ttl: TTL,
            leeway: Duration::ZERO,
            csrf: false,
            identity_claim: "sub".to_owned(),
            others: false,
        };
        let mut claims = Map::new();
        claims.insert("roles".to_owned(), json!(["member"]));
        let mint = Mint {
            subject: "alice",
            kind: TokenKind::Access,
            fresh: true,
            auth_time: Some(at),
            session: None,
            claims: &claims,
            ttl,
        };
        mint.sign(&self.ring, &rules, at).expect("the key signs").token
    }
}

/// All keys of a run, also as files for those that read files.
pub struct Keys(Vec<SigningKey>);

impl Keys {
    /// Makes them, and writes `NAME.key` and `NAME.pub` into the folder.
    pub fn make(folder: &Path) -> Keys {
        let keys: Vec<SigningKey> = ALGORITHMS.into_iter().map(SigningKey::new).collect();
        for key in &keys {
            let path = folder.join(format!("{}.key", name(key.algorithm)));
            fs::write(&path, &key.private).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
            let path = folder.join(format!("{}.pub", name(key.algorithm)));
            fs::write(path, &key.public).expect("a file");
        }
        Keys(keys)
    }

    pub fn all(&self) -> &[SigningKey] {
        &self.0
    }

    pub fn of(&self, algorithm: Algorithm) -> &SigningKey {
        self.0.iter().find(|key| key.algorithm == algorithm).expect("one of ALGORITHMS")
    }

    /// A token that everybody accepts.
    pub fn good(&self, algorithm: Algorithm) -> String {
        self.of(algorithm).token(TTL, now())
    }

    /// One with a good signature that has expired.
    pub fn expired(&self, algorithm: Algorithm) -> String {
        let hour = Duration::from_secs(3600);
        self.of(algorithm).token(hour, UnixTime(now().0 - 2 * hour.as_secs()))
    }

    /// A good one whose signature is not: one sign of it is another.
    pub fn forged(&self, algorithm: Algorithm) -> String {
        let mut token = self.good(algorithm);
        let at = token.len() - 10;
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        token.replace_range(at..=at, other);
        token
    }
}

/// The name of an algorithm in file names, ids and paths: `hs256`.
pub fn name(algorithm: Algorithm) -> String {
    algorithm.name().to_ascii_lowercase()
}

/// The time of the gateway.
pub fn now() -> UnixTime {
    UnixTime::of(telemetry::clock())
}
