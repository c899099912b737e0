//! The mutable part of one thread: memory, predicate bits, accounts.
//!
//! ```text
//! record_buffer_mut() <- decoder        run(len):  class -> predicates, each once -> programs, each with its own fuel
//!                                            Event { runs, evidence, record }
//! ```
//!
//! Nothing is allocated for an event once the buffers have grown. What one program does (run out of fuel, trap)
//! changes nothing for the next: programs can write to their stack, which is cleared between them, and to their maps,
//! which only programs of the same rule share. The maps of a program that traps go back to the last snapshot, or begin
//! anew if there is none, and that is accounted for.

use std::collections::HashMap;
use std::sync::Arc;

use trapline_vm::map::{MapCounters, MapId, MapKind, MapsError, PutBack, Restored, Snapshot, SnapshotError};
use trapline_vm::memory::{Capacities, Memory, MemoryError, Region};
use trapline_vm::predicate::{MASK_KNOWN, MASK_LEN, MASK_LOST, MASK_TRUE, MASKS_MAX, PREDICATES_MAX};
use trapline_vm::program::Verdict;
use trapline_vm::record::{ClassId, Os, RECORD_LEN_MAX, RecordView, flags, header};
use trapline_vm::trap::{Stop, Trap};

use crate::generation::{ClassPlan, Generation, ProgramIndex, bits_place, mask_offset};
use crate::predicate::{Interned, MaskBits, Scratch};
use crate::program::ReadyProgram;

/// Bytes of all predicate bits that a domain can have.
const PREDICATES_LEN: u32 = PREDICATES_MAX.div_ceil(4);
/// Bytes of all masks that a domain can have.
const MASKS_LEN: u32 = MASKS_MAX * MASK_LEN;

/// What came of one run of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Verdict(Verdict),
    /// It was stopped.
    Trap(Trapped),
}

/// Where and why a program was stopped; [`Generation::trap_report`] tells it to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trapped {
    /// Why and where.
    pub stop: Stop,
    /// Registers `r0` to `r10` at that moment; zero if it was not entered.
    pub registers: [u64; 11],
}

/// One run of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program.
    pub program: ProgramIndex,
    /// What came of it.
    pub outcome: Outcome,
    /// Fuel charged.
    pub fuel_used: u64,
}

/// What a program did, over all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Runs.
    pub wakes: u64,
    /// Runs that ended in a match.
    pub matches: u64,
    /// Runs that could not tell.
    pub not_evaluable: u64,
    /// Runs that were stopped.
    pub traps: u64,
    /// Fuel charged.
    pub fuel: u64,
    /// Maps that went back to the last snapshot after a trap.
    pub maps_restored: u64,
    /// Maps that began anew after a trap, because there was no snapshot of them.
    pub maps_reset: u64,
}

/// What was done, over all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events run.
    pub events: u64,
    /// Records refused.
    pub refused: u64,
    /// Programs woken.
    pub wakes: u64,
    /// Predicates evaluated.
    pub predicates: u64,
    /// Fuel charged.
    pub fuel: u64,
}

/// Why a record is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not fit the buffer, or what it says of its length is not so.
    #[error("not a record: its lengths do not agree")]
    Malformed,
    /// It was made for another catalogue.
    #[error("the record was made for another catalogue")]
    Catalogue,
    /// The catalogue has no such class.
    #[error("the catalogue has no event class {0}")]
    Class(u32),
}

/// A predicate that holds on the current event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// What it says in the words of the rule.
    pub text: &'a str,
    /// The field.
    pub field: &'a str,
    /// For a test on the elements of a list: those for which it holds, one bit each. Else 0.
    pub elements: u64,
}

/// Memory, predicate bits and accounts of one thread.
#[derive(Debug)]
pub struct Instance {
    generation: Arc<Generation>,
    memory: Memory,
    scratch: Scratch,
    /// What the memory's predicate bits and masks hold.
    bits: Vec<u8>,
    masks: Vec<u8>,
    /// What maps go back to after a trap.
    snapshot: Option<Snapshot>,
    runs: Vec<Run>,
    accounts: Vec<Account>,
    totals: Totals,
}

