//! A generation: an immutable set of programs, with what must be done for each class of events.
//!
//! Everything that can be known before the first event is computed here: which programs a class wakes, which
//! predicates those test (each once, sorted by field), which slots a decoder must fill, and whether the worst case of
//! one event fits the budget. The next generation shares the programs it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use trapline_vm::map::{MapId, PlacedMap};
use trapline_vm::predicate::MASK_LEN;
use trapline_vm::record::{ClassId, FamilyId, Layouts, OsSet, Slot};
use trapline_vm::trap::TrapReport;

use crate::domain::{Domain, DomainToken};
use crate::instance::Trapped;
use crate::link::predicate_byte;
use crate::predicate::{Interned, MaskId, Matcher, PredicateId};
use crate::program::ReadyProgram;

/// The most fuel that the programs woken by one event may use together, unless the embedder says otherwise.
pub const EVENT_FUEL_BUDGET_DEFAULT: u64 = 10_000_000;

/// How many programs a refused budget names.
const DEAREST_SHOWN: usize = 5;

/// A program's place in its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramIndex(pub u32);

/// A set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    /// Whether it holds the slot.
    pub fn contains(&self, slot: Slot) -> bool {
        self.words.get(usize::from(slot.0 / 64)).is_some_and(|word| word >> (slot.0 % 64) & 1 != 0)
    }

    /// Its slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..=u16::MAX).map(Slot).take(self.words.len() * 64).filter(|slot| self.contains(*slot))
    }

    fn insert(&mut self, slot: Slot) {
        let word = usize::from(slot.0 / 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (slot.0 % 64);
        }
    }
}

/// What happens for one class of events.
#[derive(Debug, Default)]
pub(crate) struct ClassPlan {
    /// Programs that the class wakes, ascending, and the systems whose events wake them.
    pub(crate) programs: Vec<(ProgramIndex, OsSet)>,
    /// Predicates that those test, by field.
    pub(crate) groups: Vec<Group>,
    pub(crate) predicates: Vec<Evaluation>,
    /// Bytes of the predicate bits that the predicates lie in.
    pub(crate) bit_ranges: Vec<Range<usize>>,
    /// Bytes of the masks that they lie in.
    pub(crate) mask_ranges: Vec<Range<usize>>,
    wanted: SlotSet,
    fuel_bound: u64,
}

/// The predicates on one field: indices into the plan's.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) slot: Slot,
    /// Those that are known even if the field is absent.
    pub(crate) existence: Range<usize>,
    /// The others.
    pub(crate) values: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub(crate) number: Interned,
    pub(crate) matcher: Arc<Matcher>,
    /// The systems whose events wake a program that tests it.
    pub(crate) os: OsSet,
}

/// An immutable set of programs. Made by a [`GenerationBuilder`].
#[derive(Debug)]
pub struct Generation {
    layouts: Layouts,
    domain: DomainToken,
    programs: Vec<Arc<ReadyProgram>>,
    classes: Vec<ClassPlan>,
    families: Vec<SlotSet>,
    /// By number.
    maps: BTreeMap<MapId, PlacedMap>,
    event_fuel_budget: u64,
    digest: [u8; 32],
}

/// Why a set of programs is no generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Events of one class could use more fuel than an event may.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The program was linked in another domain.
    #[error("`{0}` was linked in another domain")]
    ForeignProgram(String),
}

