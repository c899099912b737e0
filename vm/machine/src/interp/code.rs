//! Predecoding: instructions to micro-operations.
//!
//! A [`MicroOp`] is 16 bytes with three register numbers, so that a copy and the arithmetic on the copy become one;
//! jump targets are indices of micro-operations; the cost of a block is in its first micro-operation, where the
//! branch that leads there finds it. A block that is entered from the one before it is preceded by
//! [`MicroCode::Fall`], so that every way into a block charges it.
//!
//! ```text
//! code  dst  a    b    cost  extra  x
//! u8    u8   u8   u8   u16   u16    u64
//!  arithmetic          dst = a op b, or a op x
//!  branch              if a cond b, or a cond (x >> 32, signed): to (x as u32)
//!  compute and branch  dst = a op (x as i32); if dst cond (x >> 32, signed): to extra
//!  load                dst = [a + extra]; x = access
//!  store, atomic       [a + extra] = b; x = access
//! ```
//!
//! An access in `x` is the first guest address that was proved (low half) and how far beyond it an access may begin.

use crate::helper::Helper;
use crate::isa::{AluOp, Cond, Decoded, Extension, Kind, Operand, Order, Pseudo, Rmw, Size, Width};
use crate::memory::{Access, Region};
use crate::program::{Loaded, map_operands};

/// A predecoded operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct MicroOp {
    pub(super) code: MicroCode,
    pub(super) dst: u8,
    pub(super) a: u8,
    pub(super) b: u8,
    /// Of the block that begins here; 0 inside a block.
    pub(super) cost: u16,
    pub(super) extra: u16,
    pub(super) x: u64,
}

/// A register that programs cannot name: it holds the immediate of a store.
const TEMPORARY: u8 = 11;

/// Longer programs get no compute-and-branch operations, whose target is 16 bits.
const FUSED_CODE_LEN_MAX: usize = 16_384;

/// Calls a macro with all arithmetic operations: operation, then the codes of its four forms.
macro_rules! with_alu {
    ($callback:ident) => {
        $callback! {
            Add: Add64Imm Add64Reg Add32Imm Add32Reg,
            Sub: Sub64Imm Sub64Reg Sub32Imm Sub32Reg,
            Mul: Mul64Imm Mul64Reg Mul32Imm Mul32Reg,
            Div: Div64Imm Div64Reg Div32Imm Div32Reg,
            Sdiv: Sdiv64Imm Sdiv64Reg Sdiv32Imm Sdiv32Reg,
            Or: Or64Imm Or64Reg Or32Imm Or32Reg,
            And: And64Imm And64Reg And32Imm And32Reg,
            Lsh: Lsh64Imm Lsh64Reg Lsh32Imm Lsh32Reg,
            Rsh: Rsh64Imm Rsh64Reg Rsh32Imm Rsh32Reg,
            Neg: Neg64Imm Neg64Reg Neg32Imm Neg32Reg,
            Mod: Mod64Imm Mod64Reg Mod32Imm Mod32Reg,
            Smod: Smod64Imm Smod64Reg Smod32Imm Smod32Reg,
            Xor: Xor64Imm Xor64Reg Xor32Imm Xor32Reg,
            Mov: Mov64Imm Mov64Reg Mov32Imm Mov32Reg,
            Movsx8: Movsx8To64Imm Movsx8To64Reg Movsx8To32Imm Movsx8To32Reg,
            Movsx16: Movsx16To64Imm Movsx16To64Reg Movsx16To32Imm Movsx16To32Reg,
            Movsx32: Movsx32To64Imm Movsx32To64Reg Movsx32To32Imm Movsx32To32Reg,
            Arsh: Arsh64Imm Arsh64Reg Arsh32Imm Arsh32Reg,
        }
    };
}
pub(super) use with_alu;

