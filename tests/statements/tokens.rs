//! A token is believed exactly when the written rules (docs/policies.md, RFC 7515, RFC 7519) believe it, whatever its bytes.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshgate::token::keys::{Algorithm, Key, KeyMaterial, KeyRing, KeySpec};
use freshgate::token::verify::{TOKEN_BYTES_MAX, TokenRules, read};
use freshgate::token::{Secret, Standing, TokenFault, UnixTime};

use super::bytes::Bytes;
use super::jsons::{self, Said};

/// The moment of every request.
pub const NOW: UnixTime = UnixTime(1_800_000_000);
/// The year 9999: no later time is read.
const TIME_MAX: f64 = 253_402_300_800.0;

/// The first byte says what is done to a token of ours; then a byte for where, a line for the header, a line for what
/// is put in, and the payload. Or all is the token, as it is.
pub fn hold(input: &[u8]) {
    let mut input = Bytes(input);
    let (how, at) = (input.byte(), input.byte());
    if how == b'#' {
        return hold_for(&String::from_utf8_lossy(input.0), how);
    }
    let header = input.line();
    let piece = input.text();
    let payload = input.0;
    jsons::hold(payload);
    jsons::hold(header);
    hold_for(&token(header, payload, how, at, &piece), how);
}

/// A token that a key of ours signed, spoilt in one of some ways; 0 leaves it whole.
pub fn token(header: &[u8], payload: &[u8], how: u8, at: u8, piece: &str) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let key = &RING.keys()[usize::from(at) % RING.keys().len()];
    let signed = |message: String| {
        let signature = key.sign(message.as_bytes()).expect("all of these sign");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let whole = signed(format!("{header}.{payload}"));
    let place = usize::from(at) * whole.len() / 256;
    match how % 16 {
        // Something put in, anywhere; the signature is no longer the message's.
        1 => format!("{}{piece}{}", &whole[..place], &whole[place..]),
        2 => format!("{whole}{piece}"),
        3 => format!("{whole}.{piece}"),
        4 => format!("{piece}.{whole}"),
        5 => whole[..place].to_owned(),
        6 => whole.replacen('.', piece, 1),
        // Well signed, but the message is not two parts of base64url.
        7 => signed(format!("{header}.{payload}.{piece}")),
        8 => signed(format!("{header}{piece}.{payload}")),
        9 => signed(format!("{header}.{payload}{piece}")),
        10 => signed(format!("{header}{payload}")),
        11 => format!("{header}.{payload}.{piece}"),
        12 => format!("{header}.{payload}."),
        _ => whole,
    }
}

/// All statements on one token; `choice` picks the rules.
pub fn hold_for(token: &str, choice: u8) {
    let rules = rules(choice);
    let found = read(token, &RING, &rules);
    let wanted = model(token);
    assert_eq!(found.is_ok(), wanted.is_some(), "{token}");
    let (Ok(found), Some(claims)) = (found, wanted) else { return };
    let standing = found.standing(&rules, NOW);
    let good = good_now(&claims, &rules);
    assert_eq!(standing_fault(&standing), good.err(), "{token}");
    let kind = text(&claims, "type");
    match standing {
        Standing::Access(_) => assert_eq!(kind, Some("access"), "{token}"),
        Standing::Refresh(_) => assert_eq!(kind, Some("refresh"), "{token}"),
        Standing::Anonymous | Standing::Unproven(_) => {}
    }
    assert_eq!(found.claims().is_fresh(NOW), is_fresh(&claims), "{token}");
    assert_eq!(Some(found.claims().subject.as_str()), text(&claims, "sub"), "{token}");
    assert_eq!(found.claims().session.as_deref(), text(&claims, "sid"), "{token}");
}

fn standing_fault(standing: &Standing) -> Option<TokenFault> {
    match standing {
        Standing::Unproven(fault) => Some(*fault),
        Standing::Access(_) | Standing::Refresh(_) | Standing::Anonymous => None,
    }
}

/// Keys that sign one message always alike: two secrets of one algorithm, one of another, and a key pair (RFC 8037 §A.1).
static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let pair = r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let secret = |bytes: &[u8]| KeyMaterial::Secret(Secret::new(bytes));
    let keys = [
        ("k1", Algorithm::Hs256, secret(&[1; 32])),
        ("k2", Algorithm::Hs256, secret(&[2; 32])),
        ("k3", Algorithm::Hs512, secret(&[1; 64])),
        ("k4", Algorithm::EdDsa, KeyMaterial::Private(Secret::new(pair))),
    ];
    let keys = keys.into_iter().map(|(id, algorithm, material)| {
        Key::parse(&KeySpec { id: id.to_owned(), algorithm, material }).expect("a good key")
    });
    KeyRing::new(keys.collect())
});

fn rules(choice: u8) -> TokenRules {
    let some = |bit: u8, text: &str| (choice & bit != 0).then(|| text.to_owned());
    TokenRules {
        issuer: some(128, "us"),
        audience: some(64, "app"),
        access_ttl: Duration::from_secs(900),
        refresh_ttl: Duration::from_secs(86_400),
        leeway: Duration::from_secs(if choice & 32 != 0 { 5 } else { 0 }),
        csrf: false,
        identity_claim: "sub".to_owned(),
        others: false,
    }
}

