//! What is known before an instruction: a type for each register, and what the stack frame holds.
//!
//! ```text
//! RegType   Unusable(why)            nothing may be done with it
//!           Scalar(number)           tnum, unsigned and signed bounds
//!           Pointer(region, offset)  points `offset` bytes past the start of one region
//! Stack     512 initialised bits     may the byte be read?
//!           saved registers          eight-byte slots that still hold a register as it was stored
//! Frame     r6 to r9 and the stack   of each caller, while a function of the program runs
//! Links     same                     which registers and slots hold the same 64 bits
//! ```
//!
//! A byte that was part of a saved pointer, and no longer forms it whole, counts as not initialised: a pointer is
//! never read as a number. A state is over-approximate: every run that reaches the instruction has its registers in
//! it. The tests of soundness check exactly that.

mod call;
mod copies;
mod join;
mod links;
mod reg_type;
mod stack;
#[cfg(test)]
mod tests;
mod widen;

pub use links::Held;
pub(super) use reg_type::region_name;
pub use reg_type::{Pointer, RegType, Why};
pub use stack::{Bytes, Stack};
pub(super) use widen::Thresholds;

use std::fmt;

use call::{Frame, KEPT};
use links::{Holder, Links};

use crate::isa::{Decoded, FRAME_POINTER, Kind, REGISTERS, Rmw, Role};
use crate::memory::Region;

/// Everything known before an instruction.
#[derive(Debug, PartialEq, Eq)]
pub struct AbstractState {
    registers: [RegType; REGISTERS as usize],
    /// Of the function that runs.
    stack: Stack,
    /// Of its callers, the entry first. Empty in most programs.
    callers: Vec<Frame>,
    /// Which of all these hold the same.
    links: Links,
    /// Set by the instruction before: it shifted this register left by 32, and what that held is still held there.
    shifted: Option<(u8, Holder)>,
}

impl Clone for AbstractState {
    fn clone(&self) -> Self {
        Self {
            registers: self.registers,
            stack: self.stack.clone(),
            callers: self.callers.clone(),
            links: self.links.clone(),
            shifted: self.shifted,
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.registers = source.registers;
        self.stack.clone_from(&source.stack);
        self.callers.clone_from(&source.callers);
        self.links.clone_from(&source.links);
        self.shifted = source.shifted;
    }
}

impl AbstractState {
    /// At the entry: only the frame pointer, nothing on the stack.
    pub fn entry() -> Self {
        let registers = [RegType::Unusable(Why::NeverWritten); REGISTERS as usize];
        let (stack, links) = (Stack::default(), Links::default());
        let mut state = Self { registers, stack, callers: Vec::new(), links, shifted: None };
        state.set(FRAME_POINTER, RegType::frame_pointer(0));
        state
    }

    /// What a register holds. Registers beyond the last hold nothing.
    pub fn get(&self, register: u8) -> RegType {
        self.registers.get(usize::from(register)).copied().unwrap_or(RegType::Unusable(Why::NeverWritten))
    }

    /// Gives a register another value.
    pub fn set(&mut self, register: u8, value: RegType) {
        if let Some(entry) = self.registers.get_mut(usize::from(register)) {
            *entry = value;
            self.links.cut(Holder::register(register));
        }
    }

    /// Makes unusable what is asked for, wherever it is.
    pub fn invalidate(&mut self, why: impl Fn(&RegType) -> Option<Why>) {
        let kept = self.callers.iter_mut().flat_map(|caller| &mut caller.kept);
        for register in self.registers.iter_mut().chain(kept) {
            if let Some(why) = why(register) {
                *register = RegType::Unusable(why);
            }
        }
        self.stack.invalidate(&why);
        for caller in &mut self.callers {
            caller.stack.invalidate(&why);
        }
        self.tidy_links();
    }

    /// The stack frame of the function that runs.
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The same, to change.
    pub const fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// How many calls of functions of the program are in progress. It is also the number of the frame in use.
    pub const fn depth(&self) -> usize {
        self.callers.len()
    }

    /// A frame by number, 0 being the entry's. None if there is no such frame now.
    pub fn frame(&self, number: u16) -> Option<&Stack> {
        let number = usize::from(number);
        if number == self.depth() { Some(&self.stack) } else { self.callers.get(number).map(|frame| &frame.stack) }
    }

