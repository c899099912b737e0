//! What a proof may take: steps, and bytes of states at a time. States that are done with are used again.

use super::{Explorer, Refusal};
use crate::verifier::reason::Reason;
use crate::verifier::state::AbstractState;

/// Bytes of a state, beyond those that every state has, that cost a step for each block. Otherwise eight frames full
/// of saved registers would make each step of the budget some fifty times slower.
pub(super) const STATE_STEP_LEN: usize = 1024;
/// So many copies of values cost a step for each block, since what a branch teaches is written to all of them, and for
/// each store, which may end any of them.
const LINKS_STEP: usize = 8;

impl Explorer<'_, '_> {
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
        self.peak = self.peak.max(self.bytes);
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
}

/// Steps that a block costs for what its state holds beyond registers: states are copied, joined and checked whole.
pub(super) fn weight(state: &AbstractState) -> u64 {
    let beyond = state.bytes().saturating_sub(size_of::<AbstractState>());
    u64::try_from(beyond / STATE_STEP_LEN).unwrap_or(u64::MAX).saturating_add(weight_of_links(state))
}

/// The part of it that is for copies of values.
pub(super) fn weight_of_links(state: &AbstractState) -> u64 {
    u64::try_from(state.links_len() / LINKS_STEP).unwrap_or(u64::MAX)
}
