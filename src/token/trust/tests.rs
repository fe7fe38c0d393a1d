//! Tokens of other issuers, one fact a test: whose keys check them, and what comes through.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{CheckedAt, ClaimPath, KeySet, Trust, Trusted, Unread};
use crate::token::keys::{Algorithm, Key, KeyRing, KeySpec, generate};
use crate::token::verify::TokenRules;
use crate::token::{Claims, Standing, TokenFault, UnixTime, jwks};

const NOW: UnixTime = UnixTime(1_800_000_000);
const CORP: &str = "https://login.example.org/realms/main";
const PARTNER: &str = "https://partner.example.net/";

fn key(id: &str, algorithm: Algorithm) -> Key {
    let material = generate(algorithm).expect("random bytes");
    Key::parse(&KeySpec { id: id.to_owned(), algorithm, material }).expect("a key just made")
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: None,
        audience: None,
        access_ttl: Duration::from_secs(900),
        refresh_ttl: Duration::from_secs(86_400),
        leeway: Duration::ZERO,
        csrf: false,
        identity_claim: "sub".to_owned(),
        others: false,
    }
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::dotted(text).expect("a path")
}

fn trust(issuer: &str, prefix: &str) -> Trust {
    Trust {
        issuer: issuer.to_owned(),
        audience: vec!["our-api".to_owned(), "https://our.example".to_owned()],
        algorithms: vec![Algorithm::Es256],
        subject_prefix: prefix.to_owned(),
        subject: path("sub"),
        claims: vec![("roles".to_owned(), path("realm_access.roles"))],
        freshness: None,
    }
}

fn keys_of(keys: Vec<Key>) -> Option<Arc<KeyRing>> {
    let set = jwks::document(&KeyRing::new(keys), NOW);
    Some(Arc::new(KeyRing::published(set.as_bytes(), &[Algorithm::Es256]).expect("good keys")))
}

fn trusted(trust: Trust, keys: Option<Arc<KeyRing>>) -> Trusted {
    Trusted { trust: Arc::new(trust), keys }
}

fn sign(key: &Key, header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let signature = key.sign(message.as_bytes()).expect("a private key");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header(id: &str) -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": id})
}

fn theirs() -> Value {
    json!({
        "iss": CORP, "sub": "ada", "aud": ["account", "our-api"], "iat": NOW.0, "exp": NOW.0 + 60,
        "jti": "t1", "typ": "Bearer", "sid": "s1", "realm_access": {"roles": ["editor"]},
        "roles": ["admin"], "email": "ada@example.org", "auth_time": NOW.0 - 30, "fresh": true,
    })
}

/// Their claims, changed.
fn but(change: Value) -> Value {
    let mut all = theirs();
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => drop(all.as_object_mut().and_then(|all| all.remove(name))),
            value => all[name] = value.clone(),
        }
    }
    all
}

struct World {
    own: Key,
    corp: Key,
    partner: Key,
    keys: KeySet,
}

/// Two issuers and ourselves, all of whose keys are called `k`.
fn world(corp: Trust) -> World {
    let own = key("k", Algorithm::Es256);
    let (corp_key, partner) = (key("k", Algorithm::Es256), key("k", Algorithm::Es256));
    let public = |key: &Key| {
        let text = serde_json::to_vec(key.public().expect("not a secret")).expect("JSON");
        Some(Arc::new(KeyRing::published(&text, &[Algorithm::Es256]).expect("a good key")))
    };
    let trusts = vec![
        trusted(corp, public(&corp_key)),
        trusted(trust(PARTNER, "partner:"), public(&partner)),
    ];
    let copy = |key: &Key| {
        let jwk = serde_json::to_vec(key.public().expect("not a secret")).expect("JSON");
        KeyRing::from_jwks(&jwk, None).expect("a good key")
    };
    let keys = KeySet::new(copy(&own), trusts);
    World { own, corp: corp_key, partner, keys }
}

fn judged(keys: &KeySet, token: &str) -> Result<Claims, TokenFault> {
    let signed = keys.read(token, &rules()).map_err(|unread| unread.fault)?;
    match keys.standing(&signed, &rules(), NOW) {
        Standing::Access(token) | Standing::Refresh(token) => Ok(token.claims().clone()),
        Standing::Unproven(fault) => Err(fault),
        Standing::Anonymous => unreachable!("a token was read"),
    }
}

