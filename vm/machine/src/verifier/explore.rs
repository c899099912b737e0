//! The proof itself: states are carried along blocks and joined where paths meet.
//!
//! Outside loops each block is looked at once, after all that lead to it, so the work is linear in the size of the
//! program. Loops are repeated (`loops`), local calls are followed (`calls`). Nothing is pruned and no path is assumed
//! to be like another. What a run can cost is carried along with the states: where paths meet, the more expensive one
//! counts, so the worst case of what is looked at step by step is exact.

use std::collections::BTreeMap;

use super::assertion::{Assertion, assertions, helper_number};
use super::calls::{Activation, Memo};
use super::cfg::{Cfg, FunctionId};
use super::context::Context;
use super::induction::Facts;
use super::notes::Notes;
use super::path::{ENTRY, Path, Paths};
use super::reason::Reason;
use super::report::{Cause, Decision, Rejection, Report, Turn};
use super::scalar::Scalar;
use super::state::{AbstractState, RegType};
use super::waiting::Waiting;
use super::{Limits, Observer, transfer};
use crate::helper::{Helper, KnownArguments};
use crate::isa::{Decoded, Kind, Role, disassemble_at};
use crate::memory::{Access, Region};
use crate::program::{Loaded, ProgramKind};

/// Registers that hold the arguments of a call, from the first on.
const ARGUMENTS: usize = 5;

/// Bytes of a state, beyond those that every state has, that cost a step for each block. Otherwise eight frames full
/// of saved registers would make each step of the budget some fifty times slower.
const STATE_STEP_LEN: usize = 1024;

/// What is known where a block is entered.
#[derive(Debug)]
pub(super) struct Entry {
    pub state: Box<AbstractState>,
    /// The most fuel that can have been used on the way here, from where counting began.
    pub fuel: u64,
    /// A way with fewest decisions.
    pub path: Path,
}

/// Where a state goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The block at a position.
    Block(u32),
    /// Out of the function.
    Return,
}

/// What is looked at, and what becomes of states that leave it.
#[derive(Debug)]
pub(super) struct Boundary {
    /// Its first position.
    pub start: u32,
    /// The one after its last.
    pub end: u32,
    pub sink: Sink,
}

#[derive(Debug)]
pub(super) enum Sink {
    /// A function: nothing leaves it but what it returns.
    Function(Option<Entry>),
    /// A loop, while guessing what holds in it: what leaves it does not matter.
    Drop,
    /// A loop: what leaves it waits for how often it is repeated.
    Keep(BTreeMap<Target, Entry>),
}

/// What a look at an instruction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// To find out what may hold. Nothing is checked.
    Guess,
    /// To find out whether what was guessed does. All is checked, nothing is noted.
    Try,
    /// To prove it.
    Proof,
}

/// A refusal, and the way to it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub pc: u32,
    pub assertion: Option<Assertion>,
    pub reason: Reason,
    pub registers: Vec<(u8, RegType)>,
    pub path: Path,
}

/// A proof under way.
pub(super) struct Explorer<'p, 'o> {
    pub program: &'p Loaded,
    pub context: Context<'p>,
    pub cfg: Cfg<'p>,
    pub limits: Limits,
    observe: Observer<'o>,
    /// By position, what is known at the entry of each block that was reached and not yet looked at.
    pub pending: Vec<Option<Entry>>,
    /// The positions of those that are to be looked at; heads of loops wait for the next iteration.
    pub waiting: Waiting,
    /// Innermost last.
    pub boundaries: Vec<Boundary>,
    /// The functions that run, the entry first.
    pub chain: Vec<Activation>,
    pub pass: Pass,
    /// How many guessed loops are around.
    pub level: u32,
    /// Of each function that runs and each guessed loop in it that is being checked, innermost last: what was seen.
    pub facts: Vec<Option<Facts>>,
    /// States to use again.
    #[expect(clippy::vec_box, reason = "states move between here and `pending` without being copied")]
    pool: Vec<Box<AbstractState>>,
    list: Vec<Assertion>,
    pub paths: Paths,
    pub memo: Memo,
    pub notes: Notes,
    /// Where the block is that is being looked at.
    pub position: u32,
    pub pc: u32,
    pub path: Path,
    pub steps: u64,
    pub bytes: usize,
    bytes_most: usize,
}

