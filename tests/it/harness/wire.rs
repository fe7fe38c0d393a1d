//! Just enough HTTP/1.1 to read one message from a socket and keep every byte of it.
//!
//! It tidies nothing: names keep their case, repeated fields stay apart, order is kept. Used by the client
//! for responses and by the upstream for requests.

use std::io::{self, Read};

/// One message as it came.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Request line or status line, without its line end.
    pub start: String,
    /// Fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Every byte, from the start line to the end of the body.
    pub raw: Vec<u8>,
}

impl Message {
    /// The value of a field, if it is there exactly once.
    ///
    /// # Panics
    /// When it is there twice: ask [`Message::all`].
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a field of this name is there at all.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("body is not JSON ({e}): {}", self.text()))
    }

    /// Whether the head says that a chunked body follows.
    pub fn chunked(&self) -> bool {
        let last = self.all("transfer-encoding").pop().unwrap_or("");
        last.trim().to_ascii_lowercase().ends_with("chunked")
    }

    /// The announced length, if there is one.
    pub fn length(&self) -> Option<usize> {
        self.all("content-length").first().and_then(|value| value.trim().parse().ok())
    }
}

/// A socket with the bytes that were read too far.
pub struct Wire<S> {
    /// The socket.
    pub stream: S,
    ahead: Vec<u8>,
}

impl<S: Read> Wire<S> {
    /// Nothing read yet.
    pub fn new(stream: S) -> Wire<S> {
        Wire { stream, ahead: Vec::new() }
    }

    /// One read. A socket with a read timeout is not resumed after a signal (signal(7)), so it is asked again.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Reads up to the empty line. `None` when the other side closed before the first byte.
    pub fn head(&mut self) -> io::Result<Option<Message>> {
        let Some(raw) = self.until(b"\r\n\r\n")? else { return Ok(None) };
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let start = lines.next().unwrap_or("").to_owned();
        Ok(Some(Message { start, headers: lines.map(field).collect(), raw, ..Message::default() }))
    }

    /// Reads a body framed by chunks or by length into `message`; with `to_end`, one framed by the close.
    pub fn body(&mut self, message: &mut Message, to_end: bool) -> io::Result<()> {
        if message.chunked() {
            return self.chunks(message);
        }
        match message.length() {
            Some(length) => {
                message.body = self.exactly(length)?;
                message.raw.extend_from_slice(&message.body.clone());
            }
            None if to_end => {
                message.body = std::mem::take(&mut self.ahead);
                self.stream.read_to_end(&mut message.body)?;
                message.raw.extend_from_slice(&message.body.clone());
            }
            None => {}
        }
        Ok(())
    }

    /// Reads one chunk of a chunked body; `None` is the last one, whose trailers are read too.
    pub fn chunk(&mut self, message: &mut Message) -> io::Result<Option<Vec<u8>>> {
        let line = self.until(b"\r\n")?.ok_or_else(cut_short)?;
        message.raw.extend_from_slice(&line);
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        let digits = text.split(';').next().unwrap_or("");
        let size = usize::from_str_radix(digits.trim(), 16)
            .map_err(|_| io::Error::other(format!("chunk size {text:?}")))?;
        if size > 0 {
            let data = self.exactly(size + 2)?;
            message.raw.extend_from_slice(&data);
            message.body.extend_from_slice(&data[..size]);
            return Ok(Some(data[..size].to_vec()));
        }
        loop {
            let line = self.until(b"\r\n")?.ok_or_else(cut_short)?;
            message.raw.extend_from_slice(&line);
            if line == b"\r\n" {
                return Ok(None);
            }
            message.trailers.push(field(String::from_utf8_lossy(&line).trim_end()));
        }
    }

    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        while self.chunk(message)?.is_some() {}
        Ok(())
    }

    /// Reads this many bytes and forgets them; the number that came before the end, if it ends early.
    pub fn discard(&mut self, length: u64) -> io::Result<u64> {
        let mut buffer = [0; 64 * 1024];
        let mut got = self.ahead.len() as u64;
        self.ahead.clear();
        while got < length {
            match self.read(&mut buffer)? {
                0 => break,
                count => got += count as u64,
            }
        }
        Ok(got)
    }

    /// Whatever comes until the other side closes or the read timeout of the socket strikes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.ahead);
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = self.read(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.more()? == 0 {
                return Err(cut_short());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut seen = 0;
        loop {
            let found = self.ahead[seen..].windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return Ok(Some(self.ahead.drain(..seen + at + end.len()).collect()));
            }
            seen = self.ahead.len().saturating_sub(end.len() - 1);
            if self.more()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(cut_short()) };
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

fn field(line: impl AsRef<str>) -> (String, String) {
    let (name, value) = line.as_ref().split_once(':').unwrap_or((line.as_ref(), ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the message ends in the middle")
}
