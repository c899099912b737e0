//! The interpreter: the reference executor.
//!
//! It runs any [`Loaded`] program with every access checked against all regions ([`Code<Checked>`]), and a proved one
//! with every access checked against what was proved of it ([`Code<Predicted>`], which `Verified` wraps). Both are the
//! same loop. It promises, for any decodable program, any memory, any arguments:
//!
//! * a result or a [`Trap`], after at most the given fuel; never a panic;
//! * nothing is allocated by a run (scratch buffers of helpers grow once), nothing changes but writable regions;
//! * fuel is charged block by block, before the block runs; a block that cannot be paid does not begin.
//!
//! # Why a loop over a match
//!
//! Without `unsafe` and without guaranteed tail calls, a `match` in a loop is the dispatch there is. What makes it
//! fast is doing less: operands are predecoded (see the module `code`), a block's charge is one compare where it is
//! entered, registers are indexed by a masked byte, and the commonest pairs of instructions are one operation.

mod code;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use crate::isa::{AluOp, Cond, Extension, Order, Size, Width};
use crate::map::MapStamp;
use crate::memory::{Access, FRAME_LEN, FRAMES_MAX, GuestAddr, Memory, REGIONS, Region};
use crate::program::{Loaded, ProgramKind, Verdict};
use crate::record::RecordView;
use crate::trap::{Stop, Trap};
use crate::verifier::Verified;

use code::{ATOMICS, MicroCode, MicroOp, MicroProgram, predecode, stack_range, with_alu, with_cond};

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// `r0` at the exit, or why and where the program was stopped.
    pub result: Result<u64, Stop>,
    /// Fuel charged.
    pub fuel_used: u64,
}

/// How memory accesses are checked.
pub trait Policy: sealed::Policy {}

mod sealed {
    use crate::memory::Memory;
    use crate::trap::Trap;

    pub trait Policy {
        /// The index of the byte at `addr`. `x` is what predecoding knows of the access.
        fn check(memory: &mut Memory, addr: u64, x: u64, size: u32, write: bool) -> Result<usize, Trap>;
        /// What is wrong with an address that passed and has no bytes.
        const NO_BYTES: Trap;
    }
}

/// Each access may touch any region.
#[derive(Clone, Copy, Debug)]
pub enum Checked {}

/// Each access may only touch what was proved.
#[derive(Clone, Copy, Debug)]
pub enum Predicted {}

impl Policy for Checked {}
impl Policy for Predicted {}

impl sealed::Policy for Checked {
    #[inline(always)]
    fn check(memory: &mut Memory, addr: u64, _: u64, size: u32, write: bool) -> Result<usize, Trap> {
        memory.check(GuestAddr(addr), size, write)
    }

    const NO_BYTES: Trap = Trap::OutOfRegion;
}

impl sealed::Policy for Predicted {
    #[inline(always)]
    fn check(_: &mut Memory, addr: u64, x: u64, _: u32, _: bool) -> Result<usize, Trap> {
        if addr.wrapping_sub(u64::from(x as u32)) <= x >> 32 { Ok(addr as usize) } else { Err(Trap::PredictedRange) }
    }

    const NO_BYTES: Trap = Trap::PredictedRange;
}

/// A program made ready for the interpreter.
#[derive(Clone, Debug)]
pub struct Code<P> {
    micro: MicroProgram,
    /// Bytes that each region must have at entry.
    needs: [u32; REGIONS],
    /// Slots length that the record must have at entry; None for raw programs.
    record_len: Option<u32>,
    /// Maps that the memory must have at entry.
    maps: Box<[MapStamp]>,
    /// The part of the stack that may be used, as far as it is known beforehand.
    stack: (u32, u32),
    policy: PhantomData<P>,
}

/// An access that cannot be: the verifier's table does not fit the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proved access at pc {pc} is missing, is of another size, or lies outside its region")]
pub struct AccessError {
    /// Where.
    pub pc: u32,
}

impl Code<Checked> {
    /// Code of a program of which nothing was proved.
    pub fn checked(loaded: &Loaded) -> Self {
        Self::new(loaded, |_| None)
    }
}

impl Code<Predicted> {
    /// Code of a proved program. That the proof does not fit its program is a bug of ours.
    pub fn proved(verified: &Verified) -> Result<Self, AccessError> {
        Self::predicted(verified.loaded(), |pc| Some(verified.access(pc)))
    }