/// Events of one class could use more fuel than an event may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BudgetError {
    /// The class.
    pub class: String,
    /// Fuel of one event at worst.
    pub fuel: u64,
    /// What it may be.
    pub budget: u64,
    /// Programs that the class wakes.
    pub programs: usize,
    /// Those that cost most, with their fuel at worst, dearest first.
    pub dearest: Vec<(String, u64)>,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, fuel, budget, programs, dearest } = self;
        write!(
            f,
            "one `{class}` event can use {fuel} fuel in {programs} programs, {budget} is allowed; the dearest: "
        )?;
        for (index, (name, fuel)) in dearest.iter().enumerate() {
            write!(f, "{}`{name}` {fuel}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Collects programs for a generation.
#[derive(Debug)]
pub struct GenerationBuilder<'d> {
    domain: &'d Domain,
    programs: Vec<Arc<ReadyProgram>>,
    event_fuel_budget: u64,
}

impl<'d> GenerationBuilder<'d> {
    /// An empty set of programs of this domain.
    pub fn new(domain: &'d Domain) -> Self {
        Self { domain, programs: Vec::new(), event_fuel_budget: EVENT_FUEL_BUDGET_DEFAULT }
    }

    /// Sets the most fuel that the programs woken by one event may use together.
    #[must_use]
    pub fn event_fuel_budget(mut self, fuel: u64) -> Self {
        self.event_fuel_budget = fuel;
        self
    }

    /// Adds a program, and says which place it will have.
    pub fn add(&mut self, program: impl Into<Arc<ReadyProgram>>) -> ProgramIndex {
        let index = ProgramIndex(u32::try_from(self.programs.len()).unwrap_or(u32::MAX));
        self.programs.push(program.into());
        index
    }

    /// Freezes the set.
    pub fn build(self) -> Result<Generation, BuildError> {
        let Self { domain, programs, event_fuel_budget } = self;
        if let Some(foreign) = programs.iter().find(|program| program.domain != domain.token) {
            return Err(BuildError::ForeignProgram(foreign.name().to_owned()));
        }
        let catalogue = domain.catalogue();
        let mut families = vec![SlotSet::default(); catalogue.families.len()];
        let mut woken: Vec<Vec<(ProgramIndex, &ReadyProgram)>> = vec![Vec::new(); catalogue.classes.len()];
        for (index, program) in (0..).map(ProgramIndex).zip(&programs) {
            let rule = program.rule();
            if let Some(wanted) = families.get_mut(usize::from(rule.family.0)) {
                rule.slots.iter().for_each(|slot| wanted.insert(*slot));
            }
            for class in &rule.classes {
                if let Some(woken) = woken.get_mut(usize::from(class.0)) {
                    woken.push((index, program));
                }
            }
        }
        let classes: Vec<ClassPlan> = woken.iter().map(|programs| ClassPlan::new(domain, programs)).collect();
        for ((plan, programs), class) in classes.iter().zip(&woken).zip(&catalogue.classes) {
            if plan.fuel_bound > event_fuel_budget {
                let mut dearest: Vec<(String, u64)> =
                    programs.iter().map(|(_, program)| (program.name().to_owned(), program.fuel_bound())).collect();
                dearest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                dearest.truncate(DEAREST_SHOWN);
                return Err(BuildError::Budget(BudgetError {
                    class: class.name.clone(),
                    fuel: plan.fuel_bound,
                    budget: event_fuel_budget,
                    programs: programs.len(),
                    dearest,
                }));
            }
        }
        let digest = digest(domain, &programs, event_fuel_budget);
        let placed = programs.iter().flat_map(|program| &program.program().maps);
        let maps = placed.map(|map| (map.id, map.clone())).collect();
        Ok(Generation {
            layouts: domain.layouts().clone(),
            domain: domain.token.clone(),
            programs,
            classes,
            families,
            maps,
            event_fuel_budget,
            digest,
        })
    }
}

fn digest(domain: &Domain, programs: &[Arc<ReadyProgram>], event_fuel_budget: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(domain.catalogue().digest());
    hasher.update(event_fuel_budget.to_le_bytes());
    for program in programs {
        hasher.update(program.rule().digest);
        hasher.update(program.program().fuel_limit.to_le_bytes());
    }
    hasher.finalize().into()
}

impl ClassPlan {
    fn new(domain: &Domain, programs: &[(ProgramIndex, &ReadyProgram)]) -> Self {
        let mut wanted = SlotSet::default();
        let mut tested: BTreeMap<Interned, OsSet> = BTreeMap::new();
        let mut fuel_bound = 0u64;
        for (_, program) in programs {
            let rule = program.rule();
            fuel_bound = fuel_bound.saturating_add(program.fuel_bound());
            rule.slots.iter().for_each(|slot| wanted.insert(*slot));
            for predicate in &rule.predicates {
                let os = tested.entry(predicate.number).or_insert(rule.os);
                *os = union(*os, rule.os);
            }
        }
        let mut predicates: Vec<Evaluation> = tested
            .into_iter()
            .filter_map(|(number, os)| {
                let matcher = domain.predicates().matcher(number)?.clone();
                Some(Evaluation { number, matcher, os })
            })
            .collect();
        predicates.sort_by_key(|predicate| {
            let matcher = &predicate.matcher;
            (matcher.slot(), !matcher.is_known_when_absent(), predicate.number)
        });
        let groups = groups(&predicates);
        let numbers = || predicates.iter().map(|predicate| predicate.number);
        let bit_ranges = ranges(numbers().filter_map(|number| match number {
            Interned::Bits(id) => Some((predicate_byte(id) as usize, 1)),
            Interned::Mask(_) => None,
        }));
        let mask_ranges = ranges(numbers().filter_map(|number| match number {
            Interned::Bits(_) => None,
            Interned::Mask(id) => Some((mask_offset(id), MASK_LEN as usize)),
        }));
        Self {
            programs: programs.iter().map(|(index, program)| (*index, program.rule().os)).collect(),
            groups,
            predicates,
            bit_ranges,
            mask_ranges,
            wanted,
            fuel_bound,
        }
    }
}

/// Where the entry of a mask begins.
pub(crate) fn mask_offset(id: MaskId) -> usize {
    usize::from(id.0) * MASK_LEN as usize
}

fn union(a: OsSet, b: OsSet) -> OsSet {
    if a == OsSet::ANY || b == OsSet::ANY { OsSet::ANY } else { OsSet(a.0 | b.0) }
}

/// Cuts sorted predicates by field.
fn groups(predicates: &[Evaluation]) -> Vec<Group> {
    let mut start = 0;
    predicates
        .chunk_by(|a, b| a.matcher.slot() == b.matcher.slot())
        .filter_map(|chunk| {
            let existence = chunk.iter().take_while(|predicate| predicate.matcher.is_known_when_absent()).count();
            let (values, end) = (start + existence, start + chunk.len());
            let group = Group { slot: chunk.first()?.matcher.slot(), existence: start..values, values: values..end };
            start = end;
            Some(group)
        })
        .collect()
}

/// The places as few runs of bytes.
fn ranges(places: impl Iterator<Item = (usize, usize)>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, len) in places.collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some(last) if last.end >= start => last.end = start + len,
            _ => ranges.push(start..start + len),
        }
    }
    ranges
}

