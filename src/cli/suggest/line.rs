//! One line of an access log in the common or the combined format of Apache and nginx, with or without a host
//! in front. Reads what `suggest` needs, the request and the status, and nothing else of it.

/// A request as a log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged<'l> {
    /// The method.
    pub method: &'l str,
    /// The path of the target, without its query.
    pub path: &'l str,
    /// The status of the answer.
    pub status: u16,
}

/// Reads one line; `None` when it is not of these formats, or is no HTTP request for a path.
pub fn read(line: &str) -> Option<Logged<'_>> {
    // The request is the first quoted text behind the time in brackets.
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    if !time.contains(':') {
        return None;
    }
    let rest = rest.trim_start().strip_prefix('"')?;
    let end = closing_quote(rest)?;
    let (request, after) = (&rest[..end], &rest[end + 1..]);
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let version = words.next()?;
    if words.next().is_some() || !version.starts_with("HTTP/") {
        return None;
    }
    let known =
        !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    let status = after.split_ascii_whitespace().next()?.parse().ok()?;
    let path = path_of(target)?;
    (known && (100..600).contains(&status)).then_some(Logged { method, path, status })
}

/// Apache and nginx write a quote inside as `\"` or `\x22`.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// The path of an origin-form or absolute-form target.
fn path_of(target: &str) -> Option<&str> {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() && !scheme.contains(['/', '?']) => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let path = origin.split(['?', '#']).next()?;
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::{Logged, read};

    #[test]
    fn lines_of_apache_and_nginx_are_read() {
        for (line, wanted) in [
            (
                r#"127.0.0.1 - - [10/Oct/2025:13:55:36 +0200] "GET /doku.php?id=start HTTP/1.1" 200 5316"#,
                ("GET", "/doku.php", 200),
            ),
            (
                r#"::1 - ada [10/Oct/2025:13:55:36 +0200] "POST /lib/exe/ajax.php HTTP/2.0" 204 0 "https://w.example/" "Mozilla/5.0 (X11; \"odd\")""#,
                ("POST", "/lib/exe/ajax.php", 204),
            ),
            (
                r#"wiki.example:443 10.1.2.3 - - [10/Oct/2025:13:55:36 +0200] "HEAD http://w.example HTTP/1.0" 301 -"#,
                ("HEAD", "/", 301),
            ),
            (
                r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a\"b HTTP/1.1" 404 1 "-" "-""#,
                ("GET", r#"/a\"b"#, 404),
            ),
        ] {
            let (method, path, status) = wanted;
            assert_eq!(read(line), Some(Logged { method, path, status }), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for line in [
            "",
            "nonsense",
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "-" 408 0 "-" "-""#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "\x16\x03\x01" 400 226"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "OPTIONS * HTTP/1.0" 200 126"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "CONNECT a.example:443 HTTP/1.1" 405 0"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a b HTTP/1.1" 400 0"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1" abc 0"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "GET /a HTTP/1.1"#,
            r#"1.2.3.4 - - [10/Oct/2025:13:55:36 +0200] "get /a HTTP/1.1" 200 1"#,
            "[[[[]]]]\"\"\"\"",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