    /// Code of a program with what was proved of each of its memory accesses, by slot. There must be one for each
    /// load, store and atomic, [`Access::NEVER`] for those that are never reached.
    pub fn predicted(loaded: &Loaded, access: impl Fn(u32) -> Option<Access>) -> Result<Self, AccessError> {
        use crate::isa::Kind;
        let mut needs = [0; REGIONS];
        for (pc, instruction) in loaded.instructions() {
            let (size, write) = match instruction.kind() {
                Kind::Load(size, _) => (size, false),
                Kind::Store(size, _) | Kind::Atomic(_, _, size) => (size, true),
                _ => continue,
            };
            let access = access(pc).ok_or(AccessError { pc })?;
            if access == Access::NEVER {
                continue;
            }
            let fits = access.size == size
                && access.lo <= access.hi
                && access.end() <= u64::from(access.region.capacity_max())
                && (access.region.writable() || !write);
            let need = needs.get_mut(access.region as usize).filter(|_| fits).ok_or(AccessError { pc })?;
            *need = (*need).max(u32::try_from(access.end()).unwrap_or(u32::MAX));
        }
        let mut code = Self::new(loaded, &access);
        for (need, more) in code.needs.iter_mut().zip(needs) {
            *need = (*need).max(more);
        }
        code.stack =
            stack_range(loaded.instructions().filter_map(|(pc, _)| access(pc)).filter(|a| *a != Access::NEVER));
        Ok(code)
    }
}

impl<P: Policy> Code<P> {
    fn new(loaded: &Loaded, access: impl Fn(u32) -> Option<Access>) -> Self {
        let mut needs = [0; REGIONS];
        let record_len = match &loaded.program().kind {
            ProgramKind::Rule(manifest) => Some(manifest.record_len),
            ProgramKind::Raw { memory_len } => {
                needs[Region::Buffer as usize] = *memory_len;
                None
            }
        };
        let maps = loaded.program().maps.iter().map(MapStamp::new).collect();
        Self { micro: predecode(loaded, access), needs, record_len, maps, stack: (u32::MAX, 0), policy: PhantomData }
    }

    /// The same, but each call of this helper traps with [`Trap::HelperArgument`] before it does anything. For tests of
    /// what a trap in a helper leaves behind; costs nothing to code that does not use it.
    #[must_use]
    pub fn refusing_helper(mut self, number: u32) -> Self {
        for helper in self.micro.helpers.iter_mut().filter(|helper| helper.number == number) {
            *helper = &crate::helper::REFUSING;
        }
        self
    }

    /// What `r1` to `r5` hold at entry: for a rule the addresses of record, predicates and masks; for a raw program
    /// address and length of its buffer.
    pub fn arguments(&self) -> [u64; 5] {
        let base = |region: Region| u64::from(region.base());
        match self.record_len {
            Some(_) => [base(Region::Record), base(Region::Predicates), base(Region::Masks), 0, 0],
            None => [base(Region::Buffer), u64::from(self.needs[Region::Buffer as usize]), 0, 0, 0],
        }
    }

    /// Runs the program as its kind says, with the arguments of [`Code::arguments`].
    pub fn run(&self, memory: &mut Memory, fuel_limit: u64) -> Outcome {
        self.run_with(memory, self.arguments(), fuel_limit)
    }

    /// Runs the program with these `r1` to `r5`.
    pub fn run_with(&self, memory: &mut Memory, arguments: [u64; 5], fuel_limit: u64) -> Outcome {
        if let Err(trap) = self.admit(memory) {
            return Outcome { result: Err(Stop { trap, pc: 0 }), fuel_used: 0 };
        }
        memory.clear_stack();
        memory.will_use_stack(self.stack.0, self.stack.1);
        let mut registers = [0; REGISTER_FILE];
        registers[1..6].copy_from_slice(&arguments);
        registers[10] = u64::from(Region::Stack.base() + FRAME_LEN);
        memory.calls.depth = 0;
        let end = execute::<P>(&self.micro, memory, &mut registers, fuel_limit);
        let trap = match end.trap {
            None if self.record_len.is_some() && Verdict::from_r0(registers[0]).is_none() => Some(Trap::InvalidVerdict),
            trap => trap,
        };
        let result = match trap {
            None => Ok(registers[0]),
            Some(trap) => {
                memory.trap_registers.copy_from_slice(&registers[..11]);
                let pcs = &self.micro.pcs;
                Err(Stop { trap, pc: pcs.get(end.index).or(pcs.last()).copied().unwrap_or(0) })
            }
        };
        Outcome { result, fuel_used: fuel_limit - end.fuel }
    }