/// Proves the program: the access of each instruction by slot, and the report.
pub(super) fn prove(
    program: &Loaded,
    limits: Limits,
    observe: Observer<'_>,
) -> Result<(Vec<Access>, Report), Box<Rejection>> {
    let cfg = Cfg::new(program)
        .map_err(|flaw| rejection(program, Some(flaw.pc), None, flaw.reason, Vec::new(), Vec::new()))?;
    let mut explorer = Explorer {
        program,
        context: Context::new(program),
        limits,
        observe,
        pending: (0..cfg.len()).map(|_| None).collect(),
        waiting: Waiting::new(cfg.len()),
        boundaries: Vec::new(),
        chain: Vec::new(),
        pass: Pass::Proof,
        level: 0,
        facts: Vec::new(),
        pool: Vec::new(),
        list: Vec::new(),
        paths: Paths::default(),
        memo: Memo::default(),
        notes: Notes::new(program, &cfg),
        cfg,
        position: 0,
        pc: 0,
        path: ENTRY,
        steps: 0,
        bytes: 0,
        bytes_most: 0,
    };
    let refused = |explorer: &Explorer<'_, '_>, refusal: Refusal| {
        let Refusal { pc, assertion, reason, registers, path } = refusal;
        rejection(program, Some(pc), assertion, reason, registers, explorer.paths.tell(path))
    };
    let worst_fuel = match explorer.all() {
        Ok(worst_fuel) => worst_fuel,
        Err(refusal) => return Err(refused(&explorer, *refusal)),
    };
    if let Err(pc) = explorer.notes.validate(program, &explorer.context) {
        return Err(rejection(program, Some(pc), None, Reason::Inconsistent, Vec::new(), Vec::new()));
    }
    let limit = program.program().fuel_limit;
    if explorer.notes.changes_maps() && worst_fuel > limit {
        let reason = Reason::StateFuel { worst: worst_fuel, limit };
        return Err(rejection(program, None, None, reason, Vec::new(), Vec::new()));
    }
    let Explorer { notes, cfg, steps, bytes_most, .. } = explorer;
    Ok(notes.finish(program, &cfg, worst_fuel, steps, u64::try_from(bytes_most).unwrap_or(u64::MAX)))
}

