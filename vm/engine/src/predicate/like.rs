//! Glob patterns: `*` any run of characters, `?` one character, `[*]`, `[?]` and `[[]` those characters themselves.
//! Any other bracket stands for itself. The whole value must match.
//!
//! A pattern is cut at its stars. What stands before the first star must begin the value, what stands after the last
//! must end it, and each piece between is looked for behind the piece before: the leftmost place is always good
//! enough, since a star takes any run. That is linear in the value for each piece.

use memchr::memmem;

#[derive(Debug)]
pub(super) struct Like {
    head: Piece,
    /// What follows the first star; None if there is no star.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    middle: Vec<Piece>,
    tail: Piece,
}

/// A run of the pattern without stars.
#[derive(Debug)]
enum Piece {
    /// Its needle is the text.
    Text(Box<memmem::Finder<'static>>),
    /// With at least one `?`.
    Steps(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Byte(u8),
    AnyChar,
}

impl Like {
    /// Takes the pattern as UTF-8.
    pub(super) fn new(pattern: &[u8]) -> Self {
        let mut pieces = Vec::new();
        let mut steps = Vec::new();
        let mut rest = pattern;
        loop {
            rest = match rest {
                [] => break,
                [b'[', literal @ (b'*' | b'?' | b'['), b']', rest @ ..] => {
                    steps.push(Step::Byte(*literal));
                    rest
                }
                [b'*', rest @ ..] => {
                    pieces.push(Piece::new(std::mem::take(&mut steps)));
                    rest
                }
                [b'?', rest @ ..] => {
                    steps.push(Step::AnyChar);
                    rest
                }
                [byte, rest @ ..] => {
                    steps.push(Step::Byte(*byte));
                    rest
                }
            };
        }
        let last = Piece::new(steps);
        let mut pieces = pieces.into_iter();
        match pieces.next() {
            None => Self { head: last, rest: None },
            Some(head) => {
                let middle = pieces.filter(|piece| !piece.is_empty()).collect();
                Self { head, rest: Some(Rest { middle, tail: last }) }
            }
        }
    }

    pub(super) fn decide(&self, kept: &[u8], complete: bool) -> Option<bool> {
        let mut at = match self.head.match_at(kept, 0) {
            Ok(end) => end,
            // A kept prefix that ends inside the head may go on to match it.
            Err(Mismatch::TooShort) if !complete => return None,
            Err(_) => return Some(false),
        };
        let Some(rest) = &self.rest else {
            return match (at == kept.len(), complete) {
                (false, _) => Some(false),
                (true, true) => Some(true),
                (true, false) => None,
            };
        };
        // From here on a star has been met: some continuation of a truncated value always matches, so the only
        // thing left to find out is whether every one does.
        for piece in &rest.middle {
            match piece.find_from(kept, at) {
                Some(end) => at = end,
                None => return complete.then_some(false),
            }
        }
        if rest.tail.is_empty() {
            return Some(true);
        }
        if complete { Some(rest.tail.ends(kept, at)) } else { rest.tail.any_chars_only(kept, at) }
    }
}

enum Mismatch {
    Differs,
    TooShort,
}

impl Piece {
    fn new(steps: Vec<Step>) -> Self {
        let bytes: Option<Vec<u8>> = steps
            .iter()
            .map(|step| match step {
                Step::Byte(byte) => Some(*byte),
                Step::AnyChar => None,
            })
            .collect();
        match bytes {
            Some(bytes) => Self::Text(Box::new(memmem::Finder::new(&bytes).into_owned())),
            None => Self::Steps(steps),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.needle().is_empty())
    }

    /// Where a match that begins at `at` ends.
    fn match_at(&self, value: &[u8], at: usize) -> Result<usize, Mismatch> {
        let rest = value.get(at..).unwrap_or_default();
        match self {
            Self::Text(text) => {
                let text = text.needle();
                if rest.starts_with(text) {
                    Ok(at + text.len())
                } else if text.starts_with(rest) {
                    Err(Mismatch::TooShort)
                } else {
                    Err(Mismatch::Differs)
                }
            }
            Self::Steps(steps) => {
                let mut at = at;
                for step in steps {
                    let Some(first) = value.get(at) else {
                        return Err(Mismatch::TooShort);
                    };
                    at += match step {
                        Step::Byte(byte) if byte == first => 1,
                        Step::Byte(_) => return Err(Mismatch::Differs),
                        Step::AnyChar => char_len(value.get(at..).unwrap_or_default()),
                    };
                }
                Ok(at)
            }
        }
    }

    /// The end of the leftmost match at or behind `at`.
    fn find_from(&self, value: &[u8], at: usize) -> Option<usize> {
        match self {
            Self::Text(text) => Some(at + text.find(value.get(at..)?)? + text.needle().len()),
            Self::Steps(_) => {
                let mut at = at;
                loop {
                    match self.match_at(value, at) {
                        Ok(end) => return Some(end),
                        Err(Mismatch::TooShort) => return None,
                        Err(Mismatch::Differs) => at += char_len(value.get(at..)?),
                    }
                }
            }
        }
    }

    /// Whether a match at or behind `at` ends with the value.
    fn ends(&self, value: &[u8], at: usize) -> bool {
        match self {
            Self::Text(text) => value.len() >= at + text.needle().len() && value.ends_with(text.needle()),
            Self::Steps(steps) => {
                // Its length in characters is fixed, so there is one place where it can begin.
                let mut start = value.len();
                for step in steps.iter().rev() {
                    let rest = value.get(..start).unwrap_or_default();
                    start = match (step, rest.last()) {
                        (Step::AnyChar, Some(_)) => start - last_char_len(rest),
                        (Step::Byte(byte), Some(last)) if byte == last => start - 1,
                        _ => return false,
                    };
                }
                start >= at
            }
        }
    }

    /// What a tail says of a truncated value: only one of nothing but `?` is decided, once there are characters enough.
    fn any_chars_only(&self, value: &[u8], at: usize) -> Option<bool> {
        match self {
            Self::Steps(steps) if steps.iter().all(|step| *step == Step::AnyChar) => {
                self.match_at(value, at).ok().map(|_| true)
            }
            _ => None,
        }
    }
}

/// Bytes of the first character; a byte that begins none counts as one.
fn char_len(text: &[u8]) -> usize {
    let head = text.get(..text.len().min(4)).unwrap_or_default();
    match head.utf8_chunks().next() {
        Some(chunk) => chunk.valid().chars().next().map_or(1, char::len_utf8),
        None => 1,
    }
}

/// Bytes of the last character; a byte that ends none counts as one.
fn last_char_len(text: &[u8]) -> usize {
    (2..=4)
        .find(|len| {
            let tail = text.len().checked_sub(*len).and_then(|start| text.get(start..)).unwrap_or_default();
            std::str::from_utf8(tail).is_ok_and(|tail| tail.chars().count() == 1)
        })
        .unwrap_or(1)
}