    /// Whether the memory has what the program was made for.
    fn admit(&self, memory: &Memory) -> Result<(), Trap> {
        if let Some(needed) = self.record_len {
            let record = memory.contents(Region::Record);
            let slots_len = RecordView::new(record).map_or(0, |record| record.slots_len());
            if slots_len < needed {
                return Err(Trap::RecordTooShort { needed, have: slots_len });
            }
        }
        if !memory.has_maps(&self.maps) {
            return Err(Trap::MapMismatch);
        }
        if memory.holds(&self.needs) { Ok(()) } else { Err(Trap::RegionTooShort) }
    }
}

/// Registers by a masked byte: `r0` to `r10`, one temporary, the rest unused.
const REGISTER_FILE: usize = 16;

/// Where a local call returns to, and what it gives back.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    return_to: usize,
    saved: [u64; 4],
}

/// The frames of the calls in progress; kept in [`Memory`] so that no run has to clear them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallStack {
    depth: usize,
    frames: [Frame; FRAMES_MAX as usize],
}

impl CallStack {
    /// Enters a callee. The entry of the program is a frame too.
    #[inline(never)]
    fn enter(&mut self, registers: &mut [u64; REGISTER_FILE], return_to: usize) -> Result<(), Trap> {
        let room = self.depth + 1 < FRAMES_MAX as usize;
        let frame = self.frames.get_mut(self.depth).filter(|_| room).ok_or(Trap::CallDepth)?;
        frame.return_to = return_to;
        frame.saved.copy_from_slice(&registers[6..10]);
        self.depth += 1;
        registers[10] = registers[10].wrapping_add(u64::from(FRAME_LEN));
        Ok(())
    }

    /// Returns to the caller; None from the entry.
    #[inline(never)]
    fn leave(&mut self, registers: &mut [u64; REGISTER_FILE]) -> Option<usize> {
        let below = self.depth.checked_sub(1)?;
        let frame = self.frames.get(below)?;
        self.depth = below;
        registers[6..10].copy_from_slice(&frame.saved);
        registers[10] = registers[10].wrapping_sub(u64::from(FRAME_LEN));
        Some(frame.return_to)
    }
}

/// How the loop ended: a trap if there is one, the index of the operation it is charged to or of the exit, and the
/// fuel left.
struct End {
    trap: Option<Trap>,
    index: usize,
    fuel: u64,
}

