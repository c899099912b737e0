//! The proof itself: states are carried along blocks and joined where paths meet.
//!
//! Outside loops each block is looked at once, after all that lead to it, so the work is linear in the size of the
//! program. Loops are repeated (`loops`), local calls are followed (`calls`). Nothing is pruned and no path is assumed
//! to be like another. What a run can cost is carried along with the states: where paths meet, the more expensive one
//! counts, so the worst case of what is looked at step by step is exact.
//!
//! ```text
//! Explorer  step       one instruction: checked, noted, and the state moved past it
//!           ways       where states go, and where they meet
//!           loops      loops, iteration by iteration or as a whole; `induction`: how often they can be repeated
//!           calls      local calls, each followed with the state of its caller
//!           budget     steps and bytes
//! holds     waiting    which blocks are to be looked at
//!           path       how it came to where it is
//!           notes      what the report and the executors are told
//! ```

mod budget;
mod calls;
mod induction;
#[cfg(test)]
mod loop_tests;
mod loops;
mod notes;
mod path;
mod step;
#[cfg(test)]
mod tests;
mod waiting;
mod ways;

use budget::weight;
use calls::{Activation, Memo};
use induction::Facts;
use notes::Notes;
use path::{ENTRY, Path, Paths};
use waiting::Waiting;
use ways::{Boundary, Entry, Sink, Target};

use super::flow::{Cfg, FunctionId};
use super::instruction::{Assertion, Context, assertions};
use super::reason::Reason;
use super::report::{Cause, Decision, Rejection, Report};
use super::state::{AbstractState, RegType};
use super::{Limits, Observer};
use crate::isa::disassemble_at;
use crate::memory::{Access, Region};
use crate::program::{Loaded, ProgramKind};

/// What a look at an instruction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// To find out what may hold. Nothing is checked.
    Guess,
    /// To find out whether what was guessed does. All is checked, nothing is noted.
    Try,
    /// To prove it.
    Proof,
}

/// A refusal, and the way to it.
#[derive(Debug)]
struct Refusal {
    pub pc: u32,
    pub assertion: Option<Assertion>,
    pub reason: Reason,
    pub registers: Vec<(u8, RegType)>,
    pub path: Path,
}

/// A proof under way.
struct Explorer<'p, 'o> {
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
    /// The most bytes held at a time since a call began.
    peak: usize,
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
        peak: 0,
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
    fn process(&mut self, start: u32, end: u32, inside: Option<u32>) -> Result<(), Box<Refusal>> {
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

    fn refusal(&self, pc: u32, assertion: Option<Assertion>, reason: Reason) -> Box<Refusal> {
        Box::new(Refusal { pc, assertion, reason, registers: Vec::new(), path: self.path })
    }
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