/// The claims of a token with a good form, a good signature and claims of the right types.
fn model(token: &str) -> Option<Vec<(String, Said)>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return None };
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (header, payload) = (part(header)?, part(payload)?);
    let has = |name: &str| header.iter().any(|(own, _)| own == name);
    let fits = ["crit", "zip", "enc", "b64"].iter().all(|name| !has(name))
        && (!has("kid") || text(&header, "kid").is_some());
    let message = &token[..token.len() - signature.len() - 1];
    let signature = bytes_of(signature)?;
    // The key that is named, or any, and each for its one algorithm.
    let signed = RING.keys().iter().any(|key| {
        text(&header, "kid").is_none_or(|kid| kid == key.id())
            && text(&header, "alg") == Some(key.algorithm().name())
            && key.sign(message.as_bytes()).is_some_and(|own| own == signature)
    });
    (fits && signed && well_typed(&payload)).then_some(payload)
}

fn part(text: &str) -> Option<Vec<(String, Said)>> {
    match jsons::object(&bytes_of(text)?)? {
        Said::Members(members) => Some(members),
        _ => None,
    }
}

/// base64url without padding, and only the one spelling of the bytes.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let bits: Option<Vec<u8>> = text.bytes().map(value).collect();
    let bits: Vec<u8> =
        bits?.iter().flat_map(|six| (0..6).rev().map(move |bit| six >> bit & 1)).collect();
    let (bytes, left) = bits.as_chunks::<8>();
    let one_spelling = left.len() < 6 && left.iter().all(|bit| *bit == 0);
    let byte = |bits: &[u8; 8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    one_spelling.then(|| bytes.iter().map(byte).collect())
}

fn member<'c>(claims: &'c [(String, Said)], name: &str) -> Option<&'c Said> {
    claims.iter().find(|(own, _)| own == name).map(|(_, said)| said)
}

fn text<'c>(claims: &'c [(String, Said)], name: &str) -> Option<&'c str> {
    match member(claims, name) {
        Some(Said::Text(text)) => Some(text),
        _ => None,
    }
}

/// A time in whole seconds, rounded down.
fn time(claims: &[(String, Said)], name: &str) -> Option<u64> {
    match member(claims, name) {
        Some(Said::Number(number)) => {
            let seconds: f64 = number.parse().ok()?;
            (0.0..TIME_MAX).contains(&seconds).then_some(seconds as u64)
        }
        _ => None,
    }
}

fn well_typed(claims: &[(String, Said)]) -> bool {
    let has = |name: &str| member(claims, name).is_some();
    let absent_or = |name: &str, good: bool| !has(name) || good;
    matches!(text(claims, "type"), Some("access" | "refresh"))
        && ["sub", "jti"].iter().all(|name| text(claims, name).is_some_and(|it| !it.is_empty()))
        && ["iat", "exp"].iter().all(|name| time(claims, name).is_some())
        && ["nbf", "auth_time"].iter().all(|name| absent_or(name, time(claims, name).is_some()))
        && ["sid", "iss"].iter().all(|name| absent_or(name, text(claims, name).is_some()))
        && matches!(member(claims, "fresh"), None | Some(Said::Flag(_) | Said::Number(_)))
        && audience(claims).is_some()
}

fn audience(claims: &[(String, Said)]) -> Option<Vec<&str>> {
    match member(claims, "aud") {
        None => Some(Vec::new()),
        Some(Said::Text(one)) => Some(vec![one]),
        Some(Said::List(many)) => many
            .iter()
            .map(|one| match one {
                Said::Text(one) => Some(one.as_str()),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    }
}

fn is_fresh(claims: &[(String, Said)]) -> bool {
    match member(claims, "fresh") {
        Some(Said::Flag(fresh)) => *fresh,
        Some(Said::Number(until)) => until.parse::<f64>().is_ok_and(|until| until >= NOW.0 as f64),
        _ => false,
    }
}

fn good_now(claims: &[(String, Said)], rules: &TokenRules) -> Result<(), TokenFault> {
    let leeway = rules.leeway.as_secs();
    let issuer = rules.issuer.as_deref();
    let ours = rules.audience.as_deref();
    let for_us = ours.is_none_or(|ours| audience(claims).is_some_and(|all| all.contains(&ours)));
    if (issuer.is_some() && text(claims, "iss") != issuer) || !for_us {
        return Err(TokenFault::Invalid);
    }
    let starts = ["iat", "nbf", "auth_time"].map(|name| time(claims, name));
    if starts.into_iter().flatten().any(|start| start > NOW.0 + leeway) {
        return Err(TokenFault::NotYetValid);
    }
    // Last: of an expired token all else is good.
    if time(claims, "exp").is_none_or(|end| end + leeway <= NOW.0) {
        return Err(TokenFault::Expired);
    }
    Ok(())
}
