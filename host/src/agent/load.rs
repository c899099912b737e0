//! From rule text to a set of proved programs: compile, link, verify.
//!
//! What is wrong with one rule refuses that rule and nothing else; the caller decides what a refusal means. Nothing
//! here reads files or prints.
//!
//! A [`Loader`] loads one set after the other. All text is compiled each time, which is pure and cheap; what comes out
//! as it was keeps its proved program, so that only new objects are linked and verified. Its domain is append-only:
//! when it is full, or carries much that nobody uses any more, everything is linked anew in a fresh one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};

use trapline_engine::predicate::{InternError, Interned, PredicateLimits};
use trapline_engine::{
    BuildError, Domain, Generation, GenerationBuilder, LinkError, LinkOptions, LoadError, LoadOptions, ReadyProgram,
    StateError, VerifyError,
};
use trapline_programs::compile::{CompiledRule, compile};
use trapline_programs::diagnostic::{Diagnostic, Level, Source};
use trapline_programs::hir::{self, Expr, LeafKind};
use trapline_programs::{lang, object, sigma};
use trapline_vm::program::Object;
use trapline_vm::record::{Catalogue, FamilyId};
use trapline_vm::verifier::Rejection;

use super::alert::{RuleInfo, Stage};
use super::summary::{Lacking, RefusedRule};
use super::supply::{Served, SourceSupply};

/// Predicates, masks and slots of a domain that no program uses any more, beyond which everything is linked anew: an
/// eighth of the predicates that a domain can hold, and room for some hundred edits of the largest set.
pub const DEAD_NUMBERS_MAX: usize = 16_384;

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
    /// Its number within a run, from 1.
    pub number: u64,
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
    /// Fields that it reads and that its source never has; empty if no source was given.
    pub never: Vec<String>,
    /// Classes that it asks for and on which it can match nothing; empty if no source was given.
    pub never_on: Vec<String>,
}

/// A program of a rule.
#[derive(Debug)]
pub struct LoadedProgram {
    /// Number of its rule.
    pub rule: usize,
    /// As compiled.
    pub object: Arc<Object>,
    /// As linked and proved.
    pub ready: Arc<ReadyProgram>,
}

/// A rule that is left out of the set, because the source cannot serve it.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// What alerts would say of it.
    pub info: Arc<RuleInfo>,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// What the source lacks.
    pub lacks: Lacking,
}

/// Why a rule was refused after it had been compiled.
#[derive(Debug)]
pub struct Refusal {
    /// The rule.
    pub rule: String,
    /// Its file.
    pub file: String,
    /// Its line; none in an object file.
    pub line: Option<u32>,
    /// Stable name of the reason.
    pub code: &'static str,
    /// In one line.
    pub reason: String,
    /// What the verifier says, if it was the verifier.
    pub rejection: Option<Box<Rejection>>,
}

/// Where it is, and the reason.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.rule, self.reason)
    }
}

/// What came of loading.
#[derive(Debug)]
pub struct Loaded {
    /// The rules that can run.
    pub ruleset: Ruleset,
    /// Rules that the source cannot serve; none if no source was given.
    pub inert: Vec<SetAside>,
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
    Loader::new(catalogue.clone(), None).load(texts, &|_| Stage::Active)
}

/// Loads one set of rules after the other, and proves only what is new.
#[derive(Debug)]
pub struct Loader {
    domain: Domain,
    limits: PredicateLimits,
    dead_max: usize,
    supply: Option<SourceSupply>,
    /// Programs that some generation still holds, by the name of their rule.
    proved: HashMap<String, Vec<Proved>>,
}

#[derive(Debug)]
struct Proved {
    object: Arc<Object>,
    ready: Weak<ReadyProgram>,
}

/// A compiled rule that is to be linked.
struct Candidate {
    rule: hir::Rule,
    objects: Vec<Arc<Object>>,
    served: Served,
}

