//! From the tree of our language to [`super::Rule`]s: names against the catalogue, types, macros expanded.
//!
//! Lists and macros belong to their file. A macro is expanded hygienically: its body sees its parameters, the lists
//! and macros of the file and the fields of the event, never the `let`s of the rule that uses it; an argument is
//! understood where it is written. Expansion is by need and bounded ([`LEAVES_MAX`], [`EXPANSION_DEPTH_MAX`]).
//!
//! `None` in this module means *a mistake was found here and reported*: both sides of an operator are always looked
//! at first, so that every mistake is found, and none is reported twice.
//!
//! `scope.rs` resolves names, `value.rs` lowers values, `condition.rs` conditions, `compare.rs` comparisons,
//! `constant.rs` literals and patterns, `header.rs` headers and `case.rs` tests.

mod case;
mod compare;
mod condition;
mod constant;
mod header;
mod scope;
#[cfg(test)]
mod tests;
mod value;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use trapline_vm::record::{Catalogue, ClassId, FamilyId, Os, OsSet};

use super::{Exception, Expr, Quantifier, Rule, Template, TemplatePart};
use crate::diagnostic::{Diagnostic, Level, Source, Span};
use crate::lang::ast::{self, ExprKind, Range};
use crate::lang::limits::{
    DIAGNOSTICS_MAX, EXPANDED_NESTING_MAX, EXPANSION_DEPTH_MAX, FILE_EXPANSIONS_MAX, FILE_LEAVES_MAX,
    FILE_LIST_ITEMS_MAX, LEAF_TEXT_MAX, LEAVES_MAX, LETS_MAX,
};
use crate::lang::suggest::nearest;
use scope::Env;

pub(crate) use constant::{case_matters, check_regex, compare_text};
pub(crate) use header::{is_attack, is_uuid, is_version};

/// Mistakes of a file that are kept; the first [`DIAGNOSTICS_MAX`] of them, in order of the text, are shown.
const FOUND_MAX: usize = 50 * DIAGNOSTICS_MAX;

/// Lowers all rules of the sources: those without mistakes, and every mistake of the others.
///
/// Names and ids of rules are unique over all sources; lists and macros are known in their own file only.
pub fn lower(sources: &[Arc<Source>], catalogue: &Catalogue) -> (Vec<Rule>, Vec<Diagnostic>) {
    let (rules, diagnostics, _) = lower_counting(sources, catalogue);
    (rules, diagnostics)
}

/// What lowering a text cost, in counted things: the same on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    /// Conditions and values looked at, each as often as it is expanded.
    steps: usize,
    /// Searches for a similar name, each over a whole list of names.
    searches: usize,
}

/// Lowers, and counts what it cost.
fn lower_counting(sources: &[Arc<Source>], catalogue: &Catalogue) -> (Vec<Rule>, Vec<Diagnostic>, Work) {
    let mut work = Work::default();
    let mut rules: Vec<Rule> = Vec::new();
    let mut diagnostics = Vec::new();
    let mut names: HashMap<String, Span> = HashMap::new();
    let mut ids: HashMap<String, Span> = HashMap::new();
    for source in sources {
        let parse = crate::lang::parse(source);
        let tree = ast::file(&parse.syntax());
        let mut found = Vec::new();
        let file = FileScope::new(source, &tree, catalogue, &parse.diagnostics, &mut found);
        for rule in &tree.rules {
            let before = (found.len(), file.unreported.get());
            let broken = has_mistake(&parse.diagnostics, &rule.range);
            let mut lowered = file.rule(rule, broken, &mut found);
            let span = file.span(&rule.name.range);
            if let Some(first) = names.get(&rule.name.text) {
                let message = format!("there are two rules named `{}`", rule.name.text);
                file.keep(
                    &mut found,
                    Diagnostic::error("duplicate-name", message, span, "the second one")
                        .label(first.clone(), "the first one"),
                );
            } else {
                names.insert(rule.name.text.clone(), span);
            }
            if let Some((id, range)) = header::id_of(rule) {
                let span = file.span(&range);
                if let Some(first) = ids.get(&id) {
                    file.keep(
                        &mut found,
                        Diagnostic::error(
                            "duplicate-name",
                            format!("two rules have the id {id}"),
                            span,
                            "the second one",
                        )
                        .label(first.clone(), "the first one")
                        .help("every rule has its own id: make a new UUID for a copy"),
                    );
                } else {
                    ids.insert(id, span);
                }
            }
            let new = found.get(before.0..).unwrap_or_default();
            let mistaken = new.iter().any(|found| found.level == Level::Error) || file.unreported.get() > before.1;
            if broken || mistaken {
                lowered = None;
            }
            rules.extend(lowered);
        }
        found.extend(parse.diagnostics);
        diagnostics.extend(tidy(found, file.unreported.get(), source));
        work.steps += file.steps.get();
        work.searches += file.searches.get();
    }
    (rules, diagnostics, work)
}

