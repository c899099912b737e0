//! The proof itself: each block once, in an order in which all that lead to it come first.
//!
//! States meet where paths meet, so the work is linear in the size of the program. Nothing is pruned and no path is
//! assumed to be like another.

use super::assertion::{Assertion, Mode, assertions, helper_number, place};
use super::capability::region_len;
use super::cfg::{BlockId, Cfg};
use super::context::Context;
use super::cost::{BlockCost, worst_fuel};
use super::reason::Reason;
use super::report::{Cause, Decision, Rejection, Report};
use super::scalar::Scalar;
use super::state::{AbstractState, RegType};
use super::{Limits, Observer, transfer};
use crate::helper::{ArgType, Helper, KnownArguments};
use crate::isa::{Decoded, Kind, Role, disassemble_at};
use crate::memory::{Access, FRAME_LEN, Region};
use crate::program::{Loaded, ProgramKind};
use crate::record::{GROUP_LEN, GROUP_SLOTS, HEADER_LEN};

/// Registers that hold the arguments of a call, from the first on.
const ARGUMENTS: usize = 5;

/// What is known when a block is entered, and one shortest way to it.
struct Entry {
    state: Box<AbstractState>,
    /// The block it was reached from first, with fewest decisions.
    from: Option<(BlockId, Decision)>,
    decisions: u32,
}

/// A proof under way.
pub(super) struct Explorer<'p, 'o> {
    program: &'p Loaded,
    context: Context<'p>,
    limits: Limits,
    observe: Observer<'o>,
    /// What is known at the entry of each block that was reached and not yet looked at.
    pending: Vec<Option<Entry>>,
    /// How each block was reached; kept for rejections.
    ways: Vec<Option<(BlockId, Decision)>>,
    /// States to use again.
    #[expect(clippy::vec_box, reason = "states move between here and `pending` without being copied")]
    pool: Vec<Box<AbstractState>>,
    list: Vec<Assertion>,
    costs: Vec<BlockCost>,
    accesses: Vec<Access>,
    reached: u32,
    stack_bytes: u32,
    helpers: Vec<u32>,
    slots: Vec<u16>,
    steps: u64,
    bytes: usize,
    bytes_most: usize,
}

/// A refusal inside a block.
struct Refusal {
    pc: u32,
    assertion: Option<Assertion>,
    reason: Reason,
    registers: Vec<(u8, RegType)>,
}

impl<'p, 'o> Explorer<'p, 'o> {
    pub(super) fn new(program: &'p Loaded, limits: Limits, observe: Observer<'o>) -> Self {
        Self {
            program,
            context: Context::new(program),
            limits,
            observe,
            pending: Vec::new(),
            ways: Vec::new(),
            pool: Vec::new(),
            list: Vec::new(),
            costs: Vec::new(),
            accesses: Vec::new(),
            reached: 0,
            stack_bytes: 0,
            helpers: Vec::new(),
            slots: Vec::new(),
            steps: 0,
            bytes: 0,
            bytes_most: 0,
        }
    }

    /// Proves the program: the access of each instruction by slot, and the report.
    pub(super) fn run(mut self) -> Result<(Vec<Access>, Report), Box<Rejection>> {
        let cfg = Cfg::new(self.program)
            .map_err(|flaw| self.rejection(flaw.pc, None, flaw.reason, Vec::new(), Vec::new()))?;
        self.pending.resize_with(cfg.len(), || None);
        self.ways.resize(cfg.len(), None);
        self.costs.resize(cfg.len(), BlockCost::default());
        self.accesses.resize(self.program.code().len(), Access::NEVER);
        let entry = self.entry_state();
        if let Some(first) = self.pending.first_mut() {
            self.bytes = entry.bytes();
            self.bytes_most = self.bytes;
            *first = Some(Entry { state: entry, from: None, decisions: 0 });
        }
        for id in cfg.order() {
            let taken = self.pending.get_mut(id.0 as usize).and_then(Option::take);
            let outcome = match taken {
                Some(entry) => self.block(&cfg, *id, entry),
                None => self.dead_block(&cfg, *id),
            };
            if let Err(refusal) = outcome {
                let path = self.path(*id);
                let Refusal { pc, assertion, reason, registers } = *refusal;
                return Err(self.rejection(pc, assertion, reason, registers, path));
            }
        }
        self.validate()?;
        let report = self.report(&cfg);
        Ok((self.accesses, report))
    }

