//! What a proof writes down: accesses, what is reached, what is used; and the report that is made of it.

use crate::helper::{ArgType, Helper, MapKinds};
use crate::isa::{Decoded, Kind};
use crate::memory::{Access, Region};
use crate::program::{Loaded, map_operands};
use crate::record::{GROUP_LEN, GROUP_SLOTS, HEADER_LEN};
use crate::verifier::flow::{Cfg, FunctionId};
use crate::verifier::instruction::{Context, Mode, place, region_len};
use crate::verifier::number::Scalar;
use crate::verifier::reason::Reason;
use crate::verifier::report::{LoopProof, ProvedLoop, Report};
use crate::verifier::state::{AbstractState, RegType};

/// Notes of one proof.
#[derive(Debug)]
pub(super) struct Notes {
    /// By slot, over all iterations and calls.
    accesses: Vec<Access>,
    /// By position.
    reached: Vec<bool>,
    /// By function, the most bytes of its frame that are used.
    stack: Vec<u32>,
    /// By component.
    loops: Vec<Option<(u64, LoopProof)>>,
    call_depth: u32,
    helpers: Vec<u32>,
    slots: Vec<u16>,
    maps: Vec<u16>,
    changes_maps: bool,
}

impl Notes {
    pub(super) fn new(program: &Loaded, cfg: &Cfg<'_>) -> Self {
        Self {
            accesses: vec![Access::NEVER; program.code().len()],
            reached: vec![false; cfg.len()],
            stack: vec![0; cfg.functions().len()],
            loops: vec![None; cfg.components().len()],
            call_depth: 0,
            helpers: Vec::new(),
            slots: Vec::new(),
            maps: Vec::new(),
            changes_maps: false,
        }
    }

    /// A block is looked at to its end.
    pub(super) fn reach(&mut self, position: u32) {
        if let Some(reached) = self.reached.get_mut(position as usize) {
            *reached = true;
        }
    }

    pub(super) fn is_reached(&self, position: u32) -> bool {
        self.reached.get(position as usize).copied().unwrap_or(false)
    }

    /// A proved access, one of perhaps many of the instruction.
    pub(super) fn access(&mut self, pc: u32, access: &Access, writes: bool) -> Result<(), Reason> {
        self.changes_maps |= writes && access.region == Region::MapValues;
        if access.region == Region::Record {
            self.record_access(access);
        }
        let Some(entry) = self.accesses.get_mut(pc as usize) else { return Ok(()) };
        if *entry == Access::NEVER {
            *entry = *access;
        } else if entry.region != access.region {
            return Err(Reason::RegionsDiffer { regions: (entry.region, access.region) });
        } else {
            entry.lo = entry.lo.min(access.lo);
            entry.hi = entry.hi.max(access.hi);
        }
        Ok(())
    }

    fn record_access(&mut self, access: &Access) {
        let Some(slots) = access.lo.checked_sub(HEADER_LEN) else { return };
        let (group, within) = (slots / GROUP_LEN, slots % GROUP_LEN);
        let entry = within.checked_sub(GROUP_SLOTS).map_or(within, |value| value / 8);
        if let Ok(slot) = u16::try_from(group * GROUP_SLOTS + entry) {
            insert(&mut self.slots, slot);
        }
    }

    /// A function uses this many bytes of its frame.
    pub(super) fn stack(&mut self, function: FunctionId, bytes: u32) {
        if let Some(most) = self.stack.get_mut(function.0 as usize) {
            *most = (*most).max(bytes);
        }
    }

    /// So many calls are in progress.
    pub(super) fn enter(&mut self, depth: usize) {
        self.call_depth = self.call_depth.max(u32::try_from(depth).unwrap_or(u32::MAX));
    }

    /// A loop led back to its head so often.
    pub(super) fn repeated(&mut self, number: u32, iterations: u64, proof: LoopProof) {
        let Some(entry) = self.loops.get_mut(number as usize) else { return };
        let (most, before) = entry.unwrap_or((0, LoopProof::Explored));
        let proof = if before == LoopProof::Explored { proof } else { before };
        *entry = Some((most.max(iterations), proof));
    }

    /// A helper is called in this state.
    pub(super) fn call(&mut self, helper: &Helper, state: &AbstractState) {
        insert(&mut self.helpers, helper.number);
        for (register, argument) in (1..).zip(helper.args) {
            let value = state.get(register);
            match argument {
                ArgType::Slot => {
                    let slot = value.as_scalar().and_then(Scalar::as_constant);
                    if let Some(slot) = slot.and_then(|slot| u16::try_from(slot).ok()) {
                        insert(&mut self.slots, slot);
                    }
                }
                ArgType::Map(kinds) => {
                    self.changes_maps |= *kinds != MapKinds::Values;
                    if let RegType::Map(map) = value {
                        insert(&mut self.maps, map);
                    }
                }
                _ => {}
            }
        }
    }

