//! The strict reading of a request head (RFC 9112 §3, §5, §6): what is refused here never reaches a
//! handler or a backend.
//!
//! [`Scan`] finds where a head ends and refuses bare LF and what grows too large on the way; [`check`]
//! judges a whole head in one `httparse` pass. Neither allocates for a target in origin-form. Called by the wire
//! guard alone.

use std::mem::MaybeUninit;

use super::WireLimits;
use crate::config::HEADER_COUNT_MAX;
use crate::policy::{Refusal, host};
use crate::telemetry::Limit;

/// Bytes in a method at most; the longest registered one has 17 (`UPDATEREDIRECTREF`).
const METHOD_BYTES_MAX: usize = 32;
/// What a request line holds besides its target: method, two spaces, version and line end.
const REQUEST_LINE_FRAME: usize = METHOD_BYTES_MAX + " ".len() + " HTTP/1.1\r\n".len();
/// How an absolute-form target begins; we speak no other scheme on this listener.
const SCHEME: &str = "http://";
/// What hyper reads of a target and of a field name at most: beyond it would answer by itself, uncounted.
const LIBRARY_TARGET_MAX: usize = u16::MAX as usize - 1;
const LIBRARY_NAME_MAX: usize = u16::MAX as usize;
/// A body longer than this is no body but an attempt to overflow somebody's signed counter.
const LENGTH_MAX: u64 = i64::MAX as u64;
/// Digits of [`LENGTH_MAX`]; more, zeros in front included, overflow the buffer of some reader behind us.
const LENGTH_DIGITS_MAX: usize = 19;

/// How the body of a request is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunk by chunk.
    Chunked,
}

/// What the guard must know of a head that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Where its body ends.
    pub framing: Framing,
    /// Whether it asks for another protocol, so that what follows may be no request (RFC 9110 §7.8).
    pub upgrade: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadFault {
    /// What the client is told.
    pub refusal: Refusal,
    /// The limit that it reached, if it is one.
    pub limit: Option<Limit>,
}

impl HeadFault {
    const HEADER_MAX: HeadFault = HeadFault::over(Refusal::HeaderTooLarge, Limit::HeaderMax);
    const HEADER_COUNT: HeadFault = HeadFault::over(Refusal::HeaderTooLarge, Limit::HeaderCount);
    const TARGET_MAX: HeadFault = HeadFault::over(Refusal::TargetTooLong, Limit::TargetMax);
    /// Its end took too long.
    pub const TIMEOUT: HeadFault = HeadFault::over(Refusal::RequestTimeout, Limit::HeaderTimeout);

    const fn over(refusal: Refusal, limit: Limit) -> HeadFault {
        HeadFault { refusal, limit: Some(limit) }
    }
}

impl From<Refusal> for HeadFault {
    fn from(refusal: Refusal) -> HeadFault {
        HeadFault { refusal, limit: None }
    }
}

/// What a scan has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No end yet.
    More,
    /// An empty line where a request line is expected: two bytes.
    Blank,
    /// A whole head of this many bytes.
    Head(usize),
}

/// How far the lines of a head have been looked at; each byte is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    at: usize,
    line: usize,
    fields: usize,
}

