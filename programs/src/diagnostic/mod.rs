//! What we tell an author about a rule: a value with code, spans and help. [`render`] makes text of it, [`report`] data.
//!
//! A diagnostic is a *user mistake*, never a fault of a program at run time (a trap) nor of ours (an error type of
//! the module). Everything is collected; nothing stops at the first.

mod codes;
mod render;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

pub use codes::{Code, codes, explain};
pub use render::{Place, PlaceRange, Report, render, report};

/// A file of rules, or other text that diagnostics point into.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as the user gave it, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Where its line ends are, once somebody asked.
    line_ends: OnceLock<Vec<usize>>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }
}

impl Eq for Source {}

impl Source {
    /// A source.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), line_ends: OnceLock::new() })
    }

    /// Line of a byte offset, from 1.
    pub fn line_of(&self, offset: usize) -> u32 {
        let ends = self.line_ends.get_or_init(|| self.text.match_indices('\n').map(|(at, _)| at).collect());
        u32::try_from(ends.partition_point(|end| *end < offset)).unwrap_or(u32::MAX - 1) + 1
    }
}

/// A byte range in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The source.
    pub source: Arc<Source>,
    /// Bytes.
    pub range: Range<usize>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The rule is compiled; the author should look.
    Warning,
    /// The rule is refused.
    Error,
}

/// One thing to tell the author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, named after the mistake: `unknown-field`. `trapline explain CODE` has a page on each.
    pub code: &'static str,
    /// Error or warning.
    pub level: Level,
    /// One sentence without a full stop.
    pub message: String,
    /// Where, and what is wrong there; the first is the primary one.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Vec<String>,
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark; may be empty.
    pub text: String,
}

/// Bytes of a message, beyond which it is cut.
const MESSAGE_LEN_MAX: usize = 1024;

impl Diagnostic {
    /// An error with its primary label.
    pub fn error(code: &'static str, message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        let mut message = message.into();
        // Messages repeat what authors wrote, and nobody reads a name of a million letters.
        if message.len() > MESSAGE_LEN_MAX {
            let end = (0..=MESSAGE_LEN_MAX).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Self { code, level: Level::Error, message, labels: vec![Label { span, text: label.into() }], help: Vec::new() }
    }

    /// A warning with its primary label.
    pub fn warning(code: &'static str, message: impl Into<String>, span: Span, label: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, message, span, label) }
    }

    /// Adds a secondary label.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}
