//! The cookies by which a legacy application knows the user that it let in: kept by the gateway for each session, sent
//! with that session's requests, and never given to the client.
//!
//! The client's own cookies of these names are removed first: it must not choose whose session the application sees.
//! Which session has which is `store::keepsakes`; the firewall calls this on the way out, `gateway` on the way back.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::config::CookieName;
use crate::store::keepsakes::{Changes, cookie_of};
use crate::token::extract;

/// What one request carries to the application.
#[derive(Clone, Debug)]
pub struct SessionCookies<'a> {
    names: &'a [CookieName],
    field: HeaderValue,
}

impl<'a> SessionCookies<'a> {
    /// Cookies of these names, and what the session has of them.
    pub fn new(names: &'a [CookieName], field: HeaderValue) -> SessionCookies<'a> {
        SessionCookies { names, field }
    }

    /// Puts the session's cookies in the place of the client's.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let means = |name: &str| self.names.iter().any(|one| one.means_any_case(name));
        extract::strip_cookies_named(headers, means);
        // One field, since HTTP/1.1 knows no other (RFC 6265 §5.4).
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let joined = [all.as_slice(), &[self.field.as_bytes()]].concat().join(&b"; "[..]);
        if let Ok(mut field) = HeaderValue::from_bytes(&joined) {
            field.set_sensitive(true);
            headers.insert(COOKIE, field);
        }
    }
}

/// Takes what the application sets for the session out of its answer, for the client must not see it.
pub fn out_of_answer(names: &[CookieName], headers: &mut HeaderMap) -> Changes {
    let changes = Changes::of(headers, names);
    if changes.is_empty() {
        return changes;
    }
    let others: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|field| {
            let name = cookie_of(field).map(|cookie| cookie.name().to_owned());
            !name.is_some_and(|name| names.iter().any(|one| one.means(&name)))
        })
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for field in others {
        headers.append(SET_COOKIE, field);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [CookieName; 2] {
        [CookieName("sid".into()), CookieName("wp_*".into())]
    }

    fn sent(client: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in client {
            headers.append(COOKIE, field.parse().unwrap());
        }
        let names = names();
        let cookies = SessionCookies::new(&names, HeaderValue::from_static("sid=ours"));
        cookies.write(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
        headers[COOKIE].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_clients_own_are_replaced_in_every_spelling() {
        for (client, expected) in [
            (&[][..], "sid=ours"),
            (&["sid=theirs"][..], "sid=ours"),
            (&["a=1; sid=theirs; b=2"], "a=1; b=2; sid=ours"),
            (&["a=1", "SID=theirs; wp_x=1"], "a=1; sid=ours"),
            (&["WP_admin=1;wp_=2; wpx=3"], "wpx=3; sid=ours"),
            (&["a=1 sid=theirs"], "sid=ours"),
            (&["a=1,sid=theirs; c=3"], "c=3; sid=ours"),
            (&["sid"], "sid=ours"),
            (&["residence=x"], "residence=x; sid=ours"),
        ] {
            assert_eq!(sent(client), expected, "{client:?}");
        }
    }

    #[test]
    fn what_the_application_sets_stays_here() {
        let mut headers = HeaderMap::new();
        for field in ["theme=dark", "sid=new; HttpOnly", "wp_a=; Max-Age=0", "sidx=1", "odd\u{a0}"]
        {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        let changes = out_of_answer(&names(), &mut headers);
        assert_eq!(changes, Changes { set: vec!["sid=new".into()], removed: vec!["wp_a".into()] });
        let left: Vec<&[u8]> =
            headers.get_all(SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(left, [&b"theme=dark"[..], b"sidx=1", "odd\u{a0}".as_bytes()]);
    }
}
