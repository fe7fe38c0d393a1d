//! Draws mistakes for people: the excerpt, the place underlined, what is wrong, what to write instead.
//!
//! Knows no sentence about any mistake. A secret that stands in the file is hidden, byte for byte.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity, Span};

/// More are counted, not drawn: nobody reads them.
const DRAWN_MAX: usize = 100;
/// Longer lines are not shown, only their place.
const LINE_MAX: usize = 2048;
/// Two places at most this many lines apart are drawn in one excerpt.
const NEAR_LINES: usize = 6;
/// Keys whose value on the same line is hidden even when the file cannot be parsed.
const SECRET_KEYS: [&str; 4] = ["secret", "private", "password", "token"];

/// Where each line of a text begins: places are looked up, not counted again for each mistake.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Lines<'t> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Lines { text, starts: starts.collect() }
    }

    /// The line that a byte is on, counted from 1, and where that line begins.
    fn line(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        (line, self.starts[line - 1])
    }

    /// Line and column of a byte, both counted from 1, columns in characters.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let at = self.text.floor_char_boundary(at.min(self.text.len()));
        let (line, start) = self.line(at);
        (line, self.text[start..at].chars().count() + 1)
    }
}

impl Diagnostics {
    /// Draws all of them; `styled` for a terminal that knows colours.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let lines = Lines::of(&self.text);
        let first = self.list.iter().take(DRAWN_MAX);
        let mut drawn: Vec<String> = first.map(|one| self.draw(one, &lines, &renderer)).collect();
        let more = self.list.len().saturating_sub(DRAWN_MAX) + self.dropped;
        if more > 0 {
            drawn.push(format!("… and {more} more"));
        }
        drawn.join("\n\n") + "\n"
    }

    fn draw(&self, one: &Diagnostic, lines: &Lines<'_>, renderer: &Renderer) -> String {
        let level = match one.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(one.title.as_str()).id(one.code);
        let mut group = Group::with_title(title);
        let labels: Vec<(AnnotationKind, &Label)> = one
            .primary
            .iter()
            .map(|label| (AnnotationKind::Primary, label))
            .chain(one.second.iter().map(|label| (AnnotationKind::Context, label)))
            .collect();
        if labels.is_empty() {
            group = group.element(Origin::path(self.name.as_str()));
        }
        for excerpt in self.excerpts(&labels, lines) {
            group = match excerpt {
                Excerpt::Text { text, line, labels } => {
                    let snippet = Snippet::source(text).line_start(line).path(self.name.as_str());
                    group.element(snippet.annotations(
                        labels.into_iter().map(|(kind, span, text)| kind.span(span).label(text)),
                    ))
                }
                Excerpt::Place { line, column } => {
                    group.element(Origin::path(self.name.as_str()).line(line).char_column(column))
                }
            };
        }
        if let Some(help) = &one.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The lines to show: one excerpt for labels that are near each other, else one for each.
    fn excerpts<'l>(
        &self,
        labels: &[(AnnotationKind, &'l Label)],
        lines: &Lines<'_>,
    ) -> Vec<Excerpt<'l>> {
        if let [(_, a), (_, b)] = labels
            && lines.line(a.span.start).0.abs_diff(lines.line(b.span.start).0) <= NEAR_LINES
        {
            return vec![self.excerpt(labels, lines)];
        }
        labels.iter().map(|label| self.excerpt(std::slice::from_ref(label), lines)).collect()
    }

    fn excerpt<'l>(
        &self,
        labels: &[(AnnotationKind, &'l Label)],
        lines: &Lines<'_>,
    ) -> Excerpt<'l> {
        let clamp = |at: usize| self.text.floor_char_boundary(at.min(self.text.len()));
        let places: Vec<Span> = labels
            .iter()
            .map(|(_, label)| {
                let start = clamp(label.span.start);
                start..clamp(label.span.end).max(start)
            })
            .collect();
        let first = places.iter().map(|span| span.start).min().unwrap_or(0);
        let last = places.iter().map(|span| span.end).max().unwrap_or(0);
        let (line, from) = lines.line(first);
        let to = self.text[last..].find('\n').map_or(self.text.len(), |at| last + at);
        if self.text[from..to].lines().any(|line| line.len() > LINE_MAX) {
            let (line, column) = lines.place(first);
            return Excerpt::Place { line, column };
        }
        let labels = labels.iter().zip(places).map(|((kind, label), span)| {
            (*kind, span.start - from..span.end - from, label.text.as_str())
        });
        Excerpt::Text { text: self.shown(from..to), line, labels: labels.collect() }
    }

    /// The text of whole lines with every secret hidden, byte for byte.
    fn shown(&self, lines: Span) -> String {
        let near = |span: &&Span| span.start < lines.end && lines.start < span.end;
        let mut hidden: Vec<Span> = self.hidden.iter().filter(near).cloned().collect();
        let mut start = lines.start;
        for line in self.text[lines.clone()].split_inclusive('\n') {
            hidden.extend(secret_on(line).map(|span| start + span.start..start + span.end));
            start += line.len();
        }
        let hide = |at: usize| hidden.iter().any(|span| span.contains(&at));
        self.text[lines.clone()]
            .char_indices()
            .flat_map(|(at, c)| {
                let masked = c != '\n' && hide(lines.start + at);
                let (shown, times) = if masked { ('*', c.len_utf8()) } else { (c, 1) };
                std::iter::repeat_n(shown, times)
            })
            .collect()
    }
}

/// What is shown of the file.
enum Excerpt<'l> {
    /// Whole lines, the first with its number, and the labels inside.
    Text { text: String, line: usize, labels: Vec<(AnnotationKind, Span, &'l str)> },
    /// A place in a line too long to show.
    Place { line: usize, column: usize },
}

/// The quoted value behind a key that names a secret, also where the line is no TOML: up to its end.
fn secret_on(line: &str) -> Option<Span> {
    if let Some((before, rest)) = line.split_once("://")
        && let Some((user, _)) = rest.split_once('@')
        && !user.contains('/')
    {
        // A user name and a password in a URL.
        let start = before.len() + "://".len();
        return Some(start..start + user.len());
    }
    let at = SECRET_KEYS.iter().find_map(|key| {
        let at = line.find(key)? + key.len();
        let rest = line[at..].trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix('=')?.trim_start();
        (!value.starts_with(['{', 't', 'f'])).then(|| line.len() - value.len())
    })?;
    Some(at..line.len())
}
