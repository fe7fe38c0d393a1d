//! Our tokens there, its tokens here: in header and cookie, in every algorithm that teams use, now and in the 4.6 line.

use serde_json::{Value, json};

use super::world::{LIBRARIES, Place, Plan, VIEWS, World};
use crate::harness::Tokens;

const PLACES: [Place; 2] = [Place::Header, Place::Cookie];

/// The statuses of all views, in the order of [`VIEWS`], for this token in this place: there, and here.
#[track_caller]
fn statuses(world: &World, place: Place, token: &str) -> ([u16; 4], [u16; 4]) {
    let answers = VIEWS.map(|(path, _)| {
        let (there, here) = world.ask(|client| place.put(path, token, client.get(path)));
        if there.status == 200 {
            assert_eq!(there.json()["identity"], "admin", "{path}");
            let seen = here.text();
            let who = seen.lines().any(|line| line.trim() == "x-user-id: admin");
            assert!(here.status != 200 || who, "{path}: {seen}");
        }
        (there.status, here.status)
    });
    (answers.map(|(there, _)| there), answers.map(|(_, here)| here))
}

#[track_caller]
fn refreshed(world: &World, refresh: &str) -> String {
    let answer = world.gateway.client().post("/auth/refresh").bearer(refresh).send();
    Tokens::of(&answer.expect(200)).access
}

fn our_tokens_open_its_views(algorithm: &str) {
    for library in LIBRARIES {
        let world = Plan { algorithm, ..Plan::simple(library) }.start();
        let Tokens { access: fresh, refresh } = world.gateway.login_first();
        let stale = refreshed(&world, &refresh);
        for place in PLACES {
            let check = |token: &str, expected: [u16; 4]| {
                let (there, here) = statuses(&world, place, token);
                assert_eq!(there, expected, "{library} {algorithm} {place:?}");
                assert_eq!(passes(here), passes(there), "{library} {algorithm} {place:?}");
            };
            check(&fresh, [200, 200, 200, 422]);
            check(&stale, [200, 200, 401, 422]);
            check(&refresh, [422, 422, 422, 200]);
        }
    }
}

fn passes(statuses: [u16; 4]) -> [bool; 4] {
    statuses.map(|status| {
        assert!(matches!(status, 200 | 400..500), "{statuses:?}");
        status == 200
    })
}

#[test]
fn our_hs256_tokens_open_the_views_that_they_should_and_no_others() {
    our_tokens_open_its_views("HS256");
}

#[test]
fn our_rs256_tokens_open_the_views_that_they_should_and_no_others() {
    our_tokens_open_its_views("RS256");
}

#[test]
fn our_es256_tokens_open_the_views_that_they_should_and_no_others() {
    our_tokens_open_its_views("ES256");
}

#[test]
fn our_eddsa_tokens_open_the_views_that_they_should_and_no_others() {
    our_tokens_open_its_views("EdDSA");
}

/// What the library can be asked to mint.
fn mintable() -> [Value; 9] {
    [
        json!({}),
        json!({"fresh": true}),
        json!({"fresh": {"seconds": 300}}),
        json!({"fresh": {"seconds": -5}}),
        json!({"refresh": true}),
        json!({"expires": {"seconds": -5}}),
        json!({"refresh": true, "expires": {"seconds": -5}}),
        json!({"claims": {"roles": ["a"], "sid": "theirs"}}),
        json!({"claims": {"fresh": true, "type": "refresh"}}),
    ]
}

/// Every token that the library mints under these options, in each place, at each view.
#[track_caller]
fn same_decision(plan: &Plan<'_>) {
    let world = plan.start();
    for wanted in mintable() {
        let token = world.minted(&wanted);
        for place in PLACES {
            let (there, here) = statuses(&world, place, &token);
            assert_eq!(
                passes(here),
                passes(there),
                "{wanted} {place:?} {plan:?}: {here:?} {there:?}"
            );
        }
    }
}

#[test]
fn its_tokens_meet_the_same_decision_in_every_algorithm() {
    for library in LIBRARIES {
        for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
            same_decision(&Plan { algorithm, ..Plan::simple(library) });
        }
    }
}

#[test]
fn its_tokens_for_an_audience_from_an_issuer_meet_the_same_decision() {
    for library in LIBRARIES {
        let simple = Plan::simple(library);
        let tokens = format!("{}issuer = \"us\"\naudience = \"app\"\n", simple.tokens);
        for (issuer, audience) in [
            (json!("us"), json!("app")),
            (json!("us"), json!(["other", "app"])),
            (json!("us"), json!(["other"])),
            (json!("us"), Value::Null),
            (json!("them"), json!("app")),
            (Value::Null, json!("app")),
        ] {
            let options = json!({
                "JWT_ENCODE_ISSUER": issuer, "JWT_ENCODE_AUDIENCE": audience,
                "JWT_DECODE_ISSUER": "us", "JWT_DECODE_AUDIENCE": "app",
            });
            same_decision(&Plan { options, tokens: &tokens, ..simple.clone() });
        }
    }
}

#[test]
fn its_tokens_with_another_identity_claim_meet_the_same_decision_and_ours_open_its_views() {
    for library in LIBRARIES {
        let simple = Plan::simple(library);
        let tokens = format!("{}identity_claim = \"identity\"\n", simple.tokens);
        let options = json!({"JWT_IDENTITY_CLAIM": "identity"});
        let plan = Plan { options, tokens: &tokens, ..simple };
        same_decision(&plan);
        let world = plan.start();
        let ours = world.gateway.login_first();
        let (there, here) = statuses(&world, Place::Header, &ours.access);
        assert_eq!((there, passes(here)), ([200, 200, 200, 422], [true, true, true, false]));
        let theirs = world.minted(&json!({"refresh": true}));
        let (there, _) = statuses(&world, Place::Header, &refreshed(&world, &theirs));
        assert_eq!(there, [200, 200, 401, 422]);
    }
}

#[test]
fn its_tokens_without_csrf_and_nbf_meet_the_same_decision() {
    for library in LIBRARIES {
        let options = json!({"JWT_COOKIE_CSRF_PROTECT": false, "JWT_ENCODE_NBF": false});
        same_decision(&Plan { options, ..Plan::simple(library) });
    }
}

#[test]
fn a_refresh_token_of_the_library_is_refreshed_here_and_what_comes_of_it_opens_its_views() {
    for library in LIBRARIES {
        for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
            let world = Plan { algorithm, ..Plan::simple(library) }.start();
            let theirs = world.minted(&json!({"refresh": true}));
            let access = refreshed(&world, &theirs);
            let (there, here) = statuses(&world, Place::Header, &access);
            assert_eq!((there, passes(here)), ([200, 200, 401, 422], [true, true, false, false]));
            // Once more with the same: nothing rotates under a client that knows no rotation.
            refreshed(&world, &theirs);
            let stranger = world.minted(&json!({"refresh": true, "identity": "nobody"}));
            let refused = world.gateway.client().post("/auth/refresh").bearer(&stranger).send();
            refused.refused(401, "token-revoked");
        }
    }
}
