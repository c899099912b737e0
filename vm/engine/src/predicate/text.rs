//! Tests on text: the operators that compare a whole value, a part, a prefix or a suffix; the others have their own
//! files. All work on bytes that are UTF-8 (a suffix that is UTF-8 begins at a character). With folding, literals are
//! folded when prepared and the value when tested, character by character, so a prefix of the value folds to a prefix.

use memchr::memmem;
use trapline_vm::predicate::StrOp;
use trapline_vm::text::fold_str;

use super::like::{LIKE_PIECES_MAX, LIKE_RUN_LEN_MAX, Like};
use super::regex::{self, Regex};
use super::scratch::Scratch;
use super::under::Under;
use super::{TestError, equals_any};

#[derive(Debug)]
pub(super) struct TextTest {
    matcher: TextMatcher,
    /// Whether the value is folded before it is compared; a folding regex folds by itself.
    fold_value: bool,
}

#[derive(Debug)]
enum TextMatcher {
    /// Sorted.
    Equals(Vec<Box<[u8]>>),
    Contains(Vec<memmem::Finder<'static>>),
    StartsWith(Vec<Box<[u8]>>),
    EndsWith(Vec<Box<[u8]>>),
    Like(Vec<Like>),
    Under(Vec<Under>),
    Regex(Vec<Regex>),
}

impl TextTest {
    pub(super) fn new(op: StrOp, literals: &[String], fold: bool) -> Result<Self, TestError> {
        // Neither the signs of a glob nor separators change under folding, so patterns and paths fold as text.
        let texts = || canonical(literals, fold).into_iter().map(|text| text.into_bytes().into_boxed_slice());
        let matcher = match op {
            StrOp::Equals => TextMatcher::Equals(texts().collect()),
            StrOp::Contains => {
                TextMatcher::Contains(texts().map(|text| memmem::Finder::new(&text).into_owned()).collect())
            }
            StrOp::StartsWith => TextMatcher::StartsWith(texts().collect()),
            StrOp::EndsWith => TextMatcher::EndsWith(texts().collect()),
            StrOp::Like => TextMatcher::Like(patterns(texts())?),
            StrOp::Under => TextMatcher::Under(texts().map(|text| Under::new(&text)).collect()),
            StrOp::Regex => TextMatcher::Regex(regex::all(literals, fold)?),
        };
        Ok(Self { matcher, fold_value: fold && op != StrOp::Regex })
    }

    pub(super) fn decide(&self, raw: u64, kept: &[u8], complete: bool, scratch: &mut Scratch) -> Option<bool> {
        let kept = if self.fold_value { scratch.fold(raw, kept) } else { kept };
        match &self.matcher {
            TextMatcher::Equals(texts) => equals_any(texts, kept, complete),
            TextMatcher::Contains(finders) => any(finders, |finder| contains(finder, kept, complete)),
            TextMatcher::StartsWith(texts) => any(texts, |text| starts_with(text, kept, complete)),
            TextMatcher::EndsWith(texts) => any(texts, |text| ends_with(text, kept, complete)),
            TextMatcher::Like(patterns) => any(patterns, |pattern| pattern.decide(kept, complete)),
            TextMatcher::Under(paths) => any(paths, |path| path.decide(kept, complete)),
            TextMatcher::Regex(regexes) => any(regexes, |regex| regex.decide(kept, complete)),
        }
    }
}

/// The literals folded if asked, sorted, each once. Not for regular expressions, where case carries meaning (`\W`).
pub(super) fn canonical(literals: &[String], fold: bool) -> Vec<String> {
    let mut texts: Vec<String> = literals.iter().map(|text| if fold { fold_str(text) } else { text.clone() }).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Prepares globs, as many as are cheap enough.
fn patterns(texts: impl Iterator<Item = Box<[u8]>>) -> Result<Vec<Like>, TestError> {
    let mut pieces = 0;
    texts
        .map(|text| {
            let refuse = |reason: String| {
                let pattern = regex::shortened(&String::from_utf8_lossy(&text));
                TestError::Pattern { pattern, reason }
            };
            let pattern = Like::new(&text).ok_or_else(|| {
                refuse(format!("a part with `?` between two `*` exceeds {LIKE_RUN_LEN_MAX} characters"))
            })?;
            pieces += pattern.pieces();
            if pieces > LIKE_PIECES_MAX {
                return Err(refuse(format!("the test has more than {LIKE_PIECES_MAX} parts between `*`")));
            }
            Ok(pattern)
        })
        .collect()
}

/// Kleene's *or* over the literals.
fn any<T>(literals: &[T], decide: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut known = true;
    for literal in literals {
        match decide(literal) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

fn contains(finder: &memmem::Finder<'_>, kept: &[u8], complete: bool) -> Option<bool> {
    match finder.find(kept) {
        Some(_) => Some(true),
        None => complete.then_some(false),
    }
}

fn starts_with(text: &[u8], kept: &[u8], complete: bool) -> Option<bool> {
    if !complete && kept.len() < text.len() && text.starts_with(kept) {
        return None;
    }
    Some(kept.starts_with(text))
}

fn ends_with(text: &[u8], kept: &[u8], complete: bool) -> Option<bool> {
    if complete || text.is_empty() { Some(kept.ends_with(text)) } else { None }
}
