//! Vectors written by others, read from the folder that `FRESHGATE_VECTORS` names; nothing of them is kept here.
//!
//! Without the folder the tests that want them say so and pass: `tests/run` looks for one beside the repository.

use std::path::PathBuf;

use serde_json::Value;

/// The folder, or `None` after having said that `test` is skipped.
pub fn folder(test: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("FRESHGATE_VECTORS").map(PathBuf::from).filter(|one| one.is_dir());
    if folder.is_none() {
        eprintln!("skipped: {test}: FRESHGATE_VECTORS names no folder of vectors");
    }
    folder
}

/// One request of aws/http-desync-guardian.
#[derive(Debug, Default)]
pub struct Desync {
    /// What it is about.
    pub name: String,
    /// `Compliant`, `Acceptable`, `Ambiguous` or `Severe`.
    pub tier: String,
    /// The request line's parts, as bytes.
    pub line: [Vec<u8>; 3],
    /// The fields in order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// All of `desync-guardian/*.yaml`.
pub fn desync(test: &str) -> Option<Vec<Desync>> {
    let folder = folder(test)?.join("desync-guardian");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of vectors") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            text.lines().for_each(|line| read_line(line, &mut all));
        }
    }
    Some(all)
}

/// The YAML of these files is lists of maps, one scalar a line; this reads that much and no more.
fn read_line(line: &str, all: &mut Vec<Desync>) {
    let Some((key, value)) = line.split_once(':') else { return };
    let value = scalar(value.trim());
    if key == "- name" {
        all.push(Desync {
            name: String::from_utf8_lossy(&value).into_owned(),
            ..Desync::default()
        });
        return;
    }
    let Some(one) = all.last_mut() else { return };
    match key {
        "  method" => one.line[0] = value,
        "  uri" => one.line[1] = value,
        "  version" => one.line[2] = value,
        "    - name" => one.fields.push((value, Vec::new())),
        "      value" => one.fields.last_mut().expect("a name before a value").1 = value,
        "    tier" => one.tier = String::from_utf8_lossy(&value).into_owned(),
        _ => {}
    }
}

/// A YAML scalar as bytes: `\xNN` is the byte NN, as the vectors mean it.
fn scalar(text: &str) -> Vec<u8> {
    if let Some(inner) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.replace("''", "'").into_bytes();
    }
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.as_bytes().to_vec();
    };
    let mut out = Vec::new();
    let mut rest = inner.chars();
    while let Some(sign) = rest.next() {
        if sign != '\\' {
            out.extend_from_slice(sign.to_string().as_bytes());
            continue;
        }
        match rest.next() {
            Some('x') => {
                let hex: String = rest.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&hex, 16).expect("two digits"));
            }
            Some('t') => out.push(b'\t'),
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('0') => out.push(0),
            Some(other) => out.extend_from_slice(other.to_string().as_bytes()),
            None => out.push(b'\\'),
        }
    }
    out
}

/// Every string of `url/urltestdata.json` that a URL parser is asked about.
pub fn urls(test: &str) -> Option<Vec<String>> {
    let path = folder(test)?.join("url/urltestdata.json");
    let text = std::fs::read_to_string(path).expect("urltestdata.json");
    let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    Some(all.iter().filter_map(|one| Some(one["input"].as_str()?.to_owned())).collect())
}
