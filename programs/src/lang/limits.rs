//! Every limit on rule text, by name. Going over one is a diagnostic (`limit`), never a crash or a long wait.

/// Bytes of one file.
pub const FILE_LEN_MAX: usize = 4 * 1024 * 1024;
/// How deep conditions, lists and records may nest.
pub const NESTING_MAX: u32 = 64;
/// Elements of one list, after the lists named in it are spliced in.
pub const LIST_ITEMS_MAX: usize = 10_000;
/// Bytes of one name, dots included.
pub const NAME_LEN_MAX: usize = 256;
/// Bytes of one string, escapes resolved.
pub const STRING_LEN_MAX: usize = 32 * 1024;
/// Bytes of one regular expression.
pub const REGEX_LEN_MAX: usize = 4096;
/// How deep a regular expression may nest.
pub const REGEX_NESTING_MAX: u32 = 64;
/// States of one regular expression once repetitions are written out.
pub const REGEX_SIZE_MAX: u64 = 100_000;
/// Tests and computations of one rule, after macros are expanded.
pub const LEAVES_MAX: usize = 4096;
/// Tests and computations of all rules of a file.
pub const FILE_LEAVES_MAX: usize = 200_000;
/// Elements of all lists of a file, counted wherever a list is named.
pub const FILE_LIST_ITEMS_MAX: usize = 1_000_000;
/// Uses of macros, lets and lists in a file, those within each other included.
pub const FILE_EXPANSIONS_MAX: usize = 200_000;
/// How deep conditions and values may nest once macros are expanded.
pub const EXPANDED_NESTING_MAX: u32 = 192;
/// Macros, lets and parameters within each other.
pub const EXPANSION_DEPTH_MAX: u32 = 32;
/// `let`s of one rule.
pub const LETS_MAX: usize = 256;
/// Parameters of one macro.
pub const PARAMS_MAX: usize = 64;
/// Fields named in one event or record of a test.
pub const TEST_FIELDS_MAX: usize = 1024;
/// Events of one test.
pub const TEST_EVENTS_MAX: usize = 256;
/// Diagnostics reported of one file; the rest is counted.
pub const DIAGNOSTICS_MAX: usize = 200;
/// Characters of a test's own words as alerts carry them.
pub const LEAF_TEXT_MAX: usize = 240;
