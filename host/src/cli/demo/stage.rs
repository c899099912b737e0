//! How the demo looks: headings, sentences that fit a narrow terminal, and what the machine says, set in from them.

use std::io::Write;

use anstyle::{AnsiColor, Style};

use crate::cli::OutputError;
use crate::sink::terminal::escape;

/// Sentences are broken to fit this many columns.
const COLUMNS: usize = 80;
/// Columns of the word that stands before what happened.
const WORD_COLUMNS: usize = 9;

const HEADING: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const SHOWN: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
pub(super) const BAD: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
pub(super) const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const DIM: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Where acts are played. Colours are written always; the writer takes them out where they are not wanted.
#[derive(Debug)]
pub(super) struct Stage<W> {
    out: W,
}

impl<W: Write> Stage<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }

    /// Begins an act: its title, and what is about to happen.
    pub(super) fn act(&mut self, number: usize, title: &str, about: &str) -> Result<(), OutputError> {
        self.heading(&format!("Act {number} of {}: {title}", super::ACTS))?;
        for line in wrapped(about, COLUMNS) {
            self.line(&line)?;
        }
        self.line("")
    }

    /// A heading.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), OutputError> {
        let rule = "=".repeat(COLUMNS.saturating_sub(text.chars().count() + 4));
        self.line(&format!("{HEADING}== {text} {rule}{HEADING:#}"))
    }

    /// Ends an act: what it showed.
    pub(super) fn shown(&mut self, text: &str) -> Result<(), OutputError> {
        let arrow = "=> ";
        for (index, line) in wrapped(text, COLUMNS - arrow.len()).enumerate() {
            let mark = if index == 0 { arrow } else { "   " };
            self.line(&format!("{SHOWN}{mark}{SHOWN:#}{line}"))?;
        }
        self.line("")
    }

    /// A remark in between, in words of ours.
    pub(super) fn remark(&mut self, text: &str) -> Result<(), OutputError> {
        for line in wrapped(text, COLUMNS) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Text from elsewhere, set in and escaped line by line, with a style for its first line.
    pub(super) fn block(&mut self, text: &str, style: Style) -> Result<(), OutputError> {
        for (index, line) in text.lines().enumerate() {
            let style = if index == 0 { style } else { Style::new() };
            self.line(&format!("    {style}{}{style:#}", escape(line)))?;
        }
        Ok(())
    }

    /// Text of a rule or a program that is shown for itself.
    pub(super) fn source(&mut self, text: &str) -> Result<(), OutputError> {
        for line in text.lines() {
            self.line(&format!("    {DIM}{}{DIM:#}", escape(line)))?;
        }
        Ok(())
    }

    /// What happened, after a word for it. The text may be from elsewhere; each line of it is broken by itself.
    pub(super) fn event(&mut self, word: &str, style: Style, text: &str) -> Result<(), OutputError> {
        let pad = " ".repeat(WORD_COLUMNS.saturating_sub(word.len()));
        let mut mark = format!("    {style}{word}{style:#}{pad}");
        for line in text.lines().flat_map(|line| wrapped(&escape(line), COLUMNS - 4 - WORD_COLUMNS)) {
            self.line(&format!("{mark}{line}"))?;
            mark = " ".repeat(4 + WORD_COLUMNS);
        }
        Ok(())
    }

    /// A command and what it is for.
    pub(super) fn command(&mut self, command: &str, what: &str) -> Result<(), OutputError> {
        self.line(&format!("{STRONG}{command:<24}{STRONG:#}{what}"))
    }

    /// A line with styles of ours; text from elsewhere in it must have been escaped.
    pub(super) fn line(&mut self, text: &str) -> Result<(), OutputError> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Passes on what was written.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }

    /// The writer, for a sink.
    pub(super) fn out(&mut self) -> &mut W {
        &mut self.out
    }
}

/// Lines of whole words, each of so many columns at most unless one word is longer.
fn wrapped(text: &str, columns: usize) -> impl Iterator<Item = String> + use<> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        let lines = |text, columns| wrapped(text, columns).collect::<Vec<_>>();
        for (columns, want) in [(6, vec!["one", "two"]), (7, vec!["one two"]), (8, vec!["one two"])] {
            assert_eq!(lines("one two", columns), want);
        }
        assert_eq!(lines("a longword b", 3), ["a", "longword", "b"]);
        assert!(lines("", 3).is_empty());
    }

    #[test]
    fn text_from_elsewhere_cannot_write_on_the_terminal() {
        let mut out = Vec::new();
        Stage::new(&mut out).block("a\x1b[2J\nb\u{202e}", Style::new()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "    a\\x1b[2J\n    b\\u{202e}\n");
        let mut out = Vec::new();
        Stage::new(&mut out).event("word", Style::new(), "a\x1b[2J b\nc\r").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "    word     a\\x1b[2J b\n             c\\r\n");
    }
}