impl Scan {
    /// Looks at what is new in `bytes`, which begin with the head.
    ///
    /// # Errors
    /// Bare LF, or more bytes than the limits allow.
    pub(super) fn look(&mut self, bytes: &[u8], limits: &WireLimits) -> Result<Found, HeadFault> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.at..]) {
            let end = self.at + found;
            // RFC 9112 §2.2 lets a recipient take a bare LF for a line end; two that differ in it
            // disagree on where the head ends, so we do not.
            if end == self.line || bytes[end - 1] != b'\r' {
                return Err(Refusal::BadHeader.into());
            }
            let empty = end - 1 == self.line;
            let first = self.line == 0;
            self.at = end + 1;
            self.line = end + 1;
            if empty && first {
                return Ok(Found::Blank);
            }
            if first {
                self.fields = end + 1;
            }
            if self.fields > limits.target_max + REQUEST_LINE_FRAME {
                return Err(HeadFault::TARGET_MAX);
            }
            if end + 1 > limits.header_max {
                return Err(HeadFault::HEADER_MAX);
            }
            if empty {
                return Ok(Found::Head(end + 1));
            }
        }
        self.at = bytes.len();
        if self.fields == 0 && bytes.len() > limits.target_max + REQUEST_LINE_FRAME {
            return Err(HeadFault::TARGET_MAX);
        }
        if self.fields > 0 && bytes.len() > limits.header_max {
            return Err(HeadFault::HEADER_MAX);
        }
        Ok(Found::More)
    }
}

/// Judges one whole head, whose lines all end in CRLF.
///
/// # Errors
/// [`HeadFault`].
pub(super) fn check(bytes: &[u8], limits: &WireLimits) -> Result<Head, HeadFault> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut fields);
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadFault::HEADER_COUNT),
        _ => return Err(why_unreadable(bytes).into()),
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refusal::BadTarget.into());
    };
    if target.len() > limits.target_max.min(LIBRARY_TARGET_MAX) {
        return Err(HeadFault::TARGET_MAX);
    }
    check_method(method.as_bytes())?;
    let authority = check_target(target)?;
    if request.headers.len() > limits.header_count {
        return Err(HeadFault::HEADER_COUNT);
    }
    let is_long = |field: &httparse::Header<'_>| field.name.len() > LIBRARY_NAME_MAX;
    if bytes.len() > LIBRARY_NAME_MAX && request.headers.iter().any(is_long) {
        return Err(HeadFault::HEADER_MAX);
    }
    let head = check_fields(request.headers, version == 1)?;
    if let Some(authority) = authority {
        check_authority(authority, request.headers)?;
    }
    Ok(head)
}

/// Which part of an unreadable head is to blame; off the hot path.
fn why_unreadable(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    if check_method(parts.next().unwrap_or_default()).is_err() {
        return Refusal::BadMethod;
    }
    let is_text = |target: &[u8]| !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    let target = parts.next().is_some_and(is_text);
    let version = matches!(parts.next(), Some(b"HTTP/1.1" | b"HTTP/1.0"));
    if !target || !version || parts.next().is_some() {
        return Refusal::BadTarget;
    }
    Refusal::BadHeader
}

/// Upper-case letters and `-` (a lower-case twin slips past rules that name methods: CVE-2020-14359); no
/// `CONNECT`, for we are no tunnel, and no `TRACE`, which echoes credentials (RFC 9110 §9.3.8). `explain` asks too.
///
/// # Errors
/// [`Refusal::BadMethod`].
pub fn check_method(method: &[u8]) -> Result<(), Refusal> {
    let is_token = method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    let good = is_token && !method.is_empty() && method.len() <= METHOD_BYTES_MAX;
    if good && method != b"CONNECT" && method != b"TRACE" {
        Ok(())
    } else {
        Err(Refusal::BadMethod)
    }
}

/// Origin-form (RFC 9112 §3.2.1), or absolute-form whose authority is given for [`check_authority`]; without fragment
/// (CVE-2026-41059) and in ASCII. Nor what hyper refuses to parse, which it would answer by itself: without our words,
/// and without a line in the access log.
fn check_target(target: &str) -> Result<Option<&str>, Refusal> {
    let bytes = target.as_bytes();
    let query = memchr::memchr(b'?', bytes).unwrap_or(bytes.len());
    let is_text = bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'#' | b'<' | b'>' => false,
        b'`' => at > query,
        b'"' => at < query,
        _ => byte.is_ascii_graphic(),
    });
    if !is_text {
        return Err(Refusal::BadTarget);
    }
    if target.starts_with('/') { Ok(None) } else { authority_of(target).map(Some) }
}