    /// An instruction is reached.
    pub(super) fn instruction(&mut self, instruction: &Decoded) {
        if let Kind::LoadPseudo(_) = instruction.kind()
            && let Ok(map) = u16::try_from(map_operands(instruction.imm).0)
        {
            insert(&mut self.maps, map);
        }
    }

    /// Whether the program can change what maps hold.
    pub(super) const fn changes_maps(&self) -> bool {
        self.changes_maps
    }

    /// Holds the table of accesses against the program once more, apart from how it was found. The slot at fault if
    /// it does not fit.
    pub(super) fn validate(&self, program: &Loaded, context: &Context<'_>) -> Result<(), u32> {
        for (pc, access) in (0..).zip(&self.accesses) {
            if *access == Access::NEVER {
                continue;
            }
            let fits = program.at(pc).and_then(place).is_some_and(|(place, mode)| {
                access.size == place.size
                    && access.lo <= access.hi
                    && access.end() <= u64::from(region_len(context, access.region))
                    && (mode == Mode::Read || access.region.writable())
            });
            if !fits {
                return Err(pc);
            }
        }
        Ok(())
    }

    /// The table of accesses, and the report.
    pub(super) fn finish(
        self,
        program: &Loaded,
        cfg: &Cfg<'_>,
        worst_fuel: u64,
        steps: u64,
        bytes: u64,
    ) -> (Vec<Access>, Report) {
        let cost = |position: u32| cfg.at(position).and_then(|id| cfg.block(id)).map_or(0, |block| block.cost);
        let positions = || (0..).take(cfg.len());
        let instructions = positions().map(cost).sum::<u32>();
        let dead_instructions = positions().filter(|position| !self.is_reached(*position)).map(cost).sum();
        let stack_bytes = self.deepest_stack(cfg);
        let source = program.program();
        let loops = cfg.components().iter().zip(&self.loops).filter_map(|(component, proved)| {
            let (iterations, proof) = (*proved)?;
            let head = cfg.first_pc(component.start);
            Some(ProvedLoop { head, line: source.line_of(head), iterations, proof })
        });
        let mut loops: Vec<_> = loops.collect();
        loops.sort_by_key(|proved| proved.head);
        let report = Report {
            instructions,
            dead_instructions,
            worst_fuel,
            fuel_limit: source.fuel_limit,
            stack_bytes,
            call_depth: self.call_depth,
            state_bytes: source.maps.iter().map(|map| map.decl.state_bytes()).sum(),
            maps: self.maps,
            loops,
            accesses: u32::try_from(self.accesses.iter().filter(|access| **access != Access::NEVER).count())
                .unwrap_or(u32::MAX),
            helpers: self.helpers,
            slots: self.slots,
            steps,
            bytes,
        };
        (self.accesses, report)
    }

    /// The greatest sum of what functions that call each other use of their frames.
    fn deepest_stack(&self, cfg: &Cfg<'_>) -> u32 {
        let functions = cfg.functions();
        let own = |index: usize| self.stack.get(index).copied().unwrap_or(0);
        let mut sums: Vec<Option<u32>> = vec![None; functions.len()];
        let mut open = vec![(0, 0)];
        while let Some((index, looked_at)) = open.last_mut() {
            let index = *index;
            let calls = functions.get(index).map_or(&[][..], |function| &function.calls);
            if let Some(callee) = calls.get(*looked_at).map(|callee| callee.0 as usize) {
                *looked_at += 1;
                if sums.get(callee) == Some(&None) {
                    open.push((callee, 0));
                }
                continue;
            }
            let deepest = calls.iter().filter_map(|callee| sums.get(callee.0 as usize).copied().flatten()).max();
            if let Some(sum) = sums.get_mut(index) {
                *sum = Some(own(index) + deepest.unwrap_or(0));
            }
            open.pop();
        }
        sums.first().copied().flatten().unwrap_or(0)
    }
}