/// Whether the parser found a mistake in this part of the text.
fn has_mistake(found: &[Diagnostic], range: &Range) -> bool {
    // Beyond that many they are only counted: none of the file is trusted.
    let uncounted = found.len() > DIAGNOSTICS_MAX;
    uncounted
        || found.iter().any(|diagnostic| {
            let place = diagnostic.labels.first().map_or(0..0, |label| label.span.range.clone());
            // A mistake noticed at the very end of an item is one of the item.
            range.start <= place.start && place.start <= range.end
        })
}

/// In order of the text, each once, and not more than anyone reads.
fn tidy(mut found: Vec<Diagnostic>, unreported: usize, source: &Arc<Source>) -> Vec<Diagnostic> {
    let place = |diagnostic: &Diagnostic| diagnostic.labels.first().map_or(0..0, |label| label.span.range.clone());
    found.sort_by_key(|diagnostic| {
        let range = place(diagnostic);
        (range.start, range.end)
    });
    // A macro used by many rules has its mistakes once.
    let mut seen = HashSet::new();
    found.retain(|diagnostic| {
        let range = place(diagnostic);
        seen.insert((diagnostic.code, range.start, range.end, diagnostic.message.clone()))
    });
    if found.len() + unreported > DIAGNOSTICS_MAX + 1 {
        let message =
            format!("{} more mistakes in this file are not shown", found.len() + unreported - DIAGNOSTICS_MAX);
        let end = source.text.len();
        found.truncate(DIAGNOSTICS_MAX);
        found.push(Diagnostic::error("limit", message, Span { source: source.clone(), range: end..end }, ""));
    }
    found
}

/// The names of one file, and its lines.
pub(super) struct FileScope<'a> {
    source: &'a Arc<Source>,
    catalogue: &'a Catalogue,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    lists: HashMap<&'a str, &'a ast::List>,
    macros: HashMap<&'a str, &'a ast::Macro>,
    /// Names that exist and mean nothing yet (tables), or are mistaken: their uses are not reported.
    poisoned: HashSet<&'a str>,
    /// Counted over the whole file: no file of few words makes much work.
    leaves: Cell<usize>,
    list_items: Cell<usize>,
    expansions: Cell<usize>,
    /// Mistakes beyond [`FOUND_MAX`].
    unreported: Cell<usize>,
    /// For [`Work`].
    steps: Cell<usize>,
    searches: Cell<usize>,
}

