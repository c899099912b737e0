//! The header of a rule as text.

use trapline_vm::record::{Catalogue, ClassId, Os};

use super::layout::{columns, entry, escape, quoted};
use crate::hir::{Meta, Severity, Status, Template, TemplatePart, is_attack, is_uuid, is_version};

/// Columns of a line of text.
const WIDTH: usize = 100;

/// Writes the header. What has another shape than the language asks for (an id that is no UUID, a version that is a
/// date, a technique that ATT&CK has not) is written in its nearest form, or left out: it is no part of the verdict.
pub(super) fn write(meta: &Meta, out: &mut String) {
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("  {key}: {}\n", quoted(value)));
        }
    };
    text("id", if is_uuid(&meta.id) { &meta.id } else { "" });
    text("version", &version(&meta.version));
    text("title", &meta.title.split_whitespace().collect::<Vec<_>>().join(" "));
    description(&meta.description, out);
    out.push_str(&format!("  severity: {}\n", severity(meta.severity)));
    out.push_str(&format!("  status: {}\n", status(meta.status)));
    let systems = [(Os::Linux, "linux"), (Os::Windows, "windows"), (Os::MacOs, "macos")];
    let systems = systems.iter().filter(|(os, _)| meta.os.contains(*os));
    let attack = meta.attack.iter().filter(|id| is_attack(id)).map(|id| quoted(id));
    let texts = |texts: &[String]| texts.iter().map(|text| quoted(text.trim_end())).collect::<Vec<_>>();
    for (key, items) in [
        ("os", systems.map(|(_, name)| (*name).to_owned()).collect()),
        ("attack", attack.collect()),
        ("tags", texts(&meta.tags)),
        ("authors", texts(&meta.authors)),
        ("references", texts(&meta.references)),
        ("false_positives", texts(&meta.false_positives)),
    ] {
        if !items.is_empty() {
            entry(out, key, &items);
        }
    }
}

/// A date as a version: `2024-03-07` is `2024.3.7`.
fn version(version: &str) -> String {
    if is_version(version) {
        return version.to_owned();
    }
    let numbers: Option<Vec<u32>> = version.split(['-', '/', '.']).map(|part| part.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([year, month, day]) => format!("{year}.{month}.{day}"),
        _ => String::new(),
    }
}

/// Long text goes on in the next line, where a backslash takes the line end out again.
fn description(text: &str, out: &mut String) {
    if text.is_empty() {
        return;
    }
    let one_line = format!("  description: {}", quoted(text));
    if columns(&one_line) <= WIDTH {
        out.push_str(&one_line);
        out.push('\n');
        return;
    }
    out.push_str("  description: \"\\\n    ");
    let mut column = 4;
    for word in text.split_inclusive([' ', '\n']) {
        let mut escaped = String::new();
        word.chars().for_each(|c| escape(c, &mut escaped));
        // Blanks at the beginning of a line would go with its line end.
        if column > 4 && column + columns(&escaped) >= WIDTH && !word.starts_with(' ') {
            out.push_str("\\\n    ");
            column = 4;
        }
        out.push_str(&escaped);
        column += columns(&escaped);
        if word.ends_with('\n') {
            column = WIDTH;
        }
    }
    out.push_str("\"\n");
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "informational",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Experimental => "experimental",
        Status::Test => "test",
        Status::Stable => "stable",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}

/// The names of the classes; all below a name by that name.
pub(super) fn classes(classes: &[ClassId], catalogue: &Catalogue) -> Vec<String> {
    let all = || (0u16..).map(ClassId).zip(&catalogue.classes);
    if all().all(|(id, _)| classes.contains(&id)) {
        return vec!["event".to_owned()];
    }
    let mut names: Vec<String> = Vec::new();
    for id in classes {
        let name = &catalogue.class(*id).name;
        let whole = name.match_indices('.').map(|(at, _)| name.get(..at).unwrap_or_default()).find(|prefix| {
            let below = format!("{prefix}.");
            let mut below = all().filter(|(_, class)| class.name.starts_with(&below) || class.name == *prefix);
            below.all(|(id, _)| classes.contains(&id))
        });
        // One class of a kind is told by its own name.
        let siblings = |prefix: &&str| all().filter(|(_, class)| class.name.starts_with(&format!("{prefix}."))).count();
        let shown = whole.filter(|prefix| siblings(prefix) > 1).unwrap_or(name).to_owned();
        if !names.contains(&shown) {
            names.push(shown);
        }
    }
    names
}

/// The message of a rule.
pub(super) fn template(template: &Template) -> String {
    let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(literal) => text.push_str(&doubled(literal)),
            TemplatePart::Field { field, default: None } => text.push_str(&format!("{{{}}}", field.name)),
            TemplatePart::Field { field, default: Some(default) } => {
                text.push_str(&format!("{{{}|{}}}", field.name, doubled(default)));
            }
        }
    }
    quoted(&text)
}
