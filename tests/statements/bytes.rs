//! Takes a fuzzer's bytes apart: a few choices first, then texts. Never fails; what is missing is zero or empty.

/// What is left of the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next byte, for a choice.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Up to the next line feed, which is left out.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or(&[]);
        line
    }

    /// The next line as text; what is no UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.line()).into_owned()
    }

    /// All lines that are left.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while !self.0.is_empty() {
            lines.push(self.text());
        }
        lines
    }
}
