//! Constants: what a literal means as a value of a type, patterns, and comparisons of constants.

use std::net::IpAddr;

use regex_syntax::ast::ErrorKind;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};
use trapline_vm::predicate::{Cidr, StrOp};
use trapline_vm::record::Scalar;

use super::Cx;
use super::value::{Const, Item, scalar_name};
use crate::diagnostic::Diagnostic;
use crate::hir::Literal;
use crate::lang::ast::Range;
use crate::lang::limits::{REGEX_LEN_MAX, REGEX_NESTING_MAX, REGEX_SIZE_MAX};
use crate::lang::literal::{self, DECIMAL_ONE};
use crate::lang::suggest::nearest;

/// Names of the built-in sets of address ranges.
pub(super) const BUILTIN_SETS: &[&str] = &[
    "private_ranges",
    "loopback_ranges",
    "link_local_ranges",
    "multicast_ranges",
    "unspecified_ranges",
    "broadcast_ranges",
    "shared_ranges",
    "documentation_ranges",
    "non_public_ranges",
];

/// The ranges of a built-in set.
pub(super) fn builtin_set(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "private_ranges" => &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
        "loopback_ranges" => &["127.0.0.0/8", "::1/128"],
        "link_local_ranges" => &["169.254.0.0/16", "fe80::/10"],
        "multicast_ranges" => &["224.0.0.0/4", "ff00::/8"],
        "unspecified_ranges" => &["0.0.0.0/32", "::/128"],
        "broadcast_ranges" => &["255.255.255.255/32"],
        "shared_ranges" => &["100.64.0.0/10"],
        "documentation_ranges" => &["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"],
        // All of the above.
        "non_public_ranges" => &[
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "fc00::/7",
            "127.0.0.0/8",
            "::1/128",
            "169.254.0.0/16",
            "fe80::/10",
            "224.0.0.0/4",
            "ff00::/8",
            "0.0.0.0/32",
            "::/128",
            "255.255.255.255/32",
            "100.64.0.0/10",
            "192.0.2.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "2001:db8::/32",
        ],
        _ => return None,
    })
}

/// An address, or an address with a prefix length.
pub(super) fn cidr(text: &str) -> Option<Cidr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(host(address));
    }
    let net: ipnet::IpNet = text.parse().ok()?;
    Some(Cidr { address: net.network(), prefix: net.prefix_len() })
}

/// The range of one address.
pub(super) fn host(address: IpAddr) -> Cidr {
    Cidr { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
}

/// How many bytes a hash of this name has; None: not a hash we know.
fn hash_len(field: &str) -> Option<usize> {
    Some(match field.rsplit('.').next()? {
        "md5" | "imphash" | "pehash" => 16,
        "sha1" => 20,
        "sha224" => 28,
        "sha256" => 32,
        "sha384" => 48,
        "sha512" => 64,
        _ => return None,
    })
}

/// What is wrong with a pattern: code, message, byte range in it, help.
type PatternError = (&'static str, String, std::ops::Range<usize>, String);

/// Checks a `like` pattern: `[` stands only in `[*]`, `[?]`, `[[]`.
fn check_like(pattern: &str) -> Result<(), PatternError> {
    let mut rest = pattern;
    while let Some(at) = rest.find('[') {
        let start = pattern.len() - rest.len() + at;
        let after = rest.get(at..).unwrap_or_default();
        if !["[*]", "[?]", "[[]"].iter().any(|escape| after.starts_with(escape)) {
            return Err((
                "invalid-pattern",
                "`[` in a `like` pattern stands only in `[*]`, `[?]` and `[[]`".to_owned(),
                start..start + 1,
                "write `[[]` for the character `[`; for sets of characters use `regex`".to_owned(),
            ));
        }
        rest = after.get(3..).unwrap_or_default();
    }
    Ok(())
}

/// States of a regular expression, roughly, with repetitions written out.
fn regex_size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1));
            regex_size(&repetition.sub).saturating_mul(times).saturating_add(1)
        }
        HirKind::Capture(capture) => regex_size(&capture.sub).saturating_add(1),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |size, part| size.saturating_add(regex_size(part)))
        }
    }
}

