//! Makes text from events safe to show on a terminal.
//!
//! An event is written by whoever caused it. Shown as it is, a command line could move the cursor and overwrite the
//! alert about itself, or read backwards. So nothing from an event, a file name or a rule reaches a terminal before
//! [`escape`] has seen it. The text stays readable: only characters that do something other than show themselves
//! are replaced.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal does something else with this character than show it: controls (also those above ASCII),
/// line separators, marks that change the direction of writing, and characters without width.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with unsafe characters written out: `\n`, `\x1b`, `\u{202e}`. A backslash stays as it is, because most
/// of them are in paths.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut safe, c);
    }
    Cow::Owned(safe)
}

/// As [`escape`], and cut to `chars_max` characters with a note of how many are missing.
pub fn escape_cut(text: &str, chars_max: usize) -> String {
    let mut safe = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(chars_max) {
        push(&mut safe, c);
    }
    let missing = chars.count();
    if missing > 0 {
        push_note(&mut safe, missing);
    }
    safe
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if !is_unsafe(c) => out.push(c),
        c if u32::from(c) < 0x100 => push_format(out, format_args!("\\x{:02x}", u32::from(c))),
        c => push_format(out, format_args!("\\u{{{:x}}}", u32::from(c))),
    }
}

fn push_note(out: &mut String, missing: usize) {
    push_format(out, format_args!(" … ({missing} more characters)"));
}

fn push_format(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_the_text_is_written_out() {
        assert_eq!(escape("\x1b[2Jhi\r\n\u{9b}31m"), "\\x1b[2Jhi\\r\\n\\x9b31m");
        assert_eq!(escape("exe.\u{202e}txt\u{200b}"), "exe.\\u{202e}txt\\u{200b}");
        assert_eq!(escape("\0\x7f\u{e0041}"), "\\x00\\x7f\\u{e0041}");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", r"C:\Windows\System32", "añb 漢字 🦀"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(escape_cut("añ漢", 3), "añ漢");
        assert_eq!(escape_cut("añ漢", 2), "añ … (1 more characters)");
        assert_eq!(escape_cut("\x1b", 0), " … (1 more characters)");
    }
}
