//! Loops: looked at iteration by iteration while that is cheap, then as a whole.
//!
//! ```text
//! repeat     one iteration after the other; ends when no state comes back        fuel and accesses are exact
//!   │ the state at the head no longer changes, or many steps are used up
//! induct ─ ascend     guess what holds at the head in any iteration that is left  widening, then narrowing
//!        ─ conclude   check it: one pass from there, with every assertion, comes back to no more than that;
//!                     something is counted that bounds how often it does          (`induction`)
//! ```
//!
//! Guesses need not be right: nothing is noted and nothing refused while guessing, and what the one pass that is
//! checked does not prove is not believed. The iterations before it stay as they are. If no proof is found this way
//! the loop is followed further; what ends within the verifier's budget of steps is accepted all the same.

use std::collections::BTreeMap;

use super::induction::{self, Facts, Trips};
use super::path::Path;
use super::{Boundary, Entry, Explorer, Pass, Refusal, Sink, Target};
use crate::isa::{AluOp, Kind, Operand};
use crate::verifier::flow::Component;
use crate::verifier::reason::Reason;
use crate::verifier::report::LoopProof;
use crate::verifier::state::{AbstractState, RegType, Thresholds};

/// A loop within one that is looked at as a whole is followed for this fraction of the steps only.
const INSIDE: u64 = 16;
/// How much further a loop is followed each time that it could not be looked at as a whole.
const FURTHER: u64 = 4;
/// Iterations joined before widening.
const JOINS: u32 = 2;
/// Widenings with thresholds; after them, whatever moves is let go.
const WIDENINGS: u32 = 24;
/// Iterations of narrowing.
const NARROWINGS: u32 = 2;

/// What was found of a loop as a whole.
struct Concluded {
    trips: Trips,
    /// The most fuel of one iteration.
    body: u64,
    /// What leaves it, with the fuel of the last iteration.
    exits: BTreeMap<Target, Entry>,
}

/// Where to go back to when a try fails.
struct Mark {
    boundaries: usize,
    chain: usize,
    facts: usize,
    level: u32,
    bytes: usize,
    position: u32,
}

impl Explorer<'_, '_> {
    /// Looks at a loop from the states that wait in it until none is left in it.
    pub(super) fn repeat(&mut self, number: u32) -> Result<(), Box<Refusal>> {
        let Some(component) = self.cfg.component(number).copied() else { return Ok(()) };
        let Component { start, end, .. } = component;
        let begun = self.steps;
        let outermost = self.level == 0;
        let mut allowance = if outermost { self.limits.loop_steps_max } else { self.limits.loop_steps_max / INSIDE };
        let mut iterations = 0u64;
        let mut failed: Option<Box<Refusal>> = None;
        loop {
            let before = match self.pending.get_mut(start as usize).and_then(Option::take) {
                Some(entry) => {
                    let copy = self.copy(&entry.state);
                    if let Some(pending) = self.pending.get_mut(start as usize) {
                        *pending = Some(entry);
                    }
                    self.hold(copy.bytes())?;
                    Some(copy)
                }
                None => None,
            };
            if let Err(refusal) = self.process(start, end, Some(number)) {
                let budget = matches!(refusal.reason, Reason::Budget { what: "steps", .. });
                return Err(failed.filter(|_| budget).unwrap_or(refusal));
            }
            let again = self.pending.get(start as usize).and_then(Option::as_ref);
            let settled = again.zip(before.as_ref()).is_some_and(|(again, before)| again.state == *before);
            let ended = again.is_none();
            if let Some(before) = before {
                self.release(before.bytes());
                self.spare(before);
            }
            if ended {
                break;
            }
            iterations += 1;
            if settled || self.steps - begun > allowance {
                match self.induct(number, &component, iterations) {
                    Ok(()) => return Ok(()),
                    Err(refusal) if outermost && !settled && !matches!(refusal.reason, Reason::Budget { .. }) => {
                        failed.get_or_insert(refusal);
                        allowance = allowance.saturating_mul(FURTHER);
                    }
                    Err(refusal) => return Err(failed.unwrap_or(refusal)),
                }
            }
            self.waiting.insert(start);
        }
        if self.pass == Pass::Proof {
            self.notes.repeated(number, iterations, LoopProof::Explored);
        }
        Ok(())
    }