/// Everything was linked that can be, or the domain had no room for all.
enum Linked {
    All { rules: Vec<LoadedRule>, programs: Vec<LoadedProgram>, refusals: Vec<Refusal> },
    NoRoom,
}

impl Loader {
    /// A loader that has loaded nothing yet. With a source it leaves out rules which that cannot serve.
    pub fn new(catalogue: Arc<Catalogue>, supply: Option<SourceSupply>) -> Self {
        let limits = PredicateLimits::default();
        let domain = Domain::with_limits(catalogue, limits);
        Self { domain, limits, dead_max: DEAD_NUMBERS_MAX, supply, proved: HashMap::new() }
    }

    /// What the source supplies, if there is one.
    pub fn supply(&self) -> Option<&SourceSupply> {
        self.supply.as_ref()
    }

    /// Compiles a set of rules, and links and proves what was not in an earlier set that is still in use. A rule that
    /// cannot be loaded is refused by itself; the error is that of a set that could use more fuel for one event than
    /// it may. `stage` says by the name of a file what its rules are trusted with.
    pub fn load(&mut self, texts: &[RuleText], stage: &dyn Fn(&str) -> Stage) -> Result<Loaded, BuildError> {
        let catalogue = self.domain.catalogue().clone();
        let sources: Vec<Arc<Source>> = texts.iter().map(|text| text.source.clone()).collect();
        let compiled = compile(&sources, &catalogue);
        let mut refused = refused_by_compiler(&sources, &compiled.rules, &compiled.diagnostics);
        let sets: HashMap<&str, &str> =
            texts.iter().rev().map(|text| (text.source.name.as_str(), text.ruleset.as_str())).collect();
        let info = |rule: &hir::Rule| {
            let set = sets.get(rule.source.name.as_str()).copied().unwrap_or_default();
            Arc::new(RuleInfo::new(rule, set.to_owned()).at(stage(&rule.source.name)))
        };
        let mut inert = Vec::new();
        let mut candidates = Vec::with_capacity(compiled.rules.len());
        for CompiledRule { rule, objects, .. } in compiled.rules {
            let served = match self.supply.as_ref().map_or(Ok(Served::default()), |supply| supply.serve(&rule)) {
                Ok(served) => served,
                Err(lacks) => {
                    let (info, file, line) = (info(&rule), rule.source.name.clone(), rule.line);
                    inert.push(SetAside { info, file, line, lacks });
                    continue;
                }
            };
            // A family of which no event ever comes needs no program.
            let occurs = |object: &Object| {
                self.supply.as_ref().is_none_or(|supply| {
                    object.classes.iter().filter_map(|name| catalogue.class_id(name)).any(|class| supply.class(class))
                })
            };
            let objects = objects.into_iter().filter(occurs).map(Arc::new).collect();
            candidates.push(Candidate { rule, objects, served });
        }

        self.forget_the_dead();
        if self.dead_numbers() > self.dead_max {
            self.start_over();
        }
        let fresh = self.is_fresh();
        let linked = match self.link(&mut candidates, &info, fresh) {
            Linked::NoRoom => {
                self.start_over();
                self.link(&mut candidates, &info, true)
            }
            linked => linked,
        };
        // In a fresh domain, what has no room is refused by itself.
        let (rules, programs, refusals) = match linked {
            Linked::All { rules, programs, refusals } => (rules, programs, refusals),
            Linked::NoRoom => Default::default(),
        };
        refused.extend(refusals.iter().map(|refusal| RefusedRule {
            file: refusal.file.clone(),
            line: refusal.line,
            rule: Some(refusal.rule.clone()),
            id: None,
            code: refusal.code.to_owned(),
            reason: refusal.reason.clone(),
        }));
        refused.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let mut builder = GenerationBuilder::new(&self.domain);
        for program in &programs {
            builder.add(program.ready.clone());
        }
        let generation = Arc::new(builder.build()?);
        Ok(Loaded {
            ruleset: Ruleset { number: 1, generation, rules, programs },
            inert,
            diagnostics: compiled.diagnostics,
            refusals,
            refused,
        })
    }