/// One event that was run.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    instance: &'a Instance,
    predicates: u32,
    fuel_used: u64,
}

impl Instance {
    /// A fresh instance that runs this generation.
    pub fn new(generation: Arc<Generation>) -> Result<Self, MemoryError> {
        let mut memory = Memory::new(&Capacities {
            record: RECORD_LEN_MAX,
            predicates: PREDICATES_LEN,
            masks: MASKS_LEN,
            ..Capacities::default()
        })?;
        memory.set_len(Region::Predicates, PREDICATES_LEN)?;
        memory.set_len(Region::Masks, MASKS_LEN)?;
        memory.add_maps(generation.maps())?;
        let accounts = vec![Account::default(); generation.programs().len()];
        let runs = Vec::with_capacity(generation.programs().len());
        Ok(Self {
            generation,
            memory,
            scratch: Scratch::default(),
            bits: vec![0; PREDICATES_LEN as usize],
            masks: vec![0; MASKS_LEN as usize],
            snapshot: None,
            runs,
            accounts,
            totals: Totals::default(),
        })
    }

    /// The generation it runs.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// Runs another generation from the next event on. Programs that are in both keep their accounts, and maps what they
    /// hold, also those of programs that are gone: they may come back. A generation of another domain takes over
    /// the state of the maps that it has as well.
    ///
    /// # Errors
    ///
    /// None between generations that were built: their maps have places of their own. Should there be one, programs
    /// whose maps are missing trap with `map-mismatch` before they are entered.
    pub fn swap(&mut self, next: Arc<Generation>) -> Result<(), MapsError> {
        let accounts: HashMap<*const ReadyProgram, Account> =
            self.generation.programs().iter().map(Arc::as_ptr).zip(self.accounts.iter().copied()).collect();
        self.accounts = next
            .programs()
            .iter()
            .map(|program| accounts.get(&Arc::as_ptr(program)).copied().unwrap_or_default())
            .collect();
        self.runs.clear();
        self.runs.reserve(next.programs().len());
        if !self.generation.is_of_same_domain(&next) {
            // Numbers of the other domain mean nothing here.
            self.bits.fill(0);
            self.masks.fill(0);
            self.memory.contents_mut(Region::Predicates).fill(0);
            self.memory.contents_mut(Region::Masks).fill(0);
        }
        let moves = !self.generation.is_of_same_domain(&next);
        self.generation = next;
        if !moves {
            return self.memory.add_maps(self.generation.maps());
        }
        // So do numbers and places of maps; rule, name and layout say which is which.
        let state = self.memory.snapshot();
        self.memory.remove_maps();
        self.memory.add_maps(self.generation.maps())?;
        let restored = self.memory.restore(&state);
        debug_assert!(restored.is_ok(), "a snapshot of this memory: {restored:?}");
        Ok(())
    }

    /// The state of all maps, also to go back to after a trap. The embedder may store it, for the next process to
    /// [`Instance::restore`].
    pub fn take_snapshot(&mut self) -> &Snapshot {
        self.snapshot.insert(self.memory.snapshot())
    }

