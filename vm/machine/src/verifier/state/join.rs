//! States side by side: what holds of either, and whether one allows all that the other does.

use super::widen::{self, Thresholds};
use super::{AbstractState, RegType};

impl AbstractState {
    /// Keeps what holds of either. Both are states of one call, so their callers are as many.
    pub fn join(&mut self, other: &Self) {
        self.combine(other, RegType::join);
    }

    /// Keeps what holds of either, and less where the other one goes beyond this one, so that few rounds of it come
    /// to an end.
    pub(in crate::verifier) fn widen(&mut self, newer: &Self, thresholds: &Thresholds) {
        self.combine(newer, |ours, theirs| widen::value(ours, theirs, thresholds));
    }

    fn combine(&mut self, other: &Self, both: impl Fn(RegType, RegType) -> RegType) {
        for (ours, theirs) in self.registers.iter_mut().zip(other.registers) {
            *ours = both(*ours, theirs);
        }
        self.stack.join(&other.stack, &both);
        for (ours, theirs) in self.callers.iter_mut().zip(&other.callers) {
            for (ours, theirs) in ours.kept.iter_mut().zip(theirs.kept) {
                *ours = both(*ours, theirs);
            }
            ours.stack.join(&theirs.stack, &both);
        }
        // Equal pairs of values combine to equal ones, so what is linked in both still holds the same.
        self.links.join(&other.links);
        self.tidy_links();
        self.shifted = None;
    }

    /// Whether all that this state allows is allowed by the other.
    pub fn is_within(&self, other: &Self) -> bool {
        let within = |ours: &[RegType], theirs: &[RegType]| ours.iter().zip(theirs).all(|(a, b)| a.is_within(*b));
        within(&self.registers, &other.registers)
            && self.stack.is_within(&other.stack)
            && self.callers.len() == other.callers.len()
            && self
                .callers
                .iter()
                .zip(&other.callers)
                .all(|(ours, theirs)| within(&ours.kept, &theirs.kept) && ours.stack.is_within(&theirs.stack))
            && self.links.includes(&other.links)
            && (other.shifted.is_none() || other.shifted == self.shifted)
    }

    /// Whether registers hold the same but for numbers, which is not enough for anything: a
    /// [fault](crate::verifier::fault::Fault::UnequalReuse) to be planted.
    pub(in crate::verifier) fn is_alike(&self, other: &Self) -> bool {
        let alike = |(a, b): (&RegType, &RegType)| a == b || a.as_scalar().is_some() && b.as_scalar().is_some();
        self.depth() == other.depth() && self.registers.iter().zip(&other.registers).all(alike)
    }
}
