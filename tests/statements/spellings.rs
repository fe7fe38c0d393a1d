//! Spellings of one path that some server reads as that path, for tests that want many.

/// Spellings that some server reads as `/admin` or something below it.
pub fn spellings_of_admin() -> Vec<String> {
    let dots = [
        "..",
        "%2e%2e",
        ".%2E",
        "%2e.",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "..;",
        "..;x=1",
        "%2e%2e;",
        "..%3b",
    ];
    let slashes = [
        "/", "%2f", "%2F", "\\", "%5c", "%5C", "%252f", "%c0%af", "//", "/./", "/%2e/", ";/",
        ";x=1/",
    ];
    let names = [
        "admin",
        "%61dmin",
        "adm%69n",
        "%61%64%6d%69%6e",
        "%2561dmin",
        "admin;x",
        "admin;",
        "admin%3bx",
    ];
    let ends = ["", "/", "/x", "//", "/.", "%00", "%2f", ";", "%20", "#", "?"];
    let mut all = Vec::new();
    for name in names {
        for dot in dots {
            for slash in slashes {
                all.push(format!("/public/{dot}{slash}{name}"));
                all.push(format!("/public{slash}{dot}{slash}{name}"));
            }
        }
        for slash in slashes {
            for end in ends {
                all.push(format!("/{name}{end}"));
                all.push(format!("{slash}{name}{end}"));
                all.push(format!("/{slash}{name}{end}"));
            }
        }
    }
    all
}
