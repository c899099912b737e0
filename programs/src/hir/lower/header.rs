//! The header of a rule.

use trapline_vm::record::Os;

use super::Cx;
use crate::diagnostic::Diagnostic;
use crate::hir::{Meta, Severity, Status};
use crate::lang::HEADER_KEYS;
use crate::lang::ast::{self, Expr, ExprKind, Range};
use crate::lang::suggest::nearest;

/// Keys that come with later parts of the language.
const LATER_KEYS: &[&str] = &["action", "requires"];

/// What authors of other formats write, and our word for it.
fn foreign_key(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "title",
        "desc" | "summary" => "description",
        "level" | "priority" | "risk" => "severity",
        "platform" | "platforms" | "os_types" | "logsource" => "os",
        "mitre" | "technique" | "techniques" | "tactics" | "threat" => "attack",
        "reference" | "ref" | "refs" | "links" => "references",
        "falsepositives" | "false_positive" => "false_positives",
        "uuid" | "rule_id" => "id",
        "tag" | "labels" => "tags",
        "maturity" => "status",
        _ => return None,
    })
}

/// Our key that an unknown one was perhaps meant to be.
fn known_key(unknown: &str) -> Option<&'static str> {
    foreign_key(unknown).or_else(|| nearest(unknown, HEADER_KEYS.iter().copied()))
}

/// The id of a rule and its place, if it has one.
pub(super) fn id_of(rule: &ast::Rule) -> Option<(String, Range)> {
    let (_, value) = rule.header.iter().find(|(key, _)| key.text == "id")?;
    match &value.kind {
        ExprKind::Str(text) => Some((text.text.to_ascii_lowercase(), value.range.clone())),
        _ => None,
    }
}

pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(crate) fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let numbers = parts.iter().all(|part| {
        !part.is_empty()
            && part.len() <= 9
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (*part == "0" || !part.starts_with('0'))
    });
    let rest = text.get(core.len()..).unwrap_or_default();
    let tail = rest.is_empty()
        || rest.len() > 1 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte));
    parts.len() == 3 && numbers && tail
}

/// `T1059`, `T1059.004`, `TA0002`.
pub(crate) fn is_attack(text: &str) -> bool {
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_prefix("TA") {
        Some(tactic) => digits(tactic, 4),
        None => match text.strip_prefix('T').map(|rest| rest.split_once('.').unwrap_or((rest, "000"))) {
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
            None => false,
        },
    }
}

