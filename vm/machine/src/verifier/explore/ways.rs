//! Where states go: from block to block, out of what is looked at, and together where they meet.

use std::collections::BTreeMap;

use super::induction::Facts;
use super::path::Path;
use super::{Explorer, Pass, Refusal};
use crate::isa::{Decoded, Kind};
use crate::verifier::instruction::transfer;
use crate::verifier::report::Turn;
use crate::verifier::state::AbstractState;

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

impl Explorer<'_, '_> {
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

    /// Hands the state on to what follows.
    pub(super) fn leave(&mut self, pc: u32, instruction: &Decoded, entry: Entry) -> Result<(), Box<Refusal>> {
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