    /// Looks at a loop as a whole, from the state that came back to its head. On failure that state is there again.
    fn induct(&mut self, number: u32, component: &Component, iterations: u64) -> Result<(), Box<Refusal>> {
        let Component { start, reducible, .. } = *component;
        let head = self.cfg.first_pc(start);
        if !reducible {
            return Err(self.refusal(head, None, Reason::Irreducible { head }));
        }
        let Some(entry) = self.take(start) else { return Ok(()) };
        self.hold(entry.state.bytes())?;
        let concluded = if self.level == 0 && self.pass == Pass::Proof {
            let mark = self.mark();
            self.pass = Pass::Try;
            let tried = self.settle(component, &entry);
            self.pass = Pass::Proof;
            let invariant = match tried {
                Ok((invariant, concluded)) => {
                    self.drop_exits(concluded.exits);
                    invariant
                }
                Err(refusal) => {
                    self.unwind(&mark, component);
                    self.release(entry.state.bytes());
                    self.put(start, entry)?;
                    return Err(refusal);
                }
            };
            match self.conclude(component, &entry, &invariant)? {
                Ok(concluded) => concluded,
                // The same pass came out otherwise before.
                Err(_) => return Err(self.refusal(head, None, Reason::Inconsistent)),
            }
        } else {
            self.settle(component, &entry)?.1
        };
        let Concluded { trips, body, exits } = concluded;
        let count = u64::try_from(trips.count).unwrap_or(u64::MAX);
        let fuel = entry.fuel.saturating_add(count.saturating_mul(body));
        self.release(entry.state.bytes());
        self.spare(entry.state);
        if self.pass == Pass::Proof {
            let proof = trips.counter.map_or(LoopProof::Explored, LoopProof::Counted);
            self.notes.repeated(number, iterations.saturating_add(count), proof);
        }
        self.position = start;
        for (target, mut exit) in exits {
            self.release(exit.state.bytes());
            exit.fuel = exit.fuel.saturating_add(fuel);
            self.arrive(target, exit)?;
        }
        Ok(())
    }

    /// Guesses until a guess holds.
    fn settle(
        &mut self,
        component: &Component,
        entry: &Entry,
    ) -> Result<(Box<AbstractState>, Concluded), Box<Refusal>> {
        let mut invariant = self.ascend(component, entry)?;
        loop {
            match self.conclude(component, entry, &invariant)? {
                Ok(concluded) => return Ok((invariant, concluded)),
                // Let go for good what did not hold, so that this ends.
                Err(back) => {
                    invariant.widen(&back, &Thresholds::NONE);
                    self.spare(back);
                }
            }
        }
    }

    /// A state at the head that should hold in all iterations from this one on.
    fn ascend(&mut self, component: &Component, entry: &Entry) -> Result<Box<AbstractState>, Box<Refusal>> {
        let pass = std::mem::replace(&mut self.pass, Pass::Guess);
        let thresholds = self.thresholds(component, &entry.state)?;
        let mut invariant = self.copy(&entry.state);
        let mut round = 0;
        while let Some(back) = self.guess(component, &invariant, entry.path)? {
            if back.is_within(&invariant) {
                self.spare(back);
                break;
            }
            if round < JOINS {
                invariant.join(&back);
            } else if round < JOINS + WIDENINGS {
                invariant.widen(&back, &thresholds);
            } else {
                invariant.widen(&back, &Thresholds::NONE);
            }
            self.spare(back);
            round += 1;
        }
        for _ in 0..NARROWINGS {
            let mut narrower = self.copy(&entry.state);
            if let Some(back) = self.guess(component, &invariant, entry.path)? {
                narrower.join(&back);
                self.spare(back);
            }
            let better = *narrower != *invariant && narrower.is_within(&invariant);
            let (kept, other) = if better { (narrower, invariant) } else { (invariant, narrower) };
            invariant = kept;
            self.spare(other);
            if !better {
                break;
            }
        }
        self.pass = pass;
        Ok(invariant)
    }

    /// One pass that only tells what comes back to the head.
    fn guess(
        &mut self,
        component: &Component,
        invariant: &AbstractState,
        path: Path,
    ) -> Result<Option<Box<AbstractState>>, Box<Refusal>> {
        let (back, _) = self.pass_from(component, invariant, path, Sink::Drop)?;
        Ok(back.map(|back| back.state))
    }

    /// One pass from a state at the head. What comes back there, and what leaves the loop.
    fn pass_from(
        &mut self,
        component: &Component,
        invariant: &AbstractState,
        path: Path,
        sink: Sink,
    ) -> Result<(Option<Entry>, Sink), Box<Refusal>> {
        let Component { start, end, .. } = *component;
        let inside = self.cfg.loop_at(start);
        self.boundaries.push(Boundary { start, end, sink });
        self.level += 1;
        let state = self.copy(invariant);
        self.put(start, Entry { state, fuel: 0, path })?;
        self.waiting.insert(start);
        self.process(start, end, inside)?;
        self.level -= 1;
        let sink = self.boundaries.pop().map_or(Sink::Drop, |boundary| boundary.sink);
        Ok((self.take(start), sink))
    }

