//! Regular expressions, compiled once when a predicate gets its number, in time linear in the value.
//!
//! On a truncated value a match is final unless an assertion could look at what was cut off. Assertions look at one
//! character to each side, or whether there is one, so a match that ends before the kept prefix does cannot be undone;
//! one that ends with it can only if the expression has an assertion that looks ahead. No match is final if every match
//! would begin with the value and is no longer than what was kept.
//!
//! "Linear" hides a factor: in the worst case every place of the expression is looked at for every byte of the value, and
//! counted repetition makes many places of a few characters. So the two together are limited ([`REGEX_STEPS_MAX`]): of a
//! value that is too long for the expressions of a test, only a prefix is searched, as if the value were truncated there;
//! a rule that this leaves undecided is not evaluable on that event, and counted.

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, HirKind, Look};

use trapline_vm::record::LONG_STRING_LEN_MAX;

use super::TestError;

/// The longest regular expression, in bytes.
pub const REGEX_LEN_MAX: usize = 16 * 1024;
/// The most bytes of one compiled expression.
pub const REGEX_NFA_LEN_MAX: usize = 4 << 20;
/// The most bytes of the states that an expression builds while it searches, a thread.
pub const REGEX_CACHE_LEN_MAX: usize = 256 << 10;
/// The most expressions of one predicate: each keeps its own caches.
pub const REGEXES_MAX: usize = 256;
/// The most bytes searched, times places of all expressions of the predicate. Expressions of up to 512 places see the
/// longest value whole.
pub const REGEX_STEPS_MAX: usize = 512 * LONG_STRING_LEN_MAX as usize;
/// The deepest nesting of groups and repetitions.
pub const REGEX_DEPTH_MAX: u32 = 100;

/// Assertions that look only behind: more text after the value changes nothing for them.
const LOOKS_BEHIND: [Look; 4] = [Look::Start, Look::StartLF, Look::WordStartHalfAscii, Look::WordStartHalfUnicode];

#[derive(Debug)]
pub(super) struct Regex {
    regex: meta::Regex,
    looks_ahead: bool,
    /// The longest match, if every match begins where the value does.
    anchored_len: Option<usize>,
    /// Characters that a match can be made of, each repetition counted.
    places: usize,
    /// Bytes of a value that are searched.
    len_max: usize,
}

/// Compiles the expressions of one predicate.
pub(super) fn all(patterns: &[String], fold: bool) -> Result<Vec<Regex>, TestError> {
    if let Some(surplus) = patterns.get(REGEXES_MAX) {
        let reason = format!("the test has {} expressions, more than {REGEXES_MAX}", patterns.len());
        return Err(TestError::Regex { pattern: shortened(surplus), reason });
    }
    let mut regexes = patterns.iter().map(|pattern| Regex::new(pattern, fold)).collect::<Result<Vec<_>, _>>()?;
    let places = regexes.iter().fold(1, |sum: usize, regex| sum.saturating_add(regex.places));
    for regex in &mut regexes {
        regex.len_max = REGEX_STEPS_MAX / places;
    }
    Ok(regexes)
}

/// See [`Regex::places`]. The nesting is limited, so is the recursion.
fn places(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.max(1)) as usize;
            places(&repetition.sub).saturating_mul(times)
        }
        HirKind::Capture(capture) => places(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |sum: usize, part| sum.saturating_add(places(part)))
        }
    }
}

impl Regex {
    fn new(pattern: &str, fold: bool) -> Result<Self, TestError> {
        let refuse = |reason: String| TestError::Regex { pattern: shortened(pattern), reason };
        if pattern.len() > REGEX_LEN_MAX {
            return Err(refuse(format!("it is {} bytes long, more than {REGEX_LEN_MAX}", pattern.len())));
        }
        let syntax = syntax::Config::new().case_insensitive(fold).nest_limit(REGEX_DEPTH_MAX);
        let hir: Hir = syntax::parse_with(pattern, &syntax).map_err(|error| refuse(error.to_string()))?;
        let config = meta::Config::new()
            .nfa_size_limit(Some(REGEX_NFA_LEN_MAX))
            .onepass_size_limit(Some(REGEX_CACHE_LEN_MAX))
            .hybrid_cache_capacity(REGEX_CACHE_LEN_MAX);
        let regex = meta::Builder::new().configure(config).build_from_hir(&hir).map_err(|error| {
            refuse(match error.size_limit() {
                Some(limit) => format!("compiled, it takes more than {limit} bytes"),
                None => error.to_string(),
            })
        })?;
        let properties = hir.properties();
        let looks_ahead = properties.look_set().iter().any(|look| !LOOKS_BEHIND.contains(&look));
        let anchored = properties.look_set_prefix().contains(Look::Start);
        let anchored_len = properties.maximum_len().filter(|_| anchored);
        Ok(Self { regex, looks_ahead, anchored_len, places: places(&hir), len_max: usize::MAX })
    }

    pub(super) fn decide(&self, kept: &[u8], complete: bool) -> Option<bool> {
        let (kept, complete) = match kept.get(..self.len_max) {
            Some(searched) => (whole_chars(searched), complete && kept.len() == self.len_max),
            None => (kept, complete),
        };
        let Some(found) = self.regex.search_half(&Input::new(kept).earliest(true)) else {
            // An assertion that looks ahead may fail only because the prefix ends behind the match, so there must be
            // a character more.
            let decided =
                complete || self.anchored_len.is_some_and(|len| len + usize::from(self.looks_ahead) <= kept.len());
            return decided.then_some(false);
        };
        if complete || !self.looks_ahead || found.offset() < kept.len() { Some(true) } else { None }
    }
}

/// The text without a character at its end that is cut.
fn whole_chars(text: &[u8]) -> &[u8] {
    let cut = text.iter().rev().take(3).position(|byte| *byte & 0xc0 == 0xc0).map_or(0, |after| after + 1);
    let Some((whole, last)) = text.split_at_checked(text.len() - cut) else { return text };
    if std::str::from_utf8(last).is_ok() { text } else { whole }
}

pub(super) fn shortened(pattern: &str) -> String {
    const SHOWN: usize = 80;
    match pattern.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", pattern.get(..end).unwrap_or_default()),
        None => pattern.to_owned(),
    }
}
