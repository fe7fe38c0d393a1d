//! Mistakes for programs: `freshgate check --format json`. The names of the members, the severities and the codes
//! are stable, and documented in docs/check.md; the sentences are not.

use serde_json::{Value, json};

use super::draw::Lines;
use super::{Diagnostics, Label, Severity, Span};

impl Diagnostics {
    /// One object for each mistake, in the order of the list; `null` for a place or a help that there is not.
    /// What was only counted is one more object, with the code `more`.
    pub fn json(&self) -> Value {
        let lines = Lines::of(&self.text);
        let mut all: Vec<Value> = self
            .list
            .iter()
            .map(|one| {
                let mut object = json!({
                    "severity": severity(one.severity),
                    "code": one.code,
                    "message": one.title,
                    "label": one.primary.as_ref().map(|label| &label.text),
                    "file": self.name,
                    "help": one.help,
                    "related": Vec::from_iter(one.second.iter().map(|label| related(&lines, label))),
                });
                place(&mut object, &lines, one.primary.as_ref().map(|label| &label.span));
                object
            })
            .collect();
        if self.dropped > 0 {
            let is = if self.dropped_error { Severity::Error } else { Severity::Warning };
            let mut object = json!({
                "severity": severity(is), "code": "more",
                "message": format!("… and {} more", self.dropped),
                "label": null, "file": self.name, "help": null, "related": [],
            });
            place(&mut object, &lines, None);
            all.push(object);
        }
        Value::Array(all)
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn related(lines: &Lines<'_>, label: &Label) -> Value {
    let mut object = json!({ "message": label.text });
    place(&mut object, lines, Some(&label.span));
    object
}

/// Lines and columns are counted from 1, columns in characters; the end is the first column behind.
fn place(object: &mut Value, lines: &Lines<'_>, span: Option<&Span>) {
    let start = span.map(|span| lines.place(span.start));
    let end = span.map(|span| lines.place(span.end.max(span.start)));
    for (name, value) in [
        ("line", start.map(|at| at.0)),
        ("column", start.map(|at| at.1)),
        ("end_line", end.map(|at| at.0)),
        ("end_column", end.map(|at| at.1)),
    ] {
        object[name] = value.into();
    }
}
