//! `Max-Forwards` on `OPTIONS` (RFC 9110 §7.6.2): how many more servers may pass a question on.
//!
//! Other methods ignore it, and `TRACE` never comes this far. Called once for each request that has a permit.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};

const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// It goes on; the field counts one hop less.
    On,
    /// It ends here: we answer, and the backend learns nothing of it.
    End,
    /// The field is there twice, or is no number.
    Malformed,
}

/// Counts one hop, where it is counted.
pub fn count_hop(method: &Method, headers: &mut HeaderMap) -> Hops {
    if *method != Method::OPTIONS {
        return Hops::On;
    }
    let mut fields = headers.get_all(MAX_FORWARDS).iter();
    let left = match (fields.next(), fields.next()) {
        (None, _) => return Hops::On,
        (Some(field), None) => number(field),
        (Some(_), Some(_)) => None,
    };
    match left {
        None => Hops::Malformed,
        Some(0) => Hops::End,
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Hops::On
        }
    }
}

/// Digits alone; a number beyond all counting is the largest.
fn number(field: &HeaderValue) -> Option<u64> {
    let text = field.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of these fields, and what is left of them.
    fn counted(method: &Method, fields: &[&'static str]) -> (Hops, Vec<String>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(MAX_FORWARDS, HeaderValue::from_static(field));
        }
        let hops = count_hop(method, &mut headers);
        let left = headers.get_all(MAX_FORWARDS).iter();
        (hops, left.map(|field| field.to_str().expect("text").to_owned()).collect())
    }

    #[test]
    fn a_hop_is_counted_for_options_alone() {
        assert_eq!(counted(&Method::OPTIONS, &["5"]), (Hops::On, vec!["4".into()]));
        assert_eq!(counted(&Method::OPTIONS, &["0"]).0, Hops::End);
        assert_eq!(counted(&Method::OPTIONS, &["000"]).0, Hops::End);
        assert_eq!(counted(&Method::OPTIONS, &[]), (Hops::On, vec![]));
        assert_eq!(counted(&Method::GET, &["0"]), (Hops::On, vec!["0".into()]));
        let large = counted(&Method::OPTIONS, &["99999999999999999999999"]);
        assert_eq!(large, (Hops::On, vec![(u64::MAX - 1).to_string()]));
    }

    #[test]
    fn what_is_no_number_or_two_is_malformed() {
        for fields in [&["", "x"][..], &[""], &["-1"], &["+1"], &["1,0"], &["1", "0"], &["0", "0"]]
        {
            assert_eq!(counted(&Method::OPTIONS, fields).0, Hops::Malformed, "{fields:?}");
        }
    }
}
