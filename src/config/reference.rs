//! Prints `docs/configuration.md` from the tables of `raw`: what is not written there is not documented.

use super::raw::RawFile;
use super::read::{Key, Shape, Table};

/// The reference of `gateway.toml`, in Markdown.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    section(&mut out, "Top of the file", &RawFile::TABLE);
    tables(&mut out, &RawFile::TABLE, "");
    out
}

const INTRODUCTION: &str = "\
# gateway.toml

<!-- Printed from src/config/raw. Change it there, then run: FRESHGATE_BLESS=1 cargo test config -->

Every table is optional. An unknown key is an error, and every mistake is reported at once: `freshgate check`.

- A **duration** is a number with a unit: `\"15s\"`, `\"5m\"`, `\"1h 30m\"`, `\"30d\"`. Units: `ms`, `s`, `m`, `h`, `d`, `w`.
- A **size** is a number with a unit: `\"512B\"`, `\"8KiB\"`, `\"10MiB\"`. Units: `B`, `KiB`, `MiB`, `GiB`, and `KB`, `MB`, `GB` of 1000.
- A **secret** is `{ env = \"NAME\" }` or `{ file = \"PATH\" }`, never the secret itself.
- Relative paths are relative to the file.
";

/// The tables that the keys of `table` open, each followed by those inside it.
fn tables(out: &mut String, table: &Table, prefix: &str) {
    for key in table.keys {
        let path =
            if prefix.is_empty() { key.name.to_owned() } else { format!("{prefix}.{}", key.name) };
        let heading = match key.shape {
            Shape::Value => continue,
            Shape::Section | Shape::Lines => format!("`[{path}]`"),
            Shape::Many => format!("`[[{path}]]`"),
            Shape::Named => format!("`[{path}.NAME]`"),
        };
        match ((key.table)(), key.shape) {
            (Some(inner), Shape::Lines) => {
                section(out, &heading, &Table { docs: key.docs, keys: inner.keys });
            }
            (Some(inner), _) => {
                section(out, &heading, inner);
                tables(out, inner, &path);
            }
            (None, _) => {
                section(out, &heading, &Table { docs: key.docs, keys: &[] });
                if let Some(default) = key.default {
                    out.push_str(&format!("\nDefault: `{default}`\n"));
                }
            }
        }
    }
}

fn section(out: &mut String, heading: &str, table: &Table) {
    out.push_str(&format!("\n## {heading}\n\n{}\n", prose(table.docs)));
    let keys: Vec<&Key> = table.keys.iter().filter(|key| key.shape == Shape::Value).collect();
    if keys.is_empty() {
        return;
    }
    out.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in keys {
        let default = key.default.map_or("–".to_owned(), |default| format!("`{default}`"));
        let meaning = prose(key.docs).replace('|', "\\|");
        let type_name = (key.type_name)();
        out.push_str(&format!("| `{}` | {type_name} | {default} | {meaning} |\n", key.name));
    }
}

/// A doc comment as one paragraph.
pub(super) fn prose(docs: &[&str]) -> String {
    docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