/// Calls a macro with all conditions: condition, the codes of its four forms, and of the three fused with
/// arithmetic on the register compared: `+=`, `&=`, `>>=` of 64 bits with an immediate.
macro_rules! with_cond {
    ($callback:ident $($arg:tt)*) => {
        $callback! { $($arg)*
            Eq: Jeq64Imm Jeq64Reg Jeq32Imm Jeq32Reg, AddJeq AndJeq RshJeq;
            Ne: Jne64Imm Jne64Reg Jne32Imm Jne32Reg, AddJne AndJne RshJne;
            Set: Jset64Imm Jset64Reg Jset32Imm Jset32Reg, AddJset AndJset RshJset;
            Gt: Jgt64Imm Jgt64Reg Jgt32Imm Jgt32Reg, AddJgt AndJgt RshJgt;
            Ge: Jge64Imm Jge64Reg Jge32Imm Jge32Reg, AddJge AndJge RshJge;
            Lt: Jlt64Imm Jlt64Reg Jlt32Imm Jlt32Reg, AddJlt AndJlt RshJlt;
            Le: Jle64Imm Jle64Reg Jle32Imm Jle32Reg, AddJle AndJle RshJle;
            Sgt: Jsgt64Imm Jsgt64Reg Jsgt32Imm Jsgt32Reg, AddJsgt AndJsgt RshJsgt;
            Sge: Jsge64Imm Jsge64Reg Jsge32Imm Jsge32Reg, AddJsge AndJsge RshJsge;
            Slt: Jslt64Imm Jslt64Reg Jslt32Imm Jslt32Reg, AddJslt AndJslt RshJslt;
            Sle: Jsle64Imm Jsle64Reg Jsle32Imm Jsle32Reg, AddJsle AndJsle RshJsle;
        }
    };
}
pub(super) use with_cond;

macro_rules! define_codes {
    ($($op:ident: $i64:ident $r64:ident $i32:ident $r32:ident,)*) => {
        with_cond! { define_codes [$($op: $i64 $r64 $i32 $r32,)*] }
    };
    ([$($op:ident: $i64:ident $r64:ident $i32:ident $r32:ident,)*]
     $($cond:ident: $ji64:ident $jr64:ident $ji32:ident $jr32:ident, $add:ident $and:ident $rsh:ident;)*) => {
        /// What a micro-operation does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum MicroCode {
            $($i64, $r64, $i32, $r32,)*
            $($ji64, $jr64, $ji32, $jr32, $add, $and, $rsh,)*
            Le16, Le32, Be16, Be32, Be64,
            LoadB, LoadH, LoadW, LoadDw, LoadSb, LoadSh, LoadSw,
            StoreB, StoreH, StoreW, StoreDw,
            /// `dst` is the index of the operation in [`ATOMICS`].
            Atomic,
            Jump,
            /// To the block that follows.
            Fall,
            /// `x` is the index of the helper.
            CallHelper,
            CallLocal,
            Exit,
        }

        fn alu_code(op: AluOp, width: Width, operand: Operand) -> MicroCode {
            match (op, width, operand) {
                $((AluOp::$op, Width::W64, Operand::Imm) => MicroCode::$i64,
                (AluOp::$op, Width::W64, Operand::Reg) => MicroCode::$r64,
                (AluOp::$op, Width::W32, Operand::Imm) => MicroCode::$i32,
                (AluOp::$op, Width::W32, Operand::Reg) => MicroCode::$r32,)*
            }
        }

        fn branch_code(cond: Cond, width: Width, operand: Operand) -> MicroCode {
            match (cond, width, operand) {
                $((Cond::$cond, Width::W64, Operand::Imm) => MicroCode::$ji64,
                (Cond::$cond, Width::W64, Operand::Reg) => MicroCode::$jr64,
                (Cond::$cond, Width::W32, Operand::Imm) => MicroCode::$ji32,
                (Cond::$cond, Width::W32, Operand::Reg) => MicroCode::$jr32,)*
            }
        }

        /// The operation that computes and branches, for a branch on 64 bits after this arithmetic.
        fn fused_code(before: MicroCode, cond: Cond) -> Option<MicroCode> {
            match (before, cond) {
                $((MicroCode::Add64Imm, Cond::$cond) => Some(MicroCode::$add),
                (MicroCode::And64Imm, Cond::$cond) => Some(MicroCode::$and),
                (MicroCode::Rsh64Imm, Cond::$cond) => Some(MicroCode::$rsh),)*
                _ => None,
            }
        }
    };
}
with_alu! { define_codes }