impl<'a> FileScope<'a> {
    fn new(
        source: &'a Arc<Source>,
        tree: &'a ast::File,
        catalogue: &'a Catalogue,
        parsed: &[Diagnostic],
        found: &mut Vec<Diagnostic>,
    ) -> Self {
        let lines = std::iter::once(0).chain(source.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut scope = Self {
            source,
            catalogue,
            lines,
            lists: HashMap::new(),
            macros: HashMap::new(),
            poisoned: HashSet::new(),
            leaves: Cell::new(0),
            list_items: Cell::new(0),
            expansions: Cell::new(0),
            unreported: Cell::new(0),
            steps: Cell::new(0),
            searches: Cell::new(0),
        };
        let mut first: HashMap<&str, &ast::Name> = HashMap::new();
        let defined = tree.lists.iter().map(|list| &list.name).chain(tree.macros.iter().map(|item| &item.name));
        for name in defined {
            if let Some(first) = first.get(name.text.as_str()) {
                let message = format!("`{}` is defined twice in this file", name.text);
                scope.keep(
                    found,
                    Diagnostic::error("duplicate-name", message, scope.span(&name.range), "the second one")
                        .label(scope.span(&first.range), "the first one"),
                );
            } else {
                first.insert(&name.text, name);
            }
        }
        for (name, word) in &tree.later {
            scope.keep(found, not_yet(&format!("`{}`", word.text), scope.span(&word.range)));
            scope.poisoned.extend(name.as_ref().map(|name| name.text.as_str()));
        }
        for list in &tree.lists {
            scope.lists.entry(&list.name.text).or_insert(list);
            if has_mistake(parsed, &list.range) {
                scope.poisoned.insert(&list.name.text);
            }
        }
        for item in &tree.macros {
            scope.macros.entry(&item.name.text).or_insert(item);
            if has_mistake(parsed, &item.range) {
                scope.poisoned.insert(&item.name.text);
            }
        }
        scope.check_cycles(tree, found);
        scope.check_items(tree, found);
        scope
    }

    /// Keeps a mistake, or counts it when there are too many already.
    fn keep(&self, found: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
        if found.len() < FOUND_MAX {
            found.push(diagnostic);
        } else {
            self.unreported.set(self.unreported.get() + 1);
        }
    }

    fn span(&self, range: &Range) -> Span {
        Span { source: self.source.clone(), range: range.clone() }
    }

    /// Line of a byte offset, from 1.
    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.lines.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    /// The text of a range on one line: comments left out, blanks joined, cut when long.
    fn one_line(&self, range: &Range) -> String {
        let text = self.source.text.get(range.clone()).unwrap_or_default();
        let mut out = String::new();
        let mut len = 0usize;
        let mut blank = false;
        for token in crate::lang::syntax::tokens(text) {
            if token.kind.is_trivia() {
                blank = true;
                continue;
            }
            let piece = text.get(token.start..token.end).unwrap_or_default();
            if blank && !out.is_empty() {
                out.push(' ');
                len += 1;
            }
            blank = false;
            for c in piece.chars() {
                if len == LEAF_TEXT_MAX {
                    out.push('…');
                    return out;
                }
                out.push(if c.is_control() { ' ' } else { c });
                len += 1;
            }
        }
        out
    }

    /// Macros that come back to themselves are reported once a circle, and their uses are not expanded.
    fn check_cycles(&mut self, tree: &'a ast::File, found: &mut Vec<Diagnostic>) {
        let mut calls: HashMap<&'a str, Vec<(&'a str, &'a Range)>> = HashMap::new();
        for item in &tree.macros {
            let mut names = Vec::new();
            walk(&item.body, &mut |expr| {
                if let ExprKind::Call(path, _) | ExprKind::Path(path) = &expr.kind
                    && let Some(name) = path.single()
                    && let Some((name, _)) = self.macros.get_key_value(name)
                    && !item.params.iter().flatten().any(|(param, _)| param.text == *name)
                {
                    names.push((*name, &path.range));
                }
            });
            calls.entry(&item.name.text).or_insert(names);
        }
        // Depth first with an explicit stack; 2: done, 1: on the way.
        let mut state: HashMap<&str, u8> = HashMap::new();
        for item in &tree.macros {
            let mut stack: Vec<(&'a str, usize)> = vec![(&item.name.text, 0)];
            while let Some((name, next)) = stack.last().copied() {
                if next == 0 && state.get(name) == Some(&2) {
                    stack.pop();
                    continue;
                }
                state.insert(name, 1);
                let Some((callee, range)) = calls.get(name).and_then(|calls| calls.get(next)) else {
                    state.insert(name, 2);
                    stack.pop();
                    continue;
                };
                if let Some(last) = stack.last_mut() {
                    last.1 += 1;
                }
                match state.get(callee) {
                    Some(1) => {
                        let from = stack.iter().position(|(name, _)| name == callee).unwrap_or(0);
                        let circle: Vec<&str> = stack.iter().skip(from).map(|(name, _)| *name).collect();
                        let path = format!("`{}` -> `{callee}`", circle.join("` -> `"));
                        self.keep(
                            found,
                            Diagnostic::error(
                                "recursive-macro",
                                format!("macro `{callee}` is defined by itself"),
                                self.span(range),
                                format!("the circle: {path}"),
                            )
                            .help("rules end: there is no recursion; write the repeated part out"),
                        );
                        self.poisoned.extend(circle);
                    }
                    Some(_) => {}
                    None => stack.push((callee, 0)),
                }
            }
        }
    }

    /// Lists and macros that no rule uses have their mistakes found too.
    fn check_items(&mut self, tree: &'a ast::File, found: &mut Vec<Diagnostic>) {
        for list in &tree.lists {
            let mut cx = Cx::new(self, found);
            let complete = cx.check_list_type(list).is_some() & cx.list_items(&list.items, &list.name).is_some();
            if !complete {
                self.poisoned.insert(&list.name.text);
            }
        }
        for item in &tree.macros {
            let mut cx = Cx::new(self, found);
            if !cx.check_macro(item) {
                self.poisoned.insert(&item.name.text);
            }
        }
    }

    fn rule(&self, rule: &'a ast::Rule, broken: bool, found: &mut Vec<Diagnostic>) -> Option<Rule> {
        let mut cx = Cx::new(self, found);
        for (word, name) in &rule.later {
            cx.report(not_yet(&format!("`{}`", word.text), self.span(&word.range)));
            cx.poisoned.extend(name.as_ref().map(|name| name.text.as_str()));
        }
        let meta = cx.header(rule, broken);
        cx.windows_only = meta.os == OsSet::ANY.with(Os::Windows);
        let sequence = rule.later.iter().any(|(word, _)| word.text == "sequence");
        cx.classes(rule, broken || sequence);
        if sequence {
            // Names in the rest of the rule belong to its steps.
            return None;
        }
        if let Some((name, _)) = rule.lets.get(LETS_MAX) {
            cx.error("limit", format!("a rule has at most {LETS_MAX} `let`s"), &name.range, "one too many");
            return None;
        }
        let mut lets = Vec::new();
        for (name, value) in &rule.lets {
            if let Some((first, _)) = rule.lets.iter().take(lets.len()).find(|(first, _)| first.text == name.text) {
                let message = format!("`{}` is defined twice in this rule", name.text);
                cx.report(
                    Diagnostic::error("duplicate-name", message, self.span(&name.range), "the second one")
                        .label(self.span(&first.range), "the first one"),
                );
            }
            let env = Rc::new(Env::of_rule(&rule.lets, lets.len()));
            let leaves = cx.leaves;
            cx.check_let(value, &env);
            cx.leaves = leaves;
            lets.push(name);
        }
        // Those of lets count where they are used.
        cx.quantifiers.clear();
        let env = Rc::new(Env::of_rule(&rule.lets, lets.len()));
        let mut conditions = rule.conditions.iter();
        let condition = match conditions.next() {
            Some((_, condition)) => cx.condition(condition, &env),
            None => Some(Expr::Const(true)),
        };
        for (range, extra) in conditions {
            let mut diagnostic =
                Diagnostic::error("duplicate-key", "a rule has one `where`", self.span(range), "the second one")
                    .help("join conditions with `and`");
            if let Some((first, _)) = rule.conditions.first() {
                diagnostic = diagnostic.label(self.span(first), "the first one");
            }
            cx.report(diagnostic);
            cx.condition(extra, &env);
        }
        let mut exceptions = Some(Vec::new());
        for unless in &rule.unless {
            match (cx.condition(unless, &env), &mut exceptions) {
                (Some(condition), Some(all)) => all.push(Exception { condition, line: self.line(unless.range.start) }),
                _ => exceptions = None,
            }
        }
        cx.check_all_of_none();
        let mut output = None;
        for (index, text) in rule.output.iter().enumerate() {
            if index > 0 {
                cx.report(Diagnostic::error(
                    "duplicate-key",
                    "a rule has one `output`",
                    self.span(&text.range),
                    "another one",
                ));
            }
            output = cx.template(text);
        }
        let tests = rule.tests.iter().filter_map(|test| cx.test_case(test)).collect();
        let classes = std::mem::take(&mut cx.classes);
        let text = self.source.text.get(rule.range.clone()).unwrap_or_default();
        Some(Rule {
            name: rule.name.text.clone(),
            meta,
            classes,
            condition: condition?,
            exceptions: exceptions?,
            output,
            tests,
            source: self.source.clone(),
            line: self.line(rule.range.start),
            digest: Sha256::digest(text.as_bytes()).into(),
        })
    }
}

/// `what` is a construct as a sentence begins with it.
fn not_yet(what: &str, span: Span) -> Diagnostic {
    let message = format!("{what} is parsed but cannot be compiled yet");
    Diagnostic::error("not-yet", message, span, "not yet").help("other rules of this file are compiled all the same")
}

/// Visits an expression and all within it.
fn walk<'a>(expr: &'a ast::Expr, visit: &mut impl FnMut(&'a ast::Expr)) {
    let mut stack = vec![expr];
    while let Some(expr) = stack.pop() {
        visit(expr);
        match &expr.kind {
            ExprKind::Or(all) | ExprKind::And(all) | ExprKind::List(all) | ExprKind::Default(all) => {
                stack.extend(all.iter().rev());
            }
            ExprKind::Call(_, arguments) => stack.extend(arguments.iter().rev()),
            ExprKind::Not(inner) | ExprKind::Neg(inner) => stack.push(inner),
            ExprKind::Compare(compare) => stack.extend([&compare.right, &compare.left]),
            ExprKind::Arithmetic(first, rest) => {
                stack.extend(rest.iter().rev().map(|(_, operand)| operand));
                stack.push(first);
            }
            ExprKind::Quantifier(quantifier) => stack.push(&quantifier.body),
            ExprKind::Error | ExprKind::Str(_) | ExprKind::Number(_) | ExprKind::Path(_) | ExprKind::Index(_) => {}
        }
    }
}

/// What is known while one rule is lowered.
pub(super) struct Cx<'a, 'f> {
    file: &'f FileScope<'a>,
    found: &'f mut Vec<Diagnostic>,
    /// Classes of the rule, sorted.
    classes: Vec<ClassId>,
    /// Their families; empty: not known, nothing is said about fields of other families.
    families: Vec<FamilyId>,
    /// Whether the rule is for Windows alone.
    windows_only: bool,
    /// Names of the rule that mean nothing yet.
    poisoned: HashSet<&'a str>,
    /// Tests made so far.
    leaves: usize,
    /// Set when a limit was passed: nothing more is expanded.
    exhausted: bool,
    /// Macros and names being expanded: what, and where it is used.
    expansions: Vec<(String, Range)>,
    /// Conditions and values being lowered, each within the one before.
    depth: u32,
    /// Whether we are in the body of a quantifier.
    quantified: bool,
    /// Whether we are under an odd number of `not`s.
    negated: bool,
    /// Quantifiers of the conditions, the negated left out: which, over what list, where.
    quantifiers: Vec<(Quantifier, String, Range)>,
}

impl<'a, 'f> Cx<'a, 'f> {
    fn new(file: &'f FileScope<'a>, found: &'f mut Vec<Diagnostic>) -> Self {
        Self {
            file,
            found,
            classes: Vec::new(),
            families: Vec::new(),
            windows_only: false,
            poisoned: HashSet::new(),
            leaves: 0,
            exhausted: false,
            expansions: Vec::new(),
            depth: 0,
            quantified: false,
            negated: false,
            quantifiers: Vec::new(),
        }
    }

    /// Warns of each `all` that nothing keeps from being true of an empty list.
    fn check_all_of_none(&mut self) {
        let all = std::mem::take(&mut self.quantifiers);
        let some = |(kind, list, _): &(Quantifier, String, Range)| (*kind == Quantifier::Any).then(|| list.clone());
        let some: HashSet<String> = all.iter().filter_map(some).collect();
        for (kind, list, range) in &all {
            if *kind == Quantifier::Any || some.contains(list) {
                continue;
            }
            let span = self.file.span(range);
            self.report(
                Diagnostic::warning(
                    "all-of-none",
                    format!("`all` is true of an empty `{list}`"),
                    span,
                    "true of no elements",
                )
                .help(format!("write `any x in {list} {{ … }} and` before it if there must be one")),
            );
        }
    }

    /// Reports a mistake, with the outermost use of a macro if it was found in one.
    fn report(&mut self, mut diagnostic: Diagnostic) {
        if let Some((name, range)) = self.expansions.first() {
            let span = self.file.span(range);
            if diagnostic.labels.iter().all(|label| label.span != span) {
                diagnostic = diagnostic.label(span, format!("`{name}` is used here"));
            }
        }
        self.file.keep(self.found, diagnostic);
    }

    /// Whether so much was found already that looking for similar names is not worth the time.
    fn is_busy(&self) -> bool {
        let busy = self.found.len() > 2 * DIAGNOSTICS_MAX;
        if !busy {
            self.file.searches.set(self.file.searches.get() + 1);
        }
        busy
    }

    fn error(&mut self, code: &'static str, message: impl Into<String>, range: &Range, label: impl Into<String>) {
        let span = self.file.span(range);
        self.report(Diagnostic::error(code, message, span, label));
    }

    /// A limit was passed: nothing more is expanded.
    fn exhaust(&mut self, message: String, range: &Range, label: &str) {
        self.exhausted = true;
        self.error("limit", message, range, label);
    }

    /// Runs `inner` within the expansion of a name.
    fn expanding<T>(&mut self, name: &str, range: &Range, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.exhausted {
            return None;
        }
        let depth = u32::try_from(self.expansions.len()).unwrap_or(u32::MAX);
        if depth >= EXPANSION_DEPTH_MAX {
            let message = format!("macros and names are nested more than {EXPANSION_DEPTH_MAX} deep");
            self.exhaust(message, range, "one level too deep");
            return None;
        }
        let count = self.file.expansions.get() + 1;
        if count > FILE_EXPANSIONS_MAX {
            let message = format!("the macros, lets and lists of a file are used at most {FILE_EXPANSIONS_MAX} times");
            self.exhaust(message, range, "one use too many");
            return None;
        }
        self.file.expansions.set(count);
        self.expansions.push((name.to_owned(), range.clone()));
        let out = inner(self);
        self.expansions.pop();
        out
    }

    /// Runs `inner` one level of nesting deeper.
    fn deeper<T>(&mut self, range: &Range, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.exhausted {
            return None;
        }
        if self.depth >= EXPANDED_NESTING_MAX {
            let message = format!("with its macros expanded, this nests more than {EXPANDED_NESTING_MAX} deep");
            self.exhaust(message, range, "one level too deep");
            return None;
        }
        self.depth += 1;
        self.file.steps.set(self.file.steps.get() + 1);
        let out = inner(self);
        self.depth -= 1;
        out
    }

    /// Counts one test or computation more.
    fn count_leaf(&mut self, range: &Range) -> Option<()> {
        if self.exhausted {
            return None;
        }
        if self.leaves >= LEAVES_MAX {
            let message = format!("a rule has at most {LEAVES_MAX} tests once its macros are expanded");
            self.exhaust(message, range, "one test too many");
            return None;
        }
        let count = self.file.leaves.get() + 1;
        if count > FILE_LEAVES_MAX {
            let message = format!("the rules of a file have at most {FILE_LEAVES_MAX} tests together");
            self.exhaust(message, range, "one test too many");
            return None;
        }
        self.file.leaves.set(count);
        self.leaves += 1;
        Some(())
    }

    /// Counts the elements of a list that is named here.
    fn count_items(&mut self, len: usize, range: &Range) -> Option<()> {
        let count = self.file.list_items.get().saturating_add(len);
        if count > FILE_LIST_ITEMS_MAX {
            let message =
                format!("the lists named in a file have at most {FILE_LIST_ITEMS_MAX} elements, each use counted");
            self.exhaust(message, range, "too many with this one");
            return None;
        }
        self.file.list_items.set(count);
        Some(())
    }

    /// `on`: classes and families.
    fn classes(&mut self, rule: &'a ast::Rule, silent: bool) {
        let catalogue = self.file.catalogue;
        let mut on = rule.on.iter();
        let Some((first, paths)) = on.next() else {
            if !silent {
                let message = format!("rule `{}` does not say which events it is about", rule.name.text);
                let span = self.file.span(&rule.name.range);
                self.report(Diagnostic::error("missing-clause", message, span, "no `on` in this rule").help(
                    "write `on process.exec`, or whichever classes of events it looks at; `trapline fields` lists them",
                ));
            }
            return;
        };
        for (range, _) in on {
            let span = self.file.span(range);
            let first = self.file.span(first);
            self.report(
                Diagnostic::error("duplicate-key", "a rule has one `on`", span, "the second one")
                    .label(first, "the first one")
                    .help("write several classes with commas: `on process.exec, process.exit`"),
            );
        }
        let mut complete = true;
        for path in paths {
            let name = path.dotted();
            if path.parts.first().is_some_and(|first| first == "rule") && path.parts.len() > 1 {
                let span = self.file.span(&path.range);
                self.report(not_yet(&format!("`on {name}`"), span));
                complete = false;
                continue;
            }
            let below = format!("{name}.");
            let found: Vec<ClassId> = (0u16..)
                .zip(&catalogue.classes)
                .filter(|(_, class)| name == "event" || class.name == name || class.name.starts_with(&below))
                .map(|(index, _)| ClassId(index))
                .collect();
            if found.is_empty() {
                self.unknown_class(&name, &path.range);
                complete = false;
            }
            self.classes.extend(found);
        }
        self.classes.sort_unstable();
        self.classes.dedup();
        if complete {
            self.families = self.classes.iter().map(|class| catalogue.class(*class).family).collect();
            self.families.sort_unstable();
            self.families.dedup();
        }
    }

    fn unknown_class(&mut self, name: &str, range: &Range) {
        let catalogue = self.file.catalogue;
        let family = name.split('.').next().unwrap_or_default();
        let span = self.file.span(range);
        let mut diagnostic = Diagnostic::error(
            "unknown-class",
            format!("there is no event class `{name}`"),
            span,
            "not in the catalogue",
        );
        if self.is_busy() {
            return self.report(diagnostic);
        }
        let names = catalogue.classes.iter().map(|class| class.name.as_str());
        let families = catalogue.families.iter().map(|family| family.name.as_str());
        if let Some(near) = nearest(name, names.chain(families).chain(["event"])) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if let Some(family) = catalogue.family_id(family) {
            let classes: Vec<&str> =
                catalogue.classes_of(family).take(12).map(|id| catalogue.class(id).name.as_str()).collect();
            diagnostic = diagnostic.help(format!("classes of this family are {}", classes.join(", ")));
        } else {
            let families: Vec<&str> = catalogue.families.iter().map(|family| family.name.as_str()).collect();
            diagnostic = diagnostic.help(format!("families of classes are {}", families.join(", ")));
        }
        if catalogue.field_id(name).is_some() {
            diagnostic = diagnostic.help(format!("`{name}` is a field: test it in `where`"));
        }
        self.report(diagnostic);
    }

    /// `output "…"`: text with `{field}` and `{field|default}`; `{{` and `}}` are the characters.
    fn template(&mut self, text: &'a ast::Expr) -> Option<Template> {
        let ExprKind::Str(cooked) = &text.kind else { return None };
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = cooked.text.char_indices().peekable();
        let mut complete = true;
        let place =
            |from: usize, to: usize| text.range.start + cooked.origin(from)..text.range.start + cooked.origin(to);
        while let Some((at, c)) = chars.next() {
            match c {
                '{' | '}' if chars.next_if(|(_, next)| *next == c).is_some() => plain.push(c),
                '}' => {
                    self.error(
                        "invalid-template",
                        "this `}` closes nothing",
                        &place(at, at + 1),
                        "write `}}` for the character",
                    );
                    complete = false;
                }
                '{' => {
                    let mut inner = String::new();
                    let mut end = None;
                    for (at, c) in chars.by_ref() {
                        if c == '}' {
                            end = Some(at);
                            break;
                        }
                        inner.push(c);
                    }
                    let Some(end) = end else {
                        let range = place(at, at + 1);
                        self.error(
                            "invalid-template",
                            "this `{` is not closed",
                            &range,
                            "write `{{` for the character",
                        );
                        complete = false;
                        break;
                    };
                    let (name, default) = match inner.split_once('|') {
                        Some((name, default)) => (name.trim(), Some(default.to_owned())),
                        None => (inner.trim(), None),
                    };
                    let range = place(at + 1, end);
                    let resolved = if name.is_empty() {
                        self.error("invalid-template", "a field's name is missing here", &range, "empty");
                        None
                    } else {
                        self.field_named(&name.replace('`', ""), &range)
                    };
                    match resolved {
                        Some(field) => {
                            if !plain.is_empty() {
                                parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
                            }
                            parts.push(TemplatePart::Field { field: field.field, default });
                        }
                        None => complete = false,
                    }
                }
                other => plain.push(other),
            }
        }
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(plain));
        }
        complete.then_some(Template { parts })
    }
}