#[test]
fn only_what_is_mapped_comes_through_and_nothing_of_theirs_is_ours_by_its_name() {
    let world = world(trust(CORP, "corp:"));
    let claims = judged(&world.keys, &sign(&world.corp, &header("k"), &theirs())).unwrap();
    assert_eq!(claims.subject, "corp:ada");
    assert_eq!(claims.all["sub"], json!("corp:ada"));
    assert_eq!(claims.all["roles"], json!(["editor"]), "by the path, not by the name");
    assert_eq!(claims.all["fresh"], json!(false), "theirs says true");
    assert!(claims.foreign && !claims.is_fresh(NOW));
    let (session, at) = (claims.session, claims.auth_time);
    assert_eq!((session, at), (None, None), "their session is none of ours");
    for absent in ["email", "sid", "typ", "auth_time", "realm_access"] {
        assert!(!claims.all.contains_key(absent), "{absent}");
    }
    assert_ne!(claims.id, "t1", "a name that a token of ours could have");
}

#[test]
fn a_kid_means_nothing_outside_the_ring_of_its_issuer() {
    let world = world(trust(CORP, "corp:"));
    let ours = json!({"sub": "a", "type": "access", "jti": "j", "iat": NOW.0, "exp": NOW.0 + 60});
    let partner = but(json!({"iss": PARTNER}));
    let good = [(&world.own, &ours), (&world.corp, &theirs()), (&world.partner, &partner)]
        .map(|(key, payload)| judged(&world.keys, &sign(key, &header("k"), payload)).unwrap());
    assert_eq!(good.map(|claims| claims.subject), ["a", "corp:ada", "partner:ada"]);
    for (key, payload) in [
        (&world.partner, &theirs()),
        (&world.own, &theirs()),
        (&world.corp, &partner),
        (&world.own, &partner),
        (&world.corp, &ours),
        (&world.partner, &ours),
    ] {
        let token = sign(key, &header("k"), payload);
        assert_eq!(judged(&world.keys, &token).unwrap_err(), TokenFault::Forged, "{payload}");
    }
}

#[test]
fn what_a_token_of_another_issuer_must_say() {
    let world = world(trust(CORP, "corp:"));
    let invalid = [
        json!({"aud": "account"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": ["our-api", 7]}),
        json!({"aud": {"our-api": true}}),
        json!({"aud": "OUR-API"}),
        json!({"sub": null}),
        json!({"sub": 7}),
        json!({"sub": ""}),
        json!({"sub": ["ada"]}),
        json!({"iat": null}),
        json!({"exp": null}),
        json!({"exp": "1800000060"}),
        json!({"nbf": "soon"}),
        json!({"jti": 7}),
        json!({"jti": ""}),
        json!({"realm_access": ["editor"]}),
        json!({"realm_access": "editor"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "ID"}),
        json!({"typ": "Offline"}),
        json!({"typ": "Logout"}),
        json!({"typ": 7}),
        json!({"type": "refresh"}),
        json!({"type": true}),
        json!({"token_use": "id"}),
        json!({"at_hash": "x"}),
        json!({"c_hash": "x"}),
        json!({"events": {}}),
        json!({"cnf": {"jkt": "x"}}),
    ];
    for change in invalid {
        let token = sign(&world.corp, &header("k"), &but(change.clone()));
        assert_eq!(judged(&world.keys, &token).unwrap_err(), TokenFault::Invalid, "{change}");
    }
    for (change, fault) in [
        (json!({"exp": NOW.0}), TokenFault::Expired),
        (json!({"nbf": NOW.0 + 1}), TokenFault::NotYetValid),
        (json!({"iat": NOW.0 + 1}), TokenFault::NotYetValid),
    ] {
        let token = sign(&world.corp, &header("k"), &but(change.clone()));
        assert_eq!(judged(&world.keys, &token).unwrap_err(), fault, "{change}");
    }
    for change in [
        json!({"aud": "our-api"}),
        json!({"aud": "https://our.example"}),
        json!({"typ": null}),
        json!({"type": "access", "token_use": "access"}),
        json!({"jti": null, "nbf": NOW.0}),
        json!({"realm_access": null}),
        json!({"realm_access": {}}),
    ] {
        let token = sign(&world.corp, &header("k"), &but(change.clone()));
        assert!(judged(&world.keys, &token).is_ok(), "{change}");
    }
}

#[test]
fn a_token_that_names_no_issuer_of_the_list_is_ours_or_nobodys() {
    let world = world(trust(CORP, "corp:"));
    for issuer in [
        Value::Null,
        json!([CORP]),
        json!({"iss": CORP}),
        json!(7),
        json!("https://login.example.org/realms/main/"),
        json!("https://LOGIN.example.org/realms/main"),
        json!("https://login.example.org/realms/main "),
        json!("evil"),
    ] {
        let token = sign(&world.corp, &header("k"), &but(json!({"iss": issuer})));
        assert_eq!(judged(&world.keys, &token).unwrap_err(), TokenFault::Forged, "{issuer}");
    }
    // Two of them: a reader that takes the first and one that takes the last would not agree.
    let payload = theirs().to_string().replacen('{', &format!("{{\"iss\":\"{PARTNER}\","), 1);
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header("k").to_string()),
        URL_SAFE_NO_PAD.encode(payload)
    );
    for key in [&world.corp, &world.partner] {
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        assert!(judged(&world.keys, &format!("{message}.{signature}")).is_err());
    }
}