    /// All maps as they were at the snapshot, those that it does not hold anew. After a trap, maps go back to it.
    /// Nothing changes if there is an error.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<Restored, SnapshotError> {
        let report = self.memory.restore(&snapshot)?;
        self.snapshot = Some(snapshot);
        Ok(report)
    }

    /// Begins all maps anew and forgets the snapshot.
    pub fn reset_state(&mut self) {
        self.memory.reset_maps();
        self.snapshot = None;
    }

    /// What happened to the maps of a program that it does not see, all together. Programs of one rule share maps.
    pub fn map_counters(&self, program: ProgramIndex) -> MapCounters {
        let maps = self.generation.program(program).map_or(&[][..], |program| &program.program().maps);
        let counters = maps.iter().filter_map(|map| self.memory.map_counters(map.id));
        counters.fold(MapCounters::default(), MapCounters::plus)
    }

    /// What happened to a map that its programs do not see.
    pub fn counters_of(&self, map: MapId) -> Option<MapCounters> {
        self.memory.map_counters(map)
    }

    /// Bytes of all maps that the memory holds.
    pub fn state_bytes(&self) -> u64 {
        self.memory.state_bytes()
    }

    /// Where a decoder writes the record of the next event, laid out as [`Generation::layouts`] says.
    pub fn record_buffer_mut(&mut self) -> &mut [u8] {
        self.memory.whole_mut(Region::Record)
    }

    /// Runs the event whose record of this length is in the buffer: evaluates the predicates of its class, each once,
    /// and wakes the programs of its class, each with its own fuel.
    pub fn run(&mut self, record_len: u32) -> Result<Event<'_>, RecordError> {
        self.runs.clear();
        match self.try_run(record_len) {
            Ok((predicates, fuel_used)) => {
                self.totals.events += 1;
                self.totals.wakes += self.runs.len() as u64;
                self.totals.predicates += u64::from(predicates);
                self.totals.fuel = self.totals.fuel.saturating_add(fuel_used);
                Ok(Event { instance: self, predicates, fuel_used })
            }
            Err(error) => {
                self.totals.refused += 1;
                Err(error)
            }
        }
    }

    fn try_run(&mut self, record_len: u32) -> Result<(u32, u64), RecordError> {
        let generation = self.generation.clone();
        self.memory.set_len(Region::Record, record_len).map_err(|_| RecordError::Malformed)?;
        let record = RecordView::new(self.memory.contents(Region::Record)).ok_or(RecordError::Malformed)?;
        let catalogue = generation.layouts().catalogue();
        if record.digest() != catalogue.short_digest() {
            return Err(RecordError::Catalogue);
        }
        let class = record.class();
        let plan = u16::try_from(class)
            .ok()
            .and_then(|class| generation.plan(ClassId(class)))
            .ok_or(RecordError::Class(class))?;
        let os = record.os();
        let predicates = self.evaluate(plan, os);
        let fuel_used = self.wake(&generation, plan, os);
        Ok((predicates, fuel_used))
    }

    /// Evaluates each predicate of the class that a program woken by this system tests.
    fn evaluate(&mut self, plan: &ClassPlan, os: Option<Os>) -> u32 {
        let Self { memory, scratch, bits, masks, .. } = self;
        for range in &plan.bit_ranges {
            bits.get_mut(range.clone()).unwrap_or_default().fill(0);
        }
        for range in &plan.mask_ranges {
            masks.get_mut(range.clone()).unwrap_or_default().fill(0);
        }
        let mut evaluated = 0;
        if let Some(record) = RecordView::new(memory.contents(Region::Record)) {
            scratch.begin_event();
            for group in &plan.groups {
                // An absent field decides nothing but its own absence: all bits stay 0.
                let absent = record.state(group.slot) == 0;
                let end = if absent { group.existence.end } else { group.values.end };
                let predicates = plan.predicates.get(group.existence.start..end).unwrap_or_default();
                for predicate in predicates.iter().filter(|predicate| predicate.os.admits(os)) {
                    evaluated += 1;
                    match predicate.number {
                        Interned::Bits(id) => {
                            if let Some(truth) = predicate.matcher.bits(&record, scratch) {
                                let (byte, shift) = bits_place(id);
                                if let Some(byte) = bits.get_mut(byte) {
                                    *byte |= (2 | u8::from(truth)) << shift;
                                }
                            }
                        }
                        Interned::Mask(id) => {
                            put_mask(masks, mask_offset(id), &predicate.matcher.mask(&record, scratch));
                        }
                    }
                }
            }
        }
        // Programs ask what lost values could make true only of a record that says it is impaired.
        if scratch.undecided()
            && let Some(byte) = memory.contents_mut(Region::Record).get_mut(header::FLAGS as usize)
        {
            *byte |= flags::IMPAIRED as u8;
        }
        copy(bits, memory.contents_mut(Region::Predicates), &plan.bit_ranges);
        copy(masks, memory.contents_mut(Region::Masks), &plan.mask_ranges);
        evaluated
    }

    /// Runs the programs of the class that this system's events wake.
    fn wake(&mut self, generation: &Generation, plan: &ClassPlan, os: Option<Os>) -> u64 {
        let mut fuel_used = 0u64;
        for (index, _) in plan.programs.iter().filter(|(_, systems)| systems.admits(os)) {
            let Some((program, account)) = generation.program(*index).zip(self.accounts.get_mut(index.0 as usize))
            else {
                continue;
            };
            let ran = program.run(&mut self.memory);
            let outcome = match ran.result {
                Ok(r0) => match Verdict::from_r0(r0) {
                    Some(verdict) => Outcome::Verdict(verdict),
                    None => {
                        Outcome::Trap(Trapped { stop: Stop { trap: Trap::InvalidVerdict, pc: 0 }, registers: [0; 11] })
                    }
                },
                Err(stop) => {
                    let entered = !stop.trap.is_before_entry();
                    let registers = if entered { self.memory.trap_registers() } else { [0; 11] };
                    if entered {
                        let put_back = put_back(&mut self.memory, program, self.snapshot.as_ref());
                        account.maps_restored += u64::from(put_back.restored);
                        account.maps_reset += u64::from(put_back.reset);
                    }
                    Outcome::Trap(Trapped { stop, registers })
                }
            };
            account.wakes += 1;
            account.fuel = account.fuel.saturating_add(ran.fuel_used);
            match outcome {
                Outcome::Verdict(Verdict::Match) => account.matches += 1,
                Outcome::Verdict(Verdict::NotEvaluable) => account.not_evaluable += 1,
                Outcome::Verdict(Verdict::NoMatch) => {}
                Outcome::Trap(_) => account.traps += 1,
            }
            fuel_used = fuel_used.saturating_add(ran.fuel_used);
            self.runs.push(Run { program: *index, outcome, fuel_used: ran.fuel_used });
        }
        fuel_used
    }

    /// What each program of the generation did, by its index.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// What was done, over all events and generations.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

