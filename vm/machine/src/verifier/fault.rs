//! Bugs that verifiers had, planted again on purpose: do the oracles find them?
//!
//! With the feature `planted-faults`, which nothing but the test of the oracles turns on, a thread can choose a fault,
//! and the verifier then has it for programs proved on that thread. Without the feature, [`planted`] is a constant
//! `false` and nothing of this is left in the code.

/// A bug to plant.
#[cfg_attr(not(feature = "planted-faults"), expect(unreachable_pub, reason = "seen from outside with the feature"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bounds of the lower half of a register are those of the whole, cut; right only where both lie in one round
    /// of 2^32 (CVE-2020-8835, CVE-2021-3490 and their kin: 32-bit bounds taken from 64-bit ones).
    TruncatedBounds,
    /// An address that may be null can be moved, and a later comparison with 0 is taken for the check that it is not
    /// (CVE-2022-23222, CVE-2021-4204).
    NullableArithmetic,
    /// What a call came to is used for another whose arguments are of the same kinds, whatever the numbers
    /// (CVE-2023-2163 and its kin: a state judged to be seen already, by less than what decides).
    UnequalReuse,
}

#[cfg(feature = "planted-faults")]
mod switch {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants a fault for the proofs of this thread, or none.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    /// Whether this fault is planted.
    pub(in crate::verifier) fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(feature = "planted-faults")]
pub use switch::plant;
#[cfg(feature = "planted-faults")]
pub(super) use switch::planted;

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted-faults"))]
#[inline(always)]
pub(super) const fn planted(_: Fault) -> bool {
    false
}
