//! The oracle on vectors written by others: `desync-guardian` of AWS, and the URL strings of the web platform tests.

use super::corpus::{shoot, statuses, vectors};
use super::oracle::{nobody_was_confused, three_trees};

// Holds: H1, H2, H3, H4, H5, H6, H7, H8
#[test]
fn desync_guardian_severe_requests_are_refused_and_all_others_are_by_the_book() {
    let Some(vectors) = vectors::desync("desync-guardian") else { return };
    let (strict, gateway) = three_trees();
    let payloads: Vec<Vec<u8>> = vectors.iter().map(desync_bytes).collect();
    let answers = shoot(gateway.client(), &payloads);
    nobody_was_confused(&payloads, &answers);
    let (mut severe, mut served) = (0, 0);
    for (vector, answer) in vectors.iter().zip(&answers) {
        let first = statuses(answer).into_iter().find(|code| *code != 100).unwrap_or(0);
        match vector.tier.as_str() {
            "Severe" => {
                severe += 1;
                assert!(first >= 400, "{}: {first}", vector.name);
            }
            "Compliant" if first == 200 => served += 1,
            "Compliant" => assert!(stricter(vector), "{}: {first}", vector.name),
            _ => {}
        }
    }
    assert!(severe >= 58 && served >= 15, "{severe} severe, {served} served of {}", vectors.len());
    strict.hold(gateway, &answers);
}

/// What their authors let pass and we do not: codings besides `chunked`, and targets that are empty, not ASCII, or hold
/// a fragment or an escaped control.
fn stricter(vector: &vectors::Desync) -> bool {
    let coding = |(name, value): &(Vec<u8>, Vec<u8>)| {
        name.eq_ignore_ascii_case(b"transfer-encoding") && !value.eq_ignore_ascii_case(b"chunked")
    };
    let target = &vector.line[1];
    let control =
        [&b"%09"[..], b"%0A", b"%0D"].iter().any(|one| target.windows(3).any(|w| w == *one));
    vector.fields.iter().any(coding)
        || target.is_empty()
        || !target.is_ascii()
        || target.contains(&b'#')
        || control
}

/// The request with a `Host`, if it has none, and the body that its fields promise.
fn desync_bytes(vector: &vectors::Desync) -> Vec<u8> {
    let mut bytes = vector.line.join(&b' ');
    bytes.extend_from_slice(b"\r\n");
    let named = |wanted: &str| {
        vector.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    if named("host").is_none() {
        bytes.extend_from_slice(b"Host: app\r\n");
    }
    for (name, value) in &vector.fields {
        bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    let length = named("content-length")
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.trim().parse().ok());
    match (named("transfer-encoding"), length) {
        (Some(_), _) => bytes.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n"),
        (None, Some(length @ 0..10_000_000)) => bytes.extend(std::iter::repeat_n(b'x', length)),
        (None, _) => {}
    }
    bytes
}

// Holds: P1, P2, P3, P5, CVE-2026-88009, CVE-2026-26205
#[test]
fn no_string_of_the_url_tests_escapes_as_a_target() {
    let Some(urls) = vectors::urls("urltestdata.json") else { return };
    let (strict, gateway) = three_trees();
    let mut payloads = Vec::new();
    for url in &urls {
        for target in [
            url.clone(),
            format!("/{url}"),
            format!("/open/{url}"),
            format!("/open/../{url}"),
            format!("http://example.org/{url}"),
        ] {
            payloads
                .push(format!("GET {target} HTTP/1.1\r\nHost: example.org\r\n\r\n").into_bytes());
        }
    }
    let answers = shoot(gateway.client(), &payloads);
    nobody_was_confused(&payloads, &answers);
    strict.hold(gateway, &answers);
}
