//! Local calls: each is followed into the function with the state of the caller.
//!
//! A function is looked at anew for each call; the states at its exits, joined, are what the call leaves. Only a call
//! in exactly the state of an earlier one is not followed again: it is given what that one came to, the steps and the
//! bytes that it took included, so that a proof with this switched off
//! ([`Limits::reuse_calls`](super::Limits::reuse_calls)) says the same. If they are more than is left, it is followed
//! all the same, to the instruction that goes too far.

use super::path::Path;
use super::{Boundary, Entry, Explorer, Pass, Refusal, Sink, Target};
use crate::memory::{Access, FRAME_LEN, FRAMES_MAX};
use crate::verifier::fault::{Fault, planted};
use crate::verifier::flow::FunctionId;
use crate::verifier::report::Turn;
use crate::verifier::state::AbstractState;

/// Calls of one function whose results are kept, the latest.
const KEPT_MAX: usize = 16;

/// A function that runs, and what it did to the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activation {
    pub function: FunctionId,
    /// By frame, the lowest byte that it or what it calls accessed there; [`FRAME_LEN`] for none.
    lowest: [u32; FRAMES_MAX as usize],
    /// The frames in which it or what it calls wrote, as bits.
    wrote: u8,
}

// A bit for each frame.
const _: () = assert!(FRAMES_MAX <= u8::BITS);

/// What a call came to.
#[derive(Debug)]
struct Summary {
    pass: Pass,
    level: u32,
    entry: Box<AbstractState>,
    /// The state after the call and the fuel that it can use; None if it does not return.
    outcome: Option<(Box<AbstractState>, u64)>,
    steps: u64,
    /// The most bytes held at a time beyond those held when it began.
    held: usize,
    activation: Activation,
}

impl Summary {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.entry.bytes() + self.outcome.as_ref().map_or(0, |(state, _)| state.bytes())
    }
}

/// Results of calls, to be used again.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// By function, the latest last.
    summaries: Vec<Vec<Summary>>,
    bytes: usize,
}

impl Memo {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.summaries.clear();
        self.bytes = 0;
    }

    fn find(&self, function: FunctionId, pass: Pass, level: u32, entry: &AbstractState) -> Option<&Summary> {
        let kept = self.summaries.get(function.0 as usize)?;
        kept.iter().rev().find(|s| (s.pass, s.level) == (pass, level) && is_same(&s.entry, entry))
    }

    fn keep(&mut self, summary: Summary) {
        let index = summary.activation.function.0 as usize;
        if self.summaries.len() <= index {
            self.summaries.resize_with(index + 1, Vec::new);
        }
        let Some(kept) = self.summaries.get_mut(index) else { return };
        if kept.len() >= KEPT_MAX {
            self.bytes = self.bytes.saturating_sub(kept.remove(0).bytes());
        }
        self.bytes += summary.bytes();
        kept.push(summary);
    }
}

/// Whether what is known at the entry of two calls is the same.
fn is_same(earlier: &AbstractState, now: &AbstractState) -> bool {
    *earlier == *now || planted(Fault::UnequalReuse) && earlier.is_alike(now)
}