impl Generation {
    /// Where each field lies in the records that its programs read. A decoder must use these: a record made with
    /// earlier layouts may be too short for a program of this generation.
    pub fn layouts(&self) -> &Layouts {
        &self.layouts
    }

    /// The programs, by index.
    pub fn programs(&self) -> &[Arc<ReadyProgram>] {
        &self.programs
    }

    /// The program at this place.
    pub fn program(&self, index: ProgramIndex) -> Option<&Arc<ReadyProgram>> {
        self.programs.get(index.0 as usize)
    }

    /// The programs that a class wakes, with the systems whose events do.
    pub fn programs_of(&self, class: ClassId) -> &[(ProgramIndex, OsSet)] {
        self.plan(class).map_or(&[], |plan| &plan.programs)
    }

    /// How many distinct predicates an event of this class has evaluated at most.
    pub fn predicates_of(&self, class: ClassId) -> usize {
        self.plan(class).map_or(0, |plan| plan.predicates.len())
    }

    /// The slots that an event of this class must have filled.
    pub fn wanted(&self, class: ClassId) -> Option<&SlotSet> {
        self.plan(class).map(|plan| &plan.wanted)
    }

    /// Whether some program of the family needs this slot filled.
    pub fn wants(&self, family: FamilyId, slot: Slot) -> bool {
        self.families.get(usize::from(family.0)).is_some_and(|wanted| wanted.contains(slot))
    }

    /// The most fuel that the programs woken by one event of this class can use together.
    pub fn fuel_bound(&self, class: ClassId) -> u64 {
        self.plan(class).map_or(0, |plan| plan.fuel_bound)
    }

    /// The maps of its programs, by number.
    pub fn maps(&self) -> impl Iterator<Item = &PlacedMap> {
        self.maps.values()
    }

    /// The most fuel that any event may use.
    pub fn event_fuel_budget(&self) -> u64 {
        self.event_fuel_budget
    }

    /// SHA-256 of catalogue, programs and limits.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A trap of one of its programs for people.
    pub fn trap_report(&self, index: ProgramIndex, trapped: &Trapped) -> Option<TrapReport> {
        Some(self.program(index)?.trap_report(trapped.stop, trapped.registers))
    }

