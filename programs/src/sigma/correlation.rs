//! Correlations of Sigma: checked against *Sigma Correlation Rules Specification* 2.1, and then refused, because nothing
//! here remembers what it saw between events yet.
//!
//! The rules that a correlation joins alert by themselves only where it says `generate: true` (the specification's
//! default is that they do not). So they are held back with it: single failed logons are no alerts because nobody
//! counts them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use trapline_vm::record::Catalogue;

use super::condition;
use super::document::{Correlation, Header, Located, SigmaRule, first_key};
use super::stream::{Stream, Wanted};
use super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::lang::suggest::nearest;

/// Types, and whether their condition names a field.
const TYPES: &[(&str, bool)] = &[
    ("event_count", false),
    ("temporal", false),
    ("temporal_ordered", false),
    ("value_avg", true),
    ("value_count", true),
    ("value_median", true),
    ("value_percentile", true),
    ("value_sum", true),
];
const OPERATORS: &[&str] = &["eq", "gt", "gte", "lt", "lte", "neq"];

/// All that a correlation may name.
pub(super) struct Named<'n> {
    pub(super) rules: &'n [(&'n Arc<Source>, Box<SigmaRule>)],
    pub(super) correlations: &'n [(&'n Arc<Source>, Box<Correlation>)],
}

/// What a name or an id stands for.
enum Found<'n> {
    Rule(usize, &'n SigmaRule),
    Correlation(usize),
}

impl<'n> Named<'n> {
    fn find(&self, name: &str) -> Vec<Found<'n>> {
        let is = |header: &Header| !name.is_empty() && (name == header.name || name.eq_ignore_ascii_case(&header.id));
        let rules = self.rules.iter().enumerate().filter(|(_, (_, rule))| is(&rule.header));
        let rules = rules.map(|(number, (_, rule))| Found::Rule(number, rule));
        let others = self.correlations.iter().enumerate().filter(|(_, (_, other))| is(&other.header));
        rules.chain(others.map(|(number, _)| Found::Correlation(number))).collect()
    }

    /// The rules that do not alert by themselves, by number, each with the place that says so.
    pub(super) fn held_back(&self) -> Vec<(usize, Span, String)> {
        let mut held = Vec::new();
        for (source, correlation) in self.correlations.iter().filter(|(_, correlation)| !correlation.generate) {
            for name in names(correlation) {
                for found in self.find(&name.text) {
                    if let Found::Rule(number, _) = found {
                        let span = Span { source: (*source).clone(), range: name.range.clone() };
                        held.push((number, span, correlation.header.title.clone()));
                    }
                }
            }
        }
        held
    }

    /// Whether a correlation is a part of itself.
    fn is_round(&self, start: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![start];
        while let Some(number) = next.pop() {
            let Some((_, correlation)) = self.correlations.get(number) else { continue };
            for name in names(correlation) {
                for found in self.find(&name.text) {
                    match found {
                        Found::Correlation(other) if other == start => return true,
                        Found::Correlation(other) if seen.insert(other) => next.push(other),
                        _ => {}
                    }
                }
            }
        }
        false
    }
}

/// The rules that a correlation names: of an extended condition without a list, those in it.
fn names(correlation: &Correlation) -> Vec<Located> {
    if !correlation.rules.is_empty() {
        return correlation.rules.clone();
    }
    let Some(Node { kind: Kind::Text(text), range }) = &correlation.condition else { return Vec::new() };
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).filter(|word| !word.is_empty());
    let words: BTreeSet<&str> = words.filter(|word| !["and", "or", "not"].contains(word)).collect();
    words.into_iter().map(|word| Located { text: word.to_owned(), range: range.clone() }).collect()
}

/// Checks a correlation, and refuses it.
pub(super) fn check(number: usize, named: &Named<'_>, catalogue: &Catalogue, diagnostics: &mut Vec<Diagnostic>) {
    let Some((source, correlation)) = named.correlations.get(number) else { return };
    let mut checker = Checker { source, correlation, named, catalogue, diagnostics, mistakes: 0 };
    checker.check(number);
    if checker.mistakes > 0 {
        return;
    }
    let Correlation { header, kind, group_by, range, .. } = correlation.as_ref();
    let over = if group_by.is_empty() { "" } else { ", by group" };
    let message = format!("the correlation `{}` ({}{over}) cannot be run yet", header.title, kind.text);
    let span = Span { source: (*source).clone(), range: range.clone() };
    diagnostics.push(
        Diagnostic::error("sigma-unsupported", message, span, "refused")
            .help("it needs what a rule remembers between events, which the language does not have yet"),
    );
}

