//! Diagnostics as text for people, in the manner of rustc, and as data for tools.

use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};
use serde::Serialize;

use super::{Diagnostic, Label, Level, Source, Span};
use crate::object;

/// Lines of source shown around a place at most; a longer label is shown by its first lines.
const LABEL_LINES_MAX: usize = 6;
/// Bytes of one source line beyond which only a window of it is shown.
const LINE_LEN_MAX: usize = 400;
/// Columns of the text: the width that messages and source lines are laid out for.
const WIDTH: usize = 140;

/// A diagnostic as text of several lines, ending with a line end.
///
/// What comes from the source is escaped: no control character of a rule reaches the terminal.
pub fn render(diagnostic: &Diagnostic, colour: bool) -> String {
    let level = match diagnostic.level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
    };
    // Labels by source, in order of appearance; the first source has the primary label.
    let mut sources: Vec<(&Arc<Source>, Vec<&Label>)> = Vec::new();
    for label in &diagnostic.labels {
        match sources.iter_mut().find(|(source, _)| Arc::ptr_eq(source, &label.span.source)) {
            Some((_, labels)) => labels.push(label),
            None => sources.push((&label.span.source, vec![label])),
        }
    }
    let primary = diagnostic.labels.first();
    let message = printable(&diagnostic.message);
    let mut main = Group::with_title(level.primary_title(message).id(diagnostic.code));
    for (source, labels) in sources {
        // The text of an object file is base 64, which shows nobody anything; the message says where in it.
        if object::is_object(source) {
            main = main.element(Origin::path(printable(&source.name)));
            continue;
        }
        let window = Window::around(source, labels.iter().map(|label| &label.span));
        let mut snippet = Snippet::source(window.text.clone()).line_start(window.line).path(printable(&source.name));
        for label in labels {
            let is_primary = primary.is_some_and(|primary| std::ptr::eq(primary, label));
            let kind = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mut annotation = kind.span(window.range(&label.span));
            if !label.text.is_empty() {
                annotation = annotation.label(printable(&label.text));
            }
            snippet = snippet.annotation(annotation);
        }
        main = main.element(snippet);
    }
    for help in &diagnostic.help {
        main = main.element(Title::HELP.message(printable(help)));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(WIDTH).decor_style(DecorStyle::Ascii).render(&[main]);
    text.push('\n');
    text
}

/// Text without control characters other than line ends and tabs.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The part of a source that a diagnostic shows: whole lines, control characters replaced by as many bytes.
struct Window {
    text: String,
    line: usize,
    start: usize,
    /// Ends of what labels may cover.
    end: usize,
}

impl Window {
    fn around<'a>(source: &Source, spans: impl Iterator<Item = &'a Span>) -> Self {
        let text = source.text.as_str();
        let mut start = text.len();
        let mut end = 0;
        for span in spans {
            start = start.min(span.range.start.min(text.len()));
            end = end.max(span.range.start.min(text.len())).max(label_end(text, span));
        }
        let start = floor(text, start);
        let end = ceil(text, end.max(start));
        let line_start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line_end = text.get(end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| end + at);
        // Of a very long line only the part around the labels.
        let from = if start - line_start > LINE_LEN_MAX { floor(text, start - LINE_LEN_MAX / 2) } else { line_start };
        let to = if line_end - end > LINE_LEN_MAX { ceil(text, end + LINE_LEN_MAX / 2) } else { line_end };
        let line = usize::try_from(source.line_of(from)).unwrap_or(1);
        let shown = text.get(from..to).unwrap_or_default();
        let shown =
            shown.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { replacement(c) } else { c }).collect();
        Self { text: shown, line, start: from, end: to }
    }

    fn range(&self, span: &Span) -> std::ops::Range<usize> {
        let text = span.source.text.as_str();
        let start = floor(text, span.range.start.clamp(self.start, self.end));
        let end = ceil(text, label_end(text, span).clamp(start, self.end));
        start - self.start..end - self.start
    }
}