impl Explorer<'_, '_> {
    /// Looks at the whole program. The most fuel that a run can use.
    fn all(&mut self) -> Result<u64, Box<Refusal>> {
        let state = self.entry_state();
        let returned = self.function(FunctionId(0), state, ENTRY)?;
        for position in 0..u32::try_from(self.cfg.len()).unwrap_or(u32::MAX) {
            if !self.notes.is_reached(position) {
                self.dead_block(position)?;
            }
        }
        // A program that is proved to end has a way to an exit.
        let Some(returned) = returned else { return Err(self.refusal(0, None, Reason::Inconsistent)) };
        Ok(returned.fuel)
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

    /// Looks at what waits between two positions, loops within `inside` as a whole.
    pub(super) fn process(&mut self, start: u32, end: u32, inside: Option<u32>) -> Result<(), Box<Refusal>> {
        let mut from = start;
        while let Some(position) = self.waiting.first(from, end) {
            if let Some(number) = self.cfg.loop_within(inside, position) {
                from = self.cfg.component(number).map_or(end, |component| component.end);
                self.repeat(number)?;
            } else {
                from = position + 1;
                self.waiting.remove(position);
                if let Some(entry) = self.take(position) {
                    self.block(position, entry)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the state that is pending at a position.
    pub(super) fn take(&mut self, position: u32) -> Option<Entry> {
        let entry = self.pending.get_mut(position as usize)?.take()?;
        self.release(entry.state.bytes());
        Some(entry)
    }

    /// Lets a state be pending at a position where none is.
    pub(super) fn put(&mut self, position: u32, entry: Entry) -> Result<(), Box<Refusal>> {
        self.hold(entry.state.bytes())?;
        if let Some(pending) = self.pending.get_mut(position as usize) {
            *pending = Some(entry);
        }
        Ok(())
    }

    fn block(&mut self, position: u32, entry: Entry) -> Result<(), Box<Refusal>> {
        let Entry { mut state, mut fuel, path } = entry;
        (self.position, self.path) = (position, path);
        let Some(block) = self.cfg.at(position).and_then(|id| self.cfg.block(id)) else { return Ok(()) };
        self.pc = block.start;
        self.count_steps(weight(&state))?;
        if !state.is_consistent() {
            return Err(self.refusal(block.start, None, Reason::Inconsistent));
        }
        fuel = fuel.saturating_add(u64::from(block.cost));
        let program = self.program;
        let mut last = None;
        for pc in block.start..block.end {
            let Some(instruction) = program.at(pc) else { continue };
            self.pc = pc;
            self.count_step()?;
            if self.pass == Pass::Proof {
                (self.observe)(pc, &state);
            }
            let Some(more) = self.instruction(pc, instruction, &mut state)? else {
                self.pool.push(state);
                return Ok(());
            };
            fuel = fuel.saturating_add(more);
            last = Some((pc, instruction));
        }
        if self.pass == Pass::Proof {
            self.notes.reach(position);
        }
        match last {
            Some((pc, instruction)) => self.leave(pc, instruction, Entry { state, fuel, path }),
            None => Ok(()),
        }
    }

    /// Checks what must hold before an instruction and moves the state past it. The fuel that it can cost beside its
    /// own one; None if a guess ends here.
    fn instruction(
        &mut self,
        pc: u32,
        instruction: &Decoded,
        state: &mut AbstractState,
    ) -> Result<Option<u64>, Box<Refusal>> {
        let helper = self.called(instruction);
        let parameters = helper.map_or(0, |helper| helper.args.len().min(ARGUMENTS));
        let mut list = std::mem::take(&mut self.list);
        assertions(instruction, u8::try_from(parameters).unwrap_or(0), &mut list);
        let mut access = None;
        let mut ends = false;
        for assertion in &list {
            let checked = match assertion {
                // What a function returns is the caller's to judge, but for what ends with the function.
                Assertion::Result if state.depth() > 0 => match state.returns_own_frame() {
                    true => Err(Reason::FrameReturned),
                    false => Ok(None),
                },
                _ => self.context.check(assertion, instruction, state),
            };
            match checked {
                Ok(proved) => access = proved.or(access),
                // Nothing comes after what is never usable.
                Err(Reason::Unusable { .. }) if self.pass == Pass::Guess => ends = true,
                // A bound may have been let go too far, and come back. The check that follows will tell.
                Err(_) if self.pass == Pass::Guess && !matches!(assertion, Assertion::Writable(_)) => {}
                Err(reason) => {
                    let registers = involved(instruction, parameters, state);
                    let mut refusal = self.refusal(pc, Some(*assertion), reason);
                    refusal.registers = registers;
                    return Err(refusal);
                }
            }
        }
        self.list = list;
        if ends {
            return Ok(None);
        }
        if let Some(access) = access {
            self.note_access(pc, instruction, &access)?;
        }
        let mut fuel = 0;
        if let Some(helper) = helper {
            fuel = self.cost_of(helper, state);
            if self.pass == Pass::Proof {
                self.notes.call(helper, state);
            }
        }
        if self.pass != Pass::Guess
            && let Some(Some(facts)) = self.facts.last_mut()
            && facts.note(pc, instruction, state, access.as_ref())
        {
            self.hold(Facts::ENTRY_LEN)?;
        }
        if self.pass == Pass::Proof {
            self.notes.instruction(instruction);
        }
        transfer::step(&self.context, state, instruction, access.as_ref());
        if !state.is_consistent_after(instruction) {
            return Err(self.refusal(pc, None, Reason::Inconsistent));
        }
        Ok(Some(fuel))
    }

    fn called(&self, instruction: &Decoded) -> Option<&'static Helper> {
        let calls = instruction.kind() == Kind::CallHelper;
        if calls { self.context.helpers.get(helper_number(instruction.imm)) } else { None }
    }

    /// The most fuel that the work of a helper can cost.
    fn cost_of(&self, helper: &Helper, state: &AbstractState) -> u64 {
        let mut known = KnownArguments::default();
        for (register, constant) in (1..).zip(&mut known.constants) {
            *constant = state.get(register).as_scalar().and_then(Scalar::as_constant);
        }
        if let RegType::Map(index) = state.get(1) {
            known.map = self.context.map(index).map(|map| &map.decl);
        }
        helper.fuel_max(&known)
    }

    fn note_access(&mut self, pc: u32, instruction: &Decoded, access: &Access) -> Result<(), Box<Refusal>> {
        let writes = !matches!(instruction.kind(), Kind::Load(..));
        if access.region == Region::Stack {
            self.touch_stack(access, writes);
        }
        if self.pass == Pass::Proof
            && let Err(reason) = self.notes.access(pc, access, writes)
        {
            return Err(self.refusal(pc, None, reason));
        }
        Ok(())
    }

    /// Hands the state on to what follows.
    fn leave(&mut self, pc: u32, instruction: &Decoded, entry: Entry) -> Result<(), Box<Refusal>> {
        let Some(id) = self.cfg.at(self.position) else { return Ok(()) };
        let successors = self.cfg.successors(id);
        let Entry { mut state, fuel, path } = entry;
        if instruction.kind() == Kind::Exit {
            // The program's own result is checked and of no further use.
            let _is_of_a_call = state.leave_call();
            return self.arrive(Target::Return, Entry { state, fuel, path });
        }
        if let (Some(callee), Some(next)) = (successors.calls, successors.next) {
            let Some(callee) = self.cfg.function_at(callee) else { return Ok(()) };
            return self.call(pc, callee, self.cfg.position(next), Entry { state, fuel, path });
        }
        let position = |id| Target::Block(self.cfg.position(id));
        match (successors.taken.map(position), successors.next.map(position)) {
            (Some(target), Some(next)) => {
                let mut taken = self.copy(&state);
                if transfer::assume(&self.context, &mut taken, instruction, true) {
                    let path = self.extend(path, pc, Turn::Taken);
                    self.go(target, Entry { state: taken, fuel, path })?;
                } else {
                    self.pool.push(taken);
                }
                if transfer::assume(&self.context, &mut state, instruction, false) {
                    let path = self.extend(path, pc, Turn::NotTaken);
                    self.go(next, Entry { state, fuel, path })
                } else {
                    self.pool.push(state);
                    Ok(())
                }
            }
            (Some(target), None) => {
                let path = self.extend(path, pc, Turn::Taken);
                self.go(target, Entry { state, fuel, path })
            }
            // Falling through is no decision.
            (None, Some(next)) => self.go(next, Entry { state, fuel, path }),
            (None, None) => Ok(()),
        }
    }

    /// One more decision; paths of guesses lead nowhere and are not kept.
    pub(super) fn extend(&mut self, path: Path, pc: u32, turn: Turn) -> Path {
        if self.pass == Pass::Guess { path } else { self.paths.extend(path, pc, turn) }
    }

    /// Hands a state on from the block that is being looked at.
    pub(super) fn go(&mut self, target: Target, entry: Entry) -> Result<(), Box<Refusal>> {
        if self.pass != Pass::Guess
            && let (Target::Block(to), Some(Some(facts))) = (target, self.facts.last_mut())
            && facts.note_way(self.position, to)
        {
            self.hold(Facts::ENTRY_LEN)?;
        }
        self.arrive(target, entry)
    }

    /// Takes a state in where it goes.
    pub(super) fn arrive(&mut self, target: Target, entry: Entry) -> Result<(), Box<Refusal>> {
        self.count_step()?;
        let alone = self.chain.len() <= 1 && target == Target::Return;
        let Some(boundary) = self.boundaries.last_mut() else { return Ok(()) };
        let slot = match (target, &mut boundary.sink) {
            (Target::Block(position), _) if boundary.start <= position && position < boundary.end => {
                // What leads back waits for the next iteration.
                if position > self.position {
                    self.waiting.insert(position);
                }
                self.pending.get_mut(position as usize)
            }
            (_, Sink::Drop) => None,
            (_, Sink::Function(returned)) => Some(returned),
            (target, Sink::Keep(kept)) => {
                use std::collections::btree_map::Entry as Place;
                match kept.entry(target) {
                    Place::Vacant(place) => {
                        let bytes = entry.state.bytes();
                        place.insert(entry);
                        return self.hold(bytes);
                    }
                    Place::Occupied(place) => {
                        let before = place.get().state.bytes();
                        let there = place.into_mut();
                        let spare = meet(there, entry, !alone);
                        let after = there.state.bytes();
                        self.pool.push(spare);
                        self.release(before);
                        return self.hold(after);
                    }
                }
            }
        };
        match slot {
            None => {
                self.pool.push(entry.state);
                Ok(())
            }
            Some(slot @ None) => {
                let bytes = entry.state.bytes();
                *slot = Some(entry);
                self.hold(bytes)
            }
            Some(Some(there)) => {
                let before = there.state.bytes();
                let spare = meet(there, entry, !alone);
                let after = there.state.bytes();
                self.pool.push(spare);
                self.release(before);
                self.hold(after)
            }
        }
    }

    pub(super) fn copy(&mut self, state: &AbstractState) -> Box<AbstractState> {
        match self.pool.pop() {
            Some(mut copy) => {
                copy.as_mut().clone_from(state);
                copy
            }
            None => Box::new(state.clone()),
        }
    }

    /// Gives a state back to be used again.
    pub(super) fn spare(&mut self, state: Box<AbstractState>) {
        self.pool.push(state);
    }

    pub(super) fn count_step(&mut self) -> Result<(), Box<Refusal>> {
        self.count_steps(1)
    }

    pub(super) fn count_steps(&mut self, steps: u64) -> Result<(), Box<Refusal>> {
        let limit = self.limits.steps_max;
        if steps > limit - self.steps {
            return Err(self.refusal(self.pc, None, Reason::Budget { what: "steps", limit }));
        }
        self.steps += steps;
        Ok(())
    }

    /// Counts bytes that are held from now on.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Box<Refusal>> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes.saturating_add(self.memo.bytes()) > self.limits.bytes_max {
            // What calls gave is a convenience; the proof comes first.
            self.memo.clear();
        }
        self.bytes_most = self.bytes_most.max(self.bytes + self.memo.bytes());
        if self.bytes > self.limits.bytes_max {
            let limit = u64::try_from(self.limits.bytes_max).unwrap_or(u64::MAX);
            return Err(self.refusal(self.pc, None, Reason::Budget { what: "bytes", limit }));
        }
        Ok(())
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// A block that no run reaches. What does not depend on the state must hold all the same.
    fn dead_block(&mut self, position: u32) -> Result<(), Box<Refusal>> {
        let Some(block) = self.cfg.at(position).and_then(|id| self.cfg.block(id)) else { return Ok(()) };
        let state = AbstractState::entry();
        for pc in block.start..block.end {
            let Some(instruction) = self.program.at(pc) else { continue };
            let mut list = std::mem::take(&mut self.list);
            assertions(instruction, 0, &mut list);
            for assertion in &list {
                if let Assertion::Callable(_) | Assertion::Writable(_) = assertion
                    && let Err(reason) = self.context.check(assertion, instruction, &state)
                {
                    self.path = ENTRY;
                    return Err(self.refusal(pc, Some(*assertion), reason));
                }
            }
            self.list = list;
        }
        Ok(())
    }

    pub(super) fn refusal(&self, pc: u32, assertion: Option<Assertion>, reason: Reason) -> Box<Refusal> {
        Box::new(Refusal { pc, assertion, reason, registers: Vec::new(), path: self.path })
    }
}

/// Joins what arrives with what is there. The state that is no longer needed.
fn meet(there: &mut Entry, arrives: Entry, states: bool) -> Box<AbstractState> {
    if states {
        there.state.join(&arrives.state);
    }
    there.fuel = there.fuel.max(arrives.fuel);
    if arrives.path.len < there.path.len {
        there.path = arrives.path;
    }
    arrives.state
}

/// Steps that a block costs for what its state holds beyond registers: states are copied, joined and checked whole.
fn weight(state: &AbstractState) -> u64 {
    let beyond = state.bytes().saturating_sub(size_of::<AbstractState>());
    u64::try_from(beyond / STATE_STEP_LEN).unwrap_or(u64::MAX)
}

fn rejection(
    program: &Loaded,
    pc: Option<u32>,
    assertion: Option<Assertion>,
    reason: Reason,
    registers: Vec<(u8, RegType)>,
    path: Vec<Decision>,
) -> Box<Rejection> {
    let program = program.program();
    Box::new(Rejection {
        program: program.name.clone(),
        pc,
        instruction: pc.map_or(String::new(), |pc| disassemble_at(&program.code, pc as usize)),
        line: pc.and_then(|pc| program.line_of(pc)),
        assertion,
        cause: Cause::Proof(reason),
        registers,
        path,
    })
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

    /// Steps stand for work, so a block costs more where eight frames are full of saved registers.
    #[test]
    fn large_states_cost_more_steps() {
        let mut text = String::new();
        for depth in 0..8 {
            text.push_str("ldxdw r0, [r1]\n");
            for slot in 1..=64 {
                text.push_str(&format!("stxdw [r10-{}], r0\n", slot * 8));
            }
            if depth < 7 {
                text.push_str(&format!("call local f{depth}\nmov r0, 0\nexit\nf{depth}: "));
            }
        }
        let with = |count: usize| {
            let text = text.clone() + "ldxb r0, [r1]\n" + &"jeq r0, 1, +0\n".repeat(count) + "mov r0, 0\nexit";
            verify(load(&text)).unwrap().report().steps
        };
        let saved = (8 * 64 * size_of::<(u8, RegType)>() / STATE_STEP_LEN) as u64;
        let each = (with(200) - with(100)) / 100;
        assert!(each >= saved, "{each} steps a block");
        // A small state costs nothing beside the instruction and the two states that the branch hands on.
        let small = |count: usize| {
            let text = "ldxb r0, [r1]\n".to_owned() + &"jeq r0, 1, +0\n".repeat(count) + "mov r0, 0\nexit";
            verify(load(&text)).unwrap().report().steps
        };
        assert!((small(200) - small(100)) / 100 <= 3);
        // A loop of such blocks without a bound is given up all the sooner.
        let endless = text.clone() + "a: ldxb r3, [r1]\njeq r3, 1, +0\nadd r0, r3\njne r0, 1, a\nmov r0, 0\nexit";
        let rejection = verify(load(&endless)).unwrap_err();
        assert!(["unbounded-loop", "budget"].contains(&rejection.code()));
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
