//! Where a claim of ours stands in the token of another issuer.

use serde_json::{Map, Value};

use crate::token::TokenFault;

/// The names of members, from the payload inwards. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads `realm_access.roles`: names between dots. `None` where a name is empty.
    pub fn dotted(text: &str) -> Option<ClaimPath> {
        ClaimPath::of(text.split('.').map(str::to_owned).collect())
    }

    /// These names, which may have dots in them. `None` where there is none, or an empty one.
    pub fn of(names: Vec<String>) -> Option<ClaimPath> {
        let good = !names.is_empty() && names.iter().all(|name| !name.is_empty());
        good.then_some(ClaimPath(names))
    }

    /// The value at its end; `None` where any member on the way is absent.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`] where the way leads through what is no object: the token is not of the shape that the
    /// operator described, and nobody knows what it means (CVE-2026-25537).
    pub fn find<'v>(&self, all: &'v Map<String, Value>) -> Result<Option<&'v Value>, TokenFault> {
        let (last, way) = self.0.split_last().ok_or(TokenFault::Invalid)?;
        let mut here = all;
        for name in way {
            match here.get(name) {
                None => return Ok(None),
                Some(Value::Object(inner)) => here = inner,
                Some(_) => return Err(TokenFault::Invalid),
            }
        }
        Ok(here.get(last))
    }
}

/// As the configuration writes it: with dots where no name has one.
impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.iter().any(|name| name.contains('.')) {
            true => write!(f, "{:?}", self.0),
            false => f.write_str(&self.0.join(".")),
        }
    }
}