    /// Checks a guess. If more comes back than was guessed: what does.
    fn conclude(
        &mut self,
        component: &Component,
        entry: &Entry,
        invariant: &AbstractState,
    ) -> Result<Result<Concluded, Box<AbstractState>>, Box<Refusal>> {
        let checks = self.pass != Pass::Guess;
        // It is made to hold at first, and that is not to be taken on trust either.
        if !entry.state.is_within(invariant) {
            return Err(self.refusal(self.cfg.first_pc(component.start), None, Reason::Inconsistent));
        }
        if checks {
            self.facts.push(Some(Facts::default()));
        }
        let (back, sink) = self.pass_from(component, invariant, entry.path, Sink::Keep(BTreeMap::new()))?;
        let facts = if checks { self.facts.pop().flatten() } else { None };
        let Sink::Keep(exits) = sink else { return Err(self.refusal(self.pc, None, Reason::Inconsistent)) };
        let holds = back.as_ref().is_none_or(|back| back.state.is_within(invariant));
        let mut outcome = Ok(Concluded { trips: Trips::NONE, body: 0, exits: BTreeMap::new() });
        if let Some(facts) = facts {
            self.release(facts.bytes());
            if let (true, Some(back)) = (holds, &back) {
                let frame = u16::try_from(invariant.depth()).unwrap_or(u16::MAX);
                let question = induction::Question {
                    component: *component,
                    facts: &facts,
                    frame,
                    first: &entry.state,
                    head: invariant,
                    back: &back.state,
                };
                let Some(trips) = self.trips(&question)? else {
                    let head = self.cfg.first_pc(component.start);
                    return Err(self.refusal(head, None, Reason::UnboundedLoop { head }));
                };
                if let Ok(concluded) = &mut outcome {
                    (concluded.trips, concluded.body) = (trips, back.fuel);
                }
            }
            if holds {
                self.merge_facts(facts)?;
            }
        }
        match (holds, back) {
            (true, back) => {
                if let Some(back) = back {
                    self.spare(back.state);
                }
                if let Ok(concluded) = &mut outcome {
                    concluded.exits = exits;
                }
            }
            (false, Some(back)) => {
                self.drop_exits(exits);
                outcome = Err(back.state);
            }
            (false, None) => {}
        }
        Ok(outcome)
    }

    /// What was seen in a loop was seen in the loop around it.
    fn merge_facts(&mut self, facts: Facts) -> Result<(), Box<Refusal>> {
        let Some(Some(outer)) = self.facts.last_mut() else { return Ok(()) };
        let before = outer.bytes();
        outer.merge(facts);
        let after = outer.bytes();
        self.release(before);
        self.hold(after)
    }

    fn drop_exits(&mut self, exits: BTreeMap<Target, Entry>) {
        for exit in exits.into_values() {
            self.release(exit.state.bytes());
            self.spare(exit.state);
        }
    }

    /// Numbers at which widening may stop: those that the loop compares with, those that bound what it begins with,
    /// those that it assigns. All of its instructions are looked at, and counted, also those that are never reached.
    fn thresholds(&mut self, component: &Component, first: &AbstractState) -> Result<Thresholds, Box<Refusal>> {
        let blocks = || (component.start..component.end).filter_map(|p| self.cfg.block(self.cfg.at(p)?));
        let steps = blocks().map(|block| u64::from(block.cost)).sum();
        let instructions = || blocks().flat_map(|block| (block.start..block.end).filter_map(|pc| self.program.at(pc)));
        let mut thresholds = Thresholds::usual();
        for instruction in instructions() {
            if let Kind::Branch(_, _, Operand::Imm) = instruction.kind() {
                thresholds.add(instruction.imm.cast_unsigned());
                thresholds.add(instruction.imm.cast_unsigned() & 0xffff_ffff);
            }
        }
        for value in first.values() {
            if let RegType::Scalar(scalar) = value {
                thresholds.add(scalar.unsigned().max);
                thresholds.add(scalar.unsigned().min);
                thresholds.add(scalar.signed().min.cast_unsigned());
            }
        }
        for instruction in instructions() {
            if let Kind::Alu(AluOp::Mov, _, Operand::Imm) | Kind::LoadImm = instruction.kind() {
                thresholds.add(instruction.imm.cast_unsigned());
            }
        }
        self.count_steps(steps)?;
        Ok(thresholds)
    }

    fn mark(&self) -> Mark {
        Mark {
            boundaries: self.boundaries.len(),
            chain: self.chain.len(),
            facts: self.facts.len(),
            level: self.level,
            bytes: self.bytes,
            position: self.position,
        }
    }

    /// Forgets what a try left behind.
    fn unwind(&mut self, mark: &Mark, component: &Component) {
        self.boundaries.truncate(mark.boundaries);
        self.chain.truncate(mark.chain);
        self.facts.truncate(mark.facts);
        self.level = mark.level;
        self.position = mark.position;
        let runs = |position: u32| {
            self.boundaries.iter().any(|boundary| {
                let is_function = matches!(boundary.sink, Sink::Function(..));
                is_function && boundary.start <= position && position < boundary.end
            })
        };
        // Only this loop and functions that it called can have been looked at.
        for (position, pending) in (0..).zip(&mut self.pending) {
            if pending.is_some() && (component.contains(position) || !runs(position)) {
                *pending = None;
                self.waiting.remove(position);
            }
        }
        self.bytes = mark.bytes;
    }
}