/// The severities by name.
const SEVERITIES: &[(&str, Severity)] = &[
    ("informational", Severity::Informational),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

const STATUSES: &[(&str, Status)] = &[
    ("experimental", Status::Experimental),
    ("test", Status::Test),
    ("stable", Status::Stable),
    ("deprecated", Status::Deprecated),
    ("unsupported", Status::Unsupported),
];

const SYSTEMS: &[(&str, Os)] = &[("linux", Os::Linux), ("windows", Os::Windows), ("macos", Os::MacOs)];

impl Cx<'_, '_> {
    /// Reads the header; mistakes are reported and their entries left as they are by default.
    pub(super) fn header(&mut self, rule: &ast::Rule, broken: bool) -> Meta {
        let mut meta = Meta::default();
        let mut seen: Vec<&ast::Name> = Vec::new();
        for (key, value) in &rule.header {
            if let Some(first) = seen.iter().find(|first| first.text == key.text) {
                let first = self.file.span(&first.range);
                let span = self.file.span(&key.range);
                let message = format!("`{}` stands twice in this rule", key.text);
                self.report(
                    Diagnostic::error("duplicate-key", message, span, "the second one").label(first, "the first one"),
                );
                continue;
            }
            // Every key that counts is among the first few; a header of nonsense is not compared with itself.
            if seen.len() <= 2 * HEADER_KEYS.len() {
                seen.push(key);
            }
            self.entry(&mut meta, key, value);
        }
        if !broken {
            for (key, instead) in [("title", "the rule's name stands in"), ("severity", "it counts as medium")] {
                // Nor one that is there and misspelt, which was reported.
                let meant = |seen: &&ast::Name| seen.text == key || known_key(&seen.text) == Some(key);
                if !seen.iter().any(meant) {
                    let span = self.file.span(&rule.name.range);
                    let message = format!("rule `{}` has no {key}", rule.name.text);
                    let example =
                        if key == "title" { "title: \"What it means when this rule fires\"" } else { "severity: high" };
                    self.report(
                        Diagnostic::warning("missing-key", message, span, instead).help(format!("write `{example}`")),
                    );
                }
            }
        }
        if meta.title.is_empty() {
            meta.title = rule.name.text.clone();
        }
        meta
    }

    fn entry(&mut self, meta: &mut Meta, key: &ast::Name, value: &Expr) {
        if matches!(value.kind, ExprKind::Error) {
            return;
        }
        match key.text.as_str() {
            "id" => {
                if let Some(id) = self.text_value(key, value)
                    && self.shape(
                        is_uuid(&id),
                        value,
                        &format!("\"{id}\" is no UUID"),
                        "write an id like \"0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01\"",
                    )
                {
                    meta.id = id.to_ascii_lowercase();
                }
            }
            "version" => {
                if let Some(version) = self.text_value(key, value)
                    && self.shape(
                        is_version(&version),
                        value,
                        &format!("\"{version}\" is no version"),
                        "write a semantic version such as \"1.2.0\"",
                    )
                {
                    meta.version = version;
                }
            }
            "title" => {
                if let Some(title) = self.text_value(key, value)
                    && self.shape(
                        !title.trim().is_empty() && !title.contains('\n'),
                        value,
                        "a title is one line of text",
                        "say what it means when the rule fires",
                    )
                {
                    meta.title = title;
                }
            }
            "description" => meta.description = self.text_value(key, value).unwrap_or_default(),
            "severity" => {
                if let Some(severity) = self.word(key, value, SEVERITIES) {
                    meta.severity = severity;
                }
            }
            "status" => {
                if let Some(status) = self.word(key, value, STATUSES) {
                    meta.status = status;
                }
            }
            "os" => {
                let single = std::slice::from_ref(value);
                let all = if let ExprKind::List(all) = &value.kind { all.as_slice() } else { single };
                for system in all {
                    if let Some(os) = self.word(key, system, SYSTEMS) {
                        meta.os = meta.os.with(os);
                    }
                }
            }
            "attack" => {
                for (id, place) in self.texts(key, value) {
                    let message = format!("\"{id}\" is no ATT&CK technique or tactic");
                    if self.shape_at(is_attack(&id), &place, &message, "write ids such as \"T1059.004\" or \"TA0002\"")
                    {
                        meta.attack.push(id);
                    }
                }
            }
            "references" => meta.references = self.plain_texts(key, value),
            "false_positives" => meta.false_positives = self.plain_texts(key, value),
            "author" | "authors" => meta.authors.extend(self.plain_texts(key, value)),
            "tags" => meta.tags = self.plain_texts(key, value),
            later if LATER_KEYS.contains(&later) => {
                let span = self.file.span(&key.range);
                self.report(super::not_yet(&format!("`{later}`"), span));
            }
            unknown => {
                let span = self.file.span(&key.range);
                let mut diagnostic =
                    Diagnostic::error("unknown-key", format!("a rule has no `{unknown}`"), span, "not a header entry");
                diagnostic = match known_key(unknown) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help(format!("entries are {}", HEADER_KEYS.join(", "))),
                };
                self.report(diagnostic);
            }
        }
    }

    fn shape(&mut self, fine: bool, value: &Expr, message: &str, help: &str) -> bool {
        self.shape_at(fine, &value.range, message, help)
    }

    fn shape_at(&mut self, fine: bool, range: &Range, message: &str, help: &str) -> bool {
        if !fine {
            let span = self.file.span(range);
            self.report(
                Diagnostic::error("invalid-value", message.to_owned(), span, "not of the right shape").help(help),
            );
        }
        fine
    }

    /// A value in quotes.
    fn text_value(&mut self, key: &ast::Name, value: &Expr) -> Option<String> {
        if let ExprKind::Str(text) = &value.kind {
            return Some(text.text.clone());
        }
        let text = self.file.one_line(&value.range);
        let span = self.file.span(&value.range);
        let message = format!("`{}` is a text", key.text);
        self.report(
            Diagnostic::error("invalid-value", message, span, "not in quotes").help(format!("write \"{text}\"")),
        );
        None
    }

    /// One of some words, without quotes.
    fn word<T: Copy>(&mut self, key: &ast::Name, value: &Expr, words: &[(&str, T)]) -> Option<T> {
        let text = match &value.kind {
            ExprKind::Path(path) => path.dotted(),
            ExprKind::Str(text) => text.text.clone(),
            _ => self.file.one_line(&value.range),
        };
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        let span = self.file.span(&value.range);
        match (found, &value.kind) {
            (Some(found), ExprKind::Path(_)) => return Some(found),
            (Some(_), _) => self.report(
                Diagnostic::error("invalid-value", format!("`{}` is a word, not a text", key.text), span, "in quotes")
                    .help(format!("write `{text}`")),
            ),
            (None, _) => {
                let message = format!("`{}` is no {}", text, key.text);
                let mut diagnostic = Diagnostic::error("invalid-value", message, span, "not one of its words");
                if let Some(near) = nearest(&text, names.iter().copied()) {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                self.report(diagnostic.help(format!("write one of {}", names.join(", "))));
            }
        }
        None
    }

    /// A severity.
    pub(super) fn severity_of(&mut self, key: &ast::Name, value: &Expr) -> Option<Severity> {
        self.word(key, value, SEVERITIES)
    }

    /// A list of texts, or a single one.
    fn texts(&mut self, key: &ast::Name, value: &Expr) -> Vec<(String, Range)> {
        let single = std::slice::from_ref(value);
        let all = if let ExprKind::List(all) = &value.kind { all.as_slice() } else { single };
        all.iter()
            .filter(|value| !matches!(value.kind, ExprKind::Error))
            .filter_map(|value| Some((self.text_value(key, value)?, value.range.clone())))
            .collect()
    }

    fn plain_texts(&mut self, key: &ast::Name, value: &Expr) -> Vec<String> {
        self.texts(key, value).into_iter().map(|(text, _)| text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert!(is_uuid("0a6c0d2e-8f0a-4f0e-9a2b-6d3f6a8f1c01"));
        assert!(!is_uuid("0a6c0d2e8f0a4f0e9a2b6d3f6a8f1c01"));
        for good in ["1.2.0", "0.0.1", "1.0.0-rc.1", "1.0.0+build"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["1.2", "1", "", "01.2.3", "1.2.x", "1.2.3-", "1.2.3.4"] {
            assert!(!is_version(bad), "{bad}");
        }
        for good in ["T1059", "T1059.004", "TA0002"] {
            assert!(is_attack(good), "{good}");
        }
        for bad in ["t1059", "T1059.4", "T105", "TA2", "attack.t1059", ""] {
            assert!(!is_attack(bad), "{bad}");
        }
    }
}
