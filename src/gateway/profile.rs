//! `[tokens] profile`: how refusals are told to clients that were written for another program.
//!
//! The one table from a [`Refusal`] to what the profile `flask-jwt-extended` answers: its statuses and its texts. It
//! changes how a refusal is told and never whether there is one. Called by `answer`, and by `explain` for the status.

use http::HeaderMap;

use super::judge::Asked;
use crate::config::{Config, Profile};
use crate::policy::route::Route;
use crate::policy::{Refusal, Requirement, double_submit, origin};
use crate::token::extract::{Accept, Cookies, Location, Locations, Presented};

/// The status that this profile answers a refusal with.
pub fn status(profile: Profile, refusal: Refusal) -> u16 {
    match profile {
        Profile::Standard => refusal.parts().0,
        Profile::FlaskJwtExtended => flask(refusal).0,
    }
}

/// Status and text, as Flask-JWT-Extended 4.x has them for its own refusals; the texts of PyJWT, which change with its
/// version, are here one for each kind. All others keep our status and our sentence.
#[rustfmt::skip]
pub fn flask(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::TokenMissing => (401, "Missing JWT"),
        Refusal::TokenExpired => (401, "Token has expired"),
        Refusal::TokenNotFresh { .. } => (401, "Fresh token required"),
        Refusal::TokenRevoked => (401, "Token has been revoked"),
        Refusal::CrossSite => (401, "Missing CSRF token"),
        Refusal::CredentialsInvalid => (401, "Bad username or password"),
        Refusal::TokenMalformed => (422, "Invalid token"),
        Refusal::TokenDuplicated => (422, "More than one token"),
        Refusal::TokenInvalid => (422, "Signature verification failed"),
        Refusal::TokenNotYetValid => (422, "The token is not yet valid (iat)"),
        Refusal::TokenWrongType => (422, ONLY_ACCESS),
        Refusal::ClaimsRefused => (400, "User claims verification failed"),
        Refusal::NoRoute | Refusal::Denied
        | Refusal::BadPath | Refusal::BadTarget | Refusal::BadHeader | Refusal::BadMethod
        | Refusal::TargetTooLong | Refusal::HeaderTooLarge | Refusal::RequestTimeout
        | Refusal::BadBody | Refusal::BodyTooLarge | Refusal::LoginThrottled { .. }
        | Refusal::UpstreamUnreachable | Refusal::UpstreamTimeout
        | Refusal::StoreUnavailable | Refusal::Overloaded | Refusal::Internal => {
            let (status, _, _, sentence) = refusal.parts();
            (status, sentence)
        }
    }
}

const ONLY_ACCESS: &str = "Only non-refresh tokens are allowed";
const ONLY_REFRESH: &str = "Only refresh tokens are allowed";

/// What the profile says of this very request, where its text names what was asked for or what was missed.
pub fn of_request(
    refusal: Refusal,
    config: &Config,
    route: Option<&Route>,
    asked: &Asked<'_, '_>,
) -> Option<String> {
    match config.profile {
        Profile::Standard => None,
        Profile::FlaskJwtExtended => flask_of_request(refusal, route?, &config.locations, asked),
    }
}

fn flask_of_request(
    refusal: Refusal,
    route: &Route,
    locations: &Locations,
    asked: &Asked<'_, '_>,
) -> Option<String> {
    let accept = route.accepts(locations);
    let refresh = route.requirement == Requirement::Refresh;
    match refusal {
        Refusal::CrossSite if mismatched(asked) => {
            Some("CSRF double submit tokens do not match".to_owned())
        }
        Refusal::TokenMissing => Some(missing(accept, refresh, locations, asked.headers)),
        Refusal::TokenWrongType if refresh => Some(ONLY_REFRESH.to_owned()),
        Refusal::TokenMalformed => {
            let cookies = route.requirement.cookies();
            Some(malformed((accept, cookies), locations, asked))
        }
        _ => None,
    }
}

/// Whether the page is one of ours, so that it is the field that is wrong.
fn mismatched(asked: &Asked<'_, '_>) -> bool {
    double_submit::is_sent(asked.headers) && origin::is_own(asked.method, asked.host, asked.headers)
}

/// Each location's reason, as the library joins them.
fn missing(accept: Accept, refresh: bool, locations: &Locations, headers: &HeaderMap) -> String {
    let cookie = if refresh { &locations.refresh_cookie } else { &locations.cookie };
    let mut reasons: Vec<String> = accept
        .iter()
        .map(|location| match location {
            Location::Header => no_header(locations, headers),
            Location::Cookie => format!("Missing cookie \"{cookie}\""),
            // Spelt as it is spelt there.
            Location::Query => format!("Missing '{}' query paramater", locations.query),
        })
        .collect();
    if reasons.len() == 1 {
        return reasons.remove(0);
    }
    let names: Vec<&str> = accept
        .iter()
        .map(|location| match location {
            Location::Header => "headers",
            Location::Cookie => "cookies",
            Location::Query => "query_string",
        })
        .collect();
    let (last, first) = names.split_last().unwrap_or((&"headers", &[]));
    format!("Missing JWT in {} or {last} ({})", first.join(", "), reasons.join("; "))
}

/// It takes a field with nothing but white space and commas for none.
fn no_header(locations: &Locations, headers: &HeaderMap) -> String {
    let name = written(locations.header.as_str());
    let empty = |value: &http::HeaderValue| {
        value.as_bytes().iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',')
    };
    if headers.get_all(&locations.header).iter().all(empty) {
        return format!("Missing {name} Header");
    }
    let scheme = &locations.scheme;
    format!("Missing '{scheme}' type in '{name}' header. Expected '{name}: {scheme} <JWT>'")
}

fn malformed(
    (accept, cookies): (Accept, Cookies),
    locations: &Locations,
    asked: &Asked<'_, '_>,
) -> String {
    let found = locations.find(accept, cookies, asked.headers, asked.query);
    match (found.presented, found.location) {
        (Presented::Token(token), _) if token.matches('.').count() < 2 => {
            "Not enough segments".to_owned()
        }
        (Presented::Malformed, Some(Location::Header)) => {
            let name = written(locations.header.as_str());
            let scheme = match locations.scheme.as_str() {
                "" => String::new(),
                scheme => format!("{scheme} "),
            };
            format!("Bad {name} header. Expected '{name}: {scheme}<JWT>'")
        }
        _ => flask(Refusal::TokenMalformed).1.to_owned(),
    }
}

/// `authorization` as people write it: `Authorization`.
fn written(name: &str) -> String {
    let mut start = true;
    let capital = |letter: char| {
        let letter = if start { letter.to_ascii_uppercase() } else { letter };
        start = letter == '-';
        letter
    };
    name.chars().map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written_as_people_do() {
        assert_eq!(written("authorization"), "Authorization");
        assert_eq!(written("x-token"), "X-Token");
    }

    #[test]
    fn no_refusal_becomes_a_success_or_our_fault() {
        for refusal in Refusal::ALL {
            let (ours, theirs) = (refusal.parts().0, status(Profile::FlaskJwtExtended, refusal));
            assert_eq!(ours / 100, theirs / 100, "{refusal:?}");
            assert_eq!(status(Profile::Standard, refusal), ours);
        }
    }
}