fn parse_regex(pattern: &str, fold: bool) -> Result<Hir, PatternError> {
    if pattern.len() > REGEX_LEN_MAX {
        let message = format!("a regular expression has at most {REGEX_LEN_MAX} bytes, this one has {}", pattern.len());
        return Err(("limit", message, 0..pattern.len(), "split it into several, in a list".to_owned()));
    }
    let mut parser = regex_syntax::ParserBuilder::new().nest_limit(REGEX_NESTING_MAX).case_insensitive(fold).build();
    let hir = parser.parse(pattern).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => {
            let range = error.span().start.offset..error.span().end.offset;
            let (code, help) = match error.kind() {
                ErrorKind::UnsupportedLookAround => (
                    "unsupported-regex",
                    "regular expressions run in linear time, without look-around: test what must not match \
                     in a second condition, `x regex \"…\" and not x regex \"…\"`",
                ),
                ErrorKind::UnsupportedBackreference => (
                    "unsupported-regex",
                    "regular expressions run in linear time, without back-references: list the possible repetitions, \
                     or compare two fields",
                ),
                ErrorKind::NestLimitExceeded(_) => ("limit", "make the expression flatter"),
                ErrorKind::EscapeUnrecognized => (
                    "invalid-regex",
                    "a backslash before a letter that means nothing is a mistake; `\\\\` is a backslash",
                ),
                _ => (
                    "invalid-regex",
                    "the syntax is that of the Rust crate `regex`; write patterns in '…', where nothing is escaped",
                ),
            };
            (code, error.kind().to_string(), range, help.to_owned())
        }
        regex_syntax::Error::Translate(error) => {
            let range = error.span().start.offset..error.span().end.offset;
            (
                "invalid-regex",
                error.kind().to_string(),
                range,
                "the syntax is that of the Rust crate `regex`".to_owned(),
            )
        }
        other => ("invalid-regex", other.to_string(), 0..pattern.len(), String::new()),
    })?;
    let size = regex_size(&hir);
    if size > REGEX_SIZE_MAX {
        let message = format!("this regular expression has {size} states written out, the most is {REGEX_SIZE_MAX}");
        return Err(("limit", message, 0..pattern.len(), "use smaller repetition counts".to_owned()));
    }
    Ok(hir)
}

/// Why a regular expression is refused, and what to do about it.
pub(crate) fn check_regex(pattern: &str) -> Result<(), (String, String)> {
    parse_regex(pattern, false).map(|_| ()).map_err(|(_, message, _, help)| (message, help))
}

/// Whether the case of letters matters to the test.
pub(crate) fn case_matters(op: StrOp, text: &str) -> bool {
    if op == StrOp::Regex {
        // Equal to its case-insensitive form: nothing in it has case, or it says `(?i)` itself.
        return match (parse_regex(text, false), parse_regex(text, true)) {
            (Ok(exact), Ok(folded)) => exact != folded,
            _ => false,
        };
    }
    text.chars().any(|c| orbit(c).ranges().iter().any(|range| range.start() != c || range.end() != c))
}

/// A character and all that are equal to it by simple case folding.
fn orbit(c: char) -> ClassUnicode {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    // Without the tables there is no folding; they are always built in.
    match class.try_case_fold_simple() {
        Ok(()) => class,
        Err(_) => ClassUnicode::new([ClassUnicodeRange::new(c, c)]),
    }
}

/// Text with each character replaced by the least one equal to it.
fn folded(text: &str) -> String {
    text.chars().map(|c| orbit(c).ranges().first().map_or(c, |range| range.start())).collect()
}