struct Checker<'c> {
    source: &'c Arc<Source>,
    correlation: &'c Correlation,
    named: &'c Named<'c>,
    catalogue: &'c Catalogue,
    diagnostics: &'c mut Vec<Diagnostic>,
    mistakes: usize,
}

impl Checker<'_> {
    fn tell(&mut self, code: &'static str, range: &Range<usize>, message: impl Into<String>, label: &str, help: &str) {
        self.mistakes += 1;
        let span = Span { source: self.source.clone(), range: range.clone() };
        let told = Diagnostic::error(code, message, span, label);
        self.diagnostics.push(if help.is_empty() { told } else { told.help(help) });
    }

    fn check(&mut self, number: usize) {
        let correlation = self.correlation;
        let kind = correlation.kind.text.as_str();
        let Some((_, needs_field)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            let help = match nearest(kind, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the types are {}", names.join(", ")),
            };
            let message = format!("`{kind}` is no type of correlation");
            return self.tell("sigma-document", &correlation.kind.range, message, "unknown", &help);
        };
        let rules = names(correlation);
        if rules.is_empty() {
            let help = "a list of names or ids of rules: `rules: [failed_logon]`";
            self.tell("sigma-document", &correlation.range, "the correlation names no rules", "in this", help);
        }
        for (at, rule) in rules.iter().enumerate() {
            let message = match self.named.find(&rule.text).len() {
                0 => format!("there is no rule `{}` among the files", rule.text),
                1 if rules.iter().take(at).any(|other| other.text == rule.text) => {
                    format!("the rule `{}` is named twice", rule.text)
                }
                1 => continue,
                count => format!("there are {count} rules `{}` among the files", rule.text),
            };
            self.tell("sigma-document", &rule.range, message, "this one", "rules are named by `name` or `id`");
        }
        if self.named.is_round(number) {
            self.tell("sigma-document", &correlation.range, "the correlation is a part of itself", "in this", "");
        }
        match &correlation.timespan {
            None => {
                let help = "for example `timespan: 5m`";
                self.tell("sigma-document", &correlation.range, "the correlation has no `timespan`", "in this", help);
            }
            Some(span) if !is_timespan(&span.text) => {
                let message = format!("`{}` is no time span", span.text);
                let help = "a number and one of s, m, h, d, w, M, y: `90s`, `5m`";
                self.tell("sigma-type", &span.range, message, "here", help);
            }
            Some(_) => {}
        }
        let is_temporal = kind.starts_with("temporal");
        match &correlation.condition {
            None if is_temporal => {}
            None => {
                let message = format!("`{kind}` needs a `condition`");
                let help = "for example `condition: {gte: 10}`";
                self.tell("sigma-document", &correlation.range, message, "in this", help);
            }
            Some(Node { kind: Kind::Text(text), range }) if is_temporal => self.extended(text, range, &rules),
            Some(condition) => self.condition(condition, kind, *needs_field),
        }
        self.aliases(&rules);
        for field in &correlation.group_by {
            if !correlation.aliases.iter().any(|alias| alias.key == field.text) {
                rules.iter().for_each(|rule| self.field(&field.text, &field.range, &rule.text));
            }
        }
    }

    /// `rule_a and not rule_b`: of the rules that are listed, and of all of them.
    fn extended(&mut self, text: &str, range: &Range<usize>, rules: &[Located]) {
        let names: Vec<&str> = rules.iter().map(|rule| rule.text.as_str()).collect();
        match condition::parse(text, &names) {
            Err(mistake) => {
                let help = mistake.help.unwrap_or_default();
                self.tell("sigma-condition", range, mistake.message, &mistake.label, &help);
            }
            Ok(condition) => {
                for (number, rule) in rules.iter().enumerate().filter(|(number, _)| !condition.names(*number)) {
                    let message =
                        format!("the condition says nothing of the rule `{}`, number {}", rule.text, number + 1);
                    self.tell("sigma-condition", range, message, "in this", "");
                }
            }
        }
    }

    fn condition(&mut self, condition: &Node, kind: &str, needs_field: bool) {
        const HELP: &str = "for example `condition: {gte: 10, field: User}`";
        let Kind::Map(entries) = &condition.kind else {
            let message = format!("`condition` is a map, not {}", condition.describe());
            return self.tell("sigma-type", &first_key(condition), message, "here", HELP);
        };
        // What is counted is whole; what is measured need not be.
        let is_count = !needs_field || kind == "value_count";
        let (mut operators, mut has_field) = (0, false);
        for entry in entries {
            let value = &entry.value;
            let message = match entry.key.as_str() {
                "field" if !needs_field => format!("`{kind}` is of events, not of the values of a `field`"),
                "field" => {
                    has_field = true;
                    let rules = names(self.correlation);
                    let fields = match &value.kind {
                        Kind::List(items) if kind == "value_count" => items.as_slice(),
                        _ => std::slice::from_ref(value),
                    };
                    for field in fields {
                        match field.text() {
                            Some(name) if !self.correlation.aliases.iter().any(|alias| alias.key == name) => {
                                rules.iter().for_each(|rule| self.field(name, &field.range, &rule.text));
                            }
                            Some(_) => {}
                            None => {
                                let message = format!("`field` takes the name of a field, not {}", field.describe());
                                self.tell("sigma-type", &first_key(field), message, "here", HELP);
                            }
                        }
                    }
                    continue;
                }
                "percentile" if kind == "value_percentile" => match value.kind {
                    Kind::Int(0..=100, _) => continue,
                    _ => "`percentile` is a whole number from 0 to 100".to_owned(),
                },
                key if OPERATORS.contains(&key) => {
                    operators += 1;
                    match &value.kind {
                        Kind::Int(0.., _) => continue,
                        Kind::Int(..) | Kind::Float(..) if !is_count => continue,
                        Kind::Int(..) | Kind::Float(..) => format!("`{kind}` counts: `{key}` takes a whole number"),
                        _ => format!("`{key}` takes a number, not {}", value.describe()),
                    }
                }
                key => format!("`{key}` is no part of this condition"),
            };
            let range = if entry.key == "field" { &entry.key_range } else { &value.range };
            self.tell("sigma-type", range, message, "here", HELP);
        }
        if operators == 0 {
            let message = format!("the condition compares with nothing: {}", OPERATORS.join(", "));
            self.tell("sigma-type", &first_key(condition), message, "here", HELP);
        }
        if needs_field && !has_field {
            self.tell("sigma-type", &first_key(condition), "the condition does not say which `field`", "here", HELP);
        }
    }

    /// An alias says of each rule which field it means.
    fn aliases(&mut self, rules: &[Located]) {
        const HELP: &str = "for example `user: {failed_logon: TargetUserName}`";
        for alias in &self.correlation.aliases {
            let entries = alias.value.entries();
            if entries.is_empty() || entries.iter().any(|entry| entry.value.text().is_none()) {
                let message = format!("the alias `{}` is a map from rules to fields", alias.key);
                self.tell("sigma-type", &alias.key_range, message, "this one", HELP);
                continue;
            }
            for entry in entries {
                if !rules.iter().any(|rule| rule.text == entry.key) {
                    let message = format!("`{}` is not one of the rules of this correlation", entry.key);
                    self.tell("sigma-document", &entry.key_range, message, "unknown", "");
                    continue;
                }
                self.field(entry.value.text().unwrap_or_default(), &entry.value.range, &entry.key);
            }
            let lacks = rules.iter().find(|rule| !entries.iter().any(|entry| entry.key == rule.text));
            if let Some(rule) = lacks {
                let message = format!("the alias `{}` does not say which field of `{}` it is", alias.key, rule.text);
                self.tell("sigma-document", &alias.key_range, message, "this one", HELP);
            }
        }
    }

    /// A name that is nearly one of those that the rule's events have, and none of them.
    fn field(&mut self, name: &str, range: &Range<usize>, rule: &str) {
        let Some(Found::Rule(_, found)) = self.named.find(rule).into_iter().next() else { return };
        let Ok(stream) = Stream::new(&found.logsource, &Wanted::default(), self.catalogue) else { return };
        let Some(known) = stream.known_names() else { return };
        if known.contains(name) {
            return;
        }
        if let Some(near) = nearest(name, known.iter().copied()) {
            let message = format!("the events of the rule `{rule}` have no field `{name}`");
            self.tell("sigma-document", range, message, "unknown", &format!("did you mean `{near}`?"));
        }
    }
}

