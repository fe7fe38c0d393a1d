//! One request by the letter of RFC 9112 and RFC 3986, written to their ABNF and to nothing else.
//!
//! It shares no code with the gateway, with hyper or with httparse: a mistake there cannot hide itself here. Where the
//! RFCs leave a choice to the sender (bare LF, obs-fold, trailers, extensions, absolute-form) it takes the narrow one,
//! since that is what a gateway should send.

/// What is wrong with the bytes.
pub type Violation = &'static str;

/// A request that is by the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target, in origin-form.
    pub target: String,
    /// Fields in order, names as sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

/// How far the bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head has not ended.
    Head,
    /// The head is good, the body has not ended.
    Body,
    /// A request, and how many bytes it takes.
    Whole(Request, usize),
}

/// Reads the request at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Progress, Violation> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(Progress::Head);
    };
    let mut lines = lines(&bytes[..end + 2]);
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let fields = lines.map(field_line).collect::<Result<Vec<_>, _>>()?;
    one_host(&fields)?;
    let rest = &bytes[end + 4..];
    let body = match framing(&fields)? {
        Framing::Length(length) if rest.len() < length => None,
        Framing::Length(length) => Some((rest[..length].to_vec(), length)),
        Framing::Chunked => chunks(rest)?,
    };
    Ok(match body {
        None => Progress::Body,
        Some((body, length)) => {
            Progress::Whole(Request { method, target, fields, body }, end + 4 + length)
        }
    })
}

/// Lines that end in CRLF. A CR or LF that stands alone stays in its line, where no rule allows it.
fn lines(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let line = &bytes[..end];
        bytes = &bytes[end + 2..];
        Some(line)
    })
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
fn request_line(line: &[u8]) -> Result<(String, String), Violation> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err("the request line is not three words with one space between");
    };
    if method.is_empty() || !method.iter().all(|byte| is_tchar(*byte)) {
        return Err("the method is no token");
    }
    if version != b"HTTP/1.1" {
        return Err("the version is not HTTP/1.1");
    }
    origin_form(target)?;
    Ok((text(method), text(target)))
}

/// `absolute-path [ "?" query ]` (RFC 9112 §3.2.1, RFC 3986 §3.3 and §3.4).
fn origin_form(target: &[u8]) -> Result<(), Violation> {
    if target.first() != Some(&b'/') {
        return Err("the target is not in origin-form");
    }
    let mut at = 0;
    let mut in_query = false;
    while let Some(byte) = target.get(at) {
        at += match byte {
            b'%' => {
                let hex = target.get(at + 1..at + 3).ok_or("a `%` without two digits")?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err("a `%` without two digits");
                }
                3
            }
            b'/' => 1,
            b'?' => {
                in_query = true;
                1
            }
            b':' | b'@' => 1,
            byte if is_unreserved(*byte) || is_sub_delim(*byte) => 1,
            _ if in_query => return Err("a byte that no query may hold"),
            _ => return Err("a byte that no path may hold"),
        };
    }
    Ok(())
}

/// `field-name ":" OWS field-value OWS` (RFC 9112 §5, RFC 9110 §5.5); obs-fold is none.
fn field_line(line: &[u8]) -> Result<(String, Vec<u8>), Violation> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field line without a colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_tchar(*byte)) {
        return Err("a field name that is no token");
    }
    if !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=0x7E | 0x80..)) {
        return Err("a control character in a field value");
    }
    Ok((text(name), trim(value).to_vec()))
}

/// Exactly one `Host`, and it is `uri-host [ ":" port ]` with a host in it (RFC 9112 §3.2).
fn one_host(fields: &[(String, Vec<u8>)]) -> Result<(), Violation> {
    let [host] = named(fields, "host")[..] else { return Err("not exactly one Host") };
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b']').ok_or("`[` without `]`")?;
            let inner = std::str::from_utf8(&rest[..end]).map_err(|_| "no IPv6 address")?;
            inner.parse::<std::net::Ipv6Addr>().map_err(|_| "no IPv6 address")?;
            (&b"[]"[..], &rest[end + 1..])
        }
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let literal = name == b"[]";
    let is_name = |byte: &u8| is_unreserved(*byte) || is_sub_delim(*byte) || *byte == b'%';
    if name.is_empty() || !(literal || name.iter().all(is_name)) {
        return Err("Host holds no host");
    }
    match port.split_first() {
        None => Ok(()),
        Some((b':', digits)) if digits.iter().all(u8::is_ascii_digit) => Ok(()),
        Some(_) => Err("what follows the host is no port"),
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

/// One length of digits, or one `chunked`, or neither (RFC 9112 §6); nor a field that a CGI backend folds to either.
fn framing(fields: &[(String, Vec<u8>)]) -> Result<Framing, Violation> {
    let alike = |name: &str, wanted: &str| {
        let folded: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        folded.eq_ignore_ascii_case(wanted) && !name.eq_ignore_ascii_case(wanted)
    };
    let twin = |(name, _): &(String, Vec<u8>)| {
        ["content-length", "transfer-encoding", "host"].iter().any(|wanted| alike(name, wanted))
    };
    if fields.iter().any(twin) {
        return Err("a field that folds to one of framing");
    }
    match (&named(fields, "content-length")[..], &named(fields, "transfer-encoding")[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            text(length).parse().map(Framing::Length).map_err(|_| "a length beyond all counting")
        }
        ([_], []) => Err("a length that is not digits alone"),
        ([], [_]) => Err("a transfer coding that is not `chunked`"),
        ([], _) => Err("Transfer-Encoding more than once"),
        (_, []) => Err("Content-Length more than once"),
        _ => Err("a length beside a transfer coding"),
    }
}

/// `*chunk last-chunk CRLF` without extensions or trailers (RFC 9112 §7.1); the body and the bytes it takes.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Violation> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 {
            return Err("a chunk size of more than 16 digits");
        }
        let Some(end) = bytes.get(at + digits..at + digits + 2) else {
            let rest = &bytes[at + digits..];
            let good = matches!(rest, [] | [b'\r']) && (digits > 0 || rest.is_empty());
            return if good { Ok(None) } else { Err("a chunk size that is not hexadecimal") };
        };
        if digits == 0 || end != b"\r\n" {
            return Err("a chunk size that is not hexadecimal digits and CRLF alone");
        }
        let size = u64::from_str_radix(&text(&bytes[at..at + digits]), 16).map_err(|_| "a size")?;
        let size = usize::try_from(size).map_err(|_| "a chunk beyond all counting")?;
        at += digits + 2;
        let Some(tail) = at.checked_add(size).and_then(|tail| bytes.get(tail..)) else {
            return Ok(None);
        };
        match tail {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            _ if size == 0 => return Err("a trailer, or no CRLF after the last chunk"),
            _ => return Err("a chunk that is longer than its size"),
        }
        body.extend_from_slice(&bytes[at..at + size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn named<'a>(fields: &'a [(String, Vec<u8>)], wanted: &str) -> Vec<&'a [u8]> {
    let same = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    same.map(|(_, value)| value.as_slice()).collect()
}

fn trim(value: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// RFC 9110 §5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 §2.2.
fn is_sub_delim(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
