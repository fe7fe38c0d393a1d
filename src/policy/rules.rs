//! Claim rules: keys are ANDed, wanted values are ORed, a claim that is a list passes if any element
//! matches. No expression language.

use std::borrow::Cow;

use serde_json::Value;

use super::Refusal;
use crate::token::Claims;

/// One claim and what it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRule {
    /// The claim's name at the top level of the token.
    pub claim: String,
    /// Any of these will do.
    pub wanted: Vec<Wanted>,
}

/// One acceptable value of a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Exactly this string, number or boolean.
    Value(Value),
    /// Exactly the text of a `{name}` segment, given by the segment's index in the pattern.
    Capture(usize),
}

/// Checks every rule against the claims; no claims fail any rule.
///
/// # Errors
/// [`Refusal::ClaimsRefused`] with a token that does not meet a rule, [`Refusal::TokenMissing`] without one.
pub fn hold<'a>(
    rules: &[ClaimRule],
    claims: Option<&Claims>,
    capture: impl Fn(usize) -> Option<Cow<'a, str>>,
) -> Result<(), Refusal> {
    if rules.is_empty() {
        return Ok(());
    }
    let claims = claims.ok_or(Refusal::TokenMissing)?;
    match first_broken(rules, claims, capture) {
        None => Ok(()),
        Some(_) => Err(Refusal::ClaimsRefused),
    }
}

/// The first rule that these claims do not meet: what [`hold`] refuses for, and what `explain` names.
pub fn first_broken<'a, 'r>(
    rules: &'r [ClaimRule],
    claims: &Claims,
    capture: impl Fn(usize) -> Option<Cow<'a, str>>,
) -> Option<&'r ClaimRule> {
    rules.iter().find(|rule| match claims.all.get(&rule.claim) {
        None | Some(Value::Null) => true,
        Some(Value::Array(elements)) => !elements.iter().any(|one| rule.accepts(one, &capture)),
        Some(one) => !rule.accepts(one, &capture),
    })
}

impl ClaimRule {
    fn accepts<'a>(&self, found: &Value, capture: &impl Fn(usize) -> Option<Cow<'a, str>>) -> bool {
        self.wanted.iter().any(|wanted| match wanted {
            Wanted::Value(value) => value == found,
            Wanted::Capture(index) => {
                capture(*index).is_some_and(|text| found.as_str() == Some(text.as_ref()))
            }
        })
    }
}
