//! A strict reading of requests (RFC 9112), as a proxy may send them on: one request after the other, each byte of it
//! accounted for. Slow and plain; it shares no code with the wire guard.

/// One whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes of its head.
    pub head: usize,
    /// Bytes of its body with its framing, or why there is no whole one.
    pub body: Result<usize, Not>,
    /// Bytes of its body without its framing.
    pub payload: usize,
    /// Fields behind its body.
    pub trailers: usize,
}

/// What the head of a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a target.
    pub target: usize,
    /// Fields.
    pub fields: usize,
    /// Bytes of the field section with its last empty line.
    pub section: usize,
}

/// Why there is no request at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Not {
    /// No whole head has come.
    Yet,
    /// It can never be one.
    Good,
}

/// The request that `bytes` begin with.
///
/// # Errors
/// Why they do not begin with one.
pub fn request(bytes: &[u8], bounds: &Bounds) -> Result<Request, Not> {
    let head = end_of_head(bytes).ok_or(Not::Yet)?;
    let framing = read_head(&bytes[..head], bounds).ok_or(Not::Good)?;
    let rest = &bytes[head..];
    let body = match framing {
        Framing::None => Ok((0, 0, 0)),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
            length.map(|length| (length, length, 0)).ok_or(Not::Yet)
        }
        Framing::Chunked => chunked(rest),
    };
    let (_, payload, trailers) = body.unwrap_or_default();
    Ok(Request { head, body: body.map(|(framed, ..)| framed), payload, trailers })
}

/// Behind the first empty line that ends in CRLF.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

enum Framing {
    None,
    Length(u64),
    Chunked,
}

fn read_head(head: &[u8], bounds: &Bounds) -> Option<Framing> {
    let text: Vec<&[u8]> = lines(&head[..head.len() - 4])?;
    let (line, fields) = text.split_first()?;
    let (newer, authority) = request_line(line, bounds)?;
    let section: usize = fields.iter().map(|one| one.len() + 2).sum::<usize>() + 2;
    if fields.len() > bounds.fields || section > bounds.section {
        return None;
    }
    let fields: Vec<(String, &[u8])> =
        fields.iter().map(|one| field(one)).collect::<Option<_>>()?;
    let all = |wanted: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value).collect()
    };
    // What a server that folds names would read as one of these.
    let folded = |wanted: &str| {
        let fold = |name: &str| name.replace(['_', '.'], "-");
        fields.iter().filter(|(name, _)| fold(name) == wanted).count()
    };
    let hosts = all("host");
    let good_hosts = hosts.iter().all(|host| site(host).is_some()) && hosts.len() <= 1;
    // A target that names a site names that of the one `Host`.
    let one_site = authority
        .is_none_or(|asked| asked == hosts.first().and_then(|host| site(host)) && asked.is_some());
    let once = ["content-type", "expect"].iter().all(|name| all(name).len() <= 1);
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let plain =
        lengths.len() == folded("content-length") && codings.len() == folded("transfer-encoding");
    if !good_hosts || !one_site || (newer && hosts.is_empty()) || !once || !plain {
        return None;
    }
    let framing = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Framing::None,
        ([length], []) => Framing::Length(number(length)?),
        ([], [coding]) if newer && coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        _ => return None,
    };
    Some(framing)
}

/// The lines between CRLFs; `None` when a CR or LF stands alone.
fn lines(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    let alone = |line: &&[u8]| line.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    (!lines.iter().any(alone)).then_some(lines)
}

/// A name in small letters and a port.
type Site = (String, u16);

/// Whether the version is 1.1, and the site of a target in absolute-form, where that is one; `None` for what is no
/// request line of ours.
fn request_line(line: &[u8], bounds: &Bounds) -> Option<(bool, Option<Option<Site>>)> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return None };
    let letters = method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    if !letters || !(1..=32).contains(&method.len()) || matches!(method, b"CONNECT" | b"TRACE") {
        return None;
    }
    let sign = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>');
    let (front, query) =
        target.split_at(target.iter().position(|byte| *byte == b'?').unwrap_or(target.len()));
    let quotes = front.contains(&b'`') || query.contains(&b'"');
    if quotes || !target.iter().all(sign) || target.len() > bounds.target {
        return None;
    }
    let authority = match target {
        [b'/', ..] => None,
        _ => {
            let (scheme, rest) = target.split_at_checked(7)?;
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
            let named = site(&rest[..end.unwrap_or(rest.len())]);
            Some(named.filter(|_| scheme.eq_ignore_ascii_case(b"http://")))
        }
    };
    match version {
        b"HTTP/1.1" => Some((true, authority)),
        b"HTTP/1.0" => Some((false, authority)),
        _ => None,
    }
}

/// Name in small letters, and the value without the white space around it.
fn field(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(is_text) {
        return None;
    }
    Some((String::from_utf8_lossy(name).to_ascii_lowercase(), trimmed(value)))
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// A name, an IPv4 address or a bracketed IPv6 address, in one spelling, and its port or that of `http`.
fn site(value: &[u8]) -> Option<Site> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= 270)?;
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            (format!("[{}]", address.parse::<std::net::Ipv6Addr>().ok()?), port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let name = name.strip_suffix('.').unwrap_or(name);
            let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let label = |label: &str| !label.is_empty() && label.bytes().all(sign);
            name.split('.').all(label).then(|| (name.to_ascii_lowercase(), port))?
        }
    };
    let port = match port {
        "" | ":" => 80,
        port => {
            let digits = port.strip_prefix(':')?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??
        }
    };
    Some((name, port))
}

fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

/// Bytes of a chunked body at the start of `bytes` (RFC 9112 §7.1), its trailer section included; bytes of it
/// without framing; and how many trailers it has.
///
/// # Errors
/// Why there is none.
pub fn chunked(bytes: &[u8]) -> Result<(usize, usize, usize), Not> {
    let (mut at, mut payload) = (0, 0);
    let mut extensions = 0;
    loop {
        let line = line(&bytes[at..])?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        extensions += line.len().saturating_sub(size.len() + 1);
        let hex = (1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        if !hex || !line.iter().all(is_text) || extensions > 16 * 1024 {
            return Err(Not::Good);
        }
        let size =
            std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
        at += line.len() + 2;
        let Some(size) = size.filter(|size| *size > 0) else { break };
        let end =
            usize::try_from(size).ok().and_then(|size| at.checked_add(size)).ok_or(Not::Yet)?;
        match bytes.get(end..).ok_or(Not::Yet)? {
            [b'\r', b'\n', ..] => (at, payload) = (end + 2, payload + end - at),
            [] | [b'\r'] => return Err(Not::Yet),
            _ => return Err(Not::Good),
        }
    }
    let (mut trailers, mut count) = (0, 0);
    loop {
        let line = line(&bytes[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Ok((at, payload, count));
        }
        field(line).ok_or(Not::Good)?;
        trailers += line.len() - 1;
        count += 1;
        if trailers > 8 * 1024 {
            return Err(Not::Good);
        }
    }
}

/// Up to the next CRLF.
fn line(bytes: &[u8]) -> Result<&[u8], Not> {
    let end = bytes.windows(2).position(|two| two == b"\r\n").ok_or(Not::Yet)?;
    let line = &bytes[..end];
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) { Err(Not::Good) } else { Ok(line) }
}
