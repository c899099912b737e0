//! Glob patterns: `*` any run of characters, `?` one character, `[*]`, `[?]` and `[[]` those characters themselves.
//! Any other bracket stands for itself. The whole value must match.
//!
//! A pattern is cut at its stars. What stands before the first star must begin the value, what stands after the last
//! must end it, and each piece between is looked for behind the piece before: the leftmost place is always good
//! enough, since a star takes any run. That is linear in the value for each piece: text is found by the searcher of
//! `memchr`, a run with `?` by Shift-And, whose length is therefore limited.

use memchr::memmem;

/// The most characters between two stars of a pattern if one of them is `?`.
pub const LIKE_RUN_LEN_MAX: usize = 64 * RUN_WORDS;
/// The most pieces between stars in all patterns of one predicate together.
pub const LIKE_PIECES_MAX: usize = 65_536;

/// Words of the state of a Shift-And search.
const RUN_WORDS: usize = 4;

#[derive(Debug)]
pub(super) struct Like {
    head: Piece,
    /// What follows the first star; None if there is no star.
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    middle: Vec<Middle>,
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

/// What stands between two stars.
#[derive(Debug)]
enum Middle {
    Text(Box<memmem::Finder<'static>>),
    Run(Run),
}

/// A run with `?`, prepared for Shift-And: after each character of the value, bit `i` of the state says whether the
/// last `i + 1` characters match the first `i + 1` of the run.
#[derive(Debug)]
struct Run {
    len: usize,
    /// The places that any character matches.
    any: [u64; RUN_WORDS],
    /// The places that a character matches, `any` included; ascending.
    places: Vec<(char, [u64; RUN_WORDS])>,
}

impl Like {
    /// Takes the pattern as UTF-8. None if a run with `?` between two stars is longer than [`LIKE_RUN_LEN_MAX`].
    pub(super) fn new(pattern: &[u8]) -> Option<Self> {
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
        Some(match pieces.next() {
            None => Self { head: last, rest: None },
            Some(head) => {
                let middle = pieces.filter(|piece| !piece.is_empty()).map(Middle::new).collect::<Option<_>>()?;
                Self { head, rest: Some(Rest { middle, tail: last }) }
            }
        })
    }

    /// Pieces between stars.
    pub(super) fn pieces(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.middle.len())
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

impl Middle {
    fn new(piece: Piece) -> Option<Self> {
        match piece {
            Piece::Text(text) => Some(Self::Text(text)),
            Piece::Steps(steps) => Run::new(&steps).map(Self::Run),
        }
    }

    /// The end of the leftmost match at or behind `at`.
    fn find_from(&self, value: &[u8], at: usize) -> Option<usize> {
        match self {
            Self::Text(text) => Some(at + text.find(value.get(at..)?)? + text.needle().len()),
            Self::Run(run) => run.find_from(value, at),
        }
    }
}

impl Run {
    fn new(steps: &[Step]) -> Option<Self> {
        let mut any = [0; RUN_WORDS];
        let mut places: Vec<(char, [u64; RUN_WORDS])> = Vec::new();
        let mut len = 0;
        for part in steps.chunk_by(|a, b| *a != Step::AnyChar && *b != Step::AnyChar) {
            let text: Vec<u8> = part
                .iter()
                .filter_map(|step| match step {
                    Step::Byte(byte) => Some(*byte),
                    Step::AnyChar => None,
                })
                .collect();
            if text.is_empty() {
                set(&mut any, len)?;
                len += 1;
            }
            for c in String::from_utf8_lossy(&text).chars() {
                let index = places.binary_search_by_key(&c, |place| place.0).unwrap_or_else(|index| {
                    places.insert(index, (c, [0; RUN_WORDS]));
                    index
                });
                set(&mut places.get_mut(index)?.1, len)?;
                len += 1;
            }
        }
        for (_, bits) in &mut places {
            for (word, any) in bits.iter_mut().zip(any) {
                *word |= any;
            }
        }
        Some(Self { len, any, places })
    }

    /// The end of the leftmost match at or behind `at`: its length is fixed, so it is the first to end.
    fn find_from(&self, value: &[u8], mut at: usize) -> Option<usize> {
        let last = self.len.checked_sub(1)?;
        let mut state = [0u64; RUN_WORDS];
        loop {
            let (c, len) = first_char(value.get(at..).filter(|rest| !rest.is_empty())?);
            let found = c.and_then(|c| self.places.binary_search_by_key(&c, |place| place.0).ok());
            let matching = found.and_then(|index| self.places.get(index)).map_or(self.any, |place| place.1);
            let mut carry = 1;
            for (word, matching) in state.iter_mut().zip(matching).take(last / 64 + 1) {
                let shifted = *word << 1 | carry;
                carry = *word >> 63;
                *word = shifted & matching;
            }
            at += len;
            if state.get(last / 64)? >> (last % 64) & 1 != 0 {
                return Some(at);
            }
        }
    }
}

fn set(bits: &mut [u64; RUN_WORDS], place: usize) -> Option<()> {
    *bits.get_mut(place / 64)? |= 1 << (place % 64);
    Some(())
}

/// The first character of a text that has one, and its bytes; None and one for a byte that begins none.
fn first_char(text: &[u8]) -> (Option<char>, usize) {
    if let Some(byte) = text.first().filter(|byte| byte.is_ascii()) {
        return (Some(char::from(*byte)), 1);
    }
    let head = text.get(..text.len().min(4)).unwrap_or_default();
    let c = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    (c, c.map_or(1, char::len_utf8))
}

/// Bytes of the first character; a byte that begins none counts as one.
fn char_len(text: &[u8]) -> usize {
    first_char(text).1
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
