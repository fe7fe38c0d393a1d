//! The double submit of Flask-JWT-Extended: a page that sends a token in a cookie also sends the `csrf` claim of that token in a
//! field, which pages of other sites can neither read nor set (CWE-352). Asked besides [`super::origin`], for the clients of that
//! library. Never looks at a token's signature. Called by `judge`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::HeaderName;

use crate::token::{Claims, TokenFault};

/// The field, by the library's name for it.
pub const FIELD: HeaderName = HeaderName::from_static("x-csrf-token");

/// Whether there is anything to compare.
pub fn is_sent(headers: &HeaderMap) -> bool {
    headers.get_all(FIELD).iter().any(|value| !value.is_empty())
}

/// Compares the field with the claim, in the same time whatever differs.
///
/// # Errors
/// [`TokenFault::CrossSite`] when they differ or there are two fields, [`TokenFault::Invalid`] when the token has no such claim.
pub fn matches(headers: &HeaderMap, claims: &Claims) -> Result<(), TokenFault> {
    let claim = claims.all.get("csrf").and_then(|claim| claim.as_str());
    let claim = claim.ok_or(TokenFault::Invalid)?;
    let mut fields = headers.get_all(FIELD).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(TokenFault::CrossSite);
    };
    verify_slices_are_equal(field.as_bytes(), claim.as_bytes()).map_err(|_| TokenFault::CrossSite)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn claims(csrf: Option<&str>) -> Claims {
        let mut all = json!({"sub": "ada", "type": "access", "jti": "j", "iat": 1, "exp": 2});
        if let Some(csrf) = csrf {
            all["csrf"] = json!(csrf);
        }
        let Value::Object(all) = all else { unreachable!() };
        Claims::from_json(all).unwrap()
    }

    fn headers(fields: &[&'static str]) -> HeaderMap {
        fields.iter().map(|value| (FIELD, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_field_with_the_claim_passes_and_nothing_else() {
        let token = claims(Some("known"));
        assert_eq!(matches(&headers(&["known"]), &token), Ok(()));
        for fields in [&["other"][..], &["know"], &["known2"], &["known", "known"], &[""], &[]] {
            let fields = headers(fields);
            assert_eq!(matches(&fields, &token), Err(TokenFault::CrossSite), "{fields:?}");
        }
        let odd = HeaderMap::from_iter([(FIELD, HeaderValue::from_bytes(b"\xe9").unwrap())]);
        assert_eq!(matches(&odd, &token), Err(TokenFault::CrossSite));
        assert_eq!(matches(&headers(&["known"]), &claims(None)), Err(TokenFault::Invalid));
    }

    #[test]
    fn an_empty_field_is_none() {
        assert!(is_sent(&headers(&["x"])) && is_sent(&headers(&["", "x"])));
        assert!(!is_sent(&headers(&[""])) && !is_sent(&headers(&[])));
    }
}
