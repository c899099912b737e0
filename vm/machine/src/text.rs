//! Text as every part of Trapline compares it: Unicode simple case folding, one character to one character.
//!
//! Predicates of the engine and helpers of the machine share these functions, so that `a == b` means the same whether
//! `b` is a literal or a field.

/// The version of Unicode that folding follows; it is part of what a verdict depends on.
pub const UNICODE_VERSION: (u64, u64, u64) = unicode_case_mapping::UNICODE_VERSION;

/// The simple case folding of a character.
#[inline]
pub fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    unicode_case_mapping::case_folded(c).and_then(|folded| char::from_u32(folded.get())).unwrap_or(c)
}

/// The folded characters of a text.
pub fn fold_chars(text: &str) -> impl DoubleEndedIterator<Item = char> + '_ {
    text.chars().map(fold_char)
}

/// Appends the folding of `text` to `out`.
pub fn fold_str_into(text: &str, out: &mut String) {
    let mut rest = text;
    out.reserve(text.len());
    while let Some(other) = rest.bytes().position(|byte| !byte.is_ascii()) {
        let (ascii, more) = rest.split_at(other);
        push_ascii(ascii, out);
        let mut chars = more.chars();
        out.extend(chars.next().map(fold_char));
        rest = chars.as_str();
    }
    push_ascii(rest, out);
}

fn push_ascii(ascii: &str, out: &mut String) {
    let from = out.len();
    out.push_str(ascii);
    if let Some(added) = out.get_mut(from..) {
        added.make_ascii_lowercase();
    }
}

/// The folding of a text.
pub fn fold_str(text: &str) -> String {
    let mut folded = String::new();
    fold_str_into(text, &mut folded);
    folded
}

/// Whether two texts are equal after folding.
pub fn equals_fold(a: &str, b: &str) -> bool {
    a == b || fold_chars(a).eq(fold_chars(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding() {
        for (text, folded) in [
            ("", ""),
            ("CMD.exe", "cmd.exe"),
            ("ÄÖÜ x É", "äöü x é"),
            ("Σσς", "σσσ"),
            ("ẞ ß", "ß ß"),
            ("K", "k"), // the Kelvin sign
            ("İ", "İ"),
            ("a\u{10ffff}B", "a\u{10ffff}b"),
        ] {
            assert_eq!(fold_str(text), folded);
            assert_eq!(fold_chars(text).collect::<String>(), folded);
            assert!(equals_fold(text, folded));
        }
        assert!(!equals_fold("a", "b"));
        assert!(!equals_fold("a", "aa"));
    }

    #[test]
    fn folding_is_idempotent() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            assert_eq!(fold_char(fold_char(c)), fold_char(c), "{c:?}");
        }
    }
}
