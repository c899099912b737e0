//! Object files among rule files: rules that were compiled before, or written in C.
//!
//! A file of rules is text wherever it goes: in folders, over the control socket, in the library of an agent. An object
//! file goes the same ways as text too: a first line that says what it is, then its bytes in base 64 ([`armour`]).
//!
//! ```text
//! x.o --armour--> Source --compile--> CompiledRule { hir::Rule without a condition, Objects }
//! CompiledRule --write--> the bytes of an object file
//! ```
//!
//! What an object file does not hold is the rule's condition, so which fields it can do without is only known as far as
//! the file says it (`needs`): the rule can match without those that are not named. That is exact but for fields of which
//! it needs one of several. A file that says nothing counts as able to match on any events that have one of its fields.
//! [`CompiledRule::needs`] tells which it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use trapline_vm::program::elf::{self, ObjectFile, RawObject, RuleMeta, RuleObject, SourceLines, WriteError};
use trapline_vm::record::Catalogue;

use crate::compile::CompiledRule;
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir::{self, Absent, Expr, Leaf, LeafKind, Severity, Status, Template, TemplatePart};
use trapline_vm::predicate::FieldRef;

/// The first line of the text of an object file.
const HEADER: &str = "#!trapline-object";
/// What begins a line that names a rule of it that is not wanted.
const OFF: &str = "#!off ";
/// Characters of a line of base 64.
const LINE_LEN: usize = 76;
/// The last source line that is shown with its text.
const LISTING_LINES_MAX: u32 = 100_000;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// An object file as text.
pub fn armour(bytes: &[u8]) -> String {
    let mut text = format!("{HEADER}\n");
    let mut column = 0;
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place)) as usize & 63).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
        column += 4;
        if column >= LINE_LEN {
            text.push('\n');
            column = 0;
        }
    }
    text
}

/// Whether a source is an object file.
pub fn is_object(source: &Source) -> bool {
    source.text.strip_prefix(HEADER).is_some_and(|rest| rest.is_empty() || rest.starts_with('\n'))
}

/// The bytes of an object file and the rules of it that are not wanted; None if the text is not what [`armour`] makes.
fn unarmour(source: &Source) -> Option<(Vec<u8>, BTreeSet<&str>)> {
    let mut lines = source.text.lines();
    lines.next()?;
    let (mut bytes, mut off) = (Vec::with_capacity(source.text.len() / 4 * 3), BTreeSet::new());
    let (mut group, mut digits) = (0u32, 0u32);
    for line in lines {
        if let Some(name) = line.strip_prefix(OFF) {
            off.insert(name);
            continue;
        }
        for character in line.bytes().filter(|byte| *byte != b'=') {
            let digit = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            group = group << 6 | u32::from(digit);
            digits += 1;
            if digits == 4 {
                bytes.extend_from_slice(group.to_be_bytes().get(1..)?);
                (group, digits) = (0, 0);
            }
        }
    }
    match digits {
        2 => bytes.push((group >> 4) as u8),
        3 => bytes.extend_from_slice(&[(group >> 10) as u8, (group >> 2) as u8]),
        _ => {}
    }
    Some((bytes, off))
}

/// The text of an object file without some of its rules.
pub fn without<'n>(source: &Source, names: impl IntoIterator<Item = &'n String>) -> String {
    let rest = source.text.strip_prefix(HEADER).unwrap_or(&source.text);
    let off = names.into_iter().filter(|name| !name.contains('\n')).map(|name| format!("\n{OFF}{name}"));
    format!("{HEADER}{}{rest}", off.collect::<String>())
}

/// The names of the rules of an object file; none if it is broken.
pub fn rule_names(source: &Source, catalogue: &Catalogue) -> Vec<String> {
    let Some((bytes, off)) = unarmour(source) else { return Vec::new() };
    let rules = elf::read(&bytes, catalogue).map(|file| file.rules).unwrap_or_default();
    rules.into_iter().map(|rule| rule.meta.name).filter(|name| !off.contains(name.as_str())).collect()
}

fn refused(source: &Arc<Source>, message: String) -> Diagnostic {
    let span = Span { source: source.clone(), range: 0..HEADER.len().min(source.text.len()) };
    Diagnostic::error("bad-object", message, span, "this object file")
}