/// Atomic operations by number: what, whether the old value is wanted, size.
pub(super) const ATOMICS: [(Rmw, bool, Size); 20] = {
    use Rmw::{Add, And, Cmpxchg, Or, Xchg, Xor};
    use Size::{Double, Word};
    [
        (Add, false, Word),
        (Or, false, Word),
        (And, false, Word),
        (Xor, false, Word),
        (Add, true, Word),
        (Or, true, Word),
        (And, true, Word),
        (Xor, true, Word),
        (Xchg, true, Word),
        (Cmpxchg, true, Word),
        (Add, false, Double),
        (Or, false, Double),
        (And, false, Double),
        (Xor, false, Double),
        (Add, true, Double),
        (Or, true, Double),
        (And, true, Double),
        (Xor, true, Double),
        (Xchg, true, Double),
        (Cmpxchg, true, Double),
    ]
};

/// Micro-operations of a program.
#[derive(Clone, Debug)]
pub(super) struct MicroProgram {
    pub(super) ops: Box<[MicroOp]>,
    /// The slot each comes from.
    pub(super) pcs: Box<[u32]>,
    /// What helper calls refer to.
    pub(super) helpers: Box<[&'static Helper]>,
}

/// Predecodes. `access` says what was proved of the access at a slot.
pub(super) fn predecode(loaded: &Loaded, access: impl Fn(u32) -> Option<Access>) -> MicroProgram {
    let mut builder = Builder { may_fuse: loaded.code().len() <= FUSED_CODE_LEN_MAX, ..Builder::default() };
    let mut index_of = vec![0; loaded.code().len()];
    for block in loaded.blocks() {
        if !builder.ended {
            builder.push(block.start, MicroCode::Fall, Parts::default());
        }
        builder.block_start = builder.ops.len();
        builder.ended = false;
        for pc in block.start..block.end {
            if let (Some(instruction), Some(index)) = (loaded.at(pc), index_of.get_mut(pc as usize)) {
                *index = builder.ops.len() as u32;
                builder.instruction(pc, instruction, access(pc), loaded);
            }
        }
        if let Some(first) = builder.ops.get_mut(builder.block_start) {
            first.cost = u16::try_from(block.cost).unwrap_or(u16::MAX);
        }
    }
    for (index, pc) in builder.jumps {
        let target = usize::try_from(pc).ok().and_then(|pc| index_of.get(pc)).copied().unwrap_or(u32::MAX);
        if let Some(op) = builder.ops.get_mut(index) {
            op.set_target(target);
        }
    }
    MicroProgram { ops: builder.ops.into(), pcs: builder.pcs.into(), helpers: builder.helpers.into() }
}

#[derive(Default)]
struct Parts {
    dst: u8,
    a: u8,
    b: u8,
    extra: u16,
    x: u64,
}

struct Builder {
    ops: Vec<MicroOp>,
    pcs: Vec<u32>,
    helpers: Vec<&'static Helper>,
    /// Index of a micro-operation and the slot it leads to.
    jumps: Vec<(usize, i64)>,
    block_start: usize,
    /// Whether the last block was ended by an operation that charges the next.
    ended: bool,
    may_fuse: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            ops: Vec::new(),
            pcs: Vec::new(),
            helpers: Vec::new(),
            jumps: Vec::new(),
            block_start: 0,
            ended: true,
            may_fuse: false,
        }
    }
}

impl MicroOp {
    fn is_fused(&self) -> bool {
        macro_rules! is_fused {
            ($($cond:ident: $ji64:ident $jr64:ident $ji32:ident $jr32:ident, $add:ident $and:ident $rsh:ident;)*) => {
                matches!(self.code, $(MicroCode::$add | MicroCode::$and | MicroCode::$rsh)|*)
            };
        }
        with_cond! { is_fused }
    }

    fn set_target(&mut self, target: u32) {
        if self.is_fused() {
            // Fused only in programs whose micro-operations can be numbered by 16 bits.
            self.extra = u16::try_from(target).unwrap_or(u16::MAX);
        } else {
            self.x = self.x & !u64::from(u32::MAX) | u64::from(target);
        }
    }
}

