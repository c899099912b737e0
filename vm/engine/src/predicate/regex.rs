//! Regular expressions, compiled once when a predicate gets its number, in time linear in the value.
//!
//! On a truncated value a match is final unless an assertion could look at what was cut off. Assertions look at one
//! character to each side, or whether there is one, so a match that ends before the kept prefix does cannot be undone;
//! one that ends with it can only if the expression has an assertion that looks ahead. No match is final if every match
//! would begin with the value and is no longer than what was kept.

use regex_automata::Input;
use regex_automata::meta;
use regex_automata::util::syntax;
use regex_syntax::hir::{Hir, Look};

use super::TestError;

/// The longest regular expression, in bytes.
pub const REGEX_LEN_MAX: usize = 16 * 1024;
/// The most bytes of one compiled expression.
pub const REGEX_NFA_LEN_MAX: usize = 4 << 20;
/// The most bytes of the states that an expression builds while it searches, a thread.
pub const REGEX_CACHE_LEN_MAX: usize = 256 << 10;
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
}

impl Regex {
    pub(super) fn new(pattern: &str, fold: bool) -> Result<Self, TestError> {
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
        Ok(Self { regex, looks_ahead, anchored_len: properties.maximum_len().filter(|_| anchored) })
    }

    pub(super) fn decide(&self, kept: &[u8], complete: bool) -> Option<bool> {
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

fn shortened(pattern: &str) -> String {
    const SHOWN: usize = 80;
    match pattern.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", pattern.get(..end).unwrap_or_default()),
        None => pattern.to_owned(),
    }
}