    pub(crate) fn plan(&self, class: ClassId) -> Option<&ClassPlan> {
        self.classes.get(usize::from(class.0))
    }

    pub(crate) fn is_of_same_domain(&self, other: &Self) -> bool {
        self.domain == other.domain
    }
}

/// Where the two bits of a predicate lie: byte, and shift of its *true* bit.
pub(crate) fn bits_place(id: PredicateId) -> (usize, u32) {
    (predicate_byte(id) as usize, 2 * (id.0 % 4))
}

#[cfg(test)]
mod tests {
    use trapline_vm::predicate::{StrOp, Test};
    use trapline_vm::record::{Os, OsSet};

    use super::*;
    use crate::link::LinkOptions;
    use crate::testing::*;

    const A_ONE: ClassId = ClassId(0);
    const A_TWO: ClassId = ClassId(1);
    const B_ONE: ClassId = ClassId(2);

    fn ready(domain: &mut Domain, object: &trapline_vm::program::Object) -> ReadyProgram {
        domain.link(object, &LinkOptions::default()).unwrap().verify().unwrap()
    }

    #[test]
    fn classes_wake_their_programs_and_want_their_slots() {
        let mut domain = Domain::new(catalogue());
        let first = predicate_object("first", predicate("name", StrOp::Contains, "x"));
        let mut second = predicate_object("second", predicate("raw.y", StrOp::Contains, "x"));
        second.classes = vec!["a.two".to_owned(), "a.one".to_owned(), "a.two".to_owned()];
        second.os = OsSet::ANY.with(Os::Windows);
        let (first, second) = (ready(&mut domain, &first), ready(&mut domain, &second));
        let mut builder = GenerationBuilder::new(&domain);
        let (first, second) = (builder.add(first), builder.add(second));
        let generation = builder.build().unwrap();
        assert_eq!(generation.programs_of(A_ONE), [(first, OsSet::ANY), (second, OsSet::ANY.with(Os::Windows))]);
        assert_eq!(generation.programs_of(A_TWO), [(second, OsSet::ANY.with(Os::Windows))]);
        assert_eq!(generation.programs_of(B_ONE), []);
        assert_eq!(generation.programs_of(ClassId(99)), []);
        let wanted = |class| generation.wanted(class).unwrap().iter().map(|slot| slot.0).collect::<Vec<_>>();
        assert_eq!((wanted(A_ONE), wanted(A_TWO), wanted(B_ONE)), (vec![0, 20], vec![20], vec![]));
        let wants = |family, slot| generation.wants(FamilyId(family), Slot(slot));
        assert!(wants(0, 0) && wants(0, 20) && !wants(0, 1) && !wants(0, 64) && !wants(1, 0) && !wants(9, 0));
    }

    #[test]
    fn slot_sets_at_the_edges_of_words() {
        let mut set = SlotSet::default();
        for slot in [0, 63, 64, 127, 3599] {
            set.insert(Slot(slot));
        }
        assert_eq!(set.iter().map(|slot| slot.0).collect::<Vec<_>>(), [0, 63, 64, 127, 3599]);
        assert!(!set.contains(Slot(65)) && !set.contains(Slot(u16::MAX)));
    }

    #[test]
    fn a_predicate_of_several_programs_is_one() {
        let mut domain = Domain::new(catalogue());
        let programs: Vec<ReadyProgram> = (0..3)
            .map(|number| {
                let mut object = predicate_object("r", predicate("name", StrOp::Contains, "x"));
                object.os = [OsSet::ANY.with(Os::Linux), OsSet::ANY.with(Os::Windows), OsSet::ANY][number];
                ready(&mut domain, &object)
            })
            .collect();
        let mut builder = GenerationBuilder::new(&domain);
        let mut programs = programs.into_iter();
        builder.add(programs.next().unwrap());
        builder.add(programs.next().unwrap());
        let two = builder.build().unwrap();
        assert_eq!(two.predicates_of(A_ONE), 1);
        let os = two.plan(A_ONE).unwrap().predicates[0].os;
        assert_eq!(os, OsSet::ANY.with(Os::Linux).with(Os::Windows));
        assert!(!os.admits(Some(Os::MacOs)));
        let mut builder = GenerationBuilder::new(&domain);
        two.programs().iter().for_each(|program| _ = builder.add(program.clone()));
        builder.add(programs.next().unwrap());
        let three = builder.build().unwrap();
        assert_eq!(three.predicates_of(A_ONE), 1);
        assert_eq!(three.plan(A_ONE).unwrap().predicates[0].os, OsSet::ANY);
        assert!(Arc::ptr_eq(&two.programs()[0], &three.programs()[0]));
    }

