//! How often a loop can be repeated: something is counted that every iteration moves on, and that has a bound.
//!
//! # The argument
//!
//! A *delta* says of a place, at some point of the loop: it holds what another place (its *origin*) held at the head
//! in the same iteration, plus a number in known bounds, without having wrapped around, in some *readings* (as an
//! unsigned or a signed number of 64 or 32 bits). Deltas follow moves, sums and differences, spills and reloads; what
//! is known of the operands at an instruction must exclude that it wraps.
//!
//! A place that came back to the head as itself plus at least `step > 0` counts up. If, where the loop leads back, any
//! place that is the counter at the head plus something has a bound, so has the counter at the head of each iteration
//! that leads back. The first began with at least `least`, and each adds at least `step`:
//!
//! ```text
//! least + (trips - 1) * step  <=  the counter at the head of the last iteration that leads back  <=  most
//! ```
//!
//! so `trips <= (most - least) / step + 1`. Counting down is the same, mirrored.
//!
//! # What it rests on
//!
//! The checking pass saw the loop from a state that holds at its head in every iteration ([`Facts`]): of each
//! instruction, what its operands can be, over all iterations of inner loops; of each block, where it really leads.
//! The deltas themselves are found apart from the states, on the blocks of the loop alone (`delta`, `reading`).

mod delta;
mod facts;
mod reading;
#[cfg(test)]
mod tests;

pub(super) use facts::Facts;

use delta::{Deltas, FIRST_SLOT, SLOT_LEN, value_of};
use reading::Readings;

use super::{Explorer, Refusal};
use crate::memory::FRAME_LEN;
use crate::program::Loaded;
use crate::verifier::flow::{Cfg, Component};
use crate::verifier::report::Counter;
use crate::verifier::state::AbstractState;

/// Passes over the blocks of a loop until its deltas no longer change. Each can only lose some; loops that lose more
/// are not counted.
pub(super) const PASSES_MAX: u32 = 64;

/// How often a loop can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trips {
    /// The most times that it leads back to its head.
    pub count: u128,
    /// What counts them; None if it never does.
    pub counter: Option<Counter>,
}

impl Trips {
    pub(super) const NONE: Self = Self { count: 0, counter: None };
}

/// What is asked: how often does this loop lead back to its head?
pub(super) struct Question<'q> {
    pub component: Component,
    pub facts: &'q Facts,
    /// The frame of the function that the loop is in.
    pub frame: u16,
    /// What holds at the head before its first iteration that counts.
    pub first: &'q AbstractState,
    /// What holds at the head in every iteration.
    pub head: &'q AbstractState,
    /// What holds where it leads back.
    pub back: &'q AbstractState,
}

