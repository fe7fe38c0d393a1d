//! Where a chunked body ends, and whether every byte of its framing is exact (RFC 9112 §7.1).
//!
//! Follows the bytes and never changes or keeps them. Called on both sides (`server/wire` and `connection`), so that no two
//! readers of one body can differ: hex digits only, CRLF only, extensions and trailers bounded.

/// Hexadecimal digits of one chunk size at most.
const SIZE_DIGITS_MAX: u8 = 16;
/// Bytes of extensions in one body at most: they are dropped, and a flood of them is work for nothing.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the trailer section at most.
const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// The framing of a chunked body is not exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk;

/// So many bytes of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sizes, line ends, extensions and trailers.
    Framing(usize),
    /// What the body says.
    Data(usize),
}

/// How far a chunked body has come.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    state: State,
    extension_bytes: usize,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, value: u64 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Chunked {
    /// A body of which nothing has come yet.
    pub fn new() -> Chunked {
        let state = State::Size { digits: 0, value: 0 };
        Chunked { state, extension_bytes: 0, trailer_bytes: 0 }
    }

    /// Whether the last byte has come.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows `bytes`; gives how many of them belong to the body, which is all unless it is done.
    ///
    /// # Errors
    /// [`BadChunk`] at the first byte that is not exact.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, BadChunk> {
        let mut at = 0;
        loop {
            match self.step(&bytes[at..])? {
                Part::Framing(0) | Part::Data(0) => return Ok(at),
                Part::Framing(step) | Part::Data(step) => at += step,
            }
        }
    }

    /// What `bytes` begin with, as far as it is one and the same; nothing of either when there are none, or when it is done.
    ///
    /// # Errors
    /// As [`Chunked::follow`].
    pub fn step(&mut self, bytes: &[u8]) -> Result<Part, BadChunk> {
        if let State::Data { left } = self.state {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - step as u64;
            self.state = if left == 0 { State::DataCr } else { State::Data { left } };
            return Ok(Part::Data(step));
        }
        let mut at = 0;
        while at < bytes.len() && !matches!(self.state, State::Done | State::Data { .. }) {
            self.state = self.next(bytes[at])?;
            at += 1;
        }
        Ok(Part::Framing(at))
    }

    fn next(&mut self, byte: u8) -> Result<State, BadChunk> {
        Ok(match (self.state, byte) {
            (State::Size { digits, value }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(BadChunk);
                }
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                State::Size { digits: digits + 1, value: value << 4 | u64::from(digit) }
            }
            (State::Size { digits: 1.., value }, b'\r') => State::SizeLf { value },
            (State::Size { digits: 1.., value }, b';') => State::Extension { value },
            (State::Extension { value }, b'\r') => State::SizeLf { value },
            (State::Extension { value }, _) if is_text(byte) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(BadChunk);
                }
                State::Extension { value }
            }
            (State::SizeLf { value: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { value }, b'\n') => State::Data { left: value },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0, value: 0 },
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.count_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text(byte) => {
                self.count_trailer()?;
                State::TrailerValue
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(BadChunk),
        })
    }

    fn count_trailer(&mut self) -> Result<(), BadChunk> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX { Err(BadChunk) } else { Ok(()) }
    }
}

/// What a field value or an extension may hold (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=0x7E | 0x80..)
}

/// What a field name is made of (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What belongs to the body, fed whole and byte by byte.
    #[track_caller]
    fn follow(body: &[u8]) -> Result<(usize, bool), BadChunk> {
        let mut whole = Chunked::new();
        let at_once = whole.follow(body).map(|used| (used, whole.is_done()));
        let mut slow = Chunked::new();
        let mut used = 0;
        let mut bit_by_bit = Ok(());
        for byte in body {
            match slow.follow(&[*byte]) {
                Ok(one) => used += one,
                Err(fault) => bit_by_bit = bit_by_bit.and(Err(fault)),
            }
            if bit_by_bit.is_err() {
                break;
            }
        }
        assert_eq!(bit_by_bit.map(|()| (used, slow.is_done())), at_once);
        at_once
    }

    #[test]
    fn the_end_is_found_and_what_follows_is_not_the_body() {
        for (body, wanted) in [
            (&b"0\r\n\r\nGET"[..], 5),
            (b"5\r\nhello\r\n0\r\n\r\nX", 15),
            (b"A;x=\"y\"\r\n0123456789\r\n000\r\nA: b\r\nC:\r\n\r\n", 38),
            (b"0000000000000001\r\n\r\r\n0\r\n\r\n", 26),
        ] {
            assert_eq!(follow(body), Ok((wanted, true)), "{}", body.escape_ascii());
        }
        assert_eq!(follow(b"ffffffffffffffff\r\nabc"), Ok((21, false)));
        assert_eq!(follow(b"5\r\nhel"), Ok((6, false)));
    }

    #[test]
    fn framing_that_is_not_exact_is_refused() {
        for body in [
            &b"\r\n"[..],
            b"0x5\r\n",
            b"+5\r\n",
            b"-5\r\n",
            b"5_0\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"5\n",
            b"5\r5",
            b"g\r\n",
            b"00000000000000001\r\n",
            b"5 ;x\r\n",
            b"5;x\n",
            b"5;x\0\r\n",
            b";x\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1\r\na0\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA : b\r\n",
            b"0\r\nA\r\n",
            b"0\r\n:b\r\n",
            b"0\r\nA: b\n",
            b"0\r\nA: \0\r\n",
            b"0\r\n\n",
            b"0\r\n\rX",
        ] {
            assert_eq!(follow(body), Err(BadChunk), "{}", body.escape_ascii());
        }
        let flood = [b"1;".as_slice(), &b"x".repeat(EXTENSION_BYTES_MAX + 1)].concat();
        assert_eq!(follow(&flood), Err(BadChunk));
        let flood = [b"0\r\nA:".as_slice(), &b"x".repeat(TRAILER_BYTES_MAX)].concat();
        assert_eq!(follow(&flood), Err(BadChunk));
    }
}