fn insert<T: Ord>(list: &mut Vec<T>, value: T) {
    if let Err(at) = list.binary_search(&value) {
        list.insert(at, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::RULE_HELPERS;
    use crate::isa::{Size, assemble};
    use crate::map::{MapDecl, MapKind, Placement};
    use crate::program::{Manifest, Program, ProgramKind};
    use crate::verifier::report::Counter;

    fn load(text: &str, kind: ProgramKind) -> Loaded {
        let decl = MapDecl {
            name: "m".to_owned(),
            kind: MapKind::Array,
            key_len: 4,
            value_len: 8,
            entries: 2,
            contents: Vec::new(),
        };
        let program = Program {
            name: "test".to_owned(),
            kind,
            code: assemble(text).unwrap_or_else(|errors| panic!("{errors:?}")).code,
            lines: Vec::new(),
            maps: vec![Placement::default().place(decl).unwrap()],
            fuel_limit: 100,
        };
        Loaded::new(program, &RULE_HELPERS).unwrap()
    }

    fn raw(text: &str) -> Loaded {
        load(text, ProgramKind::Raw { memory_len: 16 })
    }

    fn notes(loaded: &Loaded) -> Notes {
        Notes::new(loaded, &Cfg::new(loaded).unwrap_or_else(|flaw| panic!("{:?}", flaw.reason)))
    }

    const fn access(region: Region, lo: u32, hi: u32) -> Access {
        Access { region, lo, hi, size: Size::Double }
    }

    /// One instruction has one region, and the range of all of its accesses.
    #[test]
    fn accesses_of_one_instruction_are_put_together() {
        let mut notes = notes(&raw("ldxdw r0, [r1]\nexit"));
        for (lo, hi, want) in [(8, 8, (8, 8)), (4, 5, (4, 8)), (6, 7, (4, 8)), (0, 90, (0, 90))] {
            assert_eq!(notes.access(0, &access(Region::Buffer, lo, hi), false), Ok(()));
            assert_eq!(notes.accesses[0], access(Region::Buffer, want.0, want.1));
        }
        let regions = (Region::Buffer, Region::Stack);
        assert_eq!(notes.access(0, &access(Region::Stack, 0, 0), false), Err(Reason::RegionsDiffer { regions }));
        assert_eq!(notes.accesses, [access(Region::Buffer, 0, 90), Access::NEVER]);
        // There is no such instruction.
        assert_eq!(notes.access(2, &access(Region::Stack, 0, 0), false), Ok(()));
    }

    #[test]
    fn only_writes_to_values_and_helpers_that_write_change_maps() {
        let loaded = raw("mov r0, 0\nexit");
        for (region, writes, changes) in [
            (Region::MapValues, true, true),
            (Region::MapValues, false, false),
            (Region::Constants, false, false),
            (Region::Stack, true, false),
            (Region::Buffer, true, false),
        ] {
            let mut notes = notes(&loaded);
            notes.access(0, &access(region, 0, 0), writes).unwrap();
            assert_eq!(notes.changes_maps(), changes, "{region:?} {writes}");
        }
        for helper in RULE_HELPERS.iter() {
            let takes_map = helper.args.iter().any(|arg| matches!(arg, ArgType::Map(_)));
            let mut notes = notes(&loaded);
            let mut state = AbstractState::entry();
            state.set(1, RegType::Map(3));
            notes.call(helper, &state);
            let reads_only = helper.name == "map_lookup_elem";
            assert_eq!(notes.changes_maps(), takes_map && !reads_only, "{}", helper.name);
            assert_eq!(notes.maps, if takes_map { vec![3] } else { vec![] }, "{}", helper.name);
            assert_eq!(notes.helpers, [helper.number]);
        }
    }

    /// A slot is read by its state byte or by its value, in the group that it lies in.
    #[test]
    fn slots_are_known_by_what_is_read_of_them() {
        let loaded = raw("mov r0, 0\nexit");
        let group = HEADER_LEN + GROUP_LEN;
        for (at, slot) in [
            (0, None),
            (HEADER_LEN - 1, None),
            (HEADER_LEN, Some(0)),
            (HEADER_LEN + 7, Some(7)),
            (HEADER_LEN + 8, Some(0)),
            (HEADER_LEN + 15, Some(0)),
            (HEADER_LEN + 16, Some(1)),
            (group - 1, Some(7)),
            (group, Some(8)),
            (group + 8, Some(8)),
            (group + GROUP_LEN, Some(16)),
            (u32::MAX, None),
        ] {
            let mut notes = notes(&loaded);
            notes.access(0, &access(Region::Record, at, at), false).unwrap();
            assert_eq!(notes.slots, slot.into_iter().collect::<Vec<_>>(), "{at}");
        }
    }

    #[test]
    fn of_a_loop_the_most_trips_count_and_what_first_counted_them() {
        let loaded = raw("mov r0, 0\na: add r0, 1\njlt r0, 9, a\nexit");
        let mut notes = notes(&loaded);
        assert_eq!(notes.loops, [None]);
        let (r0, slot) = (Counter::Register(0), Counter::Stack { offset: -8 });
        for (iterations, proof, want) in [
            (3, LoopProof::Explored, (3, LoopProof::Explored)),
            (2, LoopProof::Counted(r0), (3, LoopProof::Counted(r0))),
            (9, LoopProof::Explored, (9, LoopProof::Counted(r0))),
            (u64::MAX, LoopProof::Counted(slot), (u64::MAX, LoopProof::Counted(r0))),
            (0, LoopProof::Counted(slot), (u64::MAX, LoopProof::Counted(r0))),
        ] {
            notes.repeated(0, iterations, proof);
            assert_eq!(notes.loops, [Some(want)]);
        }
        notes.repeated(1, 5, LoopProof::Explored);
        assert_eq!(notes.loops.len(), 1);
    }

    /// The deepest chain of calls, not the sum of all functions: the entry calls f and g, and both call h.
    #[test]
    fn the_deepest_stack_is_that_of_one_chain() {
        let text = "call local f\ncall local g\nmov r0, 0\nexit\nf: call local h\nexit\ng: call local h\nexit\n\
                    h: mov r0, 0\nexit";
        let loaded = raw(text);
        let cfg = Cfg::new(&loaded).unwrap_or_else(|flaw| panic!("{:?}", flaw.reason));
        assert_eq!(cfg.functions().len(), 4);
        let at = |pc: u32| {
            let position = (0..cfg.len() as u32).find(|position| cfg.first_pc(*position) == pc).unwrap();
            cfg.function_at(cfg.at(position).unwrap()).unwrap()
        };
        let (entry, f, g, h) = (at(0), at(4), at(6), at(8));
        let deepest = |uses: &[(FunctionId, u32)]| {
            let mut notes = Notes::new(&loaded, &cfg);
            uses.iter().for_each(|(function, bytes)| notes.stack(*function, *bytes));
            notes.deepest_stack(&cfg)
        };
        assert_eq!(deepest(&[]), 0);
        assert_eq!(deepest(&[(entry, 8), (f, 16), (g, 64), (h, 128)]), 200);
        assert_eq!(deepest(&[(entry, 8), (f, 64), (g, 16), (h, 128)]), 200);
        assert_eq!(deepest(&[(f, 16), (f, 8)]), 16);
        assert_eq!(deepest(&[(FunctionId(9), 512)]), 0);
        let all = [entry, f, g, h].map(|function| (function, 512));
        assert_eq!(deepest(&all), 3 * 512);
    }

    /// What was found is held against the program once more.
    #[test]
    fn accesses_that_do_not_fit_the_program_are_noticed() {
        let loaded = raw("ldxdw r0, [r1]\nstxdw [r10-8], r0\nexit");
        let context = Context::new(&loaded);
        let valid = |pc: usize, access: Access| {
            let mut notes = notes(&loaded);
            notes.accesses[pc] = access;
            notes.validate(&loaded, &context)
        };
        assert_eq!(notes(&loaded).validate(&loaded, &context), Ok(()));
        for (pc, access, good) in [
            (0, access(Region::Buffer, 0, 8), true),
            (0, access(Region::Buffer, 0, 9), false),
            (0, access(Region::Buffer, 8, 0), false),
            (0, Access { size: Size::Word, ..access(Region::Buffer, 0, 0) }, false),
            (0, access(Region::Record, 0, 0), false),
            (0, access(Region::MapValues, 0, 8), true),
            (0, access(Region::MapValues, 0, 9), false),
            (1, access(Region::Stack, 504, 504), true),
            (1, access(Region::Stack, 0, crate::memory::STACK_LEN - 8), true),
            (1, access(Region::Stack, 0, crate::memory::STACK_LEN - 7), false),
            (1, access(Region::MapValues, 0, 8), true),
            // No access at all.
            (2, access(Region::Stack, 504, 504), false),
        ] {
            assert_eq!(valid(pc, access), if good { Ok(()) } else { Err(pc as u32) }, "{pc} {access:?}");
        }
        // Records can be read, not written.
        let manifest = Manifest { record_len: 64, ..Manifest::default() };
        let loaded = load("ldxdw r0, [r1]\nstxdw [r1], r0\nexit", ProgramKind::Rule(manifest));
        let mut notes = notes(&loaded);
        notes.accesses[0] = access(Region::Record, 0, 56);
        assert_eq!(notes.validate(&loaded, &Context::new(&loaded)), Ok(()));
        notes.accesses[1] = access(Region::Record, 0, 56);
        assert_eq!(notes.validate(&loaded, &Context::new(&loaded)), Err(1));
    }
}