fn read(source: &Arc<Source>, catalogue: &Catalogue) -> Result<ObjectFile, Diagnostic> {
    let (bytes, off) =
        unarmour(source).ok_or_else(|| refused(source, "the text of the object file is damaged".to_owned()))?;
    let mut file = elf::read(&bytes, catalogue).map_err(|error| refused(source, error.to_string()))?;
    file.rules.retain(|rule| !off.contains(rule.meta.name.as_str()));
    Ok(file)
}

/// A raw program of an object file, with the text that its lines are of, as far as debug information has it.
pub type RawProgram = (RawObject, Option<Arc<Source>>);

/// The raw programs of an object file, and whether it has rules beside them.
pub fn raw_programs(source: &Arc<Source>, catalogue: &Catalogue) -> Result<(Vec<RawProgram>, bool), Diagnostic> {
    let file = read(source, catalogue)?;
    let with_listing = |raw: RawObject| {
        let listing = listing(&raw.source);
        (raw, listing)
    };
    Ok((file.raw.into_iter().map(with_listing).collect(), !file.rules.is_empty()))
}

/// The rules of an object file.
pub fn compile(source: &Arc<Source>, catalogue: &Catalogue) -> Result<Vec<CompiledRule>, Diagnostic> {
    let (file, digest) = (read(source, catalogue)?, Sha256::digest(&source.text).into());
    if file.rules.is_empty() && !file.raw.is_empty() {
        let text = "there is no rule in it, but raw programs: `trapline verify` proves them";
        return Err(refused(source, text.to_owned()));
    }
    file.rules
        .into_iter()
        .map(|rule| {
            let name = rule.meta.name.clone();
            of_object(source, catalogue, digest, rule)
                .map_err(|reason| refused(source, format!("rule `{name}`: {reason}")))
        })
        .collect()
}

fn of_object(
    source: &Arc<Source>,
    catalogue: &Catalogue,
    digest: [u8; 32],
    rule: RuleObject,
) -> Result<CompiledRule, String> {
    let RuleObject { meta, programs, source: lines } = rule;
    let output = if meta.output.is_empty() { None } else { Some(template(&meta.output, catalogue)?) };
    let read = |object: &trapline_vm::program::Object| -> Vec<FieldRef> {
        let tested = object.predicates.iter().map(|predicate| &predicate.field);
        object.fields.iter().chain(tested).cloned().collect()
    };
    let mut fields: Vec<FieldRef> = programs.iter().flat_map(read).collect();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields.dedup();
    let line = meta.line.max(1);
    let exists = |field| {
        let kind = LeafKind::Exists(field);
        Expr::Leaf(Leaf { kind, absent: Absent::Unknown, line, text: String::new() })
    };
    let typed = |name: &String| {
        let ty = match catalogue.field_id(name) {
            Some(id) => catalogue.field(id).ty,
            None => catalogue.open_type(name).ok_or_else(|| format!("it needs `{name}`, which is no field"))?,
        };
        Ok::<_, String>(FieldRef { name: name.clone(), ty })
    };
    let condition = if let Some(needs) = &meta.needs {
        let needed = needs.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
        let others = fields.into_iter().filter(|field| !needs.contains(&field.name));
        let may_lack = Expr::Or(others.map(exists).chain([Expr::Const(true)]).collect());
        Expr::And(needed.into_iter().map(exists).chain([may_lack]).collect())
    } else if fields.is_empty() {
        Expr::Const(true)
    } else {
        Expr::Or(fields.into_iter().map(exists).collect())
    };
    let names = programs.iter().flat_map(|object| &object.classes);
    let classes: BTreeSet<_> = names.filter_map(|name| catalogue.class_id(name)).collect();
    let listing = listing(&lines);
    let header = hir::Meta {
        id: meta.id,
        version: meta.version,
        title: meta.title,
        description: meta.description,
        severity: word("severity", &meta.severity, &SEVERITIES)?,
        status: word("status", &meta.status, &STATUSES)?,
        os: meta.os,
        attack: meta.attack,
        references: meta.references,
        false_positives: meta.false_positives,
        authors: meta.authors,
        tags: meta.tags,
    };
    let rule = hir::Rule {
        name: meta.name,
        meta: header,
        classes: classes.into_iter().collect(),
        condition,
        exceptions: Vec::new(),
        output,
        tests: Vec::new(),
        source: source.clone(),
        line,
        digest: meta.digest.unwrap_or(digest),
    };
    Ok(CompiledRule { rule, objects: programs, listing, needs: meta.needs })
}