impl Explorer<'_, '_> {
    /// Follows a call and hands on to `next` what it leaves.
    pub(super) fn call(&mut self, pc: u32, callee: FunctionId, next: u32, entry: Entry) -> Result<(), Box<Refusal>> {
        let Entry { mut state, fuel, path } = entry;
        state.enter_call();
        if self.pass == Pass::Proof {
            self.notes.enter(state.depth());
        }
        let caller = self.chain.len().saturating_sub(1);
        let found = if self.limits.reuse_calls {
            self.memo.find(callee, self.pass, self.level, &state).filter(|summary| self.fits(summary)).map(|summary| {
                let outcome = summary.outcome.as_ref().map(|(state, fuel)| (state.clone(), *fuel));
                (outcome, summary.steps, summary.held, summary.activation)
            })
        } else {
            None
        };
        let (outcome, activation) = match found {
            Some((outcome, steps, held, activation)) => {
                self.count_steps(steps)?;
                self.hold(held)?;
                self.release(held);
                self.spare(state);
                self.touch_as(&activation);
                (outcome, activation)
            }
            None => {
                let (begun, before, peak) = (self.steps, self.bytes, self.peak);
                self.peak = before;
                let kept = if self.limits.reuse_calls { Some(self.copy(&state)) } else { None };
                let position = self.position;
                let inner = self.extend(path, pc, Turn::Called);
                let ran = self.run(callee, state, inner);
                let held = self.peak.saturating_sub(before);
                self.peak = self.peak.max(peak);
                let (returned, activation) = ran?;
                self.position = position;
                self.pc = pc;
                let outcome = returned.map(|entry| (entry.state, entry.fuel));
                if let Some(entry) = kept {
                    let outcome = outcome.as_ref().map(|(state, fuel)| (self.copy(state), *fuel));
                    let (pass, level, steps) = (self.pass, self.level, self.steps - begun);
                    self.memo.keep(Summary { pass, level, entry, outcome, steps, held, activation });
                    self.hold(0)?;
                }
                (outcome, activation)
            }
        };
        if self.pass != Pass::Guess
            && let Some(Some(facts)) = self.facts.last_mut()
            && activation.wrote & (1u8 << (caller % FRAMES_MAX as usize)) != 0
        {
            facts.note_written_frame(pc);
        }
        match outcome {
            Some((state, used)) => self.go(Target::Block(next), Entry { state, fuel: fuel.saturating_add(used), path }),
            None => Ok(()),
        }
    }

    /// Whether what a call took, taken once more, is within the budget.
    fn fits(&self, summary: &Summary) -> bool {
        summary.steps <= self.limits.steps_max - self.steps
            && self.bytes.saturating_add(summary.held) <= self.limits.bytes_max
    }

    /// Looks at a function from a state on. What it returns, if it does, after the call.
    pub(super) fn function(
        &mut self,
        function: FunctionId,
        state: Box<AbstractState>,
        path: Path,
    ) -> Result<Option<Entry>, Box<Refusal>> {
        self.run(function, state, path).map(|(returned, _)| returned)
    }

    fn run(
        &mut self,
        function: FunctionId,
        state: Box<AbstractState>,
        path: Path,
    ) -> Result<(Option<Entry>, Activation), Box<Refusal>> {
        let (start, end) = self.cfg.function(function).map_or((0, 0), |function| (function.start, function.end));
        let activation = Activation { function, lowest: [FRAME_LEN; FRAMES_MAX as usize], wrote: 0 };
        self.chain.push(activation);
        self.boundaries.push(Boundary { start, end, sink: Sink::Function(None) });
        self.facts.push(None);
        self.put(start, Entry { state, fuel: 0, path })?;
        self.waiting.insert(start);
        self.process(start, end, None)?;
        self.facts.pop();
        let returned = match self.boundaries.pop().map(|boundary| boundary.sink) {
            Some(Sink::Function(returned)) => returned,
            _ => None,
        };
        if let Some(entry) = &returned {
            self.release(entry.state.bytes());
        }
        let activation = self.chain.pop().unwrap_or(activation);
        Ok((returned, activation))
    }

    /// Notes an access to the stack with all functions that run above the frame.
    pub(super) fn touch_stack(&mut self, access: &Access, writes: bool) {
        self.touch(access.lo / FRAME_LEN, access.lo % FRAME_LEN, writes);
    }

