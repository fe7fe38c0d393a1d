//! Spellings that some server reads as `/admin`, or as something below it, and that others do not.
//!
//! As raw targets, since what no URL parser would let pass is half of them.

const DOTS: [&str; 14] = [
    "..",
    "%2e%2e",
    ".%2E",
    "%2E.",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "..;",
    "..;x=1",
    "%2e%2e;",
    "..%3b",
    "..%00",
    "%u002e%u002e",
    "...",
    ".. ",
];
const SLASHES: [&str; 16] = [
    "/", "%2f", "%2F", "\\", "%5c", "%5C", "%252f", "%c0%af", "%u2215", "//", "/./", "/%2e/", ";/",
    ";x=1/", "/;/", "\t/",
];
const NAMES: [&str; 26] = [
    "admin",
    "%61dmin",
    "adm%69n",
    "%61%64%6d%69%6e",
    "%61%64%6D%69%6E",
    "%2561dmin",
    "%25%36%31dmin",
    "admin;",
    "admin;x",
    "admin;a=b",
    "admin%3bx",
    ";admin",
    "ADMIN",
    "Admin",
    "%41dmin",
    "admin.",
    "admin%2e",
    "admin%20",
    "admin%00",
    "admin%00x",
    "admin%0a",
    "admin%09",
    "%c1%a1dmin",
    "%u0061dmin",
    "\u{ff41}dmin",
    "admin\\",
];
const ENDS: [&str; 22] = [
    "",
    "/",
    "//",
    "/.",
    "/..",
    "/../admin",
    "/x",
    "/%2e",
    "%2f",
    "%2fx",
    "\\x",
    "%5c",
    ";",
    ";/x",
    "%00",
    "%20",
    "#",
    "#/public",
    "?",
    "?/public",
    "%3f/public",
    "%23/public",
];

/// Every spelling; some of them twice.
pub fn all() -> Vec<String> {
    let mut all = Vec::new();
    for name in NAMES {
        for slash in SLASHES {
            all.push(format!("{slash}{name}"));
            all.push(format!("/{slash}{name}"));
            all.push(format!("/{name}{slash}x"));
        }
        all.extend(ENDS.iter().map(|end| format!("/{name}{end}")));
    }
    for dot in DOTS {
        for slash in SLASHES {
            all.push(format!("/public/{dot}{slash}admin"));
            all.push(format!("/public{slash}{dot}{slash}admin/x"));
            all.push(format!("/public/x{slash}{dot}/{dot}{slash}admin"));
        }
    }
    all.extend(authorities());
    all
}

/// Targets that name a host, or look as if they did.
fn authorities() -> Vec<String> {
    let mut all = Vec::new();
    for start in [
        "http://app",
        "HTTP://app",
        "http://APP.:80",
        "http://app:80",
        "http://evil",
        "http://app:81",
        "http://app@evil",
        "http://evil@app",
        "http://app#@evil",
        "http://app?@evil",
        "http:app",
        "http:/app",
        "http:///app",
        "https://app",
        "ftp://app",
        "http:http://app",
        "//app",
        "///app",
        "\\\\app",
        "/\\app",
        "app",
        "app:80",
        "javascript:",
        "file://",
        "http://app\\",
        "http://app%2f",
        "http://[::1]",
        "http://app;x",
        "http://",
        "*",
        "?",
        "#",
        "@",
        ":80",
        "http://app,evil",
        "http://app%00",
    ] {
        for path in ["/admin", "/public/../admin", "/admin#/public", "?/admin", "/%61dmin", ""] {
            all.push(format!("{start}{path}"));
        }
    }
    all
}