#[test]
fn the_header_chooses_neither_key_nor_algorithm() {
    let world = world(trust(CORP, "corp:"));
    let jwk = serde_json::to_value(world.partner.public().unwrap()).unwrap();
    let with = |more: Value| {
        let mut all = header("k");
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (more, fault) in [
        (json!({"alg": "none"}), TokenFault::Invalid),
        (json!({"alg": "HS256"}), TokenFault::Invalid),
        (json!({"alg": "RS256"}), TokenFault::Invalid),
        (json!({"alg": "es256"}), TokenFault::Invalid),
        (json!({"alg": ["ES256"]}), TokenFault::Invalid),
        (json!({"kid": "../k"}), TokenFault::Invalid),
        (json!({"kid": ["k"]}), TokenFault::Malformed),
        (json!({"crit": ["exp"]}), TokenFault::Invalid),
        (json!({"typ": "logout+jwt"}), TokenFault::Invalid),
        (json!({"typ": "dpop+jwt"}), TokenFault::Invalid),
        (json!({"typ": 1}), TokenFault::Invalid),
    ] {
        let token = sign(&world.corp, &with(more.clone()), &theirs());
        assert_eq!(judged(&world.keys, &token).unwrap_err(), fault, "{more}");
    }
    for more in [
        json!({"jwk": jwk}),
        json!({"jku": "https://partner.example.net/keys", "x5u": "https://partner.example.net/x"}),
        json!({"x5c": ["MIIB"]}),
    ] {
        let by = |key| judged(&world.keys, &sign(key, &with(more.clone()), &theirs()));
        assert_eq!(by(&world.partner).unwrap_err(), TokenFault::Forged, "{more}");
        assert!(by(&world.corp).is_ok(), "{more}");
    }
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        let token = sign(&world.corp, &with(json!({"typ": typ})), &theirs());
        assert!(judged(&world.keys, &token).is_ok(), "{typ}");
    }
}

#[test]
fn a_subject_with_the_prefix_of_an_issuer_is_that_issuers_alone() {
    // One whose names are the same people as ours: it may say any name but those of another's.
    let world = world(trust(CORP, ""));
    let of = |key, payload: Value| judged(&world.keys, &sign(key, &header("k"), &payload));
    assert_eq!(of(&world.corp, theirs()).unwrap().subject, "ada");
    let posing = of(&world.corp, but(json!({"sub": "partner:ada"})));
    assert_eq!(posing.unwrap_err(), TokenFault::Invalid);
    let local = json!({"sub": "partner:ada", "type": "access", "jti": "j", "iat": NOW.0, "exp": NOW.0 + 60});
    assert_eq!(of(&world.own, local).unwrap_err(), TokenFault::Invalid);
    assert_eq!(of(&world.partner, but(json!({"iss": PARTNER}))).unwrap().subject, "partner:ada");
}

#[test]
fn freshness_is_what_auth_time_says_for_so_long_and_nothing_else() {
    let checked = CheckedAt { path: path("auth_time"), fresh_for: Duration::from_secs(60) };
    let world = world(Trust { freshness: Some(checked), ..trust(CORP, "corp:") });
    let of = |change| judged(&world.keys, &sign(&world.corp, &header("k"), &but(change)));
    let claims = of(json!({})).unwrap();
    assert_eq!(claims.auth_age(NOW), Some(Duration::from_secs(30)));
    assert!(claims.is_fresh(NOW) && claims.is_fresh(UnixTime(NOW.0 + 30)));
    assert!(!claims.is_fresh(UnixTime(NOW.0 + 31)));
    assert!(!of(json!({"auth_time": NOW.0 - 61})).unwrap().is_fresh(NOW));
    // Nothing of `iat` or `fresh` stands in for it.
    let without = of(json!({"auth_time": null})).unwrap();
    assert!(!without.is_fresh(NOW) && without.auth_age(NOW).is_none());
    assert_eq!(of(json!({"auth_time": NOW.0 + 1})).unwrap_err(), TokenFault::NotYetValid);
    for bad in [json!("now"), json!(true), json!(-1), json!([NOW.0]), json!(1e300)] {
        let refused = of(json!({ "auth_time": bad })).unwrap_err();
        assert_eq!(refused, TokenFault::Invalid, "{bad}");
    }
}

