//! Lines: what fits stands on one, the rest is broken at its connectives and lists.

use super::Inexpressible;

/// Columns of a line, where its parts can be broken at all.
const WIDTH: usize = 100;

/// A text that may be broken.
#[derive(Clone, Debug)]
pub(super) enum Doc {
    /// In one piece.
    Text(String),
    /// Something, and a list of values or a single one.
    List {
        /// What stands before them.
        head: String,
        /// The values.
        items: Vec<String>,
        /// Whether there is one value, without brackets.
        is_single: bool,
    },
    /// Pieces with commas between them.
    Sequence(Vec<String>),
    /// All of them, with `and` between.
    All(Vec<Doc>),
    /// Any of them, with `or` between.
    Any(Vec<Doc>),
    /// The opposite.
    Not(Box<Doc>),
    /// A function of it.
    Call(&'static str, Box<Doc>),
}

/// A clause of a rule: on one line, or its parts below it.
pub(super) fn clause(out: &mut String, keyword: &str, doc: &Doc) {
    let flat = format!("  {keyword} {}", doc.flat());
    if columns(&flat) <= WIDTH || matches!(doc, Doc::Text(_) | Doc::List { is_single: true, .. }) {
        out.push_str(&flat);
    } else {
        out.push_str(&format!("  {keyword}\n    "));
        doc.broken(4, out);
    }
    out.push('\n');
}

/// A header entry: on one line, or an element a line.
pub(super) fn entry(out: &mut String, key: &str, items: &[String]) {
    let list = Doc::List { head: format!("{key}:"), items: items.to_vec(), is_single: false };
    out.push_str("  ");
    list.fitted(2, out);
    out.push('\n');
}

impl Doc {
    fn flat(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List { head, items, is_single: true } => format!("{head} {}", items.concat()),
            Self::List { head, items, .. } => format!("{head} [{}]", items.join(", ")),
            Self::Sequence(items) => items.join(", "),
            Self::All(parts) => parts.iter().map(Self::operand).collect::<Vec<_>>().join(" and "),
            Self::Any(parts) => parts.iter().map(Self::operand).collect::<Vec<_>>().join(" or "),
            Self::Not(inner) => format!("not {}", inner.operand()),
            Self::Call(name, inner) => format!("{name}({})", inner.flat()),
        }
    }

    /// As part of something else.
    fn operand(&self) -> String {
        if self.is_connective() { format!("({})", self.flat()) } else { self.flat() }
    }

    fn is_connective(&self) -> bool {
        matches!(self, Self::All(_) | Self::Any(_))
    }

    /// On one line if that fits behind so many columns, which are also the indent of further lines.
    fn fitted(&self, indent: usize, out: &mut String) {
        let flat = self.flat();
        if indent + columns(&flat) <= WIDTH { out.push_str(&flat) } else { self.broken(indent, out) }
    }

    fn broken(&self, indent: usize, out: &mut String) {
        let newline = |indent: usize| format!("\n{:indent$}", "");
        match self {
            Self::Text(_) | Self::List { is_single: true, .. } => out.push_str(&self.flat()),
            Self::List { head, items, .. } => {
                out.push_str(head);
                out.push_str(" [");
                for item in items {
                    out.push_str(&newline(indent + 2));
                    out.push_str(item);
                    out.push(',');
                }
                out.push_str(&newline(indent));
                out.push(']');
            }
            Self::Sequence(items) => {
                let mut column = indent;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 && column + 2 + columns(item) >= WIDTH {
                        out.push(',');
                        out.push_str(&newline(indent));
                        column = indent;
                    } else if index > 0 {
                        out.push_str(", ");
                        column += 2;
                    }
                    out.push_str(item);
                    column += columns(item);
                }
            }
            Self::All(parts) | Self::Any(parts) => {
                let word = if matches!(self, Self::All(_)) { "and " } else { "or " };
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        out.push_str(&newline(indent));
                        out.push_str(word);
                    }
                    part.broken_operand(indent, if index > 0 { word.len() } else { 0 }, out);
                }
            }
            Self::Not(inner) => {
                out.push_str("not ");
                inner.broken_operand(indent, 4, out);
            }
            Self::Call(name, inner) => {
                out.push_str(name);
                out.push('(');
                inner.enclosed(indent, out);
            }
        }
    }

    /// Behind a word of so many columns.
    fn broken_operand(&self, indent: usize, word: usize, out: &mut String) {
        let flat = self.operand();
        if indent + word + columns(&flat) <= WIDTH {
            out.push_str(&flat);
        } else if self.is_connective() {
            out.push('(');
            self.enclosed(indent, out);
        } else {
            self.broken(indent, out);
        }
    }

    /// On lines of its own, with the closing parenthesis.
    fn enclosed(&self, indent: usize, out: &mut String) {
        out.push_str(&format!("\n{:1$}", "", indent + 2));
        self.fitted(indent + 2, out);
        out.push_str(&format!("\n{:indent$})", ""));
    }
}

pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A string: as it is if it has backslashes or quotes in it, else with escapes.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| !is_hidden(c) && c != '\'';
    if text.contains(['\\', '"']) && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|c| escape(c, &mut out));
    out.push('"');
    out
}

/// A character of a string in double quotes.
pub(super) fn escape(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// Characters that a reader would not see, or that would turn the direction of others.
fn is_hidden(c: char) -> bool {
    let is_blank = c.is_whitespace() && c != ' ';
    let is_format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || is_blank || is_format
}

/// A name, in backquotes where it must be.
pub(super) fn quoted_name(name: &str) -> Result<String, Inexpressible> {
    let mut chars = name.chars();
    let is_first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if is_first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(name.to_owned());
    }
    if name.is_empty() || name.chars().any(|c| is_hidden(c) || c == '`') {
        return Err(Inexpressible(format!("`{}` cannot be written as a name", name.escape_debug())));
    }
    Ok(format!("`{name}`"))
}

/// The name of a field.
pub(super) fn path(name: &str) -> Result<String, Inexpressible> {
    let parts: Result<Vec<String>, Inexpressible> = name.split('.').map(quoted_name).collect();
    Ok(parts?.join("."))
}