    /// Holds the table of accesses against the program once more, apart from how it was found.
    fn validate(&self) -> Result<(), Box<Rejection>> {
        for (pc, access) in (0..).zip(&self.accesses) {
            if *access == Access::NEVER {
                continue;
            }
            let fits = self.program.at(pc).and_then(place).is_some_and(|(place, mode)| {
                access.size == place.size
                    && access.lo <= access.hi
                    && access.end() <= u64::from(region_len(&self.context, access.region))
                    && (mode == Mode::Read || access.region.writable())
            });
            if !fits {
                return Err(self.rejection(pc, None, Reason::Inconsistent, Vec::new(), Vec::new()));
            }
        }
        Ok(())
    }

    /// What the contract of each kind of program says of its registers at entry.
    fn entry_state(&self) -> Box<AbstractState> {
        let mut state = Box::new(AbstractState::entry());
        match self.context.kind {
            ProgramKind::Rule(_) => {
                state.set(1, RegType::pointer(Region::Record, 0));
                state.set(2, RegType::pointer(Region::Predicates, 0));
                state.set(3, RegType::pointer(Region::Masks, 0));
            }
            ProgramKind::Raw { memory_len } => {
                state.set(1, RegType::pointer(Region::Buffer, 0));
                state.set(2, RegType::exact(u64::from(*memory_len)));
            }
        }
        state
    }

    fn block(&mut self, cfg: &Cfg<'_>, id: BlockId, entry: Entry) -> Result<(), Box<Refusal>> {
        let Entry { mut state, from, decisions } = entry;
        self.bytes = self.bytes.saturating_sub(state.bytes());
        self.set_way(id, from);
        let Some(block) = cfg.block(id) else { return Ok(()) };
        if !state.is_consistent() {
            return Err(refusal(block.start, None, Reason::Inconsistent));
        }
        let mut last = None;
        for pc in block.start..block.end {
            let Some(instruction) = self.program.at(pc) else { continue };
            self.count_step(pc)?;
            (self.observe)(pc, &state);
            self.instruction(id, pc, instruction, &mut state)?;
            self.reached += 1;
            last = Some((pc, instruction));
        }
        match last {
            Some((pc, instruction)) => self.leave(cfg, id, pc, instruction, state, decisions),
            None => Ok(()),
        }
    }

    /// Checks what must hold before an instruction and moves the state past it.
    fn instruction(
        &mut self,
        id: BlockId,
        pc: u32,
        instruction: &Decoded,
        state: &mut AbstractState,
    ) -> Result<(), Box<Refusal>> {
        let helper = self.called(instruction);
        let parameters = helper.map_or(0, |helper| helper.args.len().min(ARGUMENTS));
        let mut list = std::mem::take(&mut self.list);
        assertions(instruction, u8::try_from(parameters).unwrap_or(0), &mut list);
        let mut access = None;
        for assertion in &list {
            match self.context.check(assertion, instruction, state) {
                Ok(proved) => access = proved.or(access),
                Err(reason) => {
                    let registers = involved(instruction, parameters, state);
                    return Err(Box::new(Refusal { pc, assertion: Some(*assertion), reason, registers }));
                }
            }
        }
        self.list = list;
        if let (Some(access), Some(entry)) = (access, self.accesses.get_mut(pc as usize)) {
            *entry = access;
            self.note_access(&access);
        }
        if let Some(helper) = helper {
            self.note_call(id, helper, state);
        }
        transfer::step(&self.context, state, instruction, access.as_ref());
        if !state.is_consistent_after(instruction) {
            return Err(refusal(pc, None, Reason::Inconsistent));
        }
        Ok(())
    }

