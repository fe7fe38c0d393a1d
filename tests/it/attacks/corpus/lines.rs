//! Framing attacks of the head: request lines, hosts, field lines, and what stands behind, between and instead of
//! requests.

use super::framing::{Framing, HIDDEN, ODD, around};

impl Framing<'_> {
    /// Each mutation of the first line.
    pub(super) fn request_lines(&self) -> Vec<Vec<u8>> {
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
    pub(super) fn hosts(&self) -> Vec<Vec<u8>> {
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
    pub(super) fn odd_fields(&self) -> Vec<Vec<u8>> {
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
    pub(super) fn sequences(&self) -> Vec<Vec<u8>> {
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