/// The loop. What is rare is kept out of line: what is left must fit the host's registers.
fn execute<P: Policy>(
    micro: &MicroProgram,
    memory: &mut Memory,
    registers: &mut [u64; REGISTER_FILE],
    mut fuel: u64,
) -> End {
    let ops = &*micro.ops;
    let mut index = 0;
    macro_rules! r {
        ($number:expr) => {
            registers[usize::from($number) % REGISTER_FILE]
        };
    }
    let trap = 'run: {
        macro_rules! stop {
            ($trap:expr) => {
                break 'run Some($trap)
            };
        }
        'block: loop {
            let Some(mut op) = ops.get(index) else { stop!(Trap::BadPc) };
            match fuel.checked_sub(u64::from(op.cost)) {
                Some(left) => fuel = left,
                None => stop!(Trap::FuelExhausted),
            }
            loop {
                macro_rules! address {
                    ($size:expr, $write:expr) => {{
                        let addr = r!(op.a).wrapping_add(op.extra as i16 as u64);
                        match P::check(memory, addr, op.x, $size, $write) {
                            Ok(at) => at,
                            Err(trap) => stop!(trap),
                        }
                    }};
                }
                macro_rules! load {
                    ($ty:ty, $size:expr, $extension:expr) => {{
                        let at = address!($size.bytes(), false);
                        match memory.bytes().get(at..).and_then(|bytes| bytes.first_chunk()) {
                            Some(chunk) => {
                                r!(op.dst) = $size.extend($extension, u64::from(<$ty>::from_le_bytes(*chunk)));
                            }
                            None => stop!(P::NO_BYTES),
                        }
                    }};
                }
                macro_rules! store {
                    ($ty:ty, $size:expr) => {{
                        let at = address!($size.bytes(), true);
                        match memory.bytes_mut().get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
                            Some(chunk) => *chunk = (r!(op.b) as $ty).to_le_bytes(),
                            None => stop!(P::NO_BYTES),
                        }
                    }};
                }
                macro_rules! branch {
                    ($taken:expr, $target:expr) => {{
                        index = if $taken { $target } else { index + 1 };
                        continue 'block;
                    }};
                }
                macro_rules! fused {
                    ($alu:expr, $cond:expr) => {{
                        let value = $alu.apply(Width::W64, r!(op.a), op.x as i32 as u64);
                        r!(op.dst) = value;
                        branch!($cond.holds(Width::W64, value, high(op)), usize::from(op.extra))
                    }};
                }
                macro_rules! dispatch {
                    ($($op:ident: $i64:ident $r64:ident $i32:ident $r32:ident,)*) => {
                        with_cond! { dispatch [$($op: $i64 $r64 $i32 $r32,)*] }
                    };
                    ([$($alu:ident: $i64:ident $r64:ident $i32:ident $r32:ident,)*]
                     $($cond:ident: $ji64:ident $jr64:ident $ji32:ident $jr32:ident,
                       $add:ident $and:ident $rsh:ident;)*) => {
                        match op.code {
                            $(MicroCode::$i64 => r!(op.dst) = AluOp::$alu.apply(Width::W64, r!(op.a), op.x),
                            MicroCode::$r64 => r!(op.dst) = AluOp::$alu.apply(Width::W64, r!(op.a), r!(op.b)),
                            MicroCode::$i32 => r!(op.dst) = AluOp::$alu.apply(Width::W32, r!(op.a), op.x),
                            MicroCode::$r32 => r!(op.dst) = AluOp::$alu.apply(Width::W32, r!(op.a), r!(op.b)),)*
                            $(MicroCode::$ji64 => branch!(Cond::$cond.holds(Width::W64, r!(op.a), high(op)), low(op)),
                            MicroCode::$jr64 => branch!(Cond::$cond.holds(Width::W64, r!(op.a), r!(op.b)), low(op)),
                            MicroCode::$ji32 => branch!(Cond::$cond.holds(Width::W32, r!(op.a), high(op)), low(op)),
                            MicroCode::$jr32 => branch!(Cond::$cond.holds(Width::W32, r!(op.a), r!(op.b)), low(op)),
                            MicroCode::$add => fused!(AluOp::Add, Cond::$cond),
                            MicroCode::$and => fused!(AluOp::And, Cond::$cond),
                            MicroCode::$rsh => fused!(AluOp::Rsh, Cond::$cond),)*
                            MicroCode::Le16 => r!(op.dst) = Order::ToLittle.apply(16, r!(op.b)),
                            MicroCode::Le32 => r!(op.dst) = Order::ToLittle.apply(32, r!(op.b)),
                            MicroCode::Be16 => r!(op.dst) = Order::ToBig.apply(16, r!(op.b)),
                            MicroCode::Be32 => r!(op.dst) = Order::ToBig.apply(32, r!(op.b)),
                            MicroCode::Be64 => r!(op.dst) = Order::ToBig.apply(64, r!(op.b)),
                            MicroCode::LoadB => load!(u8, Size::Byte, Extension::Zero),
                            MicroCode::LoadH => load!(u16, Size::Half, Extension::Zero),
                            MicroCode::LoadW => load!(u32, Size::Word, Extension::Zero),
                            MicroCode::LoadDw => load!(u64, Size::Double, Extension::Zero),
                            MicroCode::LoadSb => load!(u8, Size::Byte, Extension::Sign),
                            MicroCode::LoadSh => load!(u16, Size::Half, Extension::Sign),
                            MicroCode::LoadSw => load!(u32, Size::Word, Extension::Sign),
                            MicroCode::StoreB => store!(u8, Size::Byte),
                            MicroCode::StoreH => store!(u16, Size::Half),
                            MicroCode::StoreW => store!(u32, Size::Word),
                            MicroCode::StoreDw => store!(u64, Size::Double),
                            MicroCode::Atomic => {
                                if let Err(trap) = atomic::<P>(op, memory, registers) {
                                    stop!(trap);
                                }
                            }
                            MicroCode::Jump => branch!(true, low(op)),
                            MicroCode::Fall => branch!(false, 0),
                            MicroCode::CallHelper => {
                                let (left, done) = call_helper(micro, op, memory, registers, fuel);
                                fuel = left;
                                if let Err(trap) = done {
                                    stop!(trap);
                                }
                                branch!(false, 0)
                            }
                            MicroCode::CallLocal => {
                                if let Err(trap) = memory.calls.enter(registers, index + 1) {
                                    stop!(trap);
                                }
                                branch!(true, low(op))
                            }
                            MicroCode::Exit => {
                                if memory.calls.depth == 0 {
                                    break 'run None;
                                }
                                match memory.calls.leave(registers) {
                                    Some(back) => branch!(true, back),
                                    None => break 'run None,
                                }
                            }
                        }
                    };
                }
                with_alu! { dispatch }
                index += 1;
                match ops.get(index) {
                    Some(next) => op = next,
                    None => stop!(Trap::BadPc),
                }
            }
        }
    };
    End { trap, index, fuel }
}