    fn touch(&mut self, frame: u32, offset: u32, writes: bool) {
        let index = frame as usize;
        for (number, activation) in self.chain.iter_mut().enumerate().skip(index) {
            if let Some(lowest) = activation.lowest.get_mut(index) {
                *lowest = (*lowest).min(offset);
            }
            if writes && number > index {
                activation.wrote |= 1u8.checked_shl(frame).unwrap_or(0);
            }
        }
        if self.pass == Pass::Proof
            && let Some(owner) = self.chain.get(index)
        {
            self.notes.stack(owner.function, FRAME_LEN - offset);
        }
    }

    /// Notes what a call did to the stacks of its callers.
    fn touch_as(&mut self, called: &Activation) {
        for (frame, lowest) in (0..).zip(called.lowest).take(self.chain.len()) {
            if lowest < FRAME_LEN {
                let writes = called.wrote & 1u8.checked_shl(frame).unwrap_or(0) != 0;
                self.touch(frame, lowest, writes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::state::RegType;

    const FUNCTION: FunctionId = FunctionId(2);

    /// The state of a call that passes a number.
    fn entry(number: u64) -> AbstractState {
        let mut state = AbstractState::entry();
        state.set(1, RegType::exact(number));
        state
    }

    fn summary(number: u64, pass: Pass, level: u32) -> Summary {
        let activation = Activation { function: FUNCTION, lowest: [FRAME_LEN; FRAMES_MAX as usize], wrote: 0 };
        Summary { pass, level, entry: Box::new(entry(number)), outcome: None, steps: number, held: 0, activation }
    }

    #[test]
    fn as_many_calls_are_kept_as_may_be_the_latest() {
        for (count, first) in [(KEPT_MAX - 1, 0), (KEPT_MAX, 0), (KEPT_MAX + 1, 1), (KEPT_MAX + 2, 2)] {
            let mut memo = Memo::default();
            (0..count as u64).for_each(|number| memo.keep(summary(number, Pass::Proof, 0)));
            for number in 0..count as u64 {
                let found = memo.find(FUNCTION, Pass::Proof, 0, &entry(number)).map(|found| found.steps);
                assert_eq!(found, (number >= first).then_some(number), "{number} of {count}");
            }
            let one = summary(0, Pass::Proof, 0).bytes();
            assert_eq!(memo.bytes(), count.min(KEPT_MAX) * one, "{count}");
            memo.clear();
            assert_eq!(memo.bytes(), 0);
            assert!(memo.find(FUNCTION, Pass::Proof, 0, &entry(count as u64 - 1)).is_none());
        }
    }

    #[test]
    fn a_result_counts_with_its_states() {
        let alone = summary(1, Pass::Proof, 0);
        let with = Summary { outcome: Some((Box::new(entry(2)), 0)), ..summary(1, Pass::Proof, 0) };
        let state = entry(1).bytes();
        assert_eq!((alone.bytes(), with.bytes()), (size_of::<Summary>() + state, size_of::<Summary>() + 2 * state));
    }

    /// Nothing else is the same call: not of another function, in another pass, within other guesses, with less known.
    #[test]
    fn only_the_same_call_is_found() {
        let mut memo = Memo::default();
        memo.keep(summary(7, Pass::Try, 1));
        assert!(memo.find(FUNCTION, Pass::Try, 1, &entry(7)).is_some());
        for function in [0, 1, 3] {
            assert!(memo.find(FunctionId(function), Pass::Try, 1, &entry(7)).is_none());
        }
        for (pass, level) in [(Pass::Proof, 1), (Pass::Guess, 1), (Pass::Try, 0), (Pass::Try, 2)] {
            assert!(memo.find(FUNCTION, pass, level, &entry(7)).is_none(), "{pass:?} {level}");
        }
        let mut less = entry(7);
        less.set(1, RegType::unknown());
        let mut more = entry(7);
        more.set(2, RegType::exact(0));
        let mut deeper = entry(7);
        deeper.enter_call();
        for other in [entry(8), less, more, deeper] {
            assert!(memo.find(FUNCTION, Pass::Try, 1, &other).is_none(), "{other}");
        }
    }
}
