//! Any bytes as a file of Sigma rules, and rules made of them: a rule, or a diagnostic that has its place; and what
//! compiles is linked and proved.

use std::fmt::Write as _;
use std::sync::Arc;

use trapline_engine::{Domain, LinkOptions};
use trapline_programs::catalogue::catalogue;
use trapline_programs::compile::compile;
use trapline_programs::diagnostic::{Source, render};

pub(crate) fn check(data: &[u8]) {
    compiled(&String::from_utf8_lossy(data));
    made_rule(data);
}

/// Whether the rule that is made of bytes compiles.
pub(crate) fn made_rule(data: &[u8]) -> bool {
    compiled(&made(data))
}

fn compiled(text: &str) -> bool {
    let compiled = compile(&[Source::new("rule.yml", text)], catalogue());
    for diagnostic in &compiled.diagnostics {
        assert!(!diagnostic.labels.is_empty(), "{}: {}\n{text}", diagnostic.code, diagnostic.message);
        for label in &diagnostic.labels {
            let range = &label.span.range;
            assert!(text.get(range.clone()).is_some(), "{}: {range:?} is no part of\n{text}", diagnostic.code);
        }
        assert!(!render(diagnostic, false).is_empty());
    }
    let mut domain = Domain::new(Arc::clone(catalogue()));
    for object in compiled.rules.iter().flat_map(|rule| &rule.objects) {
        let linked = match domain.link(object, &LinkOptions::default()) {
            Ok(linked) => linked,
            Err(error) => panic!("compiled, and not linked: {error}\n{text}"),
        };
        if let Err(error) = linked.verify() {
            panic!("linked, and refused: {error}\n{text}");
        }
    }
    !compiled.rules.is_empty()
}

// What is good everywhere stands first, for [`Choices::mostly`].
const SOURCES: &[&str] = &[
    "product: windows\n  category: process_creation",
    "product: windows\n  category: registry_set",
    "product: windows\n  service: security",
    "product: linux\n  category: network_connection",
    "product: aws",
    "category: webserver",
    "product: windows\n  service: none",
];
#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "Image", "CommandLine", "EventID", "ProcessId", "IpAddress", "User", "DestinationIp", "Initiated", "UtcTime", "a.b",
    "Threat Name", "Data", "", "\"'\"",
];
#[rustfmt::skip]
const MODIFIERS: &[&str] = &[
    "contains", "startswith", "endswith", "all", "cased", "neq", "windash", "re", "expand", "base64", "base64offset", "cidr", "gt",
    "lt", "gte", "hour", "day", "week", "year", "exists", "fieldref", "i", "m", "s", "utf16", "utf16be", "wide", "none",
];
#[rustfmt::skip]
const VALUES: &[&str] = &[
    "'a'", "'*\\cmd.exe'", "' -x /y '", "5", "'**?*'", "'\\\\\\*'", "'é―'", "''", "null", "-0.5", "1e400", "true", "'10.0.0.0/8'",
    "'::/0'", "'a.*b$'", "'(?i)[a-z'", "'a++'", "'%users%'", "'\\%a%b%'", "ParentImage", "[a, [b]]", "{a: b}",
    "9223372036854775808", "&x y", "*x",
];
const CONDITIONS: &[&str] = &[
    "s0",
    "not s0",
    "1 of them",
    "all of s*",
    "1 of s* and not (s0)",
    "s0 and not s1 or (s2)",
    "2 of s*",
    "s0 | count() > 5",
    "none",
    "[s0, s1]",
    "((((s0",
];

/// Takes choices from bytes; the first one when they are used up.
struct Choices<'d>(&'d [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count
    }

    /// One of the first, most of the time.
    fn mostly<'t>(&mut self, first: usize, from: &[&'t str]) -> &'t str {
        let count = if self.below(8) == 7 { from.len() } else { first };
        from[self.below(count)]
    }
}

/// A rule, nearly always with something wrong in it or at its limits.
fn made(data: &[u8]) -> String {
    let mut choices = Choices(data);
    let source = choices.mostly(6, SOURCES);
    let mut text = format!("title: A rule\nlogsource:\n  {source}\ndetection:\n");
    // Writing to a string cannot fail.
    for search in 0..1 + choices.below(3) {
        writeln!(text, "  s{search}:").unwrap();
        let list = choices.below(3) == 0;
        for item in 0..1 + choices.below(3) {
            let lead = if list || (item == 0 && choices.below(4) == 0) { "    - " } else { "      " };
            if list && choices.below(4) == 0 {
                writeln!(text, "{lead}{}", choices.mostly(7, VALUES)).unwrap();
                continue;
            }
            write!(text, "{lead}{}", choices.mostly(11, FIELDS)).unwrap();
            for _ in 0..choices.below(5).saturating_sub(2) {
                write!(text, "|{}", choices.mostly(7, MODIFIERS)).unwrap();
            }
            match choices.below(3) {
                0 => {
                    let values: Vec<&str> = (0..1 + choices.below(3)).map(|_| choices.mostly(7, VALUES)).collect();
                    writeln!(text, ": [{}]", values.join(", ")).unwrap();
                }
                _ => writeln!(text, ": {}", choices.mostly(7, VALUES)).unwrap(),
            }
        }
    }
    writeln!(text, "  condition: {}", choices.mostly(5, CONDITIONS)).unwrap();
    text
}