/// Two halves of `x`.
fn halves(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn access_bits(access: Option<Access>) -> u64 {
    let access = access.unwrap_or(Access::NEVER);
    match access.region.base().checked_add(access.lo) {
        Some(first) => halves(first, access.hi.saturating_sub(access.lo)),
        // Beyond the address space: no byte of any memory.
        None => halves(u32::MAX, 0),
    }
}

/// What a wide load of a map (its number in the memory) or of an address in its first value yields.
fn map_constant(loaded: &Loaded, pseudo: Pseudo, imm: i64) -> u64 {
    let (index, offset) = map_operands(imm);
    loaded.program().maps.get(index as usize).map_or(0, |map| match pseudo {
        Pseudo::MapValueByIndex => map.address(offset),
        _ => u64::from(map.id.0),
    })
}

impl Builder {
    fn push(&mut self, pc: u32, code: MicroCode, parts: Parts) {
        let Parts { dst, a, b, extra, x } = parts;
        self.ops.push(MicroOp { code, dst, a, b, cost: 0, extra, x });
        self.pcs.push(pc);
    }

    /// The last micro-operation, if it belongs to the block being built.
    fn previous(&mut self) -> Option<&mut MicroOp> {
        let start = self.block_start;
        self.ops.get_mut(start..)?.last_mut()
    }

    fn jump(&mut self, pc: u32, instruction: &Decoded, code: MicroCode, parts: Parts) {
        self.jumps.push((self.ops.len(), instruction.target(pc).unwrap_or(-1)));
        self.push(pc, code, parts);
        self.ended = true;
    }

    fn instruction(&mut self, pc: u32, instruction: &Decoded, access: Option<Access>, loaded: &Loaded) {
        let Decoded { dst, src, offset, imm, .. } = *instruction;
        let x = imm.cast_unsigned();
        let extra = offset as u16;
        let at = |register: u8| Parts { a: register, extra, x: access_bits(access), ..Parts::default() };
        match instruction.kind() {
            Kind::Alu(op, width, operand) => self.alu(pc, op, width, operand, instruction),
            Kind::ByteOrder(order, bits) => {
                let code = match (order, bits) {
                    (Order::ToLittle, 16) => MicroCode::Le16,
                    (Order::ToLittle, 32) => MicroCode::Le32,
                    (Order::ToLittle, _) => MicroCode::Mov64Reg,
                    (Order::ToBig | Order::Reverse, 16) => MicroCode::Be16,
                    (Order::ToBig | Order::Reverse, 32) => MicroCode::Be32,
                    (Order::ToBig | Order::Reverse, _) => MicroCode::Be64,
                };
                self.push(pc, code, Parts { dst, b: dst, ..Parts::default() });
            }
            Kind::LoadImm => self.push(pc, MicroCode::Mov64Imm, Parts { dst, x, ..Parts::default() }),
            Kind::Load(size, extension) => {
                let code = match (size, extension) {
                    (Size::Byte, Extension::Zero) => MicroCode::LoadB,
                    (Size::Half, Extension::Zero) => MicroCode::LoadH,
                    (Size::Word, Extension::Zero) => MicroCode::LoadW,
                    (Size::Double, _) => MicroCode::LoadDw,
                    (Size::Byte, Extension::Sign) => MicroCode::LoadSb,
                    (Size::Half, Extension::Sign) => MicroCode::LoadSh,
                    (Size::Word, Extension::Sign) => MicroCode::LoadSw,
                };
                self.push(pc, code, Parts { dst, ..at(src) });
            }
            Kind::Store(size, operand) => {
                let code = match size {
                    Size::Byte => MicroCode::StoreB,
                    Size::Half => MicroCode::StoreH,
                    Size::Word => MicroCode::StoreW,
                    Size::Double => MicroCode::StoreDw,
                };
                let b = match operand {
                    Operand::Reg => src,
                    Operand::Imm => {
                        self.push(pc, MicroCode::Mov64Imm, Parts { dst: TEMPORARY, x, ..Parts::default() });
                        TEMPORARY
                    }
                };
                self.push(pc, code, Parts { b, ..at(dst) });
            }
            Kind::Atomic(rmw, fetch, size) => {
                let number = ATOMICS.iter().position(|entry| *entry == (rmw, fetch, size)).unwrap_or(ATOMICS.len());
                self.push(pc, MicroCode::Atomic, Parts { dst: number as u8, b: src, ..at(dst) });
            }
            Kind::Jump => self.jump(pc, instruction, MicroCode::Jump, Parts::default()),
            Kind::Branch(cond, width, operand) => self.branch(pc, cond, width, operand, instruction),
            Kind::CallHelper => {
                let helper = u32::try_from(imm).ok().and_then(|number| loaded.helpers().get(number));
                let known = self.helpers.iter().position(|known| i64::from(known.number) == imm);
                let index = known.unwrap_or(self.helpers.len());
                if known.is_none() {
                    self.helpers.extend(helper);
                }
                self.push(pc, MicroCode::CallHelper, Parts { x: index as u64, ..Parts::default() });
                self.ended = true;
            }
            Kind::CallLocal => self.jump(pc, instruction, MicroCode::CallLocal, Parts::default()),
            Kind::LoadPseudo(pseudo) => {
                let x = map_constant(loaded, pseudo, imm);
                self.push(pc, MicroCode::Mov64Imm, Parts { dst, x, ..Parts::default() });
            }
            // The others never decode; ending the program is the safe thing to do with them.
            Kind::Exit | Kind::LegacyPacket | Kind::CallBtf | Kind::CallRegister => {
                self.push(pc, MicroCode::Exit, Parts::default());
                self.ended = true;
            }
        }
    }

    fn alu(&mut self, pc: u32, op: AluOp, width: Width, operand: Operand, instruction: &Decoded) {
        let Decoded { dst, src, imm, .. } = *instruction;
        let code = alu_code(op, width, operand);
        let (mut a, mut b) = (dst, src);
        let reads_dst = !matches!(op, AluOp::Mov | AluOp::Movsx8 | AluOp::Movsx16 | AluOp::Movsx32);
        if let Some(copy) = self.previous().filter(|previous| {
            let copies =
                previous.code == MicroCode::Mov64Reg || previous.code == MicroCode::Mov32Reg && width == Width::W32;
            copies && previous.dst == dst && reads_dst
        }) {
            // `dst = s; dst op= y` is `dst = s op y`.
            a = copy.b;
            if operand == Operand::Reg && src == dst {
                b = a;
            }
            let cost = copy.cost;
            *copy = MicroOp { code, dst, a, b, cost, extra: 0, x: imm.cast_unsigned() };
            return;
        }
        // Subtracting a constant is adding its negation, which has a fused form.
        if code == MicroCode::Sub64Imm {
            let x = imm.wrapping_neg().cast_unsigned();
            return self.push(pc, MicroCode::Add64Imm, Parts { dst, a, x, ..Parts::default() });
        }
        self.push(pc, code, Parts { dst, a, b, x: imm.cast_unsigned(), ..Parts::default() });
    }

    fn branch(&mut self, pc: u32, cond: Cond, width: Width, operand: Operand, instruction: &Decoded) {
        let Decoded { dst, src, imm, .. } = *instruction;
        let comparand = imm as u32;
        if self.may_fuse && width == Width::W64 && operand == Operand::Imm {
            let index = self.ops.len().wrapping_sub(1);
            if let Some(previous) = self.previous().filter(|previous| previous.dst == dst) {
                let small = i32::try_from(previous.x.cast_signed());
                if let (Some(code), Ok(small)) = (fused_code(previous.code, cond), small) {
                    previous.code = code;
                    previous.x = halves(small.cast_unsigned(), comparand);
                    self.jumps.push((index, instruction.target(pc).unwrap_or(-1)));
                    self.ended = true;
                    return;
                }
            }
        }
        let parts = Parts { a: dst, b: src, x: halves(0, comparand), ..Parts::default() };
        self.jump(pc, instruction, branch_code(cond, width, operand), parts);
    }
}

/// The part of the stack that accesses may touch, as offsets; (`STACK_LEN`, 0) for none.
pub(super) fn stack_range(accesses: impl Iterator<Item = Access>) -> (u32, u32) {
    accesses.filter(|access| access.region == Region::Stack).fold((crate::memory::STACK_LEN, 0), |range, access| {
        (range.0.min(access.lo), range.1.max(u32::try_from(access.end()).unwrap_or(u32::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::RAW_HELPERS;
    use crate::interp::Code;
    use crate::isa::assemble;
    use crate::memory::Memory;
    use crate::program::{Program, ProgramKind};

    /// A loop over all slots of a program: one compute-and-branch operation leads far ahead, one far back, and in
    /// between are as many micro-operations as slots can become.
    fn long_loop(slots: usize) -> Loaded {
        let mut text = "mov r0, 0\nmov r4, 0\na: add r0, 1\njgt r0, 2, b\n".to_owned();
        let (between, rest) = ((slots - 7) / 3, (slots - 7) % 3);
        text.push_str(&"jeq r1, 0, +1\nstb [r10-1], 1\nstb [r10-2], 2\n".repeat(between));
        text.push_str(&"mov r3, 0\n".repeat(rest));
        text.push_str("add r4, 1\njne r4, 0, a\nb: exit");
        let code = assemble(&text).unwrap().code;
        let kind = ProgramKind::Raw { memory_len: 16 };
        let program =
            Program { name: "long".to_owned(), kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: u64::MAX };
        Loaded::new(program, &RAW_HELPERS).unwrap()
    }

    #[test]
    fn programs_at_and_over_the_length_that_is_fused() {
        for (slots, fuses) in
            [(FUSED_CODE_LEN_MAX - 1, true), (FUSED_CODE_LEN_MAX, true), (FUSED_CODE_LEN_MAX + 1, false)]
        {
            let loaded = long_loop(slots);
            assert_eq!(loaded.code().len(), slots);
            let micro = predecode(&loaded, |_| None);
            assert_eq!(micro.ops.iter().any(MicroOp::is_fused), fuses, "{slots}");
            assert!(!fuses || micro.ops.len() <= usize::from(u16::MAX), "{} operations", micro.ops.len());
            let outcome = Code::checked(&loaded).run(&mut Memory::for_raw(&[0; 16]).unwrap(), u64::MAX);
            assert_eq!(outcome.result, Ok(3), "{slots}");
        }
    }

    /// A copy and the arithmetic on the copy are one operation, where that is the same.
    #[test]
    fn copies_and_arithmetic_become_one() {
        let ops = |text: &str| {
            let code = assemble(&format!("{text}\nexit")).unwrap().code;
            let micro = predecode(&Loaded::new(Program::raw("copies", code, 16), &RAW_HELPERS).unwrap(), |_| None);
            micro.ops[..micro.ops.len() - 1].iter().map(|op| (op.code, op.dst, op.a, op.b, op.x)).collect::<Vec<_>>()
        };
        for (text, code, a, b) in [
            ("mov r0, r1\nadd r0, r2", MicroCode::Add64Reg, 1, 2),
            ("mov r0, r1\nsub r0, r0", MicroCode::Sub64Reg, 1, 1),
            ("mov r0, r1\nsub32 r0, r2", MicroCode::Sub32Reg, 1, 2),
            ("mov32 r0, r1\nsub32 r0, r2", MicroCode::Sub32Reg, 1, 2),
            ("mov32 r0, r1\nsub32 r0, r0", MicroCode::Sub32Reg, 1, 1),
        ] {
            assert_eq!(ops(text), [(code, 0, a, b, 0)], "{text}");
        }
        assert_eq!(ops("mov r0, r1\nxor r0, 5"), [(MicroCode::Xor64Imm, 0, 1, 0, 5)]);
        for text in [
            "mov32 r0, r1\nsub r0, r2", // the copy cuts what the arithmetic reads
            "mov r0, r1\nmov r0, r2",
            "mov r0, r1\nmovsx864 r0, r2",
            "mov r0, r1\nadd r2, r0",
            "mov r0, 1\nadd r0, r2",
        ] {
            assert_eq!(ops(text).len(), 2, "{text}");
        }
        assert_eq!(ops("ja +0\nmov r0, r1\nja +0\nadd r0, r2").len(), 4, "not across blocks");
    }
}