fn is_timespan(text: &str) -> bool {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd', 'w', 'M', 'y']);
    digits.len() + 1 == text.len() && digits.parse::<u32>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::super::lower;
    use super::*;
    use crate::catalogue::catalogue;

    const RULES: &str = "title: Failed\nname: failed\nlogsource: {product: windows, category: process_creation}\ndetection:\n  a:\n    Image: x\n  condition: a\n---\ntitle: Passed\nname: passed\nlogsource: {product: windows, service: security}\ndetection:\n  a:\n    EventID: 4624\n  condition: a\n---\n";

    /// The names of the rules that are compiled, and what is told of a correlation with these lines, but for the rules that
    /// it holds back.
    fn told(lines: &str) -> (Vec<String>, Vec<(&'static str, String)>) {
        let text = format!("{RULES}title: Many\nname: many\ncorrelation:\n{lines}");
        let (rules, found) = lower(&[Source::new("c.yml", text)], catalogue());
        let found = found.into_iter().map(|found| (found.code, found.message));
        let found = found.filter(|(_, message)| !message.contains("is only a part of"));
        (rules.into_iter().map(|rule| rule.name).collect(), found.collect())
    }

    const COUNT: &str =
        "  type: event_count\n  rules: [failed]\n  group-by: [User]\n  timespan: 5m\n  condition: {gte: 10}\n";
    const TEMPORAL: &str = "  type: temporal_ordered\n  rules: [failed, passed]\n  aliases:\n    who: {failed: User, passed: TargetUserName}\n  group-by: [who]\n  timespan: 1h\n";

    #[test]
    fn correlations_of_every_kind_are_checked_and_then_refused() {
        let value = COUNT.replace("{gte: 10}", "{gte: 10, field: User}");
        for lines in [
            COUNT.to_owned(),
            COUNT.replace("{gte: 10}", "{gt: 10, lte: 20}"),
            COUNT.replace("  group-by: [User]\n", ""),
            TEMPORAL.to_owned(),
            TEMPORAL.replace("_ordered", "") + "  condition: {gte: 2}\n",
            TEMPORAL.to_owned() + "  condition: failed and not passed\n",
            TEMPORAL.replace("  rules: [failed, passed]\n", "") + "  condition: (failed or passed)\n",
            value.replace("event_count", "value_count"),
            value.replace("event_count", "value_count").replace("field: User", "field: [User, Image]"),
            value.replace("event_count", "value_sum"),
            value.replace("event_count", "value_avg").replace("10", "-0.5"),
            value.replace("event_count", "value_median"),
            value.replace("event_count", "value_percentile"),
            value.replace("event_count", "value_percentile").replace("{", "{percentile: 95, "),
        ] {
            let (_, found) = told(&lines);
            let [(code, message)] = found.as_slice() else { panic!("{lines}\n{found:?}") };
            assert_eq!(*code, "sigma-unsupported", "{lines}");
            assert!(
                message.starts_with("the correlation `Many` (") && message.ends_with("cannot be run yet"),
                "{message}"
            );
        }
    }

    #[test]
    fn each_mistake_is_told() {
        let value = COUNT.replace("event_count", "value_count").replace("{gte: 10}", "{gte: 10, field: User}");
        let extended = TEMPORAL.to_owned() + "  condition: failed and passed\n";
        for (text, from, to, message) in [
            (COUNT, "event_count", "event_cont", "`event_cont` is no type of correlation"),
            (COUNT, "[failed]", "[]", "the correlation names no rules"),
            (COUNT, "[failed]", "[other]", "there is no rule `other` among the files"),
            (COUNT, "[failed]", "[failed, failed]", "the rule `failed` is named twice"),
            (COUNT, "[failed]", "[many]", "the correlation is a part of itself"),
            (COUNT, "5m", "5x", "`5x` is no time span"),
            (COUNT, "5m", "0m", "`0m` is no time span"),
            (COUNT, "5m", "5mm", "`5mm` is no time span"),
            (COUNT, "  timespan: 5m\n", "", "the correlation has no `timespan`"),
            (COUNT, "timespan", "timeframe", "`timeframe` is no part of a correlation"),
            (COUNT, "  condition: {gte: 10}\n", "", "`event_count` needs a `condition`"),
            (COUNT, "{gte: 10}", "failed", "`condition` is a map, not a text"),
            (COUNT, "{gte: 10}", "{gte: many}", "`gte` takes a number, not a text"),
            (COUNT, "{gte: 10}", "{gte: 1.5}", "`event_count` counts: `gte` takes a whole number"),
            (COUNT, "{gte: 10}", "{gte: -1}", "`event_count` counts: `gte` takes a whole number"),
            (COUNT, "{gte: 10}", "{least: 10, gte: 1}", "`least` is no part of this condition"),
            (COUNT, "{gte: 10}", "{}", "the condition compares with nothing: eq, gt, gte, lt, lte, neq"),
            (COUNT, "{gte: 10}", "{field: User, gte: 1}", "`event_count` is of events, not of the values of a `field`"),
            (COUNT, "{gte: 10}", "{gte: 10, percentile: 5}", "`percentile` is no part of this condition"),
            (COUNT, "  timespan", "  generate: maybe\n  timespan", "`generate` is true or false, not a text"),
            (&value, ", field: User", "", "the condition does not say which `field`"),
            (&value, "field: User", "field: {}", "`field` takes the name of a field, not a map"),
            (&value, "field: User", "field: Usr", "the events of the rule `failed` have no field `Usr`"),
            (COUNT, "[User]", "[user]", "the events of the rule `failed` have no field `user`"),
            (TEMPORAL, "failed: User", "failed: Imge", "the events of the rule `failed` have no field `Imge`"),
            (TEMPORAL, ", passed: TargetUserName", "", "the alias `who` does not say which field of `passed` it is"),
            (
                TEMPORAL,
                "{failed: User",
                "{other: User, failed: User",
                "`other` is not one of the rules of this correlation",
            ),
            (
                TEMPORAL,
                "{failed: User, passed: TargetUserName}",
                "User",
                "the alias `who` is a map from rules to fields",
            ),
            (&extended, "and passed", "and pased", "there is no search `pased`"),
            (&extended, "failed and passed", "failed", "the condition says nothing of the rule `passed`, number 2"),
        ] {
            assert!(text.contains(from), "{from}");
            let (_, found) = told(&text.replace(from, to));
            let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
            assert!(messages.iter().any(|found| found.starts_with(message)), "{message}\n{messages:?}");
            assert!(!messages.iter().any(|found| found.contains("cannot be run yet")), "{messages:?}");
        }
        let open = TEMPORAL.replace("{failed: User", "{failed: Nothing");
        assert_eq!(told(&open).1.len(), 1, "a name that is near to none may be there all the same");
    }

    #[test]
    fn what_a_correlation_joins_does_not_alert_by_itself() {
        assert_eq!(told(COUNT).0, ["passed"]);
        assert_eq!(told(TEMPORAL).0, Vec::<String>::new());
        assert_eq!(told(&TEMPORAL.replace("  timespan", "  generate: true\n  timespan")).0, ["failed", "passed"]);
        // Nor if the correlation has a mistake.
        assert_eq!(told(&COUNT.replace("5m", "5x")).0, ["passed"]);
        let text = format!("{RULES}title: Many\nname: many\ngenerate: true\ncorrelation:\n{COUNT}");
        assert_eq!(lower(&[Source::new("c.yml", text)], catalogue()).0.len(), 2);
        // It is told where the rule stands, and who says so.
        let correlation = format!("title: Many\ncorrelation:\n{COUNT}");
        let sources = [Source::new("rules.yml", RULES), Source::new("c.yml", correlation)];
        let (_, found) = lower(&sources, catalogue());
        let held = found.iter().find(|found| found.message.contains("is only a part of")).unwrap();
        assert_eq!(held.message, "the rule `Failed` is only a part of the correlation `Many`, which cannot be run yet");
        let places: Vec<&str> = held.labels.iter().map(|label| label.span.source.name.as_str()).collect();
        assert_eq!(places, ["rules.yml", "c.yml"]);
    }
}
