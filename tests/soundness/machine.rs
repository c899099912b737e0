//! A naive machine: one instruction at a time, written from the text of RFC 9669.

use trapline_vm::isa::{AluOp, Cond, Decoded, Extension, Kind, Operand, Order, Rmw, Role, Size, Width};
use trapline_vm::memory::{FRAME_LEN, GuestAddr, Memory, Region};
use trapline_vm::program::{Loaded, ProgramKind};
use trapline_vm::trap::Trap;

const POISON: u64 = 0xdead_beef_dead_beef;

pub(crate) struct Machine<'p> {
    program: &'p Loaded,
    pub(crate) memory: &'p mut Memory,
    pub(crate) registers: [u64; 11],
    pub(crate) pc: u32,
    /// Which registers hold something, and which bytes of the stack.
    defined: [bool; 11],
    written: Vec<bool>,
    /// Instructions run, and what helpers cost.
    pub(crate) fuel: u64,
}

impl<'p> Machine<'p> {
    pub(crate) fn new(program: &'p Loaded, memory: &'p mut Memory) -> Self {
        let base = |region: Region| u64::from(region.base());
        // What is not defined at entry is poison, so that a program which uses it shows.
        let mut registers = [POISON; 11];
        match program.program().kind {
            ProgramKind::Raw { memory_len } => {
                registers[1] = base(Region::Buffer);
                registers[2] = u64::from(memory_len);
            }
            ProgramKind::Rule(_) => {
                registers[1] = base(Region::Record);
                registers[2] = base(Region::Predicates);
                registers[3] = base(Region::Masks);
            }
        }
        registers[10] = base(Region::Stack) + u64::from(FRAME_LEN);
        memory.contents_mut(Region::Stack).fill(0xa5);
        let defined = registers.map(|register| register != POISON);
        let written = vec![false; FRAME_LEN as usize];
        Self { program, memory, registers, pc: 0, defined, written, fuel: 0 }
    }

    pub(crate) fn stack_word(&self, offset: u32) -> u64 {
        let bytes = &self.memory.contents(Region::Stack)[offset as usize..offset as usize + 8];
        u64::from_le_bytes(bytes.try_into().unwrap())
    }

    fn instruction(&self) -> Decoded {
        *self.program.at(self.pc).expect("pc is at an instruction")
    }

    /// The address that the next instruction accesses.
    pub(crate) fn address(&self) -> Option<u64> {
        let instruction = self.instruction();
        let base = match instruction.kind() {
            Kind::Load(..) => instruction.src,
            Kind::Store(..) | Kind::Atomic(..) => instruction.dst,
            _ => return None,
        };
        Some(self.registers[usize::from(base)].wrapping_add(i64::from(instruction.offset) as u64))
    }

    fn stack_bytes(&self, address: u64, size: Size) -> std::ops::Range<usize> {
        let offset = address.wrapping_sub(u64::from(Region::Stack.base()));
        let on_stack = offset < u64::from(FRAME_LEN);
        if on_stack { offset as usize..offset as usize + size.bytes() as usize } else { 0..0 }
    }

    /// Registers that the instruction reads must hold something; those it writes do from now on.
    fn use_registers(&mut self, instruction: &Decoded) {
        let row = instruction.op.row();
        let compares = matches!(instruction.kind(), Kind::Atomic(Rmw::Cmpxchg, ..));
        let r0 = if compares || instruction.kind() == Kind::Exit { Role::Read } else { Role::Fixed(0) };
        let uses = [(row.dst, instruction.dst), (row.src, instruction.src), (r0, 0)];
        for (role, register) in uses {
            let defined = self.defined[usize::from(register)];
            assert!(defined || !matches!(role, Role::Read | Role::Update), "reads r{register}, which was not written");
        }
        for (role, register) in uses {
            if matches!(role, Role::Write | Role::Update) {
                self.defined[usize::from(register)] = true;
            }
        }
        if instruction.kind() == Kind::CallHelper {
            self.defined[0] = true;
        }
    }