    /// The same, to change.
    pub fn frame_mut(&mut self, number: u16) -> Option<&mut Stack> {
        let number = usize::from(number);
        if number == self.depth() {
            return Some(&mut self.stack);
        }
        self.callers.get_mut(number).map(|frame| &mut frame.stack)
    }

    /// The number of the frame in use, as pointers have it.
    pub(super) fn frame_number(&self) -> u16 {
        u16::try_from(self.depth()).unwrap_or(u16::MAX)
    }

    /// The values of registers and of what is saved in the frame of the function that runs.
    pub(in crate::verifier) fn values(&self) -> impl Iterator<Item = RegType> + use<'_> {
        self.registers.iter().copied().chain(self.stack.values())
    }

    /// Whether `r0` is an address in the frame of the function that runs.
    pub(in crate::verifier) fn returns_own_frame(&self) -> bool {
        self.get(0).is_in_frame(self.frame_number())
    }

    /// The invariants that hold after every step, whatever the program. False means that the verifier is wrong.
    pub fn is_consistent(&self) -> bool {
        let frame = self.frame_number();
        let consistent = |register: &RegType, deepest: u16| {
            let lives = |pointer: Pointer| pointer.region != Region::Stack || pointer.object <= deepest;
            register.is_consistent() && register.as_pointer().is_none_or(lives)
        };
        let stack = |stack: &Stack| stack.is_consistent() && stack.values().all(|value| consistent(&value, frame));
        self.registers.iter().all(|register| consistent(register, frame))
            && self.get(FRAME_POINTER) == RegType::frame_pointer(frame)
            && stack(&self.stack)
            && (0..).zip(&self.callers).all(|(number, caller)| {
                caller.kept.iter().all(|register| consistent(register, number)) && stack(&caller.stack)
            })
            && self.links_hold()
    }

    /// The same of what an instruction can have changed.
    pub fn is_consistent_after(&self, instruction: &Decoded) -> bool {
        let row = instruction.op.row();
        let writes = |role| matches!(role, Role::Write | Role::Update);
        let writes_r0 = matches!(instruction.kind(), Kind::CallHelper | Kind::Atomic(Rmw::Cmpxchg, ..));
        let writes_more = matches!(instruction.kind(), Kind::Store(..) | Kind::Atomic(..) | Kind::CallHelper);
        let consistent = |register| self.get(register).is_consistent() && self.equals_copies(register);
        (!writes(row.dst) || consistent(instruction.dst))
            && (!writes(row.src) || consistent(instruction.src))
            && (!writes_r0 || consistent(0))
            && self.get(FRAME_POINTER) == RegType::frame_pointer(self.frame_number())
            && (!writes_more || self.links_hold())
    }

    /// How many places are known to be copies of another.
    pub(in crate::verifier) fn links_len(&self) -> usize {
        self.links.len()
    }

    /// Bytes of what the state holds, for the verifier's own budget; the same on every run.
    pub fn bytes(&self) -> usize {
        let callers = self.callers.iter().map(|caller| size_of::<Frame>() + caller.stack.bytes()).sum::<usize>();
        size_of::<Self>() + self.stack.bytes() + callers + self.links.bytes()
    }
}

impl fmt::Display for AbstractState {
    /// The registers that hold something, then the stack: `r0=0..=2 r1=pointer to record r10=pointer to frame`. Then
    /// the same of each caller, the last one first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (number, register) in self.registers.iter().enumerate() {
            if matches!(register, RegType::Unusable(Why::NeverWritten | Why::Caller)) {
                continue;
            }
            write!(f, "{}r{number}={register}", if first { "" } else { "  " })?;
            first = false;
        }
        if self.stack != Stack::default() {
            write!(f, "  stack {}", self.stack)?;
        }
        for (number, caller) in self.callers.iter().enumerate().rev() {
            write!(f, "  caller {number}:")?;
            for (register, value) in KEPT.zip(&caller.kept) {
                if !matches!(value, RegType::Unusable(Why::NeverWritten | Why::Caller)) {
                    write!(f, " r{register}={value}")?;
                }
            }
            if caller.stack != Stack::default() {
                write!(f, " stack {}", caller.stack)?;
            }
        }
        Ok(())
    }
}