    /// Links the candidates; all of them if the domain is fresh, or none if it is not and has no room.
    fn link(
        &mut self,
        candidates: &mut Vec<Candidate>,
        info: &dyn Fn(&hir::Rule) -> Arc<RuleInfo>,
        fresh: bool,
    ) -> Linked {
        let mut refusals = Vec::new();
        let mut all = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter() {
            match self.ready(candidate) {
                Ok(ready) => all.push(Some(ready)),
                Err(Refused::NoRoom(_)) if !fresh => return Linked::NoRoom,
                Err(Refused::NoRoom(refusal) | Refused::Rule(refusal)) => {
                    refusals.push(*refusal);
                    all.push(None);
                }
            }
        }
        let (mut rules, mut programs) = (Vec::new(), Vec::new());
        for (Candidate { rule, objects, served }, ready) in candidates.drain(..).zip(all) {
            let Some(ready) = ready else { continue };
            let (number, first) = (rules.len(), programs.len());
            programs.extend(objects.into_iter().zip(ready).map(|(object, ready)| LoadedProgram {
                rule: number,
                object,
                ready,
            }));
            let (info, certain) = (info(&rule), certain(&rule.condition));
            let of_rule = (first..programs.len()).collect();
            let Served { never, never_on, .. } = served;
            rules.push(LoadedRule { rule, info, programs: of_rule, certain, never, never_on });
        }
        Linked::All { rules, programs, refusals }
    }

    /// The proved programs of a rule, known or new, or why one of them is refused.
    fn ready(&mut self, candidate: &Candidate) -> Result<Vec<Arc<ReadyProgram>>, Refused> {
        let rule = &candidate.rule;
        let refuse = |code, reason, rejection| {
            let (name, file) = (rule.name.clone(), rule.source.name.clone());
            let line = (!object::is_object(&rule.source)).then_some(rule.line);
            Box::new(Refusal { rule: name, file, line, code, reason, rejection })
        };
        let mut programs = Vec::with_capacity(candidate.objects.len());
        for object in &candidate.objects {
            if let Some(known) = self.known(object) {
                programs.push(known);
                continue;
            }
            let linked = match &self.supply {
                None => self.domain.link(object, &LinkOptions::default()).map_err(LoadError::from),
                Some(supply) => {
                    let options = LoadOptions { may_lack: &candidate.served.may_lack, ..LoadOptions::default() };
                    self.domain.load(object, supply, &options)
                }
            };
            let linked = linked.map_err(|error| match error {
                LoadError::Supply(error) => Refused::Rule(refuse("not-supplied", error.to_string(), None)),
                LoadError::Link(error) => {
                    let refusal = refuse("not-linked", error.to_string(), None);
                    if is_no_room(&error) { Refused::NoRoom(refusal) } else { Refused::Rule(refusal) }
                }
            })?;
            let program = linked.verify().map_err(|error| {
                Refused::Rule(match error {
                    VerifyError::Rejected(rejection) => refuse(rejection.code(), rejection.message(), Some(rejection)),
                    VerifyError::Access(error) => refuse("bad-proof", error.to_string(), None),
                })
            })?;
            let program = Arc::new(program);
            let proved = Proved { object: object.clone(), ready: Arc::downgrade(&program) };
            self.proved.entry(object.name.clone()).or_default().push(proved);
            programs.push(program);
        }
        Ok(programs)
    }

    /// The proved program of an object that is in use.
    fn known(&self, object: &Object) -> Option<Arc<ReadyProgram>> {
        let mut known = self.proved.get(&object.name)?.iter().filter(|known| *known.object == *object);
        known.find_map(|known| known.ready.upgrade())
    }

    /// Programs that no generation holds any more need not be found again.
    fn forget_the_dead(&mut self) {
        self.proved.retain(|_, proved| {
            proved.retain(|proved| proved.ready.strong_count() > 0);
            !proved.is_empty()
        });
    }

