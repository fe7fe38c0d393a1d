//! What a row means: which cells are a user, a claim, a yes, or nothing.

use super::*;
use serde_json::json;

fn columns() -> Columns {
    let claim =
        |claim: &str, reading| ClaimColumn { claim: claim.into(), column: claim.into(), reading };
    Columns {
        subject: "id".into(),
        names: vec!["login".into(), "mail".into()],
        password: "pass".into(),
        enabled: Some("active".into()),
        claims: vec![
            claim("plain", Reading::Plain),
            claim("staff", Reading::Boolean),
            claim("groups", Reading::Split(",".into())),
            claim("meta", Reading::Json),
            claim("zip", Reading::Text),
        ],
    }
}

fn rows(cells: [Cell; 10]) -> Rows {
    let names =
        ["id", "login", "mail", "pass", "active", "plain", "staff", "groups", "meta", "zip"];
    Rows { columns: names.map(str::to_owned).to_vec(), rows: vec![cells.to_vec()] }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

fn ada() -> [Cell; 10] {
    [
        Cell::Int(17),
        text("ada"),
        Cell::Null,
        text("$hash"),
        Cell::Bool(true),
        Cell::List(vec![text("a"), Cell::Int(1), Cell::Null]),
        Cell::Int(1),
        text("red, blue,, "),
        text(r#"{"level":[3]}"#),
        Cell::Int(8000),
    ]
}

fn with(place: usize, cell: Cell) -> [Cell; 10] {
    let mut all = ada();
    all[place] = cell;
    all
}

#[test]
fn row_becomes_a_user() {
    let found = rows(ada()).found(&columns()).unwrap().unwrap();
    assert_eq!((found.subject.as_str(), found.names.as_slice()), ("17", &["ada".to_owned()][..]));
    assert_eq!(found.password.as_deref(), Some("$hash"));
    assert!(found.enabled);
    let wanted = json!({
        "plain": ["a", 1, null], "staff": true, "groups": ["red", "blue"],
        "meta": {"level": [3]}, "zip": "8000"
    });
    assert_eq!(Value::Object(found.claims), wanted);
}

#[test]
fn null_gives_no_claim_and_no_password() {
    for place in 5..10 {
        let found = rows(with(place, Cell::Null)).found(&columns()).unwrap().unwrap();
        assert_eq!(found.claims.len(), 4, "{place}");
    }
    for none in [Cell::Null, text("")] {
        let found = rows(with(3, none)).found(&columns()).unwrap().unwrap();
        assert_eq!(found.password, None);
    }
}

#[test]
fn only_a_clear_yes_enables() {
    let enabled = |cell| rows(with(4, cell)).found(&columns()).unwrap().unwrap().enabled;
    for yes in [
        Cell::Int(1),
        Cell::UInt(2),
        Cell::Bool(true),
        text("1"),
        text("T"),
        text("Yes"),
        text("\u{1}"),
    ] {
        assert!(enabled(yes.clone()), "{yes:?}");
    }
    for no in [
        Cell::Null,
        Cell::Int(0),
        Cell::Bool(false),
        text("0"),
        text(""),
        text("active"),
        text("\0"),
        Cell::Other("a date".into()),
        Cell::Float(1.0),
        Cell::List(vec![]),
    ] {
        assert!(!enabled(no.clone()), "{no:?}");
    }
}

#[test]
fn row_of_nobody_is_nobody() {
    let long = text(&"x".repeat(SUBJECT_BYTES_MAX + 1));
    for (place, cell) in [
        (0, Cell::Null),
        (0, text("")),
        (0, text("a\nb")),
        (0, long.clone()),
        (1, Cell::Null),
        (1, text("")),
        (1, long),
    ] {
        assert!(rows(with(place, cell.clone())).found(&columns()).unwrap().is_none(), "{cell:?}");
    }
}

#[test]
fn values_without_a_meaning_are_told_by_column_and_type() {
    for (place, cell, part) in [
        (0, Cell::Float(1.5), "`id` is a number that is not whole"),
        (0, Cell::Bool(true), "`id` is a truth value"),
        (3, Cell::Other("of the type date".into()), "`pass` is of the type date"),
        (5, Cell::Float(f64::NAN), "`plain` is a number that JSON has not"),
        (5, Cell::Other("of the type numeric".into()), "CAST"),
        (8, text("{secret"), "`meta` holds text that is not JSON"),
        (5, text(&"x".repeat(CLAIMS_BYTES_MAX)), "bytes, and a token holds"),
    ] {
        let said = rows(with(place, cell)).found(&columns()).unwrap_err();
        assert!(said.contains(part) && !said.contains("secret"), "{said}");
    }
    let mut short = rows(ada());
    short.columns[3] = "id".into();
    assert!(short.found(&columns()).unwrap_err().contains("two columns `id`"));
    short.columns[3] = "password".into();
    let said = short.found(&columns()).unwrap_err();
    assert!(said.contains("no column `pass`") && said.contains("`password`"), "{said}");
}
