//! What a rule says of itself, as our rules say it.

use crate::hir::Meta;
use crate::sigma::document::Header;

/// The rule's own name, or its title as one.
pub(crate) fn name(header: &Header) -> String {
    if !header.name.is_empty() {
        return header.name.clone();
    }
    let mut name = String::new();
    for c in header.title.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => name.push(c),
            _ if name.ends_with('_') || name.is_empty() => {}
            _ => name.push('_'),
        }
        if name.len() >= 120 {
            break;
        }
    }
    name.trim_end_matches('_').to_owned()
}

/// The tactics of ATT&CK as Sigma's tags name them, and their ids.
const TACTICS: &[(&str, &str)] = &[
    ("collection", "TA0009"),
    ("command-and-control", "TA0011"),
    ("credential-access", "TA0006"),
    ("defense-evasion", "TA0005"),
    ("discovery", "TA0007"),
    ("execution", "TA0002"),
    ("exfiltration", "TA0010"),
    ("impact", "TA0040"),
    ("initial-access", "TA0001"),
    ("lateral-movement", "TA0008"),
    ("persistence", "TA0003"),
    ("privilege-escalation", "TA0004"),
    ("reconnaissance", "TA0043"),
    ("resource-development", "TA0042"),
];

pub(super) fn meta(header: &Header) -> Meta {
    let mut attack = Vec::new();
    for tag in &header.tags {
        let Some(part) = tag.to_ascii_lowercase().strip_prefix("attack.").map(|part| part.replace('_', "-")) else {
            continue;
        };
        let is_technique = part.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_technique {
            attack.push(part.to_ascii_uppercase());
        } else if let Some((_, id)) = TACTICS.iter().find(|(name, _)| *name == part) {
            attack.push((*id).to_owned());
        }
    }
    Meta {
        id: header.id.clone(),
        version: if header.modified.is_empty() { header.date.clone() } else { header.modified.clone() },
        title: header.title.clone(),
        description: header.description.clone(),
        severity: header.level,
        status: header.status,
        attack,
        references: header.references.clone(),
        false_positives: header.false_positives.clone(),
        authors: header.authors.clone(),
        tags: header.tags.clone(),
        ..Meta::default()
    }
}