/// The text that line numbers are of, as far as debug information has it.
fn listing(lines: &SourceLines) -> Option<Arc<Source>> {
    let (last, _) = lines.texts.range(..=LISTING_LINES_MAX).next_back()?;
    let text: Vec<&str> = (1..=*last).map(|line| lines.texts.get(&line).map_or("", String::as_str)).collect();
    Some(Source::new(lines.file.clone(), text.join("\n")))
}

const SEVERITIES: [(&str, Severity); 5] = [
    ("informational", Severity::Informational),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

const STATUSES: [(&str, Status); 5] = [
    ("experimental", Status::Experimental),
    ("test", Status::Test),
    ("stable", Status::Stable),
    ("deprecated", Status::Deprecated),
    ("unsupported", Status::Unsupported),
];

/// A word of a list; the default of the type for no word.
fn word<T: Copy + Default>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if text.is_empty() {
        return Ok(T::default());
    }
    let known = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    known.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("`{key}` is {}, not `{text}`", words.join(", "))
    })
}

fn word_of<T: PartialEq>(value: T, words: &[(&str, T)]) -> String {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word).to_owned()
}

/// A message as it is written in rules: `{field}`, `{field|default}`, `{{` and `}}`.
fn template(text: &str, catalogue: &Catalogue) -> Result<Template, String> {
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => plain.push(c),
            '}' => return Err("a `}` of its output closes nothing".to_owned()),
            '{' => {
                let mut inner = String::new();
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(c) => inner.push(c),
                        None => return Err("a `{` of its output is not closed".to_owned()),
                    }
                }
                let (name, default) = match inner.split_once('|') {
                    Some((name, default)) => (name, Some(default.to_owned())),
                    None => (inner.as_str(), None),
                };
                let name = name.trim().replace('`', "");
                let ty = match catalogue.field_id(&name) {
                    Some(id) => catalogue.field(id).ty,
                    None => catalogue
                        .open_type(&name)
                        .ok_or_else(|| format!("its output names `{name}`, which is no field"))?,
                };
                if !plain.is_empty() {
                    parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
                }
                parts.push(TemplatePart::Field { field: FieldRef { name, ty }, default });
            }
            other => plain.push(other),
        }
    }
    if !plain.is_empty() {
        parts.push(TemplatePart::Text(plain));
    }
    Ok(Template { parts })
}

fn template_text(template: &Template) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        TemplatePart::Field { field, default: None } => format!("{{{}}}", field.name),
        TemplatePart::Field { field, default: Some(default) } => format!("{{{}|{default}}}", field.name),
    };
    template.parts.iter().map(part).collect()
}