/// What a string test says of two constants. Regular expressions are not evaluated here.
pub(crate) fn compare_text(op: StrOp, fold: bool, value: &str, literal: &str) -> Option<bool> {
    let (value, literal) = if fold { (folded(value), folded(literal)) } else { (value.to_owned(), literal.to_owned()) };
    Some(match op {
        StrOp::Equals => value == literal,
        StrOp::Contains => value.contains(&literal),
        StrOp::StartsWith => value.starts_with(&literal),
        StrOp::EndsWith => value.ends_with(&literal),
        StrOp::Like => like(&value, &literal),
        StrOp::Under => {
            let separators = ['/', '\\'];
            let literal = literal.strip_suffix(separators).unwrap_or(&literal);
            match value.strip_prefix(literal) {
                Some(rest) => rest.is_empty() || rest.starts_with(separators),
                None => false,
            }
        }
        StrOp::Regex => return None,
    })
}

/// Whether a value matches a `like` pattern, by remembering the last `*`.
fn like(value: &str, pattern: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Piece {
        Run,
        One,
        Char(char),
    }
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let escaped = ["[*]", "[?]", "[[]"].iter().find(|escape| rest.starts_with(**escape));
        let (piece, len) = match (escaped, c) {
            (Some(escape), _) => (Piece::Char(escape.chars().nth(1).unwrap_or(c)), escape.len()),
            (None, '*') => (Piece::Run, 1),
            (None, '?') => (Piece::One, 1),
            (None, c) => (Piece::Char(c), c.len_utf8()),
        };
        pieces.push(piece);
        rest = rest.get(len..).unwrap_or_default();
    }
    let value: Vec<char> = value.chars().collect();
    let (mut at, mut next) = (0, 0);
    let mut last_run: Option<(usize, usize)> = None;
    while at < value.len() {
        match pieces.get(next) {
            Some(Piece::Run) => {
                last_run = Some((next, at));
                next += 1;
            }
            Some(Piece::One) => {
                at += 1;
                next += 1;
            }
            Some(Piece::Char(c)) if value.get(at) == Some(c) => {
                at += 1;
                next += 1;
            }
            _ => match last_run {
                Some((run, from)) => {
                    last_run = Some((run, from + 1));
                    at = from + 1;
                    next = run + 1;
                }
                None => return false,
            },
        }
    }
    pieces.get(next..).unwrap_or_default().iter().all(|piece| *piece == Piece::Run)
}

impl Cx<'_, '_> {
    /// Checks the pattern of a `like` or `regex`; None: reported.
    pub(super) fn check_pattern(&mut self, op: StrOp, fold: bool, item: &Item) -> Option<()> {
        let Const::Str(cooked) = &item.value else { return Some(()) };
        let checked = match op {
            StrOp::Like => check_like(&cooked.text),
            StrOp::Regex => parse_regex(&cooked.text, fold).map(|_| ()),
            _ => Ok(()),
        };
        let Err((code, message, range, help)) = checked else { return Some(()) };
        let whole = &item.range;
        let at = |at: usize| (whole.start + cooked.origin(at)).min(whole.end);
        let range = at(range.start)..at(range.end).max(at(range.start));
        let span = self.file.span(&range);
        let mut diagnostic = Diagnostic::error(code, message, span, "in this pattern");
        if !help.is_empty() {
            diagnostic = diagnostic.help(help);
        }
        self.report(diagnostic);
        None
    }