#[test]
fn revocation_knows_a_token_by_issuer_and_jti_or_by_what_is_signed() {
    let world = world(trust(CORP, ""));
    let id = |key, change| judged(&world.keys, &sign(key, &header("k"), &but(change))).unwrap().id;
    let same = id(&world.corp, json!({}));
    assert_eq!(same, id(&world.corp, json!({"exp": NOW.0 + 61})), "another signature");
    assert_ne!(same, id(&world.partner, json!({"iss": PARTNER})), "another issuer's `t1`");
    let (first, other) = (json!({"jti": null}), json!({"jti": null, "exp": NOW.0 + 61}));
    // ECDSA signs the same message differently each time: still the same token.
    assert_eq!(id(&world.corp, first.clone()), id(&world.corp, first.clone()));
    assert_ne!(id(&world.corp, first), id(&world.corp, other));
}

#[test]
fn keys_that_are_not_there_prove_nothing() {
    let world = world(trust(CORP, "corp:"));
    let token = sign(&world.corp, &header("k"), &theirs());
    let own = KeyRing::new(vec![key("k", Algorithm::Es256)]);
    let without = KeySet::new(own, vec![trusted(trust(CORP, "corp:"), None)]);
    let unread = without.read(&token, &rules()).unwrap_err();
    let expected = Unread { fault: TokenFault::Invalid, may_have_new_keys: Some(0) };
    assert_eq!(unread, expected);
    // What was read with one set and is judged with another that lost the issuer or its keys.
    let signed = world.keys.read(&token, &rules()).unwrap();
    let none = KeySet::new(KeyRing::new(Vec::new()), Vec::new());
    for standing in [
        none.standing(&signed, &rules(), NOW),
        without.standing(&signed, &rules(), NOW),
        signed.standing(&rules(), NOW),
    ] {
        assert!(matches!(standing, Standing::Unproven(TokenFault::Invalid)));
    }
}

#[test]
fn only_a_kid_that_is_not_known_says_that_there_may_be_new_keys() {
    let world = world(trust(CORP, "corp:"));
    let ask = |header: Value, payload: &Value| {
        world.keys.read(&sign(&world.corp, &header, payload), &rules()).unwrap_err()
    };
    let news = |header, payload: &Value| ask(header, payload).may_have_new_keys;
    assert_eq!(news(header("new"), &theirs()), Some(0));
    assert_eq!(news(header("new"), &but(json!({"iss": PARTNER}))), Some(1));
    assert_eq!(news(header("new"), &but(json!({"iss": "nobody"}))), None);
    assert_eq!(news(json!({"alg": "HS256", "kid": "new"}), &theirs()), None);
    assert_eq!(news(json!({"alg": "none", "kid": "new"}), &theirs()), None);
    assert_eq!(news(header("k"), &but(json!({"iss": PARTNER}))), None, "forged");
    assert_eq!(news(header("k"), &but(json!({"aud": "x"}))), None);
}

#[test]
fn of_keys_without_names_the_only_one_of_its_algorithm_is_tried() {
    let [one, other] = ["one", "other"].map(|id| key(id, Algorithm::Es256));
    let set = |ring: KeyRing| {
        let trusts = vec![trusted(trust(CORP, "corp:"), Some(Arc::new(ring)))];
        KeySet::new(KeyRing::new(Vec::new()), trusts)
    };
    let named = |keys: &[&Key]| {
        let keys: Vec<Value> =
            keys.iter().map(|key| serde_json::to_value(key.public().unwrap()).unwrap()).collect();
        let text = json!({ "keys": keys }).to_string();
        set(KeyRing::published(text.as_bytes(), &[Algorithm::Es256]).unwrap())
    };
    // A token that does not say which key.
    let token = sign(&one, &json!({"alg": "ES256"}), &theirs());
    assert!(judged(&named(&[&one]), &token).is_ok());
    assert_eq!(judged(&named(&[&one, &other]), &token).unwrap_err(), TokenFault::Invalid);
    assert_eq!(judged(&named(&[&other]), &token).unwrap_err(), TokenFault::Forged);
    // A file in PEM cannot say it either.
    let jwk = serde_json::to_value(one.public().unwrap()).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [&P256_SPKI[..], &part("x"), &part("y")].concat();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", point));
    let by_pem = set(KeyRing::published(pem.as_bytes(), &[Algorithm::Es256]).unwrap());
    for header in [json!({"alg": "ES256"}), header("any")] {
        assert!(judged(&by_pem, &sign(&one, &header, &theirs())).is_ok(), "{header}");
        let forged = judged(&by_pem, &sign(&other, &header, &theirs()));
        assert_eq!(forged.unwrap_err(), TokenFault::Forged);
    }
}