    /// Numbers and appended slots of the domain that no program in use needs.
    fn dead_numbers(&self) -> usize {
        let mut numbers: BTreeSet<Interned> = BTreeSet::new();
        let mut slots: BTreeMap<FamilyId, BTreeSet<u16>> = BTreeMap::new();
        for ready in self.proved.values().flatten().filter_map(|proved| proved.ready.upgrade()) {
            let link = ready.rule();
            numbers.extend(link.predicates.iter().map(|predicate| predicate.number));
            slots.entry(link.family).or_default().extend(link.slots.iter().map(|slot| slot.0));
        }
        let predicates = self.domain.predicates();
        let layouts = self.domain.layouts();
        let families = (0u16..).map(FamilyId).zip(&layouts.catalogue().families);
        let dead_slots = families.flat_map(|(family, _)| layouts.appended(family).map(move |(_, slot)| (family, slot)));
        let dead_slots = dead_slots.filter(|(family, slot)| !slots.get(family).is_some_and(|of| of.contains(&slot.0)));
        (predicates.predicate_count() + predicates.mask_count()).saturating_sub(numbers.len()) + dead_slots.count()
    }

    /// Whether nothing was ever linked in the domain.
    fn is_fresh(&self) -> bool {
        let (predicates, layouts) = (self.domain.predicates(), self.domain.layouts());
        let families = (0u16..).map(FamilyId).zip(&layouts.catalogue().families);
        predicates.predicate_count() + predicates.mask_count() == 0
            && self.domain.state_bytes() == 0
            && families.into_iter().all(|(family, _)| layouts.appended(family).next().is_none())
    }

    /// A domain in which nothing is linked yet. Programs of the old one run on until they are swapped out.
    fn start_over(&mut self) {
        self.domain = Domain::with_limits(self.domain.catalogue().clone(), self.limits);
        self.proved.clear();
    }
}

/// Why a rule is not linked.
enum Refused {
    /// The domain is full.
    NoRoom(Box<Refusal>),
    /// For itself.
    Rule(Box<Refusal>),
}

fn is_no_room(error: &LinkError) -> bool {
    match error {
        LinkError::SlotsFull { .. } => true,
        LinkError::Predicate { error, .. } => {
            matches!(error, InternError::PredicatesFull(_) | InternError::MasksFull(_))
        }
        LinkError::State(error) => matches!(error, StateError::NoRoom(_) | StateError::Limit { .. }),
        _ => false,
    }
}