    /// A constant as a value of a type; None: reported. `name` is what it is compared with or stands for.
    pub(super) fn literal(&mut self, scalar: Scalar, name: &str, item: &Item) -> Option<Literal> {
        let invalid = |message: String, help: &str| {
            let span = self.file.span(&item.range);
            let shown = format!("not a value of `{name}`");
            let diagnostic = Diagnostic::error("invalid-literal", message, span, shown);
            if help.is_empty() { diagnostic } else { diagnostic.help(help.to_owned()) }
        };
        let diagnostic = match (scalar, &item.value) {
            (Scalar::Bool, Const::Bool(value)) => return Some(Literal::Bool(*value)),
            (Scalar::Int, Const::Int(value)) => return Some(Literal::Int(*value)),
            (Scalar::Decimal, Const::Decimal(value)) => return Some(Literal::Int(*value)),
            (Scalar::Decimal, Const::Int(value)) => return Some(Literal::Int(value.saturating_mul(DECIMAL_ONE))),
            (Scalar::Duration, Const::Duration(value)) => return Some(Literal::Int(*value)),
            (Scalar::Str | Scalar::Path, Const::Str(text)) => return Some(Literal::Str(text.text.clone())),
            (Scalar::Time, Const::Str(text)) => match literal::time(&text.text) {
                Ok(time) => return Some(Literal::Int(time)),
                Err(shape) => invalid(format!("\"{}\" is no time", short(&text.text)), &shape),
            },
            (Scalar::Ip, Const::Str(text)) => match text.text.parse::<IpAddr>() {
                Ok(address) => return Some(Literal::Ip(address)),
                Err(_) if cidr(&text.text).is_some() => invalid(
                    format!("\"{}\" is a range, not an address", short(&text.text)),
                    &format!("write `cidr({name}, \"{}\")`", short(&text.text)),
                ),
                Err(_) => invalid(
                    format!("\"{}\" is no address", short(&text.text)),
                    "addresses are written like \"192.0.2.1\" or \"2001:db8::1\"",
                ),
            },
            (Scalar::Bytes, Const::Str(text)) => match (literal::hex(&text.text), hash_len(name)) {
                (Ok(bytes), Some(len)) if bytes.len() != len => invalid(
                    format!("this hash has {} hex digits, `{name}` has {}", bytes.len() * 2, len * 2),
                    hash_hint(bytes.len()),
                ),
                (Ok(bytes), _) => return Some(Literal::Bytes(bytes)),
                (Err(message), _) => invalid(message, "bytes are written as hex digits, two a byte"),
            },
            (Scalar::Enum(id), Const::Str(text)) => {
                let enumeration = self.file.catalogue.enums.get(usize::from(id.0))?;
                if let Some(index) = enumeration.variants.iter().position(|variant| *variant == text.text) {
                    return Some(Literal::Enum(u32::try_from(index).ok()));
                }
                let span = self.file.span(&item.range);
                let message = format!("`{name}` is never \"{}\"", short(&text.text));
                let mut diagnostic = Diagnostic::error("unknown-variant", message, span, "not one of its values");
                let variants = enumeration.variants.iter().map(String::as_str);
                if let Some(near) = nearest(&text.text, variants.clone()) {
                    diagnostic = diagnostic.help(format!("did you mean \"{near}\"?"));
                }
                let shown: Vec<String> = variants.take(40).map(|variant| format!("\"{variant}\"")).collect();
                diagnostic.help(format!("its values are {}", shown.join(", ")))
            }
            (scalar, value) => {
                let span = self.file.span(&item.range);
                let message = format!("`{name}` is {}, and this is {}", article(scalar), value.describe());
                let diagnostic = Diagnostic::error("type-mismatch", message, span, format!("not {}", article(scalar)));
                let hint = match (scalar, value) {
                    (Scalar::Duration, Const::Int(_)) => "write a unit: `30s`, `5m`",
                    (Scalar::Str | Scalar::Path, Const::Int(_) | Const::Decimal(_)) => "text stands in quotes",
                    (Scalar::Int | Scalar::Decimal, Const::Str(_)) => "numbers stand without quotes",
                    (Scalar::Bool, _) => "write `true` or `false`",
                    (Scalar::Time, _) => "write a time as text: \"2027-01-31T18:30:00Z\"",
                    (Scalar::Ip, _) => "addresses are written as text: \"192.0.2.1\"",
                    (Scalar::Enum(_), _) => "values of enumerations are written as text",
                    _ => "",
                };
                if hint.is_empty() { diagnostic } else { diagnostic.help(hint) }
            }
        };
        self.report(diagnostic);
        None
    }

    /// An address range of a list or argument; None: reported.
    pub(super) fn range(&mut self, name: &str, item: &Item) -> Option<Cidr> {
        if let Const::Str(text) = &item.value {
            if let Some(range) = cidr(&text.text) {
                return Some(range);
            }
            let range: Range = item.range.clone();
            let span = self.file.span(&range);
            let message = format!("\"{}\" is no address range", short(&text.text));
            self.report(
                Diagnostic::error("invalid-literal", message, span, "not an address range")
                    .help("ranges are written like \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.1\""),
            );
            return None;
        }
        self.literal(Scalar::Ip, name, item).map(|_| host(IpAddr::from([0, 0, 0, 0])))
    }
}