/// A program that was stopped half-way may have left its maps half-changed.
fn put_back(memory: &mut Memory, program: &ReadyProgram, snapshot: Option<&Snapshot>) -> PutBack {
    let maps = program.program().maps.iter().filter(|map| map.decl.kind != MapKind::Data);
    memory.put_back(maps.map(|map| map.id), snapshot)
}

fn put_mask(masks: &mut [u8], at: usize, mask: &MaskBits) {
    for (word, value) in [(MASK_TRUE, mask.truth), (MASK_KNOWN, mask.known), (MASK_LOST, mask.lost)] {
        let at = at + word as usize;
        if let Some(bytes) = masks.get_mut(at..at + 8) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }
}

fn copy(from: &[u8], to: &mut [u8], ranges: &[std::ops::Range<usize>]) {
    for range in ranges {
        if let (Some(from), Some(to)) = (from.get(range.clone()), to.get_mut(range.clone())) {
            to.copy_from_slice(from);
        }
    }
}

impl<'a> Event<'a> {
    /// The runs, in the order of the programs.
    pub fn runs(&self) -> &'a [Run] {
        &self.instance.runs
    }

    /// The programs that match.
    pub fn matches(&self) -> impl Iterator<Item = ProgramIndex> + use<'a> {
        let matches = |run: &&Run| run.outcome == Outcome::Verdict(Verdict::Match);
        self.runs().iter().filter(matches).map(|run| run.program)
    }

    /// The generation that was run.
    pub fn generation(&self) -> &'a Generation {
        &self.instance.generation
    }

    /// The record; None if it is not one, which [`Instance::run`] would have refused.
    pub fn record(&self) -> Option<RecordView<'a>> {
        RecordView::new(self.instance.memory.contents(Region::Record))
    }

    /// Predicates evaluated.
    pub fn predicates(&self) -> u32 {
        self.predicates
    }

    /// Fuel charged to all programs together.
    pub fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// The predicates of a program that hold on this event, in the order of its object.
    pub fn evidence(&self, program: ProgramIndex) -> impl Iterator<Item = Evidence<'a>> + use<'a> {
        let instance = self.instance;
        let predicates = instance.generation.program(program).map_or(&[][..], |program| &program.rule().predicates);
        predicates.iter().filter_map(move |predicate| {
            let elements = instance.holds(predicate.number)?;
            Some(Evidence { text: &predicate.text, field: &predicate.field, elements })
        })
    }
}

