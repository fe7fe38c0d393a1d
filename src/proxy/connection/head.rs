//! The strict reading of a response head (RFC 9112 §4, §5, §6): what is refused here never reaches a client.
//!
//! One pass over the lines finds the end of a head, its status and where its body ends, and refuses what two readers could
//! read in two ways. It never allocates and never looks at names and values that say nothing of the framing: `fields`
//! judges those. Called by `follow` alone.

use std::fmt;

use crate::telemetry::Limit;

/// The longest body that is believed; more is an attempt to overflow somebody's signed counter.
const LENGTH_MAX: u64 = i64::MAX as u64;
/// Digits of [`LENGTH_MAX`]; more, zeros in front included, overflow the buffer of some reader behind us.
const LENGTH_DIGITS_MAX: usize = 19;
const VERSION_1_1: &[u8] = b"HTTP/1.1 ";
const VERSION_1_0: &[u8] = b"HTTP/1.0 ";

/// How much a backend may say before its body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Bytes in all heads of one answer, those of 1xx answers included.
    pub header_max: usize,
    /// Fields in one head.
    pub header_count: usize,
    /// 1xx answers before the real one.
    pub informational_max: usize,
}

/// What a backend did that ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes after an answer that had ended (CWE-444).
    Unasked,
    /// What came is no status line of HTTP/1 (RFC 9112 §4), or its status is none (RFC 9110 §15).
    StatusLine,
    /// A line that does not end in CRLF, or one that is folded (RFC 9112 §2.2, §5.2).
    Line,
    /// It says in two ways where its body ends, or in one that we do not read (RFC 9112 §6.3).
    Framing,
    /// It switched protocols (RFC 9110 §15.2.2); we ask no backend to.
    Switched,
    /// A field whose name is no token or whose value holds what no value may (RFC 9110 §5.1, §5.5).
    Field,
    /// A chunked body whose framing is not exact (RFC 9112 §7.1).
    Chunk,
    /// More than `response_header_max`.
    HeaderMax,
    /// More than `response_header_count`.
    HeaderCount,
    /// More than `informational_max`.
    InformationalMax,
}

impl Fault {
    /// The limit that was reached, if it was one.
    pub fn limit(self) -> Option<Limit> {
        match self {
            Fault::HeaderMax => Some(Limit::ResponseHeaderMax),
            Fault::HeaderCount => Some(Limit::ResponseHeaderCount),
            Fault::InformationalMax => Some(Limit::InformationalMax),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Unasked => "the backend sent bytes that nobody had asked for",
            Fault::StatusLine => "the backend's answer does not begin with a status line of HTTP/1",
            Fault::Line => "a line of the response head is folded or does not end in CRLF",
            Fault::Framing => "the backend's response does not say in one clear way where it ends",
            Fault::Switched => "the backend switched protocols without being asked",
            Fault::Field => "a field of the response head has no legal name or value",
            Fault::Chunk => "the chunks of the response body are not exact",
            Fault::HeaderMax => "the response head is larger than response_header_max",
            Fault::HeaderCount => "the response head has more fields than response_header_count",
            Fault::InformationalMax => "more informational answers than informational_max",
        })
    }
}

/// How the body of a response is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunk by chunk.
    Chunked,
    /// Until the connection ends.
    Close,
}

/// What `follow` must know of a head that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// 1xx: another head follows.
    Informational,
    /// The real one.
    Final(Framing),
}