    fn called(&self, instruction: &Decoded) -> Option<&'static Helper> {
        let calls = instruction.kind() == Kind::CallHelper;
        if calls { self.context.helpers.get(helper_number(instruction.imm)) } else { None }
    }

    /// Hands the state on to the blocks that follow.
    fn leave(
        &mut self,
        cfg: &Cfg<'_>,
        id: BlockId,
        pc: u32,
        instruction: &Decoded,
        mut state: Box<AbstractState>,
        decisions: u32,
    ) -> Result<(), Box<Refusal>> {
        let successors = cfg.successors(id);
        let way = |taken| (id, Decision { pc, taken });
        match (successors.taken, successors.next) {
            (Some(target), Some(next)) => {
                let mut taken = self.copy(&state);
                if transfer::assume(&self.context, &mut taken, instruction, true) {
                    self.cost(id).taken = true;
                    self.arrive(target, taken, way(true), decisions + 1, pc)?;
                } else {
                    self.pool.push(taken);
                }
                if transfer::assume(&self.context, &mut state, instruction, false) {
                    self.cost(id).next = true;
                    self.arrive(next, state, way(false), decisions + 1, pc)?;
                } else {
                    self.pool.push(state);
                }
            }
            (Some(target), None) => {
                self.cost(id).taken = true;
                self.arrive(target, state, way(true), decisions + 1, pc)?;
            }
            // Falling through is no decision.
            (None, Some(next)) => {
                self.cost(id).next = true;
                self.arrive(next, state, way(false), decisions, pc)?;
            }
            (None, None) => self.pool.push(state),
        }
        Ok(())
    }

    /// Takes a state in at the entry of a block.
    fn arrive(
        &mut self,
        target: BlockId,
        state: Box<AbstractState>,
        way: (BlockId, Decision),
        decisions: u32,
        pc: u32,
    ) -> Result<(), Box<Refusal>> {
        self.count_step(pc)?;
        let Some(pending) = self.pending.get_mut(target.0 as usize) else { return Ok(()) };
        match pending {
            Some(entry) => {
                self.bytes = self.bytes.saturating_sub(entry.state.bytes());
                entry.state.join(&state);
                self.bytes += entry.state.bytes();
                if decisions < entry.decisions {
                    (entry.from, entry.decisions) = (Some(way), decisions);
                }
                self.pool.push(state);
            }
            None => {
                self.bytes += state.bytes();
                *pending = Some(Entry { state, from: Some(way), decisions });
            }
        }
        self.bytes_most = self.bytes_most.max(self.bytes);
        if self.bytes > self.limits.bytes_max {
            let limit = u64::try_from(self.limits.bytes_max).unwrap_or(u64::MAX);
            return Err(refusal(pc, None, Reason::Budget { what: "bytes", limit }));
        }
        Ok(())
    }

    fn copy(&mut self, state: &AbstractState) -> Box<AbstractState> {
        match self.pool.pop() {
            Some(mut copy) => {
                copy.as_mut().clone_from(state);
                copy
            }
            None => Box::new(state.clone()),
        }
    }

    fn count_step(&mut self, pc: u32) -> Result<(), Box<Refusal>> {
        if self.steps >= self.limits.steps_max {
            return Err(refusal(pc, None, Reason::Budget { what: "steps", limit: self.limits.steps_max }));
        }
        self.steps += 1;
        Ok(())
    }

    /// A block that no run reaches. What does not depend on the state must hold all the same.
    fn dead_block(&mut self, cfg: &Cfg<'_>, id: BlockId) -> Result<(), Box<Refusal>> {
        let Some(block) = cfg.block(id) else { return Ok(()) };
        let state = AbstractState::entry();
        for pc in block.start..block.end {
            let Some(instruction) = self.program.at(pc) else { continue };
            assertions(instruction, 0, &mut self.list);
            for assertion in &self.list {
                if let Assertion::Callable(_) | Assertion::Writable(_) = assertion
                    && let Err(reason) = self.context.check(assertion, instruction, &state)
                {
                    return Err(refusal(pc, Some(*assertion), reason));
                }
            }
        }
        Ok(())
    }

    fn note_access(&mut self, access: &Access) {
        match access.region {
            Region::Record => {
                let Some(slots) = access.lo.checked_sub(HEADER_LEN) else { return };
                let (group, within) = (slots / GROUP_LEN, slots % GROUP_LEN);
                let entry = within.checked_sub(GROUP_SLOTS).map_or(within, |value| value / 8);
                self.note_slot(u64::from(group * GROUP_SLOTS + entry));
            }
            Region::Stack => self.stack_bytes = self.stack_bytes.max(FRAME_LEN - access.lo % FRAME_LEN),
            _ => {}
        }
    }

    fn note_slot(&mut self, slot: u64) {
        if let Ok(slot) = u16::try_from(slot)
            && let Err(at) = self.slots.binary_search(&slot)
        {
            self.slots.insert(at, slot);
        }
    }

    fn note_call(&mut self, id: BlockId, helper: &Helper, state: &AbstractState) {
        if let Err(at) = self.helpers.binary_search(&helper.number) {
            self.helpers.insert(at, helper.number);
        }
        let mut known = KnownArguments::default();
        for (register, known) in (1..).zip(&mut known.constants) {
            *known = state.get(register).as_scalar().and_then(Scalar::as_constant);
        }
        if let RegType::Map(index) = state.get(1) {
            known.map = self.program.program().maps.get(usize::from(index)).map(|map| &map.decl);
        }
        for (argument, known) in helper.args.iter().zip(known.constants) {
            if let (ArgType::Slot, Some(slot)) = (argument, known) {
                self.note_slot(slot);
            }
        }
        let cost = self.cost(id);
        cost.helpers = cost.helpers.saturating_add(helper.fuel_max(&known));
    }

    fn cost(&mut self, id: BlockId) -> &mut BlockCost {
        let index = id.0 as usize;
        if self.costs.len() <= index {
            self.costs.resize(index + 1, BlockCost::default());
        }
        &mut self.costs[index]
    }

    fn set_way(&mut self, id: BlockId, from: Option<(BlockId, Decision)>) {
        if let Some(way) = self.ways.get_mut(id.0 as usize) {
            *way = from;
        }
    }

    /// The decisions on the way to a block.
    fn path(&self, id: BlockId) -> Vec<Decision> {
        let mut path = Vec::new();
        let mut at = id;
        while let Some(Some((from, decision))) = self.ways.get(at.0 as usize) {
            let kind = self.program.at(decision.pc).map(Decoded::kind);
            if decision.taken || matches!(kind, Some(Kind::Branch(..))) {
                path.push(*decision);
            }
            at = *from;
            if path.len() > self.ways.len() {
                break;
            }
        }
        path.reverse();
        path
    }

    fn rejection(
        &self,
        pc: u32,
        assertion: Option<Assertion>,
        reason: Reason,
        registers: Vec<(u8, RegType)>,
        path: Vec<Decision>,
    ) -> Box<Rejection> {
        let program = self.program.program();
        Box::new(Rejection {
            program: program.name.clone(),
            pc: Some(pc),
            instruction: disassemble_at(&program.code, pc as usize),
            line: program.line_of(pc),
            assertion,
            cause: Cause::Proof(reason),
            registers,
            path,
        })
    }

    fn report(&mut self, cfg: &Cfg<'_>) -> Report {
        let instructions = cfg.order().iter().filter_map(|id| cfg.block(*id)).map(|block| block.cost).sum::<u32>();
        Report {
            instructions,
            dead_instructions: instructions.saturating_sub(self.reached),
            worst_fuel: worst_fuel(cfg, &self.costs),
            fuel_limit: self.program.program().fuel_limit,
            stack_bytes: self.stack_bytes,
            call_depth: 0,
            state_bytes: 0,
            maps: Vec::new(),
            loops: Vec::new(),
            accesses: u32::try_from(self.accesses.iter().filter(|access| **access != Access::NEVER).count())
                .unwrap_or(u32::MAX),
            helpers: std::mem::take(&mut self.helpers),
            slots: std::mem::take(&mut self.slots),
            steps: self.steps,
            bytes: u64::try_from(self.bytes_most).unwrap_or(u64::MAX),
        }
    }
}