impl Instance {
    /// Whether a predicate holds on the current event, and for which elements.
    fn holds(&self, number: Interned) -> Option<u64> {
        match number {
            Interned::Bits(id) => {
                let (byte, shift) = bits_place(id);
                (self.bits.get(byte)? >> shift & 1 != 0).then_some(0)
            }
            Interned::Mask(id) => {
                let truth = self.masks.get(mask_offset(id) + MASK_TRUE as usize..)?.first_chunk()?;
                Some(u64::from_le_bytes(*truth)).filter(|truth| *truth != 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
    use trapline_vm::predicate::{Predicate, Scope, StrOp, Test};
    use trapline_vm::program::Object;
    use trapline_vm::record::{Cell, FieldType, OsSet, Scalar, Value};

    use super::*;
    use crate::domain::Domain;
    use crate::generation::GenerationBuilder;
    use crate::link::LinkOptions;
    use crate::testing::*;

    fn generation(domain: &mut Domain, objects: &[Object]) -> Arc<Generation> {
        let programs: Vec<ReadyProgram> = objects
            .iter()
            .map(|object| domain.link(object, &LinkOptions::default()).unwrap().verify().unwrap())
            .collect();
        let mut builder = GenerationBuilder::new(domain);
        programs.into_iter().for_each(|program| _ = builder.add(program));
        Arc::new(builder.build().unwrap())
    }

    fn instance(objects: &[Object]) -> Instance {
        Instance::new(generation(&mut Domain::new(catalogue()), objects)).unwrap()
    }

    fn run<'i>(instance: &'i mut Instance, class: &str, os: Option<Os>, cells: &[(&str, Cell<'_>)]) -> Event<'i> {
        let generation = instance.generation().clone();
        let len = write_record(instance.record_buffer_mut(), generation.layouts(), class, os, cells);
        instance.run(len).unwrap()
    }

    fn verdicts(event: &Event<'_>) -> Vec<(u32, Verdict)> {
        let verdict = |run: &Run| match run.outcome {
            Outcome::Verdict(verdict) => (run.program.0, verdict),
            Outcome::Trap(trapped) => panic!("{:?}", trapped),
        };
        event.runs().iter().map(verdict).collect()
    }

    use Verdict::{Match, NoMatch, NotEvaluable};

    #[test]
    fn each_event_gets_its_own_bits() {
        let contains = |field, literal| predicate_object("r", predicate(field, StrOp::Contains, literal));
        let mut instance = instance(&[contains("name", "x"), contains("name", "y"), contains("s4", "x")]);
        let mut see = |cells: &[(&str, Cell<'_>)]| verdicts(&run(&mut instance, "a.one", None, cells));
        assert_eq!(see(&[("name", text("x y"))]), [(0, Match), (1, Match), (2, NotEvaluable)]);
        assert_eq!(see(&[]), [(0, NotEvaluable), (1, NotEvaluable), (2, NotEvaluable)]);
        assert_eq!(see(&[("s4", text("x"))]), [(0, NotEvaluable), (1, NotEvaluable), (2, Match)]);
        assert_eq!(
            see(&[("name", Cell::Lost), ("s4", text("y"))]),
            [(0, NotEvaluable), (1, NotEvaluable), (2, NoMatch)]
        );
        assert_eq!(
            see(&[("name", Cell::Truncated(Value::Str("x"))), ("s4", text(""))]),
            [(0, Match), (1, NotEvaluable), (2, NoMatch)]
        );
        assert_eq!(verdicts(&run(&mut instance, "a.two", None, &[("name", text("x"))])), []);
    }

    #[test]
    fn absence_is_known_to_tests_of_existence() {
        let exists = Predicate { test: Test::Exists, ..predicate("name", StrOp::Equals, "") };
        let mut instance = instance(&[predicate_object("r", exists)]);
        let mut see = |cell| verdicts(&run(&mut instance, "a.one", None, &[("name", cell)]));
        assert_eq!(see(Cell::Absent), [(0, NoMatch)]);
        assert_eq!(see(Cell::Lost), [(0, NotEvaluable)]);
        assert_eq!(see(text("")), [(0, Match)]);
    }

    #[test]
    fn systems_wake_their_programs_and_their_predicates_only() {
        let object = |literal, os| Object { os, ..predicate_object("r", predicate("name", StrOp::Contains, literal)) };
        let (linux, windows) = (OsSet::ANY.with(Os::Linux), OsSet::ANY.with(Os::Windows));
        let mut instance = instance(&[object("x", linux), object("x", windows), object("z", windows)]);
        let mut see = |os| {
            let event = run(&mut instance, "a.one", os, &[("name", text("x"))]);
            (verdicts(&event), event.predicates())
        };
        assert_eq!(see(Some(Os::Linux)), (vec![(0, Match)], 1));
        assert_eq!(see(Some(Os::Windows)), (vec![(1, Match), (2, NoMatch)], 2));
        assert_eq!(see(Some(Os::MacOs)), (vec![], 0));
        assert_eq!(see(None), (vec![(0, Match), (1, Match), (2, NoMatch)], 2));
    }

    #[test]
    fn predicates_of_absent_fields_cost_nothing() {
        let contains =
            |field, literal: usize| predicate_object("r", predicate(field, StrOp::Contains, &format!("{literal}")));
        let mut objects: Vec<Object> = (0..50).map(|literal| contains("s4", literal)).collect();
        objects.push(contains("s5", 1));
        let mut instance = instance(&objects);
        assert_eq!(run(&mut instance, "a.one", None, &[("s5", text("1"))]).predicates(), 1);
        assert_eq!(run(&mut instance, "a.one", None, &[("s4", text("1"))]).predicates(), 50);
    }

    #[test]
    fn evidence_is_what_holds() {
        let mut object = object("r", "mov r0, 1\nexit");
        let tags = Predicate {
            field: field_ref("tags", FieldType::List(Scalar::Str)),
            scope: Scope::Elements,
            test: text_test(StrOp::Equals, "t"),
        };
        object.predicates = vec![
            predicate("name", StrOp::Contains, "x"),
            predicate("name", StrOp::Contains, "y"),
            predicate("s4", StrOp::Contains, "x"),
            tags,
        ];
        object.predicate_texts = ["x in name", "y in name", "x in s4", "tag t"].map(str::to_owned).to_vec();
        let mut instance = instance(&[object]);
        let items = [text("a"), text("t"), Cell::Lost, text("t")];
        let list = Cell::Present(Value::List(&items));
        let event = run(&mut instance, "a.one", None, &[("name", text("y")), ("s4", Cell::Lost), ("tags", list)]);
        assert_eq!(event.matches().collect::<Vec<_>>(), [ProgramIndex(0)]);
        assert_eq!(
            event.evidence(ProgramIndex(0)).collect::<Vec<_>>(),
            [
                Evidence { text: "y in name", field: "name", elements: 0 },
                Evidence { text: "tag t", field: "tags", elements: 0b1010 },
            ]
        );
        assert_eq!(event.evidence(ProgramIndex(1)).count(), 0);
        let event = run(&mut instance, "a.one", None, &[]);
        assert_eq!(event.evidence(ProgramIndex(0)).count(), 0);
    }

    #[test]
    fn what_is_no_record_is_refused_and_leaves_no_trace() {
        let mut instance = instance(&[predicate_object("r", predicate("name", StrOp::Contains, "x"))]);
        let generation = instance.generation().clone();
        let cells = [("name", text("x"))];
        let mut refused = |change: &dyn Fn(&mut [u8], u32) -> u32| {
            let len = write_record(instance.record_buffer_mut(), generation.layouts(), "a.one", None, &cells);
            let len = change(instance.record_buffer_mut(), len);
            instance.run(len).map(|event| verdicts(&event))
        };
        assert_eq!(refused(&|_, len| len), Ok(vec![(0, Match)]));
        assert_eq!(refused(&|_, len| len - 1), Err(RecordError::Malformed));
        assert_eq!(refused(&|_, _| 0), Err(RecordError::Malformed));
        assert_eq!(refused(&|_, _| RECORD_LEN_MAX + 1), Err(RecordError::Malformed));
        assert_eq!(refused(&|_, _| u32::MAX), Err(RecordError::Malformed));
        assert_eq!(refused(&|_, _| RECORD_LEN_MAX), Ok(vec![(0, Match)]));
        let flip = |bytes: &mut [u8], len, at: usize| {
            bytes[at] ^= 0xff;
            len
        };
        assert_eq!(refused(&|bytes, len| flip(bytes, len, 0)), Err(RecordError::Catalogue));
        assert_eq!(refused(&|bytes, len| flip(bytes, len, 8)), Err(RecordError::Class(0xff)));
        assert_eq!(refused(&|bytes, len| flip(bytes, len, 11)), Err(RecordError::Class(0xff00_0000)));
        assert_eq!(refused(&|bytes, len| flip(bytes, len, 39)), Err(RecordError::Malformed));
        assert_eq!(refused(&|_, len| len), Ok(vec![(0, Match)]));
        assert_eq!((instance.totals().events, instance.totals().refused), (3, 8));
    }

    #[test]
    fn programs_and_events_are_accounted_for() {
        let contains = |literal| predicate_object("r", predicate("name", StrOp::Contains, literal));
        let mut instance = instance(&[contains("x"), contains("y")]);
        for cell in [text("x"), text("xy"), Cell::Absent] {
            run(&mut instance, "a.one", None, &[("name", cell)]);
        }
        let [first, second] = instance.accounts() else { panic!() };
        assert_eq!((first.wakes, first.matches, first.not_evaluable, first.traps), (3, 2, 1, 0));
        assert_eq!((second.wakes, second.matches, second.not_evaluable, second.traps), (3, 1, 1, 0));
        let totals = instance.totals();
        assert_eq!((totals.events, totals.wakes, totals.predicates), (3, 6, 4));
        assert_eq!(totals.fuel, first.fuel + second.fuel);
        assert!(first.fuel > 0);
    }

    #[test]
    fn accounts_follow_their_programs_into_the_next_generation() {
        let mut domain = Domain::new(catalogue());
        let contains = |literal| predicate_object("r", predicate("name", StrOp::Contains, literal));
        let first = generation(&mut domain, &[contains("x"), contains("y")]);
        let mut instance = Instance::new(first.clone()).unwrap();
        run(&mut instance, "a.one", None, &[("name", text("y"))]);
        let kept = instance.accounts()[1];
        let new = domain.link(&contains("z"), &LinkOptions::default()).unwrap().verify().unwrap();
        let mut builder = GenerationBuilder::new(&domain);
        builder.add(new);
        builder.add(first.programs()[1].clone());
        instance.swap(Arc::new(builder.build().unwrap())).unwrap();
        assert_eq!(instance.accounts(), [Account::default(), kept]);
        assert_eq!(verdicts(&run(&mut instance, "a.one", None, &[("name", text("y"))])), [(0, NoMatch), (1, Match)]);
        assert_eq!(instance.totals().events, 2);
        assert_eq!(instance.accounts()[1].matches, 2);
    }

    #[test]
    fn a_generation_of_another_domain_starts_with_clean_bits() {
        let contains = |literal| predicate_object("r", predicate("name", StrOp::Contains, literal));
        let mut instance = instance(&[contains("x")]);
        run(&mut instance, "a.one", None, &[("name", text("x"))]);
        let other = generation(&mut Domain::new(catalogue()), &[contains("y")]);
        instance.swap(other).unwrap();
        assert!(instance.bits.iter().all(|byte| *byte == 0));
        assert!(instance.memory.contents(Region::Predicates).iter().all(|byte| *byte == 0));
        assert_eq!(verdicts(&run(&mut instance, "a.one", None, &[("name", text("x"))])), [(0, NoMatch)]);
    }

    fn cell() -> impl Strategy<Value = Option<(u8, String)>> {
        proptest::option::of((0..4u8, "[abAB]{0,3}"))
    }

    fn tested() -> impl Strategy<Value = (usize, usize, String, bool)> {
        (0..4usize, 0..3usize, "[abAB]{1,2}", any::<bool>())
    }

    const FIELDS: [&str; 4] = ["name", "s4", "s12", "raw.x"];

    proptest! {
        /// Evaluating by class, field and system is an optimisation: what programs see is what each predicate says on
        /// its own, event after event.
        #[test]
        fn a_program_sees_what_its_predicate_says(
            tests in proptest::collection::vec(tested(), 1..40),
            events in proptest::collection::vec(proptest::collection::vec(cell(), 4..=4), 1..6),
        ) {
            let mut domain = Domain::new(catalogue());
            let objects: Vec<Object> = tests
                .iter()
                .map(|(field, kind, literal, fold)| {
                    let ops = [StrOp::Contains, StrOp::Equals, StrOp::StartsWith];
                    let mut object = predicate_object("r", predicate(FIELDS[*field], ops[*kind], literal));
                    if let Test::Str { fold: folds, .. } = &mut object.predicates[0].test {
                        *folds = *fold;
                    }
                    if literal.len() == 1 && !fold {
                        object.predicates[0].test = Test::Exists;
                    }
                    object
                })
                .collect();
            let generation = generation(&mut domain, &objects);
            let mut instance = Instance::new(generation.clone()).unwrap();
            for event in &events {
                let cells: Vec<(&str, Cell<'_>)> = FIELDS
                    .iter()
                    .zip(event)
                    .map(|(name, cell)| (*name, match cell {
                        None | Some((0, _)) => Cell::Absent,
                        Some((1, _)) => Cell::Lost,
                        Some((2, value)) => Cell::Truncated(Value::Str(value)),
                        Some((_, value)) => Cell::Present(Value::Str(value)),
                    }))
                    .collect();
                let event = run(&mut instance, "a.one", None, &cells);
                let record = event.record().unwrap();
                for (index, verdict) in verdicts(&event) {
                    let number = generation.programs()[index as usize].rule().predicates[0].number;
                    let mut scratch = Scratch::default();
                    let alone = domain.predicates().matcher(number).unwrap().bits(&record, &mut scratch);
                    let expected = match alone {
                        None => NotEvaluable,
                        Some(true) => Match,
                        Some(false) => NoMatch,
                    };
                    prop_assert_eq!(verdict, expected);
                    prop_assert_eq!(event.evidence(ProgramIndex(index)).count() == 1, expected == Match);
                }
            }
        }
    }
}