/// A head as far as it has come; each line is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Where the next look begins, and where the line under way does.
    at: usize,
    line: usize,
    fields: usize,
    status: u16,
    is_1_0: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Scan {
    /// Looks at what is new in `bytes`, which begin with the head; a whole one and its length, or `None` when more must come.
    /// `head_only`: the request was `HEAD`, whose answer has no body.
    ///
    /// # Errors
    /// [`Fault`] at the first byte that shows one. Sizes are counted against `limits`, less `spent` bytes of heads before.
    pub(super) fn look(
        &mut self,
        bytes: &[u8],
        head_only: bool,
        spent: usize,
        limits: &AnswerLimits,
    ) -> Result<Option<(Head, usize)>, Fault> {
        let left = limits.header_max.saturating_sub(spent);
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.at..]) {
            let end = self.at + found + 1;
            let line = bytes[self.line..end].strip_suffix(b"\r\n");
            let first = self.line == 0;
            // A line without CRLF is not judged by what it says; junk is named as such.
            match line {
                _ if first => self.status_line(line.unwrap_or(&bytes[..end]))?,
                None => return Err(Fault::Line),
                Some(_) => {}
            }
            // A second CR is no end of a head either: nothing is waited for behind it.
            let line = line.filter(|line| !line.ends_with(b"\r")).ok_or(Fault::Line)?;
            (self.at, self.line) = (end, end);
            if end > left {
                return Err(Fault::HeaderMax);
            }
            if line.is_empty() {
                return Ok(Some((self.end(head_only)?, end)));
            }
            if !first {
                self.field(line, limits)?;
            }
        }
        self.at = bytes.len();
        if self.line == 0 && !could_be_version(bytes) {
            return Err(Fault::StatusLine);
        }
        if bytes.len() > left { Err(Fault::HeaderMax) } else { Ok(None) }
    }

    /// `HTTP/1.1 200 OK`; the reason may be missing, with its space.
    fn status_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.is_1_0 = line.starts_with(VERSION_1_0);
        let rest = line.strip_prefix(VERSION_1_1).or_else(|| line.strip_prefix(VERSION_1_0));
        let (digits, reason) =
            rest.and_then(|rest| rest.split_at_checked(3)).ok_or(Fault::StatusLine)?;
        if !digits.iter().all(u8::is_ascii_digit) || !matches!(reason.first(), None | Some(b' ')) {
            return Err(Fault::StatusLine);
        }
        self.status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        // RFC 9110 §15: what is outside is invalid, and to be taken for a 5xx.
        if (100..600).contains(&self.status) { Ok(()) } else { Err(Fault::StatusLine) }
    }

    fn field(&mut self, line: &[u8], limits: &AnswerLimits) -> Result<(), Fault> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Fault::Line);
        }
        self.fields += 1;
        if self.fields > limits.header_count {
            return Err(Fault::HeaderCount);
        }
        let is = |name: &[u8]| {
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
        };
        // Their first letters in either case: all other fields are passed by.
        match line[0] | 0x20 {
            b'c' if is(b"content-length") => {
                let length = parse_length(value(line, b"content-length"))?;
                if self.length.replace(length).is_some() {
                    return Err(Fault::Framing);
                }
            }
            b't' if is(b"transfer-encoding") => {
                let value = value(line, b"transfer-encoding");
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Framing);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self, head_only: bool) -> Result<Head, Fault> {
        let framed = self.length.is_some() || self.chunked;
        match self.status {
            101 => Err(Fault::Switched),
            // RFC 9110 §8.6 and RFC 9112 §6.1: none of them has a body, and who believes otherwise reads on elsewhere.
            100..200 if framed => Err(Fault::Framing),
            100..200 => Ok(Head::Informational),
            _ if self.chunked && (self.is_1_0 || self.length.is_some()) => Err(Fault::Framing),
            204 | 304 => Ok(Head::Final(Framing::None)),
            _ if head_only => Ok(Head::Final(Framing::None)),
            _ => Ok(Head::Final(match (self.chunked, self.length) {
                (true, _) => Framing::Chunked,
                (false, Some(length)) => Framing::Length(length),
                (false, None) => Framing::Close,
            })),
        }
    }
}

/// Whether these first bytes of a line may become a status line: junk without a line end is not waited for.
fn could_be_version(bytes: &[u8]) -> bool {
    let length = bytes.len().min(VERSION_1_1.len());
    bytes[..length] == VERSION_1_1[..length] || bytes[..length] == VERSION_1_0[..length]
}

/// The value of a field whose name is known, without the blanks around it.
fn value<'a>(line: &'a [u8], name: &[u8]) -> &'a [u8] {
    trim(&line[name.len() + 1..])
}

/// Without the blanks around it (RFC 9110 §5.6.3), and with every other control sign: that is for a judge to see.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone: no sign, no list, no overflow (RFC 9110 §8.6).
fn parse_length(value: &[u8]) -> Result<u64, Fault> {
    let digits = std::str::from_utf8(value).map_err(|_| Fault::Framing)?;
    if digits.len() > LENGTH_DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Framing);
    }
    digits.parse().ok().filter(|length| *length <= LENGTH_MAX).ok_or(Fault::Framing)
}