/// The target of a branch.
#[inline(always)]
fn low(op: &MicroOp) -> usize {
    op.x as u32 as usize
}

/// The comparand of a branch, sign-extended.
#[inline(always)]
fn high(op: &MicroOp) -> u64 {
    (op.x.cast_signed() >> 32).cast_unsigned()
}

#[inline(never)]
fn atomic<P: Policy>(op: &MicroOp, memory: &mut Memory, registers: &mut [u64; REGISTER_FILE]) -> Result<(), Trap> {
    let (rmw, fetch, size) = *ATOMICS.get(usize::from(op.dst)).ok_or(Trap::BadPc)?;
    let addr = registers[usize::from(op.a) % REGISTER_FILE].wrapping_add(op.extra as i16 as u64);
    let at = P::check(memory, addr, op.x, size.bytes(), true)?;
    let bytes = memory.bytes_mut().get_mut(at..).ok_or(P::NO_BYTES)?;
    let source = registers[usize::from(op.b) % REGISTER_FILE];
    let update = |old: u64| rmw.apply(old, size.truncate(source), size.truncate(registers[0]));
    let old = match size {
        Size::Double => {
            let cell: &mut [u8; 8] = bytes.first_chunk_mut().ok_or(P::NO_BYTES)?;
            let old = u64::from_le_bytes(*cell);
            *cell = update(old).to_le_bytes();
            old
        }
        Size::Byte | Size::Half | Size::Word => {
            let cell: &mut [u8; 4] = bytes.first_chunk_mut().ok_or(P::NO_BYTES)?;
            let old = u64::from(u32::from_le_bytes(*cell));
            *cell = (update(old) as u32).to_le_bytes();
            old
        }
    };
    if fetch {
        let to = if rmw == crate::isa::Rmw::Cmpxchg { 0 } else { op.b };
        registers[usize::from(to) % REGISTER_FILE] = old;
    }
    Ok(())
}

/// Charges the work of a call, then does it; the fuel left. A refused call changes nothing.
#[inline(never)]
fn call_helper(
    micro: &MicroProgram,
    op: &MicroOp,
    memory: &mut Memory,
    registers: &mut [u64; REGISTER_FILE],
    fuel: u64,
) -> (u64, Result<(), Trap>) {
    let Some(helper) = micro.helpers.get(op.x as usize) else { return (fuel, Err(Trap::BadPc)) };
    let [_, r1, r2, r3, r4, r5, ..] = *registers;
    let arguments = [r1, r2, r3, r4, r5];
    let left = match helper.fuel(memory, &arguments).map(|work| fuel.checked_sub(work)) {
        Ok(Some(left)) => left,
        Ok(None) => return (fuel, Err(Trap::FuelExhausted)),
        Err(trap) => return (fuel, Err(trap)),
    };
    (left, helper.call(memory, &arguments).map(|r0| registers[0] = r0))
}
