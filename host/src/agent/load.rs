//! From rule text to a set of proved programs: compile, link, verify.
//!
//! What is wrong with one rule refuses that rule and nothing else; the caller decides what a refusal means. Nothing
//! here reads files or prints.

use std::collections::HashMap;
use std::sync::Arc;

use trapline_engine::{BuildError, Domain, Generation, GenerationBuilder, LinkOptions, ReadyProgram, VerifyError};
use trapline_programs::compile::{CompiledRule, compile};
use trapline_programs::diagnostic::{Diagnostic, Level, Source};
use trapline_programs::hir::{self, Expr, LeafKind};
use trapline_programs::lang;
use trapline_vm::program::Object;
use trapline_vm::record::Catalogue;
use trapline_vm::verifier::Rejection;

use super::alert::RuleInfo;
use super::summary::RefusedRule;
use super::supply;

/// Text to load.
#[derive(Clone, Debug)]
pub struct RuleText {
    /// The text and its name.
    pub source: Arc<Source>,
    /// What alerts call the set it belongs to.
    pub ruleset: String,
}

/// A set of rules, ready to run.
#[derive(Debug)]
pub struct Ruleset {
    /// Its programs, for an instance.
    pub generation: Arc<Generation>,
    /// Its rules, in the order of the text.
    pub rules: Vec<LoadedRule>,
    /// By program number of the generation.
    pub programs: Vec<LoadedProgram>,
}

/// A rule that was compiled and proved.
#[derive(Debug)]
pub struct LoadedRule {
    /// Its typed form.
    pub rule: hir::Rule,
    /// What its alerts say of it.
    pub info: Arc<RuleInfo>,
    /// Numbers of its programs: one a family.
    pub programs: Vec<usize>,
    /// Tests that hold on every match and are no predicates: in the words of the rule, with the field they look at.
    pub certain: Vec<(String, String)>,
}

/// A program of a rule.
#[derive(Debug)]
pub struct LoadedProgram {
    /// Number of its rule.
    pub rule: usize,
    /// As compiled.
    pub object: Object,
    /// As linked and proved.
    pub ready: Arc<ReadyProgram>,
}

/// Why a rule was refused after it had been compiled.
#[derive(Debug)]
pub struct Refusal {
    /// The rule.
    pub rule: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// Stable name of the reason.
    pub code: &'static str,
    /// In one line.
    pub reason: String,
    /// What the verifier says, if it was the verifier.
    pub rejection: Option<Box<Rejection>>,
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that can run.
    pub ruleset: Ruleset,
    /// All that the compiler has to say.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules that the linker or the verifier refused: bugs of our compiler, or rules that ask for too much.
    pub refusals: Vec<Refusal>,
    /// All rules that were refused, and files with mistakes outside of rules.
    pub refused: Vec<RefusedRule>,
}

/// Compiles, links and proves rules. A rule that cannot be loaded is refused by itself; the error is that of a set
/// that could use more fuel for one event than it may.
pub fn load(texts: &[RuleText], catalogue: &Arc<Catalogue>) -> Result<Loaded, BuildError> {
    let sources: Vec<Arc<Source>> = texts.iter().map(|text| text.source.clone()).collect();
    let compiled = compile(&sources, catalogue);
    let mut refused = refused_by_compiler(&sources, &compiled.rules, &compiled.diagnostics);
    let mut domain = Domain::new(catalogue.clone());
    let mut refusals = Vec::new();
    let (mut rules, mut programs) = (Vec::new(), Vec::new());
    for CompiledRule { rule, objects } in compiled.rules {
        match ready(&mut domain, &rule, &objects) {
            Ok(ready) => {
                let number = rules.len();
                let first = programs.len();
                programs.extend(objects.into_iter().zip(ready).map(|(object, ready)| LoadedProgram {
                    rule: number,
                    object,
                    ready: Arc::new(ready),
                }));
                let info = Arc::new(RuleInfo::new(&rule, ruleset_of(texts, &rule.source)));
                let certain = certain(&rule.condition);
                rules.push(LoadedRule { rule, info, programs: (first..programs.len()).collect(), certain });
            }
            Err(refusal) => {
                refused.push(RefusedRule {
                    file: refusal.file.clone(),
                    line: refusal.line,
                    rule: Some(refusal.rule.clone()),
                    code: refusal.code.to_owned(),
                    reason: refusal.reason.clone(),
                });
                refusals.push(*refusal);
            }
        }
    }
    let mut builder = GenerationBuilder::new(&domain);
    for program in &programs {
        builder.add(program.ready.clone());
    }
    let generation = Arc::new(builder.build()?);
    refused.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(Loaded {
        ruleset: Ruleset { generation, rules, programs },
        diagnostics: compiled.diagnostics,
        refusals,
        refused,
    })
}