    #[test]
    fn predicates_are_grouped_by_field_and_their_bytes_by_run() {
        let mut domain = Domain::new(catalogue());
        let mut object = object("r", "mov r0, 0\nexit");
        let exists =
            |name: &str| trapline_vm::predicate::Predicate { test: Test::Exists, ..predicate(name, StrOp::Equals, "") };
        object.predicates = (0..9).map(|number| predicate("s5", StrOp::Equals, &format!("{number}"))).collect();
        object.predicates.push(predicate("name", StrOp::Equals, "x"));
        object.predicates.push(exists("s5"));
        object.predicates.push(exists("s6"));
        let program = ready(&mut domain, &object);
        let mut builder = GenerationBuilder::new(&domain);
        builder.add(program);
        let generation = builder.build().unwrap();
        let plan = generation.plan(A_ONE).unwrap();
        let groups: Vec<_> =
            plan.groups.iter().map(|group| (group.slot.0, group.existence.clone(), group.values.clone())).collect();
        assert_eq!(groups, [(0, 0..0, 0..1), (5, 1..2, 2..11), (6, 11..12, 12..12)]);
        assert_eq!(plan.bit_ranges.as_slice(), std::slice::from_ref(&(0..3)));
        assert!(plan.mask_ranges.is_empty());
        assert_eq!(ranges([(5, 1), (1, 1), (2, 1), (24, 24), (48, 24)].into_iter()), [1..3, 5..6, 24..72]);
    }

    #[test]
    fn the_worst_event_must_fit_the_budget() {
        let mut domain = Domain::new(catalogue());
        let cheap = Arc::new(ready(&mut domain, &object("cheap", "mov r0, 0\nexit")));
        let dear = Arc::new(ready(&mut domain, &object("dear", "mov r0, 0\nmov r1, 0\nmov r1, 0\nexit")));
        let limited = LinkOptions { fuel_limit: 1 };
        let limited = domain.link(&object("limited", "mov r0, 0\nexit"), &limited).unwrap().verify().unwrap();
        let limited = Arc::new(limited);
        assert_eq!((cheap.fuel_bound(), dear.fuel_bound(), limited.fuel_bound()), (2, 4, 1));
        let build = |budget| {
            let mut builder = GenerationBuilder::new(&domain).event_fuel_budget(budget);
            [&cheap, &dear, &limited].into_iter().for_each(|program| _ = builder.add(program.clone()));
            builder.build()
        };
        assert!(build(8).is_ok());
        assert_eq!(build(7).unwrap().fuel_bound(A_ONE), 7);
        assert_eq!(
            build(6).unwrap_err().to_string(),
            "one `a.one` event can use 7 fuel in 3 programs, 6 is allowed; the dearest: `dear` 4, `cheap` 2, \
             `limited` 1"
        );
    }

    #[test]
    fn numbers_of_another_domain_are_refused() {
        let (mut one, other) = (Domain::new(catalogue()), Domain::new(catalogue()));
        let program = ready(&mut one, &object("stranger", "mov r0, 0\nexit"));
        let mut builder = GenerationBuilder::new(&other);
        builder.add(program);
        assert_eq!(builder.build().unwrap_err(), BuildError::ForeignProgram("stranger".to_owned()));
    }

    #[test]
    fn the_digest_names_programs_and_limits() {
        let build = |literal: &str, fuel_limit, budget| {
            let mut domain = Domain::new(catalogue());
            let object = predicate_object("r", predicate("name", StrOp::Contains, literal));
            let program = domain.link(&object, &LinkOptions { fuel_limit }).unwrap().verify().unwrap();
            let mut builder = GenerationBuilder::new(&domain).event_fuel_budget(budget);
            builder.add(program);
            builder.build().unwrap().digest()
        };
        let digest = build("x", 100, 1000);
        assert_eq!(digest, build("x", 100, 1000));
        for other in [build("y", 100, 1000), build("x", 101, 1000), build("x", 100, 1001)] {
            assert_ne!(digest, other);
        }
    }
}
