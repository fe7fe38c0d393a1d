//! A request head on its way to a backend, in the very bytes that are written to it: what the firewall lets through is what
//! goes out, and nothing stands between the two that could change it, or would have to be paid for.
//!
//! Fields are only ever added. No value can end its field or begin another (CWE-113): what comes from a [`HeaderValue`] was
//! checked when it became one, and what is composed here is checked when it has been.

use std::ops::Range;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

const CRLF: &[u8] = b"\r\n";
const COLON: &[u8] = b": ";
/// Room for most heads: a head that is longer moves once or twice while it grows. Up to this size memory comes from the
/// allocator's shortest way.
const HEAD_BYTES: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Section {
    head: Vec<u8>,
    /// Where the fields begin, behind the request line.
    fields: usize,
    authorization: Option<Range<usize>>,
}

impl Section {
    /// The head of a request with this method, for this target in origin-form, without any field.
    pub fn new(method: &Method, target: &Uri) -> Section {
        let target = target.path_and_query().map_or("/", |target| target.as_str());
        let mut head = Vec::with_capacity(HEAD_BYTES);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        Section { fields: head.len(), head, authorization: None }
    }

    /// Adds a field.
    pub fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.name(name);
        let start = self.head.len();
        self.head.extend_from_slice(value.as_bytes());
        if *name == AUTHORIZATION {
            self.authorization = Some(start..self.head.len());
        }
        self.head.extend_from_slice(CRLF);
    }

    /// Adds a field whose value is what `write` appends. There is none where it appends nothing, or what no value may hold
    /// (RFC 9110 §5.5).
    pub fn compose(&mut self, name: &HeaderName, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.head.len();
        self.name(name);
        let start = self.head.len();
        write(&mut self.head);
        let value = self.head.get(start..).unwrap_or_default();
        let other = value.iter().fold(0, |others, byte| others | u8::from(!may_hold(*byte)));
        if value.is_empty() || other != 0 {
            self.head.truncate(before);
            return;
        }
        self.head.extend_from_slice(CRLF);
    }

    /// The value of `Authorization`, if the backend gets one.
    pub fn authorization(&self) -> Option<&[u8]> {
        self.head.get(self.authorization.clone()?)
    }

    /// The fields by themselves, for who shows them.
    pub fn to_headers(&self) -> HeaderMap {
        let lines = self.head[self.fields..].split(|byte| *byte == b'\n');
        let fields = lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            let value = HeaderValue::from_bytes(&line[colon + COLON.len()..]).ok()?;
            Some((HeaderName::from_bytes(&line[..colon]).ok()?, value))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }

    /// The whole head, with the line that ends it.
    pub fn into_head(mut self) -> Vec<u8> {
        self.head.extend_from_slice(CRLF);
        self.head
    }

    fn name(&mut self, name: &HeaderName) {
        self.head.extend_from_slice(name.as_str().as_bytes());
        self.head.extend_from_slice(COLON);
    }
}

/// Visible ASCII, space and tab: what we compose needs no more.
fn may_hold(byte: u8) -> bool {
    (byte == b'\t') | (byte.wrapping_sub(b' ') <= b'~' - b' ')
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, VIA};

    use super::*;

    fn section() -> Section {
        Section::new(&Method::PUT, &Uri::from_static("/a?b=c"))
    }

    #[test]
    fn the_head_is_what_was_added_in_its_order() {
        let mut section = section();
        section.add(&VIA, &HeaderValue::from_static("1.1 a"));
        section.add(&COOKIE, &HeaderValue::from_bytes(b"\xe9=1").unwrap());
        section.add(&VIA, &HeaderValue::from_static(""));
        section.compose(&ACCEPT, |value| value.extend_from_slice(b"*/*"));
        let headers = section.to_headers();
        assert_eq!(headers.get_all(VIA).iter().collect::<Vec<_>>(), ["1.1 a", ""]);
        assert_eq!((headers[COOKIE].as_bytes(), headers.len()), (&b"\xe9=1"[..], 4));
        let head =
            b"PUT /a?b=c HTTP/1.1\r\nvia: 1.1 a\r\ncookie: \xe9=1\r\nvia: \r\naccept: */*\r\n\r\n";
        assert_eq!(section.into_head(), head);
    }

    #[test]
    fn what_is_composed_never_ends_its_field() {
        for value in [&b""[..], b"a\r\nb: c", b"a\rb", b"a\nb", b"\0", b"\x7f", b"caf\xc3\xa9"] {
            let mut section = section();
            section.compose(&VIA, |out| out.extend_from_slice(value));
            assert_eq!(section.into_head(), b"PUT /a?b=c HTTP/1.1\r\n\r\n", "{value:?}");
        }
    }

    #[test]
    fn authorization_is_found_again() {
        let mut section = section();
        assert_eq!(section.authorization(), None);
        section.add(&AUTHORIZATION, &HeaderValue::from_static("Basic YTpi"));
        section.add(&VIA, &HeaderValue::from_static("x"));
        assert_eq!(section.authorization(), Some(&b"Basic YTpi"[..]));
    }
}