/// What must have held if the condition did, of the tests that the engine does not report as evidence: those on
/// numbers and between fields, as far as they are joined by `and`.
fn certain(condition: &Expr) -> Vec<(String, String)> {
    match condition {
        Expr::And(parts) => parts.iter().flat_map(certain).collect(),
        Expr::IsTrue(inner) => certain(inner),
        Expr::Leaf(leaf) if !matches!(leaf.kind, LeafKind::Predicate(_)) => {
            let field = hir::supply::fields_of(leaf).into_iter().next();
            field.map(|field| (leaf.text.clone(), field.to_owned())).into_iter().collect()
        }
        _ => Vec::new(),
    }
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
        let is_object = object::is_object(source);
        let refuse = |at: usize, rule, error: Option<&Diagnostic>| RefusedRule {
            file: source.name.clone(),
            line: (!is_object).then(|| source.line_of(at)),
            rule,
            id: None,
            code: error.map_or("refused", |error| error.code).to_owned(),
            reason: error.map_or_else(String::new, |error| error.message.clone()),
        };
        if sigma::is_sigma(&source.name) {
            // Each document is a rule by itself.
            for document in sigma::outline(source) {
                if let Some((error, label)) =
                    errors().find(|(_, label)| document.range.contains(&label.span.range.start))
                {
                    let title = Some(document.title).filter(|title| !title.is_empty());
                    let id = Some(document.id.to_ascii_lowercase()).filter(|id| !id.is_empty());
                    let refused_rule = refuse(label.span.range.start, title, Some(error));
                    refused.push(RefusedRule { id, ..refused_rule });
                }
            }
            continue;
        }
        let before = refused.len();
        let text = if is_object { None } else { Some(lang::ast::file(&lang::parse(source).syntax())) };
        for rule in text.map_or_else(Vec::new, |text| text.rules) {
            // Of two rules with one name, the first is the one that was compiled.
            match compiled.get_mut(&(source.name.as_str(), rule.name.text.clone())) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    // Its own mistake, or that of a macro or list which it uses.
                    let own = errors().find(|(_, label)| rule.range.contains(&label.span.range.start));
                    let error = own.or_else(|| errors().next()).map(|(error, _)| error);
                    refused.push(refuse(rule.name.range.start, Some(rule.name.text), error));
                }
            }
        }
        if refused.len() == before
            && let Some((error, label)) = errors().next()
        {
            refused.push(refuse(label.span.range.start, None, Some(error)));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use trapline_programs::catalogue::catalogue;
    use trapline_vm::map::{MapDecl, MapKind};
    use trapline_vm::record::Os;

    use super::*;

    fn text(name: &str, rules: &[(&str, &str)]) -> RuleText {
        let rules = rules
            .iter()
            .map(|(name, condition)| format!("rule {name} {{ severity: low on process.exec where {condition} }}\n"));
        RuleText { source: Source::new(name, rules.collect::<String>()), ruleset: name.to_owned() }
    }

    fn one(rules: &[(&str, &str)]) -> Vec<RuleText> {
        vec![text("r.trap", rules)]
    }

    fn names(loaded: &Loaded) -> Vec<&str> {
        loaded.ruleset.rules.iter().map(|rule| rule.info.name.as_str()).collect()
    }

    fn program(loaded: &Loaded, rule: &str) -> Arc<ReadyProgram> {
        let rule = loaded.ruleset.rules.iter().find(|loaded| loaded.info.name == rule).unwrap();
        loaded.ruleset.programs[rule.programs[0]].ready.clone()
    }

    fn active(_: &str) -> Stage {
        Stage::Active
    }

    const A: (&str, &str) = ("a", "process.name == \"a\"");
    const B: (&str, &str) = ("b", "process.name == \"b\"");
    const B2: (&str, &str) = ("b", "process.name == \"b2\"");

    #[test]
    fn only_what_is_new_is_proved() {
        let mut loader = Loader::new(catalogue().clone(), None);
        let first = loader.load(&one(&[A, B]), &active).unwrap();
        let second = loader.load(&one(&[A, B2]), &active).unwrap();
        assert!(Arc::ptr_eq(&program(&first, "a"), &program(&second, "a")));
        assert!(!Arc::ptr_eq(&program(&first, "b"), &program(&second, "b")));
        // Back to what is still in use.
        let third = loader.load(&one(&[A, B]), &active).unwrap();
        assert!(Arc::ptr_eq(&program(&first, "b"), &program(&third, "b")));
        assert_eq!(names(&third), ["a", "b"]);
        // A line further down is another program: its traps name another line.
        let mut texts = one(&[A]);
        texts[0].source = Source::new("r.trap", format!("\n{}", texts[0].source.text));
        let moved = loader.load(&texts, &active).unwrap();
        assert!(!Arc::ptr_eq(&program(&first, "a"), &program(&moved, "a")));
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let mut loader = Loader::new(catalogue().clone(), None);
        drop(loader.load(&one(&[A]), &active).unwrap());
        let kept = loader.load(&one(&[B]), &active).unwrap();
        assert_eq!((loader.proved.len(), loader.dead_numbers()), (1, 1));
        assert_eq!(names(&kept), ["b"]);
    }

    #[test]
    fn a_domain_that_carries_too_much_that_is_dead_is_replaced() {
        for (dead_max, fresh) in [(0, true), (1, false), (2, false)] {
            let mut loader = Loader::new(catalogue().clone(), None);
            loader.dead_max = dead_max;
            drop(loader.load(&one(&[A]), &active).unwrap());
            let loaded = loader.load(&one(&[B]), &active).unwrap();
            assert_eq!(loader.domain.predicates().predicate_count(), if fresh { 1 } else { 2 }, "{dead_max}");
            assert_eq!(names(&loaded), ["b"]);
        }
    }

    #[test]
    fn a_full_domain_is_replaced_if_that_makes_room_and_refuses_rules_if_not() {
        let mut loader = Loader::new(catalogue().clone(), None);
        loader.limits = PredicateLimits { predicates: 2, masks: 0 };
        loader.start_over();
        let first = loader.load(&one(&[A, B]), &active).unwrap();
        let second = loader.load(&one(&[A, B2]), &active).unwrap();
        assert_eq!(names(&second), ["a", "b"]);
        assert!(!Arc::ptr_eq(&program(&first, "a"), &program(&second, "a")), "linked anew");
        let third = loader.load(&one(&[A, B, ("c", "process.name == \"c\"")]), &active).unwrap();
        assert_eq!(names(&third), ["a", "b"]);
        let reason = &third.refused[0].reason;
        assert!(reason.contains("2 distinct predicates, all it can hold"), "{reason}");
    }

    /// Maps of layouts that nobody uses any more make room, also where there is nothing else in the domain.
    #[test]
    fn a_domain_full_of_state_is_replaced() {
        let mut loader = Loader::new(catalogue().clone(), None);
        let texts = one(&[("a", "process.pid == 1")]);
        let mut object = compile(&[texts[0].source.clone()], catalogue()).rules.remove(0).objects.remove(0);
        let (kind, contents) = (MapKind::Array, Vec::new());
        object.maps = vec![MapDecl { name: "m".to_owned(), kind, key_len: 4, value_len: 64, entries: 1, contents }];
        assert!(loader.is_fresh());
        loader.domain.link(&object, &LinkOptions::default()).unwrap();
        assert!(!loader.is_fresh());
    }

    #[test]
    fn what_the_source_cannot_serve_is_set_aside_and_what_it_serves_in_part_says_so() {
        let sysmon = SourceSupply::new(catalogue(), ["sysmon"], [Some(Os::Windows)]);
        let mut loader = Loader::new(catalogue().clone(), Some(sysmon));
        let tty = "process.tty.name == \"pts/0\"";
        let either = format!("process.name == \"a\" or {tty}");
        let mut texts = one(&[A, ("needs", tty), ("either", &either)]);
        let linux = "rule l { severity: low os: [linux] on process.exec where process.pid == 1 }\n\
                     rule auth { severity: low on authentication.login where user.name == \"x\" }\n\
                     rule two { severity: low on process.exec, authentication.login where user.name == \"x\" }";
        texts.push(RuleText { source: Source::new("l.trap", linux), ruleset: "l.trap".into() });
        let loaded = loader.load(&texts, &|name| if name == "l.trap" { Stage::Dev } else { Stage::Active }).unwrap();
        assert!(loaded.refused.is_empty(), "{:?} {:?}", loaded.refused, loaded.diagnostics);
        assert_eq!(names(&loaded), ["a", "either", "two"]);
        assert_eq!(loaded.ruleset.rules[1].never, ["process.tty.name"]);
        let stages: Vec<Stage> = loaded.ruleset.rules.iter().map(|rule| rule.info.stage).collect();
        assert_eq!(stages, [Stage::Active, Stage::Active, Stage::Dev]);
        let inert: Vec<(&str, &Lacking)> =
            loaded.inert.iter().map(|aside| (aside.info.name.as_str(), &aside.lacks)).collect();
        let fields = Lacking::Fields(vec!["process.tty.name".into()]);
        let (os, classes) = (Lacking::Os(vec!["linux".into()]), Lacking::Classes(vec!["authentication.login".into()]));
        assert_eq!(inert, [("needs", &fields), ("l", &os), ("auth", &classes)]);
        // The class that never occurs has no program.
        assert_eq!(loaded.ruleset.rules[2].programs.len(), 1);
    }
}
