//! Calls of a program's own functions: a frame of its own for each, and what the caller has again afterwards.

use super::links::Holder;
use super::{AbstractState, RegType, Stack, Why};
use crate::isa::FRAME_POINTER;

/// Registers that a function gives back as they were.
pub(super) const KEPT: std::ops::Range<usize> = 6..10;
const KEPT_NUMBERS: std::ops::Range<u8> = KEPT.start as u8..KEPT.end as u8;

/// What a caller gets back when the function that it called ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// `r6` to `r9`.
    pub kept: [RegType; KEPT.end - KEPT.start],
    pub stack: Stack,
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        Self { kept: self.kept, stack: self.stack.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        self.kept = source.kept;
        self.stack.clone_from(&source.stack);
    }
}

impl AbstractState {
    /// What `r6` to `r9` hold again when control is back in the frame with this number. None if it is not a caller's.
    pub fn kept(&self, number: u16) -> Option<&[RegType]> {
        self.callers.get(usize::from(number)).map(|frame| frame.kept.as_slice())
    }

    /// From before a local call to the first instruction of the function: `r1` to `r5` as they are, a frame of its
    /// own with nothing in it, and nothing else.
    pub fn enter_call(&mut self) {
        self.shifted = None;
        let caller = self.frame_number();
        if !self.links.is_empty() {
            for register in KEPT_NUMBERS {
                self.links.rename(Holder::register(register), Holder::kept(caller, register));
            }
        }
        let mut kept = [RegType::Unusable(Why::NeverWritten); KEPT.end - KEPT.start];
        if let Some(registers) = self.registers.get_mut(KEPT) {
            kept.copy_from_slice(registers);
            registers.fill(RegType::Unusable(Why::Caller));
        }
        self.set(0, RegType::Unusable(Why::Caller));
        self.callers.push(Frame { kept, stack: std::mem::take(&mut self.stack) });
        self.set(FRAME_POINTER, RegType::frame_pointer(self.frame_number()));
    }

    /// From before the exit of a function to after the call: `r0` as it is, `r6` to `r9` and the frame as the caller
    /// has them. Addresses in the frame that ended can no longer be read, wherever they were saved. False if there is
    /// no caller.
    #[must_use]
    pub fn leave_call(&mut self) -> bool {
        self.shifted = None;
        let ended = self.frame_number();
        let Some(Frame { kept, stack }) = self.callers.pop() else { return false };
        self.stack = stack;
        if let Some(registers) = self.registers.get_mut(KEPT) {
            registers.copy_from_slice(&kept);
        }
        if !self.links.is_empty() {
            for register in KEPT_NUMBERS {
                self.links.rename(Holder::kept(self.frame_number(), register), Holder::register(register));
            }
        }
        for argument in 1..=5 {
            self.set(argument, RegType::Unusable(Why::Call));
        }
        if self.get(0).is_in_frame(ended) {
            self.set(0, RegType::Unusable(Why::Call));
        }
        self.set(FRAME_POINTER, RegType::frame_pointer(self.frame_number()));
        self.stack.forget_addresses(ended);
        for caller in &mut self.callers {
            caller.stack.forget_addresses(ended);
        }
        // Those in the frame that ended, and of addresses in it.
        self.tidy_links();
        true
    }
}
