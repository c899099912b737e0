//! Programs beside the structured ones: arithmetic that ends in a claim, code drawn from the table, changed programs.

use super::code::{BRANCHES, Code, Imm, Reg};
use super::{Entropy, Features, Flavour, Generator, Pointer, Scope, finish, kind};
use trapline_vm::isa::{Instruction, Role, TABLE};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Program, ProgramKind};
use trapline_vm::verifier::{AbstractState, RegType};

/// Where the buffer is.
const BUFFER: u8 = 9;
const BUFFER_LEN: u32 = 64;

/// Arithmetic and branches out, on numbers from outside; and the slot after it, where the verifier claims things.
/// [`use_claims`] takes it at its word.
pub(crate) fn soup(entropy: &mut Entropy<'_>) -> (Program, u32) {
    let parts = 2 + entropy.below(16);
    let pointer = Pointer { register: BUFFER, bias: 0, room: BUFFER_LEN, writable: true };
    let scope = Scope { taken: 1 << BUFFER, pointers: vec![pointer], trips: 1, ..Scope::default() };
    let mut generator = Generator {
        entropy,
        features: Features { helpers: false, ..Features::PLAIN },
        kind: ProgramKind::Raw { memory_len: BUFFER_LEN },
        maps: Vec::new(),
        code: Code::default(),
        functions: Vec::new(),
        scope,
    };
    generator.code.mov(BUFFER, Reg(1));
    for register in 0..BUFFER {
        generator.load_input(register);
        generator.scope.numbers |= 1 << register;
    }
    for _ in 0..parts {
        match generator.entropy.below(10) {
            0..=5 => generator.arithmetic(),
            6 => generator.constant(),
            _ => generator.leave_unless(),
        }
    }
    let at = generator.code.len() as u32;
    generator.code.mov(0, Imm(0));
    generator.code.exit();
    (finish(generator.kind, generator.code, Vec::new()), at)
}

impl Generator<'_, '_> {
    /// Ends the program unless a comparison holds.
    fn leave_unless(&mut self) {
        let (number, operand) = (self.number(), self.operand());
        let (op, wide) = (self.entropy.pick(&BRANCHES), self.entropy.chance(50));
        let on = self.code.label();
        self.code.branch(op, wide, number, operand, on);
        self.code.mov(0, Imm(0));
        self.code.exit();
        self.code.place(on);
    }
}

/// The soup, and then an access at an offset that the verifier thinks small: at the buffer's end, so that a number
/// beyond what was claimed leaves it. None if nothing is claimed that could be used.
pub(crate) fn use_claims(entropy: &mut Entropy<'_>, soup: &Program, state: &AbstractState) -> Option<Program> {
    let claims: Vec<(u8, u64, u64)> = (0..BUFFER)
        .filter_map(|register| {
            let RegType::Scalar(scalar) = state.get(register) else { return None };
            let bounds = scalar.unsigned();
            (bounds.max - bounds.min < u64::from(BUFFER_LEN)).then_some((register, bounds.min, bounds.max))
        })
        .collect();
    if claims.is_empty() {
        return None;
    }
    let (register, min, max) = entropy.pick(&claims);
    let mut code = Code::default();
    let other = if register == 0 { 1 } else { 0 };
    code.load_imm(other, min);
    code.alu(super::code::SUB, true, register, Reg(other));
    if entropy.chance(50) {
        // At the other end.
        code.alu(super::code::SUB, true, BUFFER, Reg(register));
        code.load(1, 0, BUFFER, (max - min) as i32);
    } else {
        code.add(BUFFER, Reg(register));
        code.load(1, 0, BUFFER, (u64::from(BUFFER_LEN) - 1 - (max - min)) as i32);
    }
    code.mov(0, Imm(0));
    code.exit();
    let kept = soup.code.len() - 2;
    let code = soup.code[..kept].iter().copied().chain(code.finish()).collect();
    Some(Program { code, ..soup.clone() })
}

/// Changes one field of one instruction.
pub(crate) fn mutate(entropy: &mut Entropy<'_>, mut program: Program) -> Program {
    let at = entropy.below(program.code.len());
    let number = entropy.number();
    let opcode = entropy.pick(TABLE).opcode;
    let other = program.code[entropy.below(program.code.len())];
    let slot = &mut program.code[at];
    match entropy.below(8) {
        0 => slot.opcode = opcode,
        1 => slot.dst = entropy.below(11) as u8,
        2 => slot.src = entropy.below(11) as u8,
        3 => slot.offset = slot.offset.wrapping_add(number as i16 % 9),
        4 => slot.imm = number as i32,
        5 => slot.imm = slot.imm.wrapping_add(number as i32 % 9),
        6 => *slot = other,
        _ => {
            program.code.remove(at);
        }
    }
    program
}

/// A few instructions of any kind.
pub(crate) fn random_code(entropy: &mut Entropy<'_>) -> Program {
    let mut code = Vec::new();
    for _ in 0..1 + entropy.below(8) {
        let row = entropy.pick(TABLE);
        let register = |entropy: &mut Entropy<'_>, role: Role| match role {
            Role::Fixed(value) => value as u8,
            _ => entropy.pick(&[0, 1, 2, 10]),
        };
        let (dst, src) = (register(entropy, row.dst), register(entropy, row.src));
        let offset = match row.offset {
            Role::Fixed(value) => value as i16,
            Role::Target => entropy.below(3) as i16,
            _ => entropy.pick(&[0, 4, 8, -8, -16]),
        };
        let imm = match row.imm {
            Role::Fixed(value) => value,
            Role::Target => entropy.below(3) as i32,
            _ => entropy.imm(),
        };
        code.push(Instruction { opcode: row.opcode, dst, src, offset, imm });
        if row.slots() == 2 {
            code.push(Instruction { imm: entropy.imm(), ..Instruction::default() });
        }
    }
    let mut end = Code::default();
    end.mov(0, Imm(0));
    end.exit();
    code.extend(end.finish().iter().skip(entropy.below(2)));
    let kind = kind(&mut Entropy::Bytes(&[]), Flavour::Raw);
    let name = "random".to_owned();
    Program { name, kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL_LIMIT_DEFAULT }
}