impl Explorer<'_, '_> {
    /// The most times that a loop leads back to its head, if there is a proof of it.
    pub(super) fn trips(&mut self, question: &Question<'_>) -> Result<Option<Trips>, Box<Refusal>> {
        let Component { start, end, .. } = question.component;
        let len = (end - start) as usize;
        let mut at: Vec<Option<Deltas>> = (0..len).map(|_| None).collect();
        let mut dirty = vec![false; len];
        let mut ends: Option<Deltas> = None;
        let head = Deltas::at_head(question.head, question.frame);
        let mut held = head.bytes();
        self.hold(held)?;
        if let (Some(first), Some(dirty)) = (at.first_mut(), dirty.first_mut()) {
            (*first, *dirty) = (Some(head), true);
        }
        let mut passes = 0;
        while dirty.contains(&true) {
            passes += 1;
            if passes > PASSES_MAX {
                self.release(held);
                return Ok(None);
            }
            // All blocks are looked through for those that are to be followed.
            self.count_steps(u64::from(end - start))?;
            for index in 0..len {
                if !dirty.get_mut(index).is_some_and(std::mem::take) {
                    continue;
                }
                let Some(mut deltas) = at.get(index).cloned().flatten() else { continue };
                let position = start + u32::try_from(index).unwrap_or(u32::MAX);
                let steps = follow(self.program, &self.cfg, position, question, &mut deltas);
                self.count_steps(steps)?;
                let ways = question.facts.ways.range((position, 0)..=(position, u32::MAX));
                for ((_, to), ()) in ways {
                    if *to == start {
                        match &mut ends {
                            Some(ends) => ends.join(&deltas),
                            None => ends = Some(deltas.clone()),
                        }
                        continue;
                    }
                    let Some(target) = to.checked_sub(start).map(|to| to as usize) else { continue };
                    let (Some(entry), Some(dirty)) = (at.get_mut(target), dirty.get_mut(target)) else { continue };
                    match entry {
                        None => {
                            held += deltas.bytes();
                            *entry = Some(deltas.clone());
                            *dirty = true;
                            self.hold(deltas.bytes())?;
                        }
                        Some(there) => {
                            let mut joined = there.clone();
                            // What an inner loop changes from iteration to iteration is given up at once.
                            if *to <= position {
                                joined.agree(&deltas)
                            } else {
                                joined.join(&deltas)
                            }
                            if joined != *there {
                                *there = joined;
                                *dirty = true;
                            }
                        }
                    }
                }
            }
        }
        self.release(held);
        Ok(ends.and_then(|ends| best(&ends, question)))
    }
}

/// Follows the instructions of a block. How many there are.
fn follow(program: &Loaded, cfg: &Cfg<'_>, position: u32, question: &Question<'_>, deltas: &mut Deltas) -> u64 {
    let Some(block) = cfg.at(position).and_then(|id| cfg.block(id)) else { return 0 };
    for pc in block.start..block.end {
        if let Some(instruction) = program.at(pc) {
            deltas.step(instruction, question.facts.seen.get(&pc), question.frame);
        }
    }
    u64::from(block.cost)
}

/// The least bound that any counter gives.
fn best(ends: &Deltas, question: &Question<'_>) -> Option<Trips> {
    let mut best: Option<Trips> = None;
    let counters = ends.list.iter().filter(|(place, delta)| delta.origin == *place && !delta.shifted);
    for (counter, step) in counters.filter(|(_, delta)| delta.lo >= 1 || delta.hi <= -1) {
        let first = value_of(question.first, question.frame, *counter);
        let head = value_of(question.head, question.frame, *counter);
        let (Some(first), Some(head)) = (first, head) else { continue };
        for reading in Readings::ALL.into_iter().filter(|reading| step.readings.contains(*reading)) {
            let (Some(first), Some((mut least, mut most))) = (reading.range(first), reading.range(head)) else {
                continue;
            };
            // What bounds the counter at the head of an iteration that leads back: any place that is it plus something.
            let related = ends
                .list
                .iter()
                .filter(|(_, delta)| delta.origin == *counter && !delta.shifted && delta.readings.contains(reading));
            for (place, delta) in related {
                let value = value_of(question.back, question.frame, *place);
                if let Some((min, max)) = value.and_then(|value| reading.range(value)) {
                    least = least.max(min - i128::from(delta.hi));
                    most = most.min(max - i128::from(delta.lo));
                }
            }
            let (way, step) = match i128::from(step.lo) {
                up @ 1.. => (most - first.0.max(least), up),
                _ => (first.1.min(most) - least, i128::from(step.hi)),
            };
            // Below 0, no iteration can lead back.
            let count = u128::try_from(way).map_or(0, |way| way / step.unsigned_abs() + 1);
            if best.is_none_or(|best| count < best.count) {
                best = Some(Trips { count, counter: Some(name(*counter)) });
            }
        }
    }
    best
}

fn name(place: u8) -> Counter {
    match place.checked_sub(FIRST_SLOT) {
        None => Counter::Register(place),
        Some(slot) => Counter::Stack { offset: i32::from(slot) * SLOT_LEN.cast_signed() - FRAME_LEN.cast_signed() },
    }
}
