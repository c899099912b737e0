//! The typed form as text, for `trapline debug hir` and the goldens.

use std::fmt::Write;

use trapline_vm::record::{Catalogue, Os};

use super::{Absent, Expectation, Expr, Literal, Quantifier, Rule, TemplatePart, TestEventBody, TestValue};
use crate::catalogue::int_text;
use crate::mir::describe;

/// Stable text: header, classes, conditions as trees, message, tests.
pub fn print(rule: &Rule, catalogue: &Catalogue) -> String {
    let mut text = String::new();
    line(&mut text, 0, format_args!("rule {}  line {}", rule.name, rule.line));
    let meta = &rule.meta;
    for (key, value) in [("id", &meta.id), ("version", &meta.version), ("title", &meta.title)] {
        if !value.is_empty() {
            line(&mut text, 1, format_args!("{key} {value:?}"));
        }
    }
    line(&mut text, 1, format_args!("severity {:?}  status {:?}", meta.severity, meta.status));
    let systems = [(Os::Linux, "linux"), (Os::Windows, "windows"), (Os::MacOs, "macos")];
    let systems: Vec<&str> =
        systems.into_iter().filter(|(os, _)| meta.os.contains(*os)).map(|(_, name)| name).collect();
    if !systems.is_empty() {
        line(&mut text, 1, format_args!("os {}", systems.join(", ")));
    }
    if !meta.attack.is_empty() {
        line(&mut text, 1, format_args!("attack {}", meta.attack.join(", ")));
    }
    let classes: Vec<&str> = rule.classes.iter().map(|class| catalogue.class(*class).name.as_str()).collect();
    line(&mut text, 1, format_args!("on {}", classes.join(", ")));
    line(&mut text, 1, format_args!("where"));
    tree(&mut text, &rule.condition, 2);
    for exception in &rule.exceptions {
        line(&mut text, 1, format_args!("unless  line {}", exception.line));
        tree(&mut text, &exception.condition, 2);
    }
    if let Some(output) = &rule.output {
        line(&mut text, 1, format_args!("output"));
        for part in &output.parts {
            match part {
                TemplatePart::Text(literal) => line(&mut text, 2, format_args!("{literal:?}")),
                TemplatePart::Field { field, default } => {
                    line(&mut text, 2, format_args!("{} or {:?}", field.name, default.as_deref().unwrap_or("-")));
                }
            }
        }
    }
    for test in &rule.tests {
        let expect: Vec<String> = test.expect.iter().map(expectation).collect();
        let (name, events) = (&test.name, test.events.len());
        line(&mut text, 1, format_args!("test {name:?}  {events} events, expects {}", expect.join(", ")));
        for event in &test.events {
            let profile = event.profile.as_ref().map_or_else(String::new, |profile| format!("  from {profile}"));
            let after = if event.after_ns == 0 { String::new() } else { format!("+{} ns ", event.after_ns) };
            match &event.body {
                TestEventBody::Inline { class, fields } => {
                    let class = &catalogue.class(*class).name;
                    line(&mut text, 2, format_args!("{after}{class}{profile}  line {}", event.line));
                    for (field, value) in fields {
                        line(&mut text, 3, format_args!("{}: {}", field.name, test_value_of(&field.name, value)));
                    }
                }
                TestEventBody::Recorded { file, number } => {
                    line(&mut text, 2, format_args!("{after}{file:?} {number}{profile}  line {}", event.line));
                }
            }
        }
    }
    text
}

fn expectation(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Alert { at, severity } => {
            let at = at.map_or_else(String::new, |at| format!(" at {at}"));
            let severity = severity.map_or_else(String::new, |severity| format!(" of severity {severity:?}"));
            format!("alert{at}{severity}")
        }
        Expectation::None => "none".to_owned(),
        Expectation::NotEvaluable => "not evaluable".to_owned(),
    }
}

fn test_value_of(field: &str, value: &TestValue) -> String {
    match value {
        TestValue::Present(Literal::Int(value)) => int_text(field, *value),
        other => test_value(other),
    }
}

fn test_value(value: &TestValue) -> String {
    match value {
        TestValue::Lost => "lost".to_owned(),
        TestValue::Truncated(text) => format!("truncated {text:?}"),
        TestValue::Present(literal) => test_literal(literal),
    }
}

fn test_literal(literal: &Literal) -> String {
    match literal {
        Literal::Bool(value) => value.to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Enum(Some(index)) => format!("variant {index}"),
        Literal::Enum(None) => "other".to_owned(),
        Literal::Str(text) => format!("{text:?}"),
        Literal::Bytes(bytes) => bytes.iter().fold("bytes ".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        Literal::Ip(address) => address.to_string(),
        Literal::List(all) => format!("[{}]", all.iter().map(test_literal).collect::<Vec<_>>().join(", ")),
        Literal::Records(all) => {
            let record = |members: &Vec<Option<TestValue>>| {
                let members = members.iter().enumerate();
                let members: Vec<String> = members
                    .filter_map(|(index, value)| Some(format!("{index}: {}", test_value(value.as_ref()?))))
                    .collect();
                format!("{{{}}}", members.join(", "))
            };
            format!("[{}]", all.iter().map(record).collect::<Vec<_>>().join(", "))
        }
    }
}

fn line(text: &mut String, depth: usize, what: std::fmt::Arguments<'_>) {
    writeln!(text, "{:width$}{what}", "", width = 2 * depth).expect("writing to a string does not fail");
}

fn tree(text: &mut String, expr: &Expr, depth: usize) {
    let absent = |absent: Absent| match absent {
        Absent::Unknown => "",
        Absent::False => "  (false if absent)",
    };
    match expr {
        Expr::Const(value) => line(text, depth, format_args!("{value}")),
        Expr::Leaf(leaf) => {
            line(text, depth, format_args!("{}{}  line {}", describe(&leaf.kind), absent(leaf.absent), leaf.line));
        }
        Expr::And(parts) | Expr::Or(parts) => {
            line(text, depth, format_args!("{}", if matches!(expr, Expr::And(_)) { "and" } else { "or" }));
            parts.iter().for_each(|part| tree(text, part, depth + 1));
        }
        Expr::Not(inner) | Expr::IsTrue(inner) => {
            line(text, depth, format_args!("{}", if matches!(expr, Expr::Not(_)) { "not" } else { "is true" }));
            tree(text, inner, depth + 1);
        }
        Expr::Quantifier { kind, list, body, absent: when_absent, line: at } => {
            let kind = match kind {
                Quantifier::Any => "any",
                Quantifier::All => "all",
            };
            line(text, depth, format_args!("{kind} of {}{}  line {at}", list.name, absent(*when_absent)));
            tree(text, body, depth + 1);
        }
    }
}