    fn read(&mut self, address: u64, size: Size) -> Result<u64, Trap> {
        let at = self.memory.check(GuestAddr(address), size.bytes(), false)?;
        for byte in self.stack_bytes(address, size) {
            assert!(self.written[byte], "reads byte {byte} of the stack, which was not written");
        }
        let mut word = [0; 8];
        let bytes = size.bytes() as usize;
        word[..bytes].copy_from_slice(&self.memory.bytes()[at..at + bytes]);
        Ok(u64::from_le_bytes(word))
    }

    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), Trap> {
        let at = self.memory.check(GuestAddr(address), size.bytes(), true)?;
        for byte in self.stack_bytes(address, size) {
            self.written[byte] = true;
        }
        let bytes = size.bytes() as usize;
        self.memory.bytes_mut()[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        Ok(())
    }

    /// Runs one instruction; the result if it was the exit.
    pub(crate) fn step(&mut self) -> Result<Option<u64>, Trap> {
        let instruction = self.instruction();
        let (dst, src) = (usize::from(instruction.dst), usize::from(instruction.src));
        let constant = instruction.imm as u64;
        self.use_registers(&instruction);
        let mut next = self.pc + instruction.slots();
        self.fuel += 1;
        match instruction.kind() {
            Kind::Alu(op, width, operand) => {
                let b = if operand == Operand::Imm { constant } else { self.registers[src] };
                let a = self.registers[dst];
                self.registers[dst] = match width {
                    Width::W64 => alu64(op, a, b),
                    Width::W32 => u64::from(alu32(op, a as u32, b as u32)),
                };
            }
            Kind::ByteOrder(order, bits) => {
                let value = self.registers[dst];
                let low = if bits == 64 { value } else { value & ((1 << bits) - 1) };
                self.registers[dst] = match (order, bits) {
                    (Order::ToLittle, _) => low,
                    (_, 16) => u64::from((low as u16).swap_bytes()),
                    (_, 32) => u64::from((low as u32).swap_bytes()),
                    _ => low.swap_bytes(),
                };
            }
            Kind::LoadImm => self.registers[dst] = constant,
            Kind::Load(size, extension) => {
                let value = self.read(self.address().unwrap(), size)?;
                self.registers[dst] = match (size, extension) {
                    (_, Extension::Zero) => value,
                    (Size::Byte, _) => value as i8 as i64 as u64,
                    (Size::Half, _) => value as i16 as i64 as u64,
                    (Size::Word, _) => value as i32 as i64 as u64,
                    (Size::Double, _) => value,
                };
            }
            Kind::Store(size, operand) => {
                let value = if operand == Operand::Imm { constant } else { self.registers[src] };
                self.write(self.address().unwrap(), size, value)?;
            }
            Kind::Atomic(rmw, fetch, size) => {
                let address = self.address().unwrap();
                let old = self.read(address, size)?;
                let operand = self.registers[src];
                let low = |value: u64| if size == Size::Word { value & 0xffff_ffff } else { value };
                let new = match rmw {
                    Rmw::Add => old.wrapping_add(operand),
                    Rmw::Or => old | operand,
                    Rmw::And => old & operand,
                    Rmw::Xor => old ^ operand,
                    Rmw::Xchg => operand,
                    Rmw::Cmpxchg if low(self.registers[0]) == old => operand,
                    Rmw::Cmpxchg => old,
                };
                self.write(address, size, new)?;
                match (rmw, fetch) {
                    (Rmw::Cmpxchg, _) => self.registers[0] = old,
                    (_, true) => self.registers[src] = old,
                    _ => {}
                }
            }
            Kind::Jump => next = instruction.target(self.pc).unwrap() as u32,
            Kind::Branch(cond, width, operand) => {
                let b = if operand == Operand::Imm { constant } else { self.registers[src] };
                let a = self.registers[dst];
                let holds = match width {
                    Width::W64 => compare(cond, a, b, a as i64, b as i64),
                    Width::W32 => {
                        let (a, b) = (a as u32, b as u32);
                        compare(cond, a.into(), b.into(), (a as i32).into(), (b as i32).into())
                    }
                };
                if holds {
                    next = instruction.target(self.pc).unwrap() as u32;
                }
            }
            Kind::CallHelper => {
                let helper = self.program.helpers().get(instruction.imm as u32).expect("helpers exist");
                let arguments: [u64; 5] = self.registers[1..6].try_into().unwrap();
                self.fuel += helper.fuel(self.memory, &arguments)?;
                self.registers[0] = helper.call(self.memory, &arguments)?;
                self.registers[1..6].fill(POISON);
                self.defined[1..6].fill(false);
            }
            Kind::Exit => return Ok(Some(self.registers[0])),
            kind => panic!("{kind:?} is not accepted yet"),
        }
        self.pc = next;
        Ok(None)
    }
}

fn alu64(op: AluOp, a: u64, b: u64) -> u64 {
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div if b == 0 => 0,
        AluOp::Div => a / b,
        AluOp::Sdiv if b == 0 => 0,
        AluOp::Sdiv => (a as i64).wrapping_div(b as i64) as u64,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Lsh => a << (b & 63),
        AluOp::Rsh => a >> (b & 63),
        AluOp::Neg => (a as i64).wrapping_neg() as u64,
        AluOp::Mod if b == 0 => a,
        AluOp::Mod => a % b,
        AluOp::Smod if b == 0 => a,
        AluOp::Smod => (a as i64).wrapping_rem(b as i64) as u64,
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Movsx8 => b as i8 as i64 as u64,
        AluOp::Movsx16 => b as i16 as i64 as u64,
        AluOp::Movsx32 => b as i32 as i64 as u64,
        AluOp::Arsh => ((a as i64) >> (b & 63)) as u64,
    }
}

fn alu32(op: AluOp, a: u32, b: u32) -> u32 {
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div if b == 0 => 0,
        AluOp::Div => a / b,
        AluOp::Sdiv if b == 0 => 0,
        AluOp::Sdiv => (a as i32).wrapping_div(b as i32) as u32,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Lsh => a << (b & 31),
        AluOp::Rsh => a >> (b & 31),
        AluOp::Neg => (a as i32).wrapping_neg() as u32,
        AluOp::Mod if b == 0 => a,
        AluOp::Mod => a % b,
        AluOp::Smod if b == 0 => a,
        AluOp::Smod => (a as i32).wrapping_rem(b as i32) as u32,
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Movsx8 => b as i8 as i32 as u32,
        AluOp::Movsx16 => b as i16 as i32 as u32,
        AluOp::Movsx32 => b,
        AluOp::Arsh => ((a as i32) >> (b & 31)) as u32,
    }
}

fn compare(cond: Cond, a: u64, b: u64, sa: i64, sb: i64) -> bool {
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Set => a & b != 0,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
    }
}