/// What stands before the point of a P-256 key (RFC 5480 §2): algorithm, curve, bit string, uncompressed.
const P256_SPKI: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

#[test]
fn a_file_with_a_private_key_or_a_secret_is_refused_whole() {
    let good = serde_json::to_value(key("good", Algorithm::Es256).public().unwrap()).unwrap();
    let read = |text: &str| KeyRing::published(text.as_bytes(), &[Algorithm::Es256]);
    assert_eq!(read(&good.to_string()).unwrap().keys().len(), 1);
    let mut private = good.clone();
    private["d"] = good["x"].clone();
    for bad in [private, json!({"kty": "oct", "k": "c2VjcmV0"})] {
        let fault = read(&json!({ "keys": [good, bad] }).to_string()).unwrap_err();
        assert_eq!(fault.0, "a private key or a secret is in it");
        assert!(read(&bad.to_string()).is_err());
    }
    let crate::token::keys::KeyMaterial::Private(pem) = generate(Algorithm::Es256).unwrap() else {
        unreachable!("not a secret")
    };
    let text = String::from_utf8(pem.expose().to_vec()).unwrap();
    assert_eq!(read(&text).unwrap_err().0, "a private key or a secret is in it");
    for text in
        ["", "<html>", "{", "{}", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
    {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_way_to_a_claim_ends_where_a_member_is_absent_and_fails_where_it_is_no_object() {
    let all: Map<String, Value> =
        serde_json::from_value(json!({"a": {"b": {"c": 1}, "n": null}, "x.y": 2, "l": [{"c": 3}]}))
            .unwrap();
    let find = |text: &str| path(text).find(&all).map(|value| value.cloned());
    assert_eq!(find("a.b.c"), Ok(Some(json!(1))));
    assert_eq!(find("a.b"), Ok(Some(json!({"c": 1}))));
    for absent in ["z", "a.z", "a.b.z", "z.y.x", "x.y"] {
        assert_eq!(find(absent), Ok(None), "{absent}");
    }
    for broken in ["a.n.c", "l.c", "l.0", "a.b.c.d"] {
        assert_eq!(find(broken), Err(TokenFault::Invalid), "{broken}");
    }
    let dotted = ClaimPath::of(vec!["x.y".to_owned()]).unwrap();
    assert_eq!(dotted.find(&all), Ok(Some(&json!(2))));
    assert_eq!([path("a.b").to_string(), dotted.to_string()], ["a.b", "[\"x.y\"]"]);
    for empty in ["", ".", "a.", ".a", "a..b"] {
        assert_eq!(ClaimPath::dotted(empty), None, "{empty}");
    }
    assert_eq!(ClaimPath::of(Vec::new()), None);
}

#[test]
fn another_issuer_key_or_rule_is_another_set() {
    let of = |trust: Trust, keys: Option<Arc<KeyRing>>| {
        KeySet::new(KeyRing::new(Vec::new()), vec![trusted(trust, keys)]).fingerprint()
    };
    let keys = keys_of(vec![key("k", Algorithm::Es256)]);
    let one = of(trust(CORP, ""), keys.clone());
    assert_eq!(one, of(trust(CORP, ""), keys.clone()));
    let audience = Trust { audience: vec!["x".to_owned()], ..trust(CORP, "") };
    for other in [
        of(trust(CORP, "x"), keys.clone()),
        of(trust(PARTNER, ""), keys.clone()),
        of(audience, keys),
        of(trust(CORP, ""), None),
        of(trust(CORP, ""), keys_of(vec![key("k", Algorithm::Es256)])),
    ] {
        assert_ne!(one, other);
    }
}