/// Links and proves all programs of a rule, or says why one of them is refused.
fn ready(domain: &mut Domain, rule: &hir::Rule, objects: &[Object]) -> Result<Vec<ReadyProgram>, Box<Refusal>> {
    let refuse = |code, reason, rejection| {
        let (name, file) = (rule.name.clone(), rule.source.name.clone());
        Box::new(Refusal { rule: name, file, line: rule.line, code, reason, rejection })
    };
    let mut ready = Vec::with_capacity(objects.len());
    for object in objects {
        let linked = domain
            .link(object, &LinkOptions::default())
            .map_err(|error| refuse("not-linked", error.to_string(), None))?;
        let program = linked.verify().map_err(|error| match error {
            VerifyError::Rejected(rejection) => refuse(rejection.code(), rejection.message(), Some(rejection)),
            VerifyError::Access(error) => refuse("bad-proof", error.to_string(), None),
        })?;
        ready.push(program);
    }
    Ok(ready)
}

/// What must have held if the condition did, of the tests that the engine does not report as evidence: those on
/// numbers and between fields, as far as they are joined by `and`.
fn certain(condition: &Expr) -> Vec<(String, String)> {
    match condition {
        Expr::And(parts) => parts.iter().flat_map(certain).collect(),
        Expr::IsTrue(inner) => certain(inner),
        Expr::Leaf(leaf) if !matches!(leaf.kind, LeafKind::Predicate(_)) => {
            let field = supply::fields_of(leaf).into_iter().next();
            field.map(|field| (leaf.text.clone(), field.to_owned())).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The set that a source belongs to.
fn ruleset_of(texts: &[RuleText], source: &Arc<Source>) -> String {
    let text = texts.iter().find(|text| Arc::ptr_eq(&text.source, source) || text.source == *source);
    text.map_or_else(String::new, |text| text.ruleset.clone())
}

/// Rules in the text that did not come out of the compiler, and files with mistakes outside of rules.
fn refused_by_compiler(
    sources: &[Arc<Source>],
    rules: &[CompiledRule],
    diagnostics: &[Diagnostic],
) -> Vec<RefusedRule> {
    let mut refused = Vec::new();
    let mut compiled: HashMap<(&str, String), usize> = HashMap::new();
    for CompiledRule { rule, .. } in rules {
        *compiled.entry((&rule.source.name, rule.name.clone())).or_default() += 1;
    }
    for source in sources {
        let errors = || {
            let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
            errors
                .filter_map(|error| Some((error, error.labels.first()?)))
                .filter(|(_, label)| label.span.source == *source)
        };
        if errors().next().is_none() {
            continue;
        }
        let refuse = |line, rule, error: Option<&Diagnostic>| RefusedRule {
            file: source.name.clone(),
            line,
            rule,
            code: error.map_or("refused", |error| error.code).to_owned(),
            reason: error.map_or_else(String::new, |error| error.message.clone()),
        };
        let before = refused.len();
        for rule in lang::ast::file(&lang::parse(source).syntax()).rules {
            // Of two rules with one name, the first is the one that was compiled.
            match compiled.get_mut(&(source.name.as_str(), rule.name.text.clone())) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    // Its own mistake, or that of a macro or list which it uses.
                    let own = errors().find(|(_, label)| rule.range.contains(&label.span.range.start));
                    let error = own.or_else(|| errors().next()).map(|(error, _)| error);
                    refused.push(refuse(source.line_of(rule.name.range.start), Some(rule.name.text), error));
                }
            }
        }
        if refused.len() == before
            && let Some((error, label)) = errors().next()
        {
            refused.push(refuse(source.line_of(label.span.range.start), None, Some(error)));
        }
    }
    refused
}
