//! The strict JSON reader takes exactly the objects of RFC 8259 in which no name comes twice, and reads them right.
//!
//! The model is a parser of one function a rule, which keeps every member it meets.

use freshgate::token::json;
use serde_json::Value;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 127;

/// What a text says, members in their order, repeated ones kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// `null`
    Null,
    /// `true` or `false`
    Flag(bool),
    /// Its text.
    Number(String),
    /// Decoded.
    Text(String),
    /// In order.
    List(Vec<Said>),
    /// In order.
    Members(Vec<(String, Said)>),
}

/// The statement on one text.
pub fn hold(text: &[u8]) {
    let wanted = object(text);
    let found = json::object(text);
    assert_eq!(found.is_ok(), wanted.is_some(), "{}", text.escape_ascii());
    if let (Ok(found), Some(wanted)) = (found, wanted) {
        assert!(same(&Value::Object(found), &wanted), "{}", text.escape_ascii());
    }
}

/// The object that a text is, if it is one without a name that comes twice.
pub fn object(text: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = Reader { rest: text, depth: 0 };
    reader.space();
    let said = reader.value()?;
    reader.space();
    (reader.rest.is_empty() && matches!(said, Said::Members(_))).then_some(said)
}

fn same(found: &Value, wanted: &Said) -> bool {
    match (found, wanted) {
        (Value::Null, Said::Null) => true,
        (Value::Bool(found), Said::Flag(wanted)) => found == wanted,
        (Value::String(found), Said::Text(wanted)) => found == wanted,
        (Value::Number(found), Said::Number(wanted)) => match wanted.parse::<u64>() {
            Ok(whole) => found.as_u64() == Some(whole),
            // The last bits of a long fraction are nobody's business here.
            Err(_) => found.as_f64().is_some_and(|found| {
                let wanted: f64 = wanted.parse().unwrap_or(f64::NAN);
                found == wanted || ((found - wanted) / wanted).abs() < 1e-12
            }),
        },
        (Value::Array(found), Said::List(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        (Value::Object(found), Said::Members(wanted)) => {
            found.len() == wanted.len()
                && wanted
                    .iter()
                    .all(|(name, wanted)| found.get(name).is_some_and(|found| same(found, wanted)))
        }
        _ => false,
    }
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    fn value(&mut self) -> Option<Said> {
        match self.rest.as_bytes().first()? {
            b'n' => self.take("null").map(|()| Said::Null),
            b't' => self.take("true").map(|()| Said::Flag(true)),
            b'f' => self.take("false").map(|()| Said::Flag(false)),
            b'"' => self.text().map(Said::Text),
            b'[' => self.inside("[", "]", Reader::value).map(Said::List),
            b'{' => {
                let members = self.inside("{", "}", Reader::member)?;
                let twice = (1..members.len())
                    .any(|at| members[..at].iter().any(|(name, _)| *name == members[at].0));
                (!twice).then_some(Said::Members(members))
            }
            _ => self.number().map(Said::Number),
        }
    }

    fn inside<T>(
        &mut self,
        open: &str,
        close: &str,
        one: fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.take(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut all = Vec::new();
        self.space();
        while self.take(close).is_none() {
            if !all.is_empty() {
                self.take(",")?;
                self.space();
            }
            all.push(one(self)?);
            self.space();
        }
        self.depth -= 1;
        Some(all)
    }

    fn member(&mut self) -> Option<(String, Said)> {
        let name = self.text()?;
        self.space();
        self.take(":")?;
        self.space();
        Some((name, self.value()?))
    }

    fn number(&mut self) -> Option<String> {
        let whole = self.rest;
        let _ = self.take("-");
        if self.take("0").is_none() {
            self.digits()?;
        }
        if self.take(".").is_some() {
            self.digits()?;
        }
        if self.take("e").or_else(|| self.take("E")).is_some() {
            let _ = self.take("+").or_else(|| self.take("-"));
            self.digits()?;
        }
        let text = &whole[..whole.len() - self.rest.len()];
        // What no double holds is no number to us.
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|_| text.to_owned())
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|sign: char| sign.is_ascii_digit());
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some.then_some(())
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            let sign = self.rest.chars().next()?;
            self.rest = &self.rest[sign.len_utf8()..];
            match sign {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..='\u{1f}' => return None,
                sign => text.push(sign),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let sign = self.rest.chars().next()?;
        self.rest = &self.rest[sign.len_utf8()..];
        match sign {
            '"' | '\\' | '/' => Some(sign),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let first = self.unit()?;
                if !(0xD800..0xDC00).contains(&first) {
                    return char::from_u32(first);
                }
                self.take("\\u")?;
                let second = self.unit()?;
                let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                char::from_u32(0x10000 + ((first - 0xD800) << 10) + low)
            }
            _ => None,
        }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4)?;
        self.rest = &self.rest[4..];
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    }
}