/// What a hash of another length might be.
fn hash_hint(len: usize) -> &'static str {
    match len {
        16 => "this has the length of an MD5",
        20 => "this has the length of a SHA-1",
        32 => "this has the length of a SHA-256",
        64 => "this has the length of a SHA-512",
        _ => "",
    }
}

fn article(scalar: Scalar) -> String {
    match scalar {
        Scalar::Int | Scalar::Ip | Scalar::Enum(_) => format!("an {}", scalar_name(scalar)),
        Scalar::Bytes => "bytes".to_owned(),
        _ => format!("a {}", scalar_name(scalar)),
    }
}

/// Text for a message, cut when long.
fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().count() > 60 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likes() {
        for (pattern, value, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a?c", "aéc", true),
            ("a[*]c", "a*c", true),
            ("a[*]c", "abc", false),
            ("[[]x", "[x", true),
            ("C:\\*", "C:\\Windows", true),
        ] {
            assert_eq!(like(value, pattern), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn folding() {
        assert_eq!(compare_text(StrOp::Equals, true, "STRASSE", "strasse"), Some(true));
        assert_eq!(compare_text(StrOp::Equals, true, "Σς", "σσ"), Some(true));
        assert_eq!(compare_text(StrOp::Equals, true, "K", "k"), Some(true));
        assert_eq!(compare_text(StrOp::Equals, false, "A", "a"), Some(false));
        assert_eq!(compare_text(StrOp::Under, false, "/tmp", "/tmp/"), Some(true));
        assert_eq!(compare_text(StrOp::Under, false, "/tmpfile", "/tmp/"), Some(false));
        assert_eq!(compare_text(StrOp::Under, true, "C:\\TEMP\\x", "c:\\temp"), Some(true));
    }

    #[test]
    fn case_in_patterns() {
        assert!(case_matters(StrOp::Equals, "cmd.exe"));
        assert!(!case_matters(StrOp::Equals, "\\1234.*"));
        assert!(case_matters(StrOp::Regex, r"\.exe$"));
        assert!(!case_matters(StrOp::Regex, r"(?i)\.exe$"));
        assert!(!case_matters(StrOp::Regex, r"^\d+$"));
    }

    #[test]
    fn regex_limits() {
        let size = |n: usize| parse_regex(&format!("(?:a{{1000}}){{{n}}}"), false);
        assert!(size(99).is_ok());
        assert_eq!(size(101).map_err(|error| error.0).err(), Some("limit"));
        // 1 for the sequence, 1 for each repetition beside what it repeats.
        let rest = REGEX_SIZE_MAX as usize - (1 + 99 * 1001 + 1);
        let exact = |n: usize| parse_regex(&format!("(?:a{{1000}}){{99}}{}", "x".repeat(n)), false);
        assert!(exact(rest - 1).is_ok());
        assert!(exact(rest).is_ok());
        assert_eq!(exact(rest + 1).map_err(|error| error.0).err(), Some("limit"));
        assert!(parse_regex(&"a".repeat(REGEX_LEN_MAX - 1), false).is_ok());
        assert!(parse_regex(&"a".repeat(REGEX_LEN_MAX), false).is_ok());
        assert_eq!(parse_regex(&"a".repeat(REGEX_LEN_MAX + 1), false).map_err(|error| error.0).err(), Some("limit"));
        let nested = |n: usize| parse_regex(&format!("{}a{}", "(".repeat(n), ")".repeat(n)), false);
        let most = REGEX_NESTING_MAX as usize;
        assert!(nested(most - 1).is_ok());
        assert!(nested(most).is_ok());
        assert_eq!(nested(most + 1).map_err(|error| error.0).err(), Some("limit"));
    }
}