fn refusal(pc: u32, assertion: Option<Assertion>, reason: Reason) -> Box<Refusal> {
    Box::new(Refusal { pc, assertion, reason, registers: Vec::new() })
}

/// The registers that an instruction reads, and what they hold.
fn involved(instruction: &Decoded, parameters: usize, state: &AbstractState) -> Vec<(u8, RegType)> {
    let row = instruction.op.row();
    let mut registers = Vec::new();
    for (role, register) in [(row.dst, instruction.dst), (row.src, instruction.src)] {
        if matches!(role, Role::Read | Role::Update) {
            registers.push(register);
        }
    }
    match instruction.kind() {
        Kind::CallHelper => registers.extend((1..).take(parameters)),
        Kind::Exit => registers.push(0),
        Kind::Atomic(crate::isa::Rmw::Cmpxchg, ..) => registers.push(0),
        _ => {}
    }
    registers.dedup();
    registers.into_iter().map(|register| (register, state.get(register))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{BYTES_MAX, Bits, STEPS_MAX, Verified, verify, verify_observed};
    use super::*;
    use crate::helper::RAW_HELPERS;
    use crate::isa::assemble;
    use crate::program::{CODE_LEN_MAX, Line, Program};

    fn load(text: &str) -> Loaded {
        let assembly = assemble(text).unwrap();
        let program = Program {
            name: "test".to_owned(),
            kind: ProgramKind::Raw { memory_len: 16 },
            lines: (0..).zip(&assembly.lines).map(|(pc, line)| Line { pc, line: *line }).collect(),
            maps: Vec::new(),
            code: assembly.code,
            fuel_limit: 100,
        };
        Loaded::new(program, &RAW_HELPERS).unwrap()
    }

    fn within(text: &str, limits: Limits) -> Result<Verified, Box<Rejection>> {
        verify_observed(load(text), limits, &mut |_, _| {})
    }

    const BRANCHING: &str = "ldxb r3, [r1]\nmov r0, 0\njeq r3, 0, a\nstdw [r10-8], 1\na: jeq r3, 1, b\nb: exit";

    #[test]
    fn steps_at_their_limit() {
        let needed = within(BRANCHING, Limits::default()).unwrap().report().steps;
        for (steps_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true)] {
            let verdict = within(BRANCHING, Limits { steps_max, ..Limits::default() });
            assert_eq!(verdict.is_ok(), good, "{steps_max}");
            if let Err(rejection) = verdict {
                assert_eq!(rejection.cause, Cause::Proof(Reason::Budget { what: "steps", limit: steps_max }));
            }
        }
    }

    #[test]
    fn bytes_at_their_limit() {
        let needed = usize::try_from(within(BRANCHING, Limits::default()).unwrap().report().bytes).unwrap();
        for (bytes_max, good) in [(needed - 1, false), (needed, true), (needed + 1, true)] {
            let verdict = within(BRANCHING, Limits { bytes_max, ..Limits::default() });
            assert_eq!(verdict.is_ok(), good, "{bytes_max}");
            assert!(verdict.is_ok() || verdict.is_err_and(|rejection| rejection.code() == "budget"));
        }
    }

    /// The longest program, every slot a branch to the next: the most blocks and steps there can be.
    #[test]
    fn the_longest_program_fits_the_budget() {
        let mut text = String::from("ldxb r0, [r1]\n");
        for _ in 0..CODE_LEN_MAX - 2 {
            text.push_str("jeq r0, 1, +0\n");
        }
        text.push_str("exit");
        let verified = verify(load(&text)).unwrap();
        assert!(verified.report().steps <= STEPS_MAX);
        assert_eq!(verified.report().worst_fuel, CODE_LEN_MAX as u64);
        assert!(verified.report().can_run_out());
    }

    /// Every branch leads to its own place far ahead: the most states there can be at a time.
    #[test]
    fn the_most_states_fit_the_budget() {
        let count = CODE_LEN_MAX / 2 - 1;
        let mut text = String::from("ldxdw r0, [r1]\n");
        for number in 0..count {
            text.push_str(&format!("jeq r0, {number}, l{number}\n"));
        }
        for number in 0..count {
            text.push_str(&format!("l{number}: mov r0, 1\n"));
        }
        text.push_str("exit");
        let bytes = usize::try_from(verify(load(&text)).unwrap().report().bytes).unwrap();
        assert!(bytes >= count * size_of::<AbstractState>() && bytes <= BYTES_MAX, "{bytes}");
    }

    #[test]
    fn the_worst_case_is_the_longest_possible_way() {
        for (text, worst) in [
            ("mov r0, 0\nexit", 2),
            ("ldxb r0, [r1]\njeq r0, 0, +2\nmov r0, 1\nmov r0, 2\nexit", 5),
            // The long way is impossible.
            ("mov r0, 0\njeq r0, 0, +2\nmov r0, 1\nmov r0, 2\nexit", 3),
            ("lddw r0, 5\nexit", 2),
            // Different lengths before and after a meeting point.
            ("ldxb r0, [r1]\njeq r0, 0, +1\nmov r2, 1\njeq r0, 1, +3\nmov r2, 1\nmov r2, 1\nmov r2, 1\nexit", 8),
        ] {
            assert_eq!(verify(load(text)).unwrap().report().worst_fuel, worst, "{text}");
        }
    }

    #[test]
    fn a_rejection_shows_a_shortest_way() {
        let text = "ldxb r3, [r1]\njeq r3, 1, a\njeq r3, 2, a\nexit\na: ja b\nb: jne r3, 2, c\nmov r0, 0\nexit\n\
                    c: mov r0, r9\nexit";
        let text = text.replacen("exit", "mov r0, 0\nexit", 1);
        let rejection = verify(load(&text)).unwrap_err();
        let way = rejection.path.iter().map(Decision::to_string).collect::<Vec<_>>().join(", ");
        assert_eq!(way, "1 taken, 5 taken, 6 taken");
        assert_eq!((rejection.pc, rejection.line), (Some(9), Some(10)));
    }

    #[test]
    fn accesses_are_known_by_slot() {
        let verified =
            verify(load("ldxdw r3, [r1+8]\nand r3, 7\nadd r1, r3\nstxb [r1+1], r3\nmov r0, 0\nexit")).unwrap();
        let access = |lo, hi, size| Access { region: Region::Buffer, lo, hi, size };
        assert_eq!(verified.access(0), access(8, 8, crate::isa::Size::Double));
        assert_eq!(verified.access(3), access(1, 8, crate::isa::Size::Byte));
        for pc in [1, 2, 4, 5, 6, u32::MAX] {
            assert_eq!(verified.access(pc), Access::NEVER);
        }
    }

    #[test]
    fn a_contradictory_state_is_noticed() {
        let mut state = AbstractState::entry();
        assert!(state.is_consistent());
        let impossible = Scalar::range(5, 4, Bits::B64);
        state.set(4, RegType::Scalar(impossible));
        assert!(!state.is_consistent());
        let mut state = AbstractState::entry();
        state.set(10, RegType::exact(0));
        assert!(!state.is_consistent());
    }
}