/// The object file of a rule.
pub fn write(rule: &CompiledRule) -> Result<Vec<u8>, WriteError> {
    let hir::Rule { name, meta, source, line, digest, output, condition, .. } = &rule.rule;
    // A rule that needs some field, and none in particular, says nothing: then one of its fields has to be there.
    let needs_any = || !hir::supply::can_match(condition, &|_| false);
    let needs = rule.needs.clone().filter(|needs| !needs.is_empty() || !needs_any());
    let header = RuleMeta {
        name: name.clone(),
        id: meta.id.clone(),
        version: meta.version.clone(),
        title: meta.title.clone(),
        description: meta.description.clone(),
        severity: word_of(meta.severity, &SEVERITIES),
        status: word_of(meta.status, &STATUSES),
        output: output.as_ref().map_or_else(String::new, template_text),
        // Its folder is of this machine, and two of them should make the same file.
        source: source.name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
        line: *line,
        digest: Some(*digest),
        os: meta.os,
        attack: meta.attack.clone(),
        references: meta.references.clone(),
        false_positives: meta.false_positives.clone(),
        authors: meta.authors.clone(),
        tags: meta.tags.clone(),
        needs,
    };
    let object = RuleObject { meta: header, programs: rule.objects.clone(), source: SourceLines::default() };
    elf::write(&[object], "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;
    use crate::compile::compile as compile_all;
    use crate::stock;

    fn object(rule: &CompiledRule) -> Arc<Source> {
        Source::new(format!("{}.o", rule.rule.name), armour(&write(rule).unwrap()))
    }

    #[test]
    fn armour_of_every_length() {
        for len in 0..400usize {
            let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
            let source = Source::new("x.o", armour(&bytes));
            assert!(is_object(&source));
            assert_eq!(unarmour(&source), Some((bytes, BTreeSet::new())));
        }
        assert_eq!(unarmour(&Source::new("x.o", format!("{HEADER}\nA B"))), None);
        assert!(!is_object(&Source::new("x.trap", "rule x {}")));
        assert!(!is_object(&Source::new("x.trap", format!("{HEADER}s\n"))));
    }

    #[test]
    fn every_stock_rule_survives_its_object_file() {
        let compiled = compile_all(&stock::sources(), catalogue());
        assert!(!compiled.rules.is_empty());
        for before in &compiled.rules {
            let after = compile(&object(before), catalogue()).unwrap();
            assert_eq!(after.len(), 1);
            assert_eq!(after[0].objects, before.objects, "{}", before.rule.name);
            assert_eq!(after[0].rule.meta, before.rule.meta);
            assert_eq!(after[0].rule.output, before.rule.output);
            assert_eq!(after[0].rule.classes.is_empty(), before.rule.classes.is_empty());
            assert_eq!(after[0].rule.digest, before.rule.digest);
            // What it can match without is what its text can match without, field by field.
            for object in &before.objects {
                for field in object.fields.iter().chain(object.predicates.iter().map(|predicate| &predicate.field)) {
                    let without = |condition| hir::supply::can_match(condition, &|name| name != field.name);
                    assert_eq!(without(&after[0].rule.condition), without(&before.rule.condition), "{}", field.name);
                }
            }
        }
    }

    #[test]
    fn rules_that_are_off_are_not_there() {
        let compiled = compile_all(&stock::sources()[..1], catalogue());
        let source = object(&compiled.rules[0]);
        let names = rule_names(&source, catalogue());
        assert_eq!(names, [compiled.rules[0].rule.name.clone()]);
        let off = Source::new("x.o", without(&source, &names));
        assert!(compile(&off, catalogue()).unwrap().is_empty());
        assert!(rule_names(&off, catalogue()).is_empty());
    }

    #[test]
    fn messages_are_read_as_written() {
        for text in ["", "plain", "{{x}}", "{process.name} ran {process.command_line|nothing}!", "{raw.x}"] {
            assert_eq!(template_text(&template(text, catalogue()).unwrap()), text);
        }
        assert_eq!(template("{", catalogue()).unwrap_err(), "a `{` of its output is not closed");
        assert_eq!(template("}", catalogue()).unwrap_err(), "a `}` of its output closes nothing");
        assert_eq!(template("{a b}", catalogue()).unwrap_err(), "its output names `a b`, which is no field");
    }

    #[test]
    fn object_files_and_texts_are_one_set_of_rules() {
        let texts = stock::sources();
        let first = compile_all(&texts[..2], catalogue());
        let objects = object(&first.rules[0]);
        let both = compile_all(&[objects.clone(), texts[1].clone()], catalogue());
        assert_eq!(both.rules.len(), 2);
        assert!(both.diagnostics.is_empty());
        // The second of a name is refused, whatever it is.
        let twice = compile_all(&[texts[0].clone(), objects], catalogue());
        assert_eq!(twice.rules.len(), 1);
        assert_eq!(twice.diagnostics[0].code, "duplicate-name");
        let broken = compile_all(&[Source::new("b.o", armour(b"x")), texts[1].clone()], catalogue());
        assert_eq!((broken.rules.len(), broken.diagnostics[0].code), (1, "bad-object"));
    }
}
