//! Everything wrong with one file: collected, put in the order of the file, drawn like a compiler's messages.
//!
//! The files `wording…` hold a method for each mistake, and are the only place with such sentences.
//! A secret that stands in the file is hidden in every excerpt.

mod wording;
mod wording_routes;
mod wording_tokens;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// A byte range of the file.
pub type Span = Range<usize>;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Probably not what was meant.
    Warning,
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// Said beside the underlined text.
    pub text: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name, kebab-case.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: String,
    /// Where; `None` when it is about the file as a whole.
    pub primary: Option<Label>,
    /// The other place, where two are involved.
    pub second: Option<Label>,
    /// What to write instead.
    pub help: Option<String>,
}

/// All mistakes of one file, with its text.
#[derive(Clone)]
pub struct Diagnostics {
    name: String,
    text: Arc<str>,
    list: Vec<Diagnostic>,
    hidden: Vec<Span>,
    /// How many were not kept, and whether an error was among them.
    dropped: usize,
    dropped_error: bool,
    last_dropped: bool,
}

/// More are counted, not drawn: nobody reads them, and a hostile file must not cost minutes.
const DRAWN_MAX: usize = 100;
/// More are counted, not kept: a wrong file of 10 MiB has millions.
const KEPT_MAX: usize = 1000;
/// Longer lines are not shown, only their place.
const LINE_MAX: usize = 2048;
/// Two places at most this many lines apart are drawn in one excerpt.
const NEAR_LINES: usize = 6;
/// Keys whose value on the same line is hidden even when the file cannot be parsed.
const SECRET_KEYS: [&str; 4] = ["secret", "private", "password", "token"];

impl Diagnostics {
    /// No mistakes yet, in the file `name` that says `text`.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Diagnostics {
        Diagnostics {
            name: name.into(),
            text: text.into(),
            list: Vec::new(),
            hidden: Vec::new(),
            dropped: 0,
            dropped_error: false,
            last_dropped: false,
        }
    }

    /// All of them, in the order of the file once [`Diagnostics::sort`] was called.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Whether nothing can start.
    pub fn has_errors(&self) -> bool {
        self.dropped_error || self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts them in the order of the file.
    pub fn sort(&mut self) {
        // What is about the file as a whole comes last.
        let place =
            |one: &Diagnostic| one.primary.as_ref().map_or(usize::MAX, |label| label.span.start);
        self.list
            .sort_by(|a, b| (place(a), a.severity, a.code).cmp(&(place(b), b.severity, b.code)));
        self.list.dedup();
    }

    /// Forgets the warnings and what lies at or after `offset`, errors of syntax excepted: behind the
    /// first of those nothing is where it seems to be.
    pub(super) fn keep_before(&mut self, offset: usize) {
        self.list.retain(|one| {
            let early = one.primary.as_ref().is_some_and(|label| label.span.start < offset);
            one.code == SYNTAX || (early && one.severity == Severity::Error)
        });
    }

    /// Never show what stands here.
    pub(super) fn hide(&mut self, span: &Span) {
        self.hidden.push(span.clone());
    }

    /// The place of `range` of a quoted text that was read as `text` from `span`; all of `span` where escapes
    /// make the two differ.
    pub(super) fn within(&self, span: &Span, text: &str, range: &Range<usize>) -> Span {
        let source = self.text.get(span.clone()).unwrap_or_default();
        let quote = usize::from(source.starts_with(['"', '\'']));
        let inner = source.get(quote..source.len().saturating_sub(quote));
        if inner != Some(text) || range.end > text.len() || range.start > range.end {
            return span.clone();
        }
        let start = span.start + quote + range.start;
        start..(span.start + quote + range.end).max(start)
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.last_dropped = self.is_full();
        if self.last_dropped {
            self.dropped += 1;
            self.dropped_error |= diagnostic.severity == Severity::Error;
        } else {
            self.list.push(diagnostic);
        }
    }

    /// Whether more mistakes are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= KEPT_MAX
    }

    /// Draws all of them; `styled` for a terminal that knows colours.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut drawn: Vec<String> =
            self.list.iter().take(DRAWN_MAX).map(|one| self.draw(one, &renderer)).collect();
        let more = self.list.len().saturating_sub(DRAWN_MAX) + self.dropped;
        if more > 0 {
            drawn.push(format!("… and {more} more"));
        }
        drawn.join("\n\n") + "\n"
    }

    fn draw(&self, one: &Diagnostic, renderer: &Renderer) -> String {
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
        for excerpt in self.excerpts(&labels) {
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
    fn excerpts<'l>(&self, labels: &[(AnnotationKind, &'l Label)]) -> Vec<Excerpt<'l>> {
        if let [(_, a), (_, b)] = labels {
            let (from, to) = (a.span.start.min(b.span.start), a.span.start.max(b.span.start));
            let between = self.text.get(from..to).unwrap_or_default();
            if between.matches('\n').count() <= NEAR_LINES {
                return vec![self.excerpt(labels)];
            }
        }
        labels.iter().map(|label| self.excerpt(std::slice::from_ref(label))).collect()
    }

    fn excerpt<'l>(&self, labels: &[(AnnotationKind, &'l Label)]) -> Excerpt<'l> {
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
        let from = self.text[..first].rfind('\n').map_or(0, |at| at + 1);
        let to = self.text[last..].find('\n').map_or(self.text.len(), |at| last + at);
        let line = self.text[..from].matches('\n').count() + 1;
        if self.text[from..to].lines().any(|line| line.len() > LINE_MAX) {
            let column = self.text[from..first].chars().count() + 1;
            return Excerpt::Place { line, column };
        }
        let labels = labels.iter().zip(places).map(|((kind, label), span)| {
            (*kind, span.start - from..span.end - from, label.text.as_str())
        });
        Excerpt::Text { text: self.shown(from..to), line, labels: labels.collect() }
    }

    /// The text of whole lines with every secret hidden, byte for byte.
    fn shown(&self, lines: Span) -> String {
        let mut hidden: Vec<Span> = self.hidden.clone();
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
    let at = SECRET_KEYS.iter().find_map(|key| {
        let at = line.find(key)? + key.len();
        let rest = line[at..].trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix('=')?.trim_start();
        (!value.starts_with(['{', 't', 'f'])).then(|| line.len() - value.len())
    })?;
    Some(at..line.len())
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// The code of errors of syntax.
pub(super) const SYNTAX: &str = "syntax";

/// The candidate that was probably meant.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let likeness = |candidate: &str| {
        let (a, b) = (word.to_ascii_lowercase(), candidate.to_ascii_lowercase());
        strsim::jaro_winkler(&a, &b).max(strsim::jaro_winkler(&sorted(&a), &sorted(&b)))
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `max_body` is `body_max` with its words in another order.
fn sorted(word: &str) -> String {
    let mut words: Vec<&str> = word.split(['_', '-']).collect();
    words.sort_unstable();
    words.join("_")
}

/// Below this likeness (Jaro-Winkler, 0 to 1) a "did you mean" would only confuse.
const LIKENESS_MIN: f64 = 0.8;
