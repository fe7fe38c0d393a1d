//! Hashes that the programs themselves made, and what is none. Never reaches outside; the programs run in `tests/it/passwords.rs`.

use std::time::{Duration, Instant};

use super::*;

const P: &str = "correct horse 9";
const U: &str = "пароль-密码-🔑";

/// Made by the programs themselves: by what, the scheme, whether it is weak, the hash and its password.
#[rustfmt::skip]
const MADE_ELSEWHERE: [(&str, &str, bool, &str, &str); 51] = [
    ("openssl passwd -1", "md5-crypt", true, "$1$qcrNi5lb$QM8NB.m3kywNEzlXD.N0m1", P),
    ("openssl passwd -apr1", "md5-crypt", true, "$apr1$lFfAjClF$e.2sOsgjdkv48LXxkCxVw1", P),
    ("openssl passwd -5", "sha256-crypt", true, "$5$001Z/e5jFYJ/wKHv$vp7iGTAGMjhtcL/0tTItRzK/RY/Hc7tkcINTaAkzao8", P),
    ("openssl passwd -6", "sha512-crypt", true, "$6$nhNwoQzMOY4ydjiC$0.SjJSzUtFZpwxIKzAnzDYqRoWvGmfrbCuFSAXdCDEjPMqbzhhJM1r0F/STQSvD9S2QwhuGM/bmdrbSWGh6Gb1", P),
    ("openssl passwd -1", "md5-crypt", true, "$1$IOSwqqe1$hSy0uL9nwC6M8H.d5p0F61", U),
    ("openssl passwd -apr1", "md5-crypt", true, "$apr1$kHBBJwKN$VBrPAZCarvl51Qew86DUb0", U),
    ("openssl passwd -5", "sha256-crypt", true, "$5$u9cp.UvUsspLFbG6$RvMRkerU6Hvjsh0CrDZBaYcNkkwxIOujkt4xrjQlAlB", U),
    ("openssl passwd -6", "sha512-crypt", true, "$6$fIjXLGM//FfwHBYB$.Q/GjEF0FepTgI4/EcJ/lrsd0Bu0zBbB/OMBWMEqiaVPs0AhdcBAd2v4i5adXkV55G.xgOj9BJGPRRCfabl6b.", U),
    ("htpasswd -m", "md5-crypt", true, "$apr1$dxEkU/VW$pGCOs86YBiJdjPfKBLypU1", P),
    ("htpasswd -B", "bcrypt", true, "$2y$05$pziIP8juA/SSS7t4vNzlo.oc28wocwqEnCX9Ba0j9mQuwSLTN2zCW", P),
    ("htpasswd -B -C 10, Unicode", "bcrypt", false, "$2y$10$WoyuFnkoI5OhtyBumknX1evEX95OMq6XAotocrqwn9G9nv7iFRv3u", U),
    ("htpasswd -s", "SHA", true, "{SHA}H5CQsPd3Mi7M+rcAd04YFZWatcg=", P),
    ("htpasswd -2", "sha256-crypt", true, "$5$nKdCcsDil/kbN7YD$wnJKEsx7DdoM8Ib./KKgBYSrD3JFowxo8wMLTz46BC6", P),
    ("htpasswd -5", "sha512-crypt", true, "$6$J6/HnkD26gMqnkI4$HNtO8BesrD1m9D4wZfpUfQfoeoNgHijazJEmGelbEIoBTtm0aTdHwayEVFpRg.0bfTLEWDaUqKX.A5/pylWsw0", P),
    ("PHP password_hash bcrypt", "bcrypt", false, "$2y$10$cfUaJVnjG7qh4VdgeN8Ywe0nl9STxyyTHkd4UDWLlKDn1YCklpOMa", P),
    ("PHP password_hash bcrypt, 72 bytes", "bcrypt", true, "$2y$04$dKJ/Tn1cUsWhU8nHWEkVTOElJBn.zAl8UckQCB/T89qALlCN/CiQC", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("PHP crypt $2a$", "bcrypt", true, "$2a$05$abcdefghijklmnopqrstuu1DGBUyugDryy2ZKLrMCfbKaACplIHXG", P),
    ("PHP crypt $2x$", "bcrypt", true, "$2x$05$abcdefghijklmnopqrstuu1DGBUyugDryy2ZKLrMCfbKaACplIHXG", P),
    ("PHP as WordPress 6.8", "bcrypt", false, "$wp$2y$10$shEv4Tc/QoVX1Mk2pX0ZtezTC.LkGQho.hnzEWbPgXLHpdAjGtZ3O", P),
    ("PHP as WordPress 6.8, 200 bytes", "bcrypt", true, "$wp$2y$05$9uMgJcuCoi8geKRM60VEl.9LvaQuhBw8L.f7.33O4pnbCZb37aKJW", "long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long !"),
    ("PHP crypt $6$ rounds", "sha512-crypt", true, "$6$rounds=1234$saltsaltsalt$QyKYYU1skBhpQLrKz.bCcZr0sodej/TkDAbe0uySXMkjcG.m7TqJbNQydUet6VA.Tc9oE7PaZC46wNauWt0Mx/", P),
    ("PHP crypt $5$ rounds", "sha256-crypt", true, "$5$rounds=4321$0123456789abcdef$0VjRe5UdjnPnwFOvbD6LvORSvNQyYaGFaKzNrBHjXh0", P),
    ("PHP password_hash argon2i", "argon2i", false, "$argon2i$v=19$m=19456,t=2,p=1$Y2RkYTFaLjJoRzlNTXpSTQ$9Z8FUXkcwYFFH/kBte3Dxse5znMwKzUUA+HaAnTSCkg", P),
    ("passlib phpass as WordPress has it", "phpass", true, "$P$BCb85fwMj4ZQmEN.Goh.hcCcTP0WJ3.", P),
    ("passlib phpass $H$", "phpass", true, "$H$9homyVh4X95nLXsrw97df9e4EMcxEC/", U),
    ("passlib bcrypt", "bcrypt", true, "$2b$06$1rYkIFgzbrDR1fbJ8vTxOO1m5B/rl5DbSzW6WMnf1e9T7uj7Z1wgK", U),
    ("passlib ldap_salted_sha1", "SSHA", true, "{SSHA}Zjw0dmHFyyBXSoxshB2axHYteh37vxfi", P),
    ("passlib ldap_salted_sha256", "SSHA256", true, "{SSHA256}7Th8pFHJ87+RE8EpadWoz8pJ9aiOzAzKFeulxavshLNYC8H4X4sRAg==", P),
    ("passlib ldap_salted_sha512", "SSHA512", true, "{SSHA512}Z8GruzYF1vmJlt1NiogkugZlOAvvuVHMUcNsQZMOHPUNzSMc/cSFw6zZ7G+33J0G0z3U4icHoIGNkTDOxwTbRVdqLYWQslbK", U),
    ("passlib ldap_sha1", "SHA", true, "{SHA}H5CQsPd3Mi7M+rcAd04YFZWatcg=", P),
    ("passlib ldap_sha512_crypt", "sha512-crypt", true, "{CRYPT}$6$rounds=1500$hkvEew1KYDC82JAe$/QxtX.QqxN./4IGXvgSy5qtIaU80qtDDLdv2fDeTv8Op9YWSiXcs1.xssfwtm7lf6a7YJdQouSMQMflLuaBzN1", P),
    ("passlib ldap_bcrypt", "bcrypt", true, "{CRYPT}$2b$05$nkyO5U8ymHf4yDsS1kiE..M2xM2Wg9mxmPxvfWLJuhlukkBrk/8Ye", P),
    ("passlib sha512_crypt of an empty salt", "sha512-crypt", true, "$6$rounds=1000$$ztlqcN83btwzbpbCB7h3wcPie3wHLaLoGvinrfFa5WmyETuxqWqc2x6wX.E3OFzyI6Po/a9uUG3Qs34yRItOY1", P),
    ("passlib md5_crypt", "md5-crypt", true, "$1$qJNqNzSJ$hQ0CGalj6Uh5JbmhPn.9z1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("passlib pbkdf2_sha256", "pbkdf2-sha256", true, "$pbkdf2-sha256$29000$B0DIOUdIiZHS2huDEKIUQg$A5OsXjkynaNSpueuIIY8ZnoAN9z69kS1qURpUjy1e7Q", P),
    ("passlib pbkdf2_sha512", "pbkdf2-sha512", true, "$pbkdf2-sha512$25000$d25tbS1lrLU2JgQA4HyP8Q$fnlLbZMtXgG4EBdU977f.fj4M3g9kBQbau85G5uE057t2chtn9te45SDUAMnxXUBNDkEkvOC.h8AnDN7XuoWAg", P),
    ("passlib pbkdf2_sha1", "pbkdf2-sha1", true, "$pbkdf2$5000$cs6ZM6ZUipHSOgcgJESoNQ$oqwgWnhntJmHe.SE3/p3piIT.Ow", P),
    ("argon2-cffi argon2id", "argon2id", true, "$argon2id$v=19$m=1024,t=1,p=2$iClPLrsLumnrA7+FoSo/ug$/p4ZpbSqT/wNn44T/yJls82yu/cxQnD7u6Ugc8uOPwM", P),
    ("argon2-cffi argon2i", "argon2i", true, "$argon2i$v=19$m=1024,t=1,p=2$g93PSCJ6B7ycJ1gB5EXmCg$/V9eba0jfYqztS5R4bWztAcvNZrCiwaETMJx/44hN7I", P),
    ("argon2-cffi argon2d", "argon2d", true, "$argon2d$v=19$m=1024,t=1,p=2$GqNh44TAwVHHBWU2/VRt7Q$frXPnIrmN82W2s35huOzPSheX62SZPF+T1gx60jqUpE", P),
    ("Django 5.2", "pbkdf2-sha256", false, "pbkdf2_sha256$1000000$9MJeC66qz3pWMS7XaEU50V$fUHwpH6yhCxtqH7uneMzvRptgZmrQEzZOQiXvsmD9uI=", P),
    ("Django 5.2", "pbkdf2-sha1", true, "pbkdf2_sha1$10000$abcdefgh$M3nWgztoe5uHfH8aVEBunGeex18=", P),
    ("Django 5.2", "argon2id", false, "argon2$argon2id$v=19$m=102400,t=2,p=8$THlOYUg5dk51Z2pIa1FWcWhBclVFTA$LpwZ9kc7h9jmEa5ckHRDcjFAUgc99xi02zB2DyhPKsg", U),
    ("Django 5.2, 100 bytes", "bcrypt", false, "bcrypt_sha256$$2b$12$D7Q2A2N/RFQiP10cXKy61uJGNugB6w/lAlzLHCOCXWjxra.hmgZaC", "ääääääääääääääääääääääääääääääääääääääääääääääääää"),
    ("Django 5.2", "bcrypt", false, "bcrypt$$2b$12$RC8zgZUiOqw.BbhSnkLzpu4XH4NPPQNnKw9YzAhkeiH5xuhiLNr9a", P),
    ("Django 5.2", "scrypt", false, "scrypt$16384$1KnyoU4TCvS5qV1YxVfvnx$8$5$9t+KLezAixB0s+3GBbU/j1xtvAIbN47gXxz7HgTj6bSfku6ZKsyeFB/S02ukDmbj+cnDSxZZZeNEpIv4wbWgVQ==", P),
    ("Werkzeug 3.1", "scrypt", false, "scrypt:32768:8:1$lhnozKS6S86NlfGD$1179054e92623254e663f497fc50e11e9928218375de4ac29d2c1f04b0d84d541ccf1c591744b221fea1e03d6c38d223e516252c003d8919fe5f3eff2c9a56a0", P),
    ("Werkzeug 3.1", "scrypt", true, "scrypt:1024:4:2$ogwA33nWfUohROTP$1c541262baf39bd5984eb357041257a97217f6b05c6fe8c1cc1ceaa5bc643147ae3feddc4376d3316cff3be4535a801dfbca2804e145ee654bed6177b9f888d1", U),
    ("Werkzeug 3.1", "pbkdf2-sha256", true, "pbkdf2:sha256:1000$ZsaVY4LpklQYBC0c$07af3143b3f06928198a2ef55354e13e0190cec6b0ff1de66aa72247ef463827", P),
    ("Werkzeug 3.1", "pbkdf2-sha1", true, "pbkdf2:sha1:1000$3aDLRI3TYvFzw44l$4a0727ac8c6a79c8801083d4f2b96011279438bf", P),
    ("Werkzeug 3.1", "pbkdf2-sha512", false, "pbkdf2:sha512:210000$guZfgtfyRzrat0pC$1de9ff3d358cfd997ecd393d2b46054dcc11203414ec556409f6fc24bb797c2555b03e9391ce35e686b3966001988c5bba8582430af4ccd02c1feee41a770312", U),
];

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

#[track_caller]
fn parse(text: &str) -> StoredHash {
    StoredHash::parse(text).unwrap_or_else(|fault| panic!("{text} {fault}"))
}

#[test]
fn hashes_of_other_programs_open_for_their_password_and_no_other() {
    for (by, scheme, weak, text, password) in MADE_ELSEWHERE {
        let hash = parse(text);
        assert_eq!((hash.scheme(), hash.is_weak()), (scheme, weak), "{by} {text}");
        assert!(hash.verify(&secret(password)), "{by} {text}");
        assert!(!hash.verify(&secret(&format!("{password}x"))), "{by} {text}");
        let (_, shorter) = password.split_at(password.chars().next().map_or(0, char::len_utf8));
        assert!(!hash.verify(&secret(shorter)), "{by} {text}");
        assert!(!format!("{hash:?}").contains(&text[text.len() - 12..]), "{hash:?}");
    }
}

#[test]
fn dummy_of_each_is_as_dear_and_opens_for_nobody() {
    for (by, scheme, _, text, password) in MADE_ELSEWHERE {
        let hash = parse(text);
        let dummy = hash.dummy_alike().unwrap();
        assert_eq!((dummy.scheme(), dummy.microseconds()), (scheme, hash.microseconds()), "{by}");
        assert!(!dummy.verify(&secret(password)), "{by}");
    }
}

#[test]
fn bcrypt_never_makes_two_passwords_one() {
    let made = |text: &str| MADE_ELSEWHERE.iter().find(|one| one.0 == text).expect("a vector").3;
    let hash = parse(made("PHP password_hash bcrypt, 72 bytes"));
    assert!(hash.verify(&secret(&"a".repeat(72))));
    for wrong in ["a".repeat(73), format!("{}b", "a".repeat(72)), "a".repeat(71), "a".repeat(144)] {
        assert!(!hash.verify(&secret(&wrong)), "{wrong}");
    }
    // bcrypt repeats a password with a zero byte between: `x` and `x\0x` are one to it.
    let hash = parse(made("htpasswd -B"));
    for wrong in [format!("{P}\0"), format!("{P}\0{P}"), format!("{P}\0x")] {
        assert!(!hash.verify(&secret(&wrong)), "{wrong:?}");
    }
    // Nor where another function comes first.
    let long = parse(made("Django 5.2, 100 bytes"));
    assert!(!long.verify(&secret(&"ä".repeat(49))));
    assert!(!long.verify(&secret(&format!("{}x", "ä".repeat(50)))));
}

/// Made by PHP of the bytes `p ff a3 345`: the program that `$2x$` stands for took many other passwords too.
#[test]
fn bcrypt_2x_opens_for_ascii_only() {
    let flawed = parse("$2x$05$/OK.fbVrR/bpIqNJ5ianF.NMbWBKJhu6HhOrtkRgc6bCL0xRG6aUW");
    for password in [&b"p\xff\xa3345"[..], b"\xff\xa3345", b"p\xc3\xbf\xc2\xa3345"] {
        assert!(!flawed.verify(&Secret::new(password)));
    }
}

#[test]
fn wordpress_trims_as_php_does() {
    let hash = MADE_ELSEWHERE.iter().find(|one| one.0 == "PHP as WordPress 6.8").unwrap().3;
    assert!(parse(hash).verify(&secret(&format!(" \t\n\r\x0b\0{P} \0"))));
    assert!(!parse(hash).verify(&secret(&format!("\u{a0}{P}"))));
}

#[test]
fn longer_than_crypt_takes_is_wrong() {
    let long = "x".repeat(513);
    for scheme in ["md5-crypt", "sha512-crypt", "phpass"] {
        let hash = MADE_ELSEWHERE.iter().find(|one| one.1 == scheme).unwrap().3;
        assert!(!parse(hash).verify(&secret(&long)));
        assert!(!parse(hash).verify(&secret(&format!("{P}\0"))));
    }
}

#[test]
fn locked_accounts_open_for_nobody() {
    for text in [
        "!",
        "*",
        "!!",
        "!8zY1bHblIg5Lvj5ryBMIWrnxsAgQDX9btpelz5Sp",
        "!$6$x$y",
        "{CRYPT}!",
        "{crypt}*",
    ] {
        let hash = parse(text);
        assert_eq!((hash.scheme(), hash.is_weak()), ("locked", false));
        for password in ["", "!", "*", P, text] {
            assert!(!hash.verify(&secret(password)), "{text}");
        }
    }
}

#[test]
fn costs_over_the_caps_are_refused_and_never_computed() {
    let begun = Instant::now();
    let bcrypt = "5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTIK";
    let b64 = "Al0WRKkX+g8exirCjNJ9bu1MWC09qOS5CWHZ8VXEDuw=";
    let hex = "00".repeat(32);
    let signs = "x".repeat(86);
    for text in [
        format!("$2y$15${bcrypt}"),
        format!("$2y$31${bcrypt}"),
        format!("bcrypt_sha256$$2b$15${bcrypt}"),
        format!("$wp$2y$15${bcrypt}"),
        format!("pbkdf2_sha256$4000001$x${b64}"),
        format!("pbkdf2_sha256$99999999999999999999999$x${b64}"),
        format!("pbkdf2:sha256:4294967297$x${hex}"),
        format!("scrypt:2097152:8:1$x${hex}"),
        format!("scrypt:32768:8:17$x${hex}"),
        format!("scrypt:4294967295:4294967295:4294967295$x${hex}"),
        format!("scrypt$32768$x$8$17${b64}"),
        format!("$6$rounds=1000001$x${signs}"),
        format!("$6$rounds=4294968296$x${signs}"),
        format!("{{CRYPT}}$5$rounds=999999999$x${}", &signs[..43]),
        format!("$P$I12345678{}", &signs[..22]),
        "argon2$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".into(),
    ] {
        match StoredHash::parse(&text) {
            Err(HashFault::TooCostly(_)) => {}
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(begun.elapsed() < Duration::from_millis(500));
}

#[test]
fn costs_at_the_caps_are_taken() {
    let hex = "00".repeat(64);
    for text in [
        "$2y$14$5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTIK".to_owned(),
        "pbkdf2_sha256$4000000$x$Al0WRKkX+g8exirCjNJ9bu1MWC09qOS5CWHZ8VXEDuw=".into(),
        format!("scrypt:131072:8:2$x${hex}"),
        format!("$6$rounds=1000000$x${}", "x".repeat(86)),
        format!("$P$H12345678{}", "x".repeat(22)),
    ] {
        assert!(parse(&text).microseconds() > 50_000, "{text}");
    }
}

#[test]
fn what_is_known_but_cannot_be_checked_is_named() {
    for (text, name) in [
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "yescrypt"),
        ("$gy$j9T$x$y", "yescrypt"),
        ("$7$CU..../....x$y", "crypt(3)"),
        ("$S$DxVn7wubSRzoK9X2pkGx4njeDRkLEgdqPphc2ZXkkb8Viy8JEGf3", "Drupal 7"),
        ("rqXexS6ZhobKA", "DES crypt"),
        ("{CRYPT}rqXexS6ZhobKA", "DES crypt"),
        ("{SMD5}jNoSMNY0cybfuBWiaGlFw3Mfi/U=", "MD5 hash of LDAP"),
        ("{CLEARTEXT}secret", "clear text"),
        ("sha1$abc$def", "Django"),
        ("pbkdf2:sha256$salt$00", "how many iterations"),
    ] {
        match StoredHash::parse(text) {
            Err(fault @ HashFault::Unsupported(_)) => {
                assert!(fault.to_string().contains(name), "{fault}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn other_text_is_no_hash_and_is_not_repeated() {
    let unknown = [
        "",
        "hunter2",
        "$",
        "$$",
        "$9$x$y",
        "{",
        "{}",
        "{X}y",
        "{CRYPT}hunter2",
        "a:b",
        "a$b$c",
        "ä",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        &"$6$".repeat(400),
    ];
    for text in unknown {
        assert_eq!(StoredHash::parse(text).unwrap_err(), HashFault::Unknown, "{text}");
    }
    for text in [
        "$2y$",
        "$2y$05$",
        "$2y$5$x",
        "$2y$03$5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTIK",
        "$2y$05$short",
        "$2y$05$5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTI!",
        "$wp$",
        "$wp$x",
        "$wp$2x$05$5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTIK",
        "$wp$P$B12345678xxxxxxxxxxxxxxxxxxxxxx",
        "$5$",
        "$6$x",
        "$6$rounds=999$x$y",
        "$6$rounds=x$x$y",
        "$6$x$short",
        "$1$",
        "$1$123456789$xxxxxxxxxxxxxxxxxxxxxx",
        "$apr1$x$!",
        "$P$",
        "$P$B",
        "$P$B12345678short",
        "$P$.12345678xxxxxxxxxxxxxxxxxxxxxx",
        "{SSHA}",
        "{SSHA}!!",
        "{SHA}c2hvcnQ=",
        "{SHA}H5CQsPd3Mi7M+rcAd04YFZWatcgx",
        "pbkdf2_sha256$",
        "pbkdf2_sha256$0$x$Al0WRKkX+g8exirCjNJ9bu1MWC09qOS5CWHZ8VXEDuw=",
        "pbkdf2_sha256$-1$x$y",
        "pbkdf2_sha256$+1$x$y",
        "pbkdf2:sha256:1$x$0",
        "pbkdf2:sha256:1$x$00",
        "scrypt:",
        "scrypt:0:8:1$x$00",
        "scrypt:1000:8:1$x$000102030405060708090a0b0c0d0e0f",
        "scrypt$16384$x$8$1$",
        "$argon2id$",
        "$argon2id$v=19$m=1,t=1,p=1$x$y",
        "bcrypt$",
        "bcrypt_sha256$$2b$",
    ] {
        match StoredHash::parse(text) {
            Err(HashFault::Malformed(_) | HashFault::TooShort) => {}
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_beginning_of_a_hash_is_a_fault() {
    for (_, _, _, hash, _) in MADE_ELSEWHERE {
        for end in (0..hash.len().min(12)).filter(|end| hash.is_char_boundary(*end)) {
            let beginning = &hash[..end];
            let read = StoredHash::parse(beginning);
            assert!(read.is_err() || beginning.starts_with(['!', '*']), "{beginning:?}");
        }
    }
}

proptest::proptest! {
    /// Whatever stands in a file or a table is a hash or a fault, and takes no time.
    #[test]
    fn any_text_is_read_or_refused(index in 0..51usize, cut in 0..200usize, text in "\\PC{0,12}") {
        let (_, _, _, hash, _) = MADE_ELSEWHERE[index];
        let at = cut.min(hash.len());
        let _ = StoredHash::parse(&text);
        let _ = StoredHash::parse(&format!("{}{text}{}", &hash[..at], &hash[at..]));
        let _ = StoredHash::parse(&format!("{}{text}", &hash[..at]));
    }
}

/// One round of SHA-1 takes a microsecond, a hash of ours 20,000.
#[test]
fn cheap_hashes_take_the_time_of_ours() {
    const SAMPLES: usize = 15;
    let ours = StoredHash::dummy().unwrap();
    for scheme in ["SSHA", "SHA", "locked"] {
        let made = MADE_ELSEWHERE.iter().find(|one| one.1 == scheme).map_or("!", |one| one.3);
        let cheap = parse(made);
        let took = |hash: &StoredHash| {
            let begun = Instant::now();
            assert!(!hash.verify(&secret("wrong")));
            begun.elapsed().as_secs_f64()
        };
        // One after the other, so that what else this machine does meets both.
        let mut ratios: Vec<f64> = (0..SAMPLES).map(|_| took(&cheap) / took(&ours)).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[SAMPLES / 2];
        println!("{scheme}: {ratio:.3} of an unknown user");
        assert!((0.7..1.4).contains(&ratio), "{scheme}: {ratio}");
    }
}
