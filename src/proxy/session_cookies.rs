//! The cookies by which a legacy application knows the user that it let in: kept by the gateway for each session, sent
//! with that session's requests, and never given to the client.
//!
//! The client's own cookies of these names are removed first: it must not choose whose session the application sees.
//! Which session has which is `store::keepsakes`; the firewall calls this on the way out, `gateway` on the way back.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::config::CookieName;
use crate::store::keepsakes::Changes;
use crate::token::extract::{self, NamePattern};

/// What one request carries to the application.
#[derive(Clone, Debug)]
pub struct SessionCookies<'a> {
    names: &'a [CookieName],
    field: Option<HeaderValue>,
}

impl<'a> SessionCookies<'a> {
    /// Cookies of these names, and what the session has of them.
    pub fn new(names: &'a [CookieName], field: Option<HeaderValue>) -> SessionCookies<'a> {
        SessionCookies { names, field }
    }

    /// Puts the session's cookies in the place of the client's.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        extract::strip_cookies_named(headers, &patterns(self.names));
        let Some(own) = &self.field else { return };
        // One field, since HTTP/1.1 knows no other (RFC 6265 §5.4).
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let joined = [all.as_slice(), &[own.as_bytes()]].concat().join(&b"; "[..]);
        if let Ok(mut field) = HeaderValue::from_bytes(&joined) {
            field.set_sensitive(true);
            headers.insert(COOKIE, field);
        }
    }
}

fn patterns(names: &[CookieName]) -> Vec<NamePattern> {
    names.iter().map(CookieName::pattern).collect()
}

/// Takes what the application sets for the session out of its answer, for the client must not see it: whatever some
/// browser or application takes for one of these cookies, also what cannot be kept.
pub fn out_of_answer(names: &[CookieName], headers: &mut HeaderMap) -> Changes {
    let changes = Changes::of(headers, names);
    let patterns = patterns(names);
    let ours = |field: &HeaderValue| extract::sets_cookie(field, &patterns);
    if !headers.get_all(SET_COOKIE).iter().any(ours) {
        return changes;
    }
    let all = headers.get_all(SET_COOKIE).iter();
    let others: Vec<HeaderValue> = all.filter(|field| !ours(field)).cloned().collect();
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
        let cookies = SessionCookies::new(&names, Some(HeaderValue::from_static("sid=ours")));
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
            (&["s%69d=theirs; a=1"], "a=1; sid=ours"),
            (&["%20sid=theirs", "sid%00x=theirs", "sid[]=theirs"], "sid=ours"),
            (&["wp.x=1; wp%5fx=1; w%70_x=1; wp[x=1; a=1 wp.x=2"], "sid=ours"),
        ] {
            assert_eq!(sent(client), expected, "{client:?}");
        }
    }

    #[test]
    fn who_has_none_brings_none() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes(b"wp_\xffx=1; a=1; sid=theirs").unwrap());
        SessionCookies::new(&names(), None).write(&mut headers);
        assert_eq!(headers[COOKIE], "a=1");
    }

    #[test]
    fn what_the_application_sets_stays_here() {
        let mut headers = HeaderMap::new();
        for field in [
            "theme=dark",
            "sid=new; HttpOnly",
            "wp_a=; Max-Age=0",
            "sidx=1",
            "odd\u{a0}",
            // What is no text cannot be kept, and is not the client's for that.
            "wp_b=caf\u{e9}; Path=/",
            "wp_c=1; Path=/\u{e9}",
            "=wp_d=1",
            "SID=1",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        let changes = out_of_answer(&names(), &mut headers);
        assert_eq!(changes, Changes { set: vec!["sid=new".into()], removed: vec!["wp_a".into()] });
        let left: Vec<&[u8]> =
            headers.get_all(SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(left, [&b"theme=dark"[..], b"sidx=1", "odd\u{a0}".as_bytes()]);
    }
}