/// The authority of an absolute-form target (RFC 9112 §3.2.2) of our own scheme.
fn authority_of(target: &str) -> Result<&str, Refusal> {
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).ok_or(Refusal::BadTarget)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Refusal::BadTarget);
    }
    Ok(rest.split(['/', '?']).next().unwrap_or_default())
}

/// The authority of an absolute-form target names the very host and port of the `Host` field. RFC 9112 §3.2.2 would
/// have the target win; whoever looks at `Host` alone would then judge another site than the backend serves
/// (CVE-2026-88009), so two names are refused.
fn check_authority(authority: &str, fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    let host = fields.iter().find(|field| field.name.eq_ignore_ascii_case("host"));
    let host = host.and_then(|field| std::str::from_utf8(field.value).ok());
    let named = host.and_then(|host| host::with_port(host).ok());
    // User information is no part of a host, so it is refused here too (RFC 9110 §4.2.4).
    let asked = host::with_port(authority).map_err(|_| Refusal::BadTarget)?;
    if named == Some(asked) { Ok(()) } else { Err(Refusal::BadTarget) }
}

/// The fields that say where the message ends and whom it is for: each at most once.
fn check_fields(fields: &[httparse::Header<'_>], is_1_1: bool) -> Result<Head, Refusal> {
    let (mut hosts, mut types, mut expects, mut codings) = (0, 0, 0, 0);
    let mut length = None;
    let mut upgrade = false;
    for field in fields {
        let name = field.name;
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                hosts += 1;
                let host = std::str::from_utf8(field.value).map_err(|_| Refusal::BadHeader)?;
                host::canonical(host).map_err(|_| Refusal::BadHeader)?;
            }
            6 if name.eq_ignore_ascii_case("expect") => expects += 1,
            7 if name.eq_ignore_ascii_case("upgrade") => upgrade = true,
            12 if name.eq_ignore_ascii_case("content-type") => types += 1,
            14 if is_spelling_of(name, "content-length") => {
                if length.is_some() || name.as_bytes()[7] != b'-' {
                    return Err(Refusal::BadHeader);
                }
                length = Some(parse_length(field.value)?);
            }
            17 if is_spelling_of(name, "transfer-encoding") => {
                let chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if !chunked || name.as_bytes()[8] != b'-' {
                    return Err(Refusal::BadHeader);
                }
                codings += 1;
            }
            _ => {}
        }
    }
    let one_host = hosts == 1 || (hosts == 0 && !is_1_1);
    // RFC 9112 §6.1: a coding on 1.0, or beside a length, is an error or an attack.
    let one_coding = codings == 0 || (codings == 1 && is_1_1 && length.is_none());
    if !one_host || !one_coding || types > 1 || expects > 1 {
        return Err(Refusal::BadHeader);
    }
    let framing = match (codings, length) {
        (0, None) => Framing::None,
        (0, Some(length)) => Framing::Length(length),
        _ => Framing::Chunked,
    };
    Ok(Head { framing, upgrade: upgrade && is_1_1 })
}

/// Whether a name is this one in any case, or where servers that fold names (CGI, WSGI) read `_` and `.`
/// as `-`.
fn is_spelling_of(name: &str, wanted: &str) -> bool {
    name.len() == wanted.len()
        && name.bytes().zip(wanted.bytes()).all(|(one, other)| match one {
            b'_' | b'.' => other == b'-',
            one => one.eq_ignore_ascii_case(&other),
        })
}

/// Digits alone: no sign, no list, no overflow (RFC 9110 §8.6, RUSTSEC-2021-0078).
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if !(1..=LENGTH_DIGITS_MAX).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadHeader);
    }
    let digits = std::str::from_utf8(value).map_err(|_| Refusal::BadHeader)?;
    let length: u64 = digits.parse().map_err(|_| Refusal::BadHeader)?;
    if length <= LENGTH_MAX { Ok(length) } else { Err(Refusal::BadHeader) }
}
