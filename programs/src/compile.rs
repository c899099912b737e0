//! From rules to objects: what the command line and the agent call.
//!
//! Pure: no clock, no IO, the same bytes every time.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use trapline_vm::program::Object;
use trapline_vm::record::{Catalogue, ClassId, FamilyId};

use crate::codegen::{self, CodegenError, Identity};
use crate::diagnostic::{Diagnostic, Source, Span};
use crate::hir;
use crate::mir::{self, Decision, MirError};
use crate::object;
use crate::sigma;

/// A rule and its programs.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The typed form.
    pub rule: hir::Rule,
    /// One object for each family whose events can matter to it.
    pub objects: Vec<Object>,
    /// The text that lines of the objects are of, where that is not the source of the rule: of object files, what debug
    /// information has of it.
    pub listing: Option<Arc<Source>>,
    /// Fields without each of which it cannot match; None: the object file that it comes from does not say.
    pub needs: Option<Vec<String>>,
}

/// What became of some sources.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The rules without mistakes, in order of the text.
    pub rules: Vec<CompiledRule>,
    /// All there is to say, in order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles all rules of the sources: those without mistakes, and every mistake of the others.
///
/// ```
/// use trapline_programs::{catalogue::catalogue, compile::compile, diagnostic::Source};
///
/// let text = r#"
/// rule netcat {
///   id: "5e5b6d3c-5e0b-4f6e-8a11-0d6a1f1d7c01"
///   version: "1.0.0"
///   title: "Netcat was started"
///   severity: low
///   on process.exec
///   where process.name == "nc"
/// }
/// "#;
/// let compiled = compile(&[Source::new("netcat.trap", text)], catalogue());
/// assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
/// assert_eq!(compiled.rules[0].objects[0].classes, ["process.exec"]);
/// ```
pub fn compile(sources: &[Arc<Source>], catalogue: &Catalogue) -> Compiled {
    let (objects, texts): (Vec<Arc<Source>>, Vec<Arc<Source>>) =
        sources.iter().cloned().partition(|source| object::is_object(source));
    let (sigma, texts): (Vec<Arc<Source>>, Vec<Arc<Source>>) =
        texts.into_iter().partition(|source| sigma::is_sigma(&source.name));
    let (mut lowered, mut diagnostics) = hir::lower(&texts, catalogue);
    let own = diagnostics.len();
    let (found, mistakes) = sigma::lower(&sigma, catalogue);
    diagnostics.extend(mistakes);
    add_sigma(found, &mut lowered, &mut diagnostics);
    let mut rules = Vec::with_capacity(lowered.len());
    let told = if sigma.is_empty() { diagnostics.len() } else { own };
    for rule in lowered {
        match compile_rule(&rule, catalogue) {
            Ok(objects) => {
                let needs = Some(hir::supply::needed(&rule.condition));
                rules.push(CompiledRule { rule, objects, listing: None, needs });
            }
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    add_objects(&objects, catalogue, &mut rules, &mut diagnostics);
    if diagnostics.len() > told {
        diagnostics.sort_by_key(|diagnostic| {
            let span = diagnostic.labels.first().map(|label| &label.span);
            let source = span.and_then(|span| sources.iter().position(|source| Arc::ptr_eq(source, &span.source)));
            (source, span.map(|span| span.range.start))
        });
    }
    Compiled { rules, diagnostics }
}

/// Adds rules of Sigma. A title is not unique: of two rules with one name, the later is told apart by its id. Two rules
/// with one id are a mistake.
fn add_sigma(found: Vec<hir::Rule>, rules: &mut Vec<hir::Rule>, diagnostics: &mut Vec<Diagnostic>) {
    let mut names: HashSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    let ids = rules.iter().filter(|rule| !rule.meta.id.is_empty());
    let mut ids: HashMap<String, String> = ids.map(|rule| (rule.meta.id.clone(), rule.source.name.clone())).collect();
    for mut rule in found {
        if let Some(other) = ids.get(&rule.meta.id) {
            let message = format!("the rule `{}` has the id of one in {other}", rule.name);
            let span = line_span(&rule, rule.line);
            diagnostics.push(Diagnostic::error("duplicate-name", message, span, "the second one"));
            continue;
        }
        if names.contains(&rule.name) {
            let mark = if rule.meta.id.is_empty() { hex(&rule.digest) } else { rule.meta.id.clone() };
            rule.name = format!("{}_{}", rule.name, mark.get(..8).unwrap_or(&mark));
        }
        if !names.insert(rule.name.clone()) {
            let message = format!("there are two rules named `{}`", rule.name);
            let span = line_span(&rule, rule.line);
            diagnostics.push(Diagnostic::error("duplicate-name", message, span, "the second one"));
            continue;
        }
        if !rule.meta.id.is_empty() {
            ids.insert(rule.meta.id.clone(), rule.source.name.clone());
        }
        rules.push(rule);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds the rules of object files. Of two rules with one name or id, the first is the one of a text.
fn add_objects(
    objects: &[Arc<Source>],
    catalogue: &Catalogue,
    rules: &mut Vec<CompiledRule>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for source in objects {
        let found = match object::compile(source, catalogue) {
            Ok(found) => found,
            Err(diagnostic) => {
                diagnostics.push(diagnostic);
                continue;
            }
        };
        for new in found {
            let (name, id) = (&new.rule.name, &new.rule.meta.id);
            let same = |known: &CompiledRule| known.rule.name == *name || (!id.is_empty() && known.rule.meta.id == *id);
            if let Some(known) = rules.iter().find(|known| same(known)) {
                let message = format!("the rule `{name}` has the name or the id of one in {}", known.rule.source.name);
                let span = Span { source: source.clone(), range: 0..0 };
                diagnostics.push(Diagnostic::error("duplicate-name", message, span, "the second one"));
            } else {
                rules.push(new);
            }
        }
    }
}

/// The families that a rule's classes belong to, in the order of their first class, with these classes.
pub fn families(rule: &hir::Rule, catalogue: &Catalogue) -> Vec<(FamilyId, Vec<ClassId>)> {
    let mut families: Vec<(FamilyId, Vec<ClassId>)> = Vec::new();
    for class in &rule.classes {
        let Some(family) = catalogue.classes.get(usize::from(class.0)).map(|class| class.family) else { continue };
        match families.iter_mut().find(|entry| entry.0 == family) {
            Some(entry) => entry.1.push(*class),
            None => families.push((family, vec![*class])),
        }
    }
    families
}

/// The decision form of a rule for one family.
pub fn decide(rule: &hir::Rule, catalogue: &Catalogue, family: FamilyId) -> Result<Decision, Diagnostic> {
    mir::build(rule, catalogue, family).map_err(|error| {
        let (code, line, help) = match error {
            MirError::TooDeep { line } => {
                ("condition-too-deep", line, "split the condition into several rules, or write it flatter")
            }
            MirError::ElementOutsideQuantifier { line } => {
                ("element-outside-quantifier", line, "put the test inside `any x in LIST { … }`")
            }
        };
        let line = if line == 0 { rule.line } else { line };
        Diagnostic::error(code, error.to_string(), line_span(rule, line), "in this condition").help(help)
    })
}

/// The objects of a rule: one a family, without those families where no event can ever match, unless that leaves
/// none.
pub fn compile_rule(rule: &hir::Rule, catalogue: &Catalogue) -> Result<Vec<Object>, Diagnostic> {
    let mut decisions = Vec::new();
    for (family, classes) in families(rule, catalogue) {
        decisions.push((family, classes, decide(rule, catalogue, family)?));
    }
    if decisions.iter().any(|(_, _, decision)| !decision.is_never()) {
        decisions.retain(|(_, _, decision)| !decision.is_never());
    } else {
        decisions.truncate(1);
    }
    let mut objects = Vec::with_capacity(decisions.len());
    for (family, classes, decision) in decisions {
        let identity = Identity {
            name: rule.name.clone(),
            catalogue_digest: catalogue.digest(),
            family: catalogue.family(family).name.clone(),
            classes: classes.iter().map(|class| catalogue.class(*class).name.clone()).collect(),
            os: rule.meta.os,
            line: rule.line,
        };
        objects.push(codegen::generate(&decision, identity).map_err(|error| {
            let (code, help) = match error {
                CodegenError::TooLong => ("rule-too-long", "split it into several rules"),
                CodegenError::TooManyPredicates => ("too-many-predicates", "split it into several rules"),
                CodegenError::TooManyFields => ("too-many-fields", "split it into several rules"),
                CodegenError::TooManyIntermediates => {
                    ("too-many-intermediates", "move parts that are about the event out of `any` or `all`")
                }
            };
            Diagnostic::error(code, error.to_string(), line_span(rule, rule.line), "this rule").help(help)
        })?);
    }
    Ok(objects)
}

/// A line of the rule's source without the space around it.
fn line_span(rule: &hir::Rule, line: u32) -> Span {
    let text = rule.source.text.as_str();
    let mut start = 0;
    let mut range: Range<usize> = 0..0;
    for (number, content) in (1u32..).zip(text.split_inclusive('\n')) {
        if number == line {
            let indent = content.len() - content.trim_start().len();
            range = start + indent.min(content.trim_end().len())..start + content.trim_end().len();
            break;
        }
        start += content.len();
    }
    Span { source: rule.source.clone(), range }
}

#[cfg(test)]
mod tests {
    use trapline_vm::isa::{Decoded, Op};
    use trapline_vm::predicate::{Cmp, FieldRef, Predicate, Scope, StrOp, Test};
    use trapline_vm::program::CODE_LEN_MAX;
    use trapline_vm::record::{FieldType, Scalar};

    use super::*;
    use crate::catalogue::catalogue;
    use crate::codegen::{RULE_FIELDS_MAX, RULE_PREDICATES_MAX};
    use crate::hir::{Absent, Expr, Leaf, LeafKind, Meta, Operand, Quantifier};
    use crate::mir::DEPTH_MAX;

    fn rule(condition: Expr) -> hir::Rule {
        hir::Rule {
            name: "limits".to_owned(),
            meta: Meta::default(),
            classes: vec![catalogue().class_id("process.exec").unwrap()],
            condition,
            exceptions: Vec::new(),
            output: None,
            tests: Vec::new(),
            source: Source::new("limits.trap", "# one\n  rule limits {\n}\n"),
            line: 2,
            digest: [0; 32],
        }
    }

    /// The number of instruction slots, or the code of the diagnostic.
    fn compiled(condition: Expr) -> Result<usize, &'static str> {
        match compile_rule(&rule(condition), catalogue()) {
            Ok(objects) => Ok(objects[0].code.len()),
            Err(diagnostic) => {
                let span = &diagnostic.labels[0].span;
                assert_eq!(span.source.text.get(span.range.clone()), Some("rule limits {"));
                Err(diagnostic.code)
            }
        }
    }

    fn leaf(kind: LeafKind) -> Expr {
        Expr::Leaf(Leaf { kind, absent: Absent::Unknown, line: 2, text: String::new() })
    }

    fn field(name: String, ty: FieldType) -> FieldRef {
        FieldRef { name, ty }
    }

    fn text_field(name: &str) -> FieldRef {
        field(name.to_owned(), FieldType::Scalar(Scalar::Str))
    }

    fn contains(field: FieldRef, scope: Scope, text: String) -> Expr {
        let test = Test::Str { op: StrOp::Contains, literals: vec![text], fold: false };
        leaf(LeafKind::Predicate(Predicate { field, scope, test }))
    }

    #[test]
    fn conditions_at_and_over_their_depth() {
        let exists = || leaf(LeafKind::Exists(text_field("process.name")));
        for (depth, ok) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false), (1_000, false)] {
            let wrap = |inside, index| match index % 4 {
                0 => Expr::And(vec![inside, exists()]),
                1 => Expr::Or(vec![inside, exists()]),
                2 => Expr::Not(Box::new(inside)),
                _ => Expr::IsTrue(Box::new(inside)),
            };
            let condition = (1..depth).fold(exists(), wrap);
            let result = compiled(condition);
            assert_eq!(result.is_ok(), ok, "{depth}: {result:?}");
            if !ok {
                assert_eq!(result, Err("condition-too-deep"));
            }
        }
    }

    #[test]
    fn arithmetic_counts_towards_depth() {
        let pid = || Operand::Field(field("process.pid".to_owned(), FieldType::Scalar(Scalar::Int)));
        for (depth, ok) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let left = (2..depth).fold(pid(), |inside, _| Operand::Arithmetic {
                op: hir::Arithmetic::Add,
                decimal: false,
                left: Box::new(pid()),
                right: Box::new(inside),
            });
            let condition = leaf(LeafKind::Compare { cmp: Cmp::Eq, left, right: Operand::Const(1) });
            assert_eq!(compiled(condition).is_ok(), ok, "{depth}");
        }
    }

    #[test]
    fn predicates_at_and_over_their_number() {
        let max = RULE_PREDICATES_MAX;
        for (count, ok) in [(max - 1, true), (max, true), (max + 1, false)] {
            // A negated `is_true` has a short second question, so that the code itself fits.
            let part = |index: usize| match contains(text_field("process.name"), Scope::Any, format!("text{index}")) {
                Expr::Leaf(leaf) => Expr::IsTrue(Box::new(Expr::Leaf(leaf))),
                other => other,
            };
            let condition = Expr::Not(Box::new(Expr::Or((0..count).map(part).collect())));
            let result = compiled(condition);
            assert_eq!(result.is_ok(), ok, "{count}: {result:?}");
            if !ok {
                assert_eq!(result, Err("too-many-predicates"));
            }
        }
    }

    #[test]
    fn fields_at_and_over_their_number() {
        for (count, ok) in [(RULE_FIELDS_MAX - 1, true), (RULE_FIELDS_MAX, true), (RULE_FIELDS_MAX + 1, false)] {
            let part = |index| leaf(LeafKind::Exists(text_field(&format!("raw.{index}"))));
            let result = compiled(Expr::And((0..count).map(part).collect()));
            assert_eq!(result.is_ok(), ok, "{count}: {result:?}");
            if !ok {
                assert_eq!(result, Err("too-many-fields"));
            }
        }
    }

    #[test]
    fn code_at_and_over_its_length() {
        let pid = || field("process.pid".to_owned(), FieldType::Scalar(Scalar::Int));
        let one_of = |count: usize| leaf(LeafKind::OneOf { field: pid(), values: (0..count as i64).collect() });
        let (mut fits, mut refused) = (1_000, 65_535);
        while refused - fits > 1 {
            let middle = (fits + refused) / 2;
            match compiled(one_of(middle)) {
                Ok(_) => fits = middle,
                Err(code) => {
                    assert_eq!(code, "rule-too-long");
                    refused = middle;
                }
            }
        }
        // One value more takes a few slots more: the longest that fits is no further from the limit.
        let len = compiled(one_of(fits)).unwrap();
        assert!(len <= CODE_LEN_MAX && len > CODE_LEN_MAX - 8, "{fits} values take {len} slots");
        assert!(len > compiled(one_of(fits - 1)).unwrap());
    }

    #[test]
    fn intermediates_at_and_over_their_number() {
        let args = || field("process.args".to_owned(), FieldType::List(Scalar::Str));
        for (count, ok) in [(63, true), (64, true), (65, false)] {
            let part = |index: usize| {
                let event = contains(text_field("process.name"), Scope::Any, format!("text{index}"));
                let element = contains(args(), Scope::Elements, format!("text{index}"));
                Expr::Or(vec![event, element])
            };
            let condition = Expr::Quantifier {
                kind: Quantifier::Any,
                list: args(),
                body: Box::new(Expr::And((0..count).map(part).collect())),
                absent: Absent::Unknown,
                line: 2,
            };
            let result = compiled(condition);
            assert_eq!(result.is_ok(), ok, "{count}: {result:?}");
            if !ok {
                assert_eq!(result, Err("too-many-intermediates"));
            }
        }
    }

    #[test]
    fn far_branches_reach() {
        let part = |index: usize| contains(text_field("process.name"), Scope::Any, format!("text{index}"));
        let condition = Expr::And((0..7_000).map(part).collect());
        let objects = compile_rule(&rule(condition), catalogue()).unwrap();
        let code = &objects[0].code;
        assert!(code.len() > 50_000, "{}", code.len());
        assert!(code.iter().any(|slot| slot.opcode == Op::Ja32.row().opcode));
        let mut pc = 0;
        while let Some(decoded) = Decoded::at(code, pc) {
            let decoded = decoded.unwrap();
            if let Some(target) = decoded.target(u32::try_from(pc).unwrap()) {
                assert!(target > pc as i64 && target < code.len() as i64);
            }
            pc += decoded.slots() as usize;
        }
    }

    #[test]
    fn a_test_on_elements_needs_its_quantifier() {
        let args = field("process.args".to_owned(), FieldType::List(Scalar::Str));
        let condition = contains(args, Scope::Elements, "a".to_owned());
        assert_eq!(compiled(condition), Err("element-outside-quantifier"));
    }

    #[test]
    fn a_rule_that_never_matches_has_one_program_and_one_of_several_families_only_those_that_can() {
        let mut never = rule(Expr::Const(false));
        never.classes.push(catalogue().class_id("file.create").unwrap());
        assert_eq!(compile_rule(&never, catalogue()).unwrap().len(), 1);
        let mut one = never.clone();
        one.condition = leaf(LeafKind::Exists(text_field("file.path")));
        let families: Vec<_> =
            compile_rule(&one, catalogue()).unwrap().into_iter().map(|object| object.family).collect();
        assert_eq!(families, ["file"]);
        let mut both = never;
        both.condition = Expr::Const(true);
        assert_eq!(compile_rule(&both, catalogue()).unwrap().len(), 2);
    }
}
