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