/// A visible character of as many bytes.
fn replacement(c: char) -> char {
    match c.len_utf8() {
        1 => '?',
        _ => '\u{b7}',
    }
}

/// Where the label of a span ends: a long span is shown by its first lines.
fn label_end(text: &str, span: &Span) -> usize {
    let start = floor(text, span.range.start.min(text.len()));
    let end = ceil(text, span.range.end.clamp(start, text.len()));
    let covered = text.get(start..end).unwrap_or_default();
    let cut = covered.match_indices('\n').nth(LABEL_LINES_MAX - 1).map_or(covered.len(), |(at, _)| at);
    start + cut
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// A diagnostic as data: positions resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Stable code.
    pub code: &'static str,
    /// `error` or `warning`.
    pub level: &'static str,
    /// The message.
    pub message: String,
    /// Places; the first is the primary one.
    pub labels: Vec<Place>,
    /// What to do about it.
    pub help: Vec<String>,
}

/// A place as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// File as the user named it.
    pub file: String,
    /// Where in its text; of an object file the message says where.
    #[serde(flatten)]
    pub range: Option<PlaceRange>,
    /// The remark.
    pub text: String,
}

/// A range of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceRange {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Column just after the end.
    pub end_column: u32,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// A diagnostic as data.
pub fn report(diagnostic: &Diagnostic) -> Report {
    let labels = diagnostic
        .labels
        .iter()
        .map(|label| {
            let source = &label.span.source;
            let (start, end) = (floor(&source.text, label.span.range.start), ceil(&source.text, label.span.range.end));
            let range = (!object::is_object(source)).then(|| PlaceRange {
                line: source.line_of(start),
                column: column(&source.text, start),
                end_line: source.line_of(end),
                end_column: column(&source.text, end),
                start,
                end,
            });
            Place { file: source.name.clone(), range, text: label.text.clone() }
        })
        .collect();
    Report {
        code: diagnostic.code,
        level: match diagnostic.level {
            Level::Error => "error",
            Level::Warning => "warning",
        },
        message: diagnostic.message.clone(),
        labels,
        help: diagnostic.help.clone(),
    }
}

fn column(text: &str, at: usize) -> u32 {
    let line = text.get(..at).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
    u32::try_from(line.chars().count()).unwrap_or(u32::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let source = Source::new("a.trap", "é x\n  bad\n");
        let span = Span { source, range: 7..10 };
        let diagnostic = Diagnostic::error("unknown-name", "nothing is named `bad`", span, "here");
        let report = report(&diagnostic);
        let range = report.labels[0].range.unwrap();
        assert_eq!((range.line, range.column, range.end_column), (2, 3, 6));
        let text = render(&diagnostic, false);
        assert!(text.contains("a.trap:2:3"), "{text}");
        assert!(text.contains("error[unknown-name]: nothing is named `bad`"), "{text}");
    }

    #[test]
    fn of_an_object_file_the_name_is_shown_and_no_text() {
        let source = Source::new("a.o", object::armour(b"ELF"));
        let span = Span { source, range: 0..4 };
        let diagnostic = Diagnostic::error("bad-object", "section `x`: why", span, "here");
        assert_eq!(render(&diagnostic, false), "error[bad-object]: section `x`: why\n--> a.o\n");
        assert_eq!(report(&diagnostic).labels[0].range, None);
    }

    #[test]
    fn hostile_text_is_shown_without_its_control_characters() {
        let source = Source::new("\u{1b}[2Ja", "\u{1b}[31m\u{85}x\r\u{7}\n".repeat(3));
        for start in 0..=source.text.len() {
            for end in [start, start + 1, source.text.len(), source.text.len() + 9] {
                let span = Span { source: source.clone(), range: start..end };
                let text = render(&Diagnostic::error("c", "m\u{1b}", span, "l\u{1b}"), false);
                assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
            }
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let source = Source::new("a", "x".repeat(1 << 20));
        let span = Span { source, range: 500_000..500_003 };
        assert!(render(&Diagnostic::error("c", "m", span, "l"), true).len() < 10_000);
    }
}
