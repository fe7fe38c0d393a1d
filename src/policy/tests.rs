//! The policy table, printed from `decide` and compared with the documentation; ages, preflights and permits.

use serde_json::{Value, json};

use super::path::PathRules;
use super::pattern::Pattern;
use super::route::{Action, Endpoint};
use super::*;
use crate::token::Claims;

const NOW: UnixTime = UnixTime(1_900_000_000);

/// The columns that are not about good tokens; every fault that a route can meet is the same column.
const FAULTS: [TokenFault; 6] = [
    TokenFault::Malformed,
    TokenFault::Invalid,
    TokenFault::Forged,
    TokenFault::Expired,
    TokenFault::NotYetValid,
    TokenFault::Revoked,
];

fn route(requirement: Requirement) -> Arc<Route> {
    Arc::new(Route {
        accept: None,
        id: "/x".to_owned(),
        index: 0,
        pattern: Pattern::parse("/x").expect("a pattern"),
        requirement,
        claims: Vec::new(),
        preflight: true,
        report: false,
        action: Action::Endpoint(Endpoint::Me),
    })
}

fn token(more: &Value) -> Standing {
    let mut all = json!({
        "sub": "ada", "type": "access", "jti": "1", "fresh": true,
        "iat": NOW.0, "exp": NOW.0 + 900, "auth_time": NOW.0,
    });
    for (name, value) in more.as_object().expect("an object") {
        all[name] = value.clone();
    }
    let Value::Object(all) = all else { unreachable!("made as an object") };
    Standing::assumed(Claims::from_json(all).expect("claims of the right types"))
}

fn ask(requirement: Requirement, standing: Standing) -> Result<Permit, Refusal> {
    let path = CanonicalPath::parse("/x", &PathRules::default()).expect("a path");
    decide(&route(requirement), &path, standing, NOW)
}

/// One cell of the table.
fn cell(requirement: Requirement, standing: Standing) -> String {
    match ask(requirement, standing) {
        Ok(_) => "pass".to_owned(),
        Err(refusal) => format!("refuse {}", refusal.parts().0),
    }
}

fn row(requirement: Requirement) -> String {
    let bad = FAULTS.map(|fault| cell(requirement, Standing::Unproven(fault)));
    assert!(bad.iter().all(|one| *one == bad[0]), "{requirement:?}: {bad:?}");
    let cells = [
        cell(requirement, Standing::Anonymous),
        bad[0].clone(),
        cell(requirement, token(&json!({"type": "refresh", "fresh": false}))),
        cell(requirement, token(&json!({"fresh": false}))),
        cell(requirement, token(&json!({"fresh": true}))),
    ];
    format!("| `{}` | {} |\n", requirement.name(), cells.join(" | "))
}

#[test]
fn the_policy_table_of_the_documentation_is_what_the_code_decides() {
    let mut table = String::from(
        "| policy | no token | bad token | refresh token | stale access | fresh access |\n\
         |---|---|---|---|---|---|\n",
    );
    for requirement in [
        Requirement::Public,
        Requirement::Optional,
        Requirement::Access,
        Requirement::Fresh { max_age: None },
        Requirement::Refresh,
        Requirement::Deny,
    ] {
        table += &row(requirement);
    }
    println!("{table}");
    let page = include_str!("../../docs/policies.md");
    let (_, rest) = page.split_once("<!-- policy-table -->\n").expect("the opening marker");
    let (written, _) = rest.split_once("<!-- /policy-table -->").expect("the closing marker");
    assert_eq!(written, table, "docs/policies.md, between its markers, must be:\n{table}");
}

#[test]
fn logout_takes_a_good_token_of_either_kind_and_nothing_else() {
    let row = row(Requirement::AnyToken);
    assert_eq!(row, "| `any-token` | refuse 401 | refuse 401 | pass | pass | pass |\n");
}

#[test]
fn every_refusal_of_a_token_says_which_fault_it_was() {
    let code = |fault| ask(Requirement::Access, Standing::Unproven(fault)).map(drop);
    assert_eq!(code(TokenFault::Expired), Err(Refusal::TokenExpired));
    assert_eq!(code(TokenFault::Forged), code(TokenFault::Invalid));
    assert_eq!(code(TokenFault::Unchecked), Err(Refusal::Overloaded));
    assert_eq!(code(TokenFault::Revoked), Err(Refusal::TokenRevoked));
    assert_eq!(code(TokenFault::Unconfirmed), Err(Refusal::StoreUnavailable));
    assert_eq!(code(TokenFault::Duplicated), Err(Refusal::TokenDuplicated));
    let missing = ask(Requirement::Access, Standing::Anonymous).map(drop);
    assert_eq!(missing, Err(Refusal::TokenMissing));
}

#[test]
fn max_age_is_counted_from_the_credential_check_to_the_second() {
    let max_age = Some(Duration::from_secs(300));
    let with = |more: Value| ask(Requirement::Fresh { max_age }, token(&more)).map(drop);
    let stale = Err(Refusal::TokenNotFresh { max_age });
    assert_eq!(with(json!({"auth_time": NOW.0 - 300})), Ok(()));
    assert_eq!(with(json!({"auth_time": NOW.0 - 301})), stale);
    // However fresh the token says it is, and however new it is itself.
    assert_eq!(with(json!({"auth_time": NOW.0 - 301, "iat": NOW.0})), stale);
    assert_eq!(with(json!({"auth_time": NOW.0, "fresh": false})), stale);
    assert_eq!(with(json!({"auth_time": NOW.0, "fresh": NOW.0 - 1})), stale);
    assert_eq!(with(json!({"auth_time": NOW.0, "fresh": NOW.0 + 1})), Ok(()));
    // Without a max_age only the token's own word counts.
    let any = ask(Requirement::Fresh { max_age: None }, token(&json!({"auth_time": 1})));
    assert!(any.is_ok());
}

#[test]
fn a_preflight_passes_as_nobody_unless_the_route_is_denied() {
    for requirement in [Requirement::Public, Requirement::Access, Requirement::Refresh] {
        let permit = decide_preflight(&route(requirement)).expect("a permit");
        assert!(permit.claims().is_none());
    }
    let denied = decide_preflight(&route(Requirement::Deny)).map(drop);
    assert_eq!(denied, Err(Refusal::Denied));
}

#[test]
fn a_permit_knows_the_caller_where_a_token_was_judged() {
    let subject = |requirement, standing| {
        let permit = ask(requirement, standing).expect("a permit");
        permit.claims().map(|claims| claims.subject.clone())
    };
    assert_eq!(subject(Requirement::Optional, Standing::Anonymous), None);
    assert_eq!(subject(Requirement::Optional, token(&json!({}))), Some("ada".to_owned()));
    assert_eq!(subject(Requirement::Access, token(&json!({}))), Some("ada".to_owned()));
}

#[test]
fn claim_rules_are_asked_after_the_requirement() {
    let mut one = Route::clone(&route(Requirement::Fresh { max_age: None }));
    let wanted = vec![rules::Wanted::Value(json!("admin"))];
    one.claims = vec![rules::ClaimRule { claim: "roles".to_owned(), wanted }];
    let one = Arc::new(one);
    let path = CanonicalPath::parse("/x", &PathRules::default()).expect("a path");
    let ask = |more: Value| decide(&one, &path, token(&more), NOW).map(drop);
    assert_eq!(ask(json!({"fresh": false})), Err(Refusal::TokenNotFresh { max_age: None }));
    assert_eq!(ask(json!({})), Err(Refusal::ClaimsRefused));
    assert_eq!(ask(json!({"roles": ["user", "admin"]})), Ok(()));
}
