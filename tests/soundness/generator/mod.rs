//! Programs and inputs, from a seed or from a fuzzer's bytes. Most programs are accepted, and their numbers are near
//! the places where widths and signs turn over.
//!
//! ```text
//! entropy   where choices come from
//! code      instructions and labels
//! numbers   arithmetic, byte order, branches, copies
//! memory    reads and writes at constant and variable offsets, spills, atomics
//! loops     counted, bounded by data, over memory, with early exits
//! calls     helpers, functions of the program
//! maps      look-up and use, update, delete, windows, distinct, seen
//! soup      arithmetic that ends in a claim; code drawn from the table; changed programs
//! input     what a program finds in memory
//! ```
//!
//! The module is shared by tests and fuzz targets; none of them uses all of it.
//!
//! A program is made of *parts*. What the generator knows at a point is its [`Scope`]: which registers hold numbers,
//! which are taken, where memory can be accessed. The verifier has the last word on all of it.

mod calls;
mod code;
mod entropy;
mod input;
mod loops;
mod maps;
mod memory;
mod numbers;
#[path = "../../random/mod.rs"]
mod random;
mod soup;

use calls::Function;
use code::{AND, Code, Imm, JLE, Label, MOD, MOV, Operand, Reg};
pub(crate) use entropy::Entropy;
pub(crate) use input::{Input, input, memory};
pub(crate) use soup::{mutate, random_code, soup, use_claims};
use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::map::PlacedMap;
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Manifest, Program, ProgramKind};
use trapline_vm::record::slots_len;

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flavour {
    Raw,
    Rule,
}

/// What programs may contain beside straight code and branches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) loops: bool,
    /// Functions of the program's own.
    pub(crate) calls: bool,
    pub(crate) maps: bool,
    /// Helpers that are this machine's own, not the kernel's.
    pub(crate) helpers: bool,
    /// Branches on addresses, which differ between machines.
    pub(crate) addresses: bool,
}

impl Features {
    pub(crate) const ALL: Self = Self { loops: LOOPS, calls: CALLS, maps: MAPS, helpers: true, addresses: true };
    /// Straight code, branches and helpers.
    #[allow(dead_code, reason = "for machines that have no more than this")]
    pub(crate) const PLAIN: Self = Self { loops: false, calls: false, maps: false, helpers: true, addresses: false };
}

/// What the verifier takes by now.
const LOOPS: bool = true;
const CALLS: bool = true;
const MAPS: bool = true;

/// The longest buffer of raw programs.
const BUFFER_LEN_MAX: u32 = 200;
const SLOTS: u16 = 20;
const RULE_SLOTS: [u16; 5] = [0, 7, 8, 15, 19];

/// The helpers of a kind of programs.
pub(crate) fn helpers(kind: &ProgramKind) -> &'static HelperTable {
    match kind {
        ProgramKind::Raw { .. } => &RAW_HELPERS,
        ProgramKind::Rule(_) => &RULE_HELPERS,
    }
}

fn kind(entropy: &mut Entropy<'_>, flavour: Flavour) -> ProgramKind {
    match flavour {
        Flavour::Raw => ProgramKind::Raw { memory_len: entropy.pick(&[64, 64, 64, 16, BUFFER_LEN_MAX]) },
        Flavour::Rule => ProgramKind::Rule(Manifest {
            record_len: slots_len(u32::from(SLOTS)),
            slots: RULE_SLOTS.to_vec(),
            predicate_bytes: vec![0, 1, 2, 3, 9],
            masks: vec![0, 2],
            helpers: RULE_HELPERS.iter().map(|helper| helper.number).collect(),
        }),
    }
}

/// Memory that a register points to: `room` bytes from `bias` on.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    register: u8,
    bias: i32,
    room: u32,
    writable: bool,
}

/// A place further on, and the registers that hold numbers on all ways there so far.
#[derive(Debug)]
struct Ahead {
    label: Label,
    numbers: Option<u16>,
}

/// What is known at a point of a function.
#[derive(Debug, Default)]
struct Scope {
    /// Registers that hold numbers, as bits.
    numbers: u16,
    /// Registers that are not to be overwritten.
    taken: u16,
    pointers: Vec<Pointer>,
    /// Where the record, the predicate bits and the masks are, of a rule.
    context: Option<[u8; 3]>,
    /// Places not yet reached, and how many more parts until they are.
    pending: Vec<(Ahead, usize)>,
    /// Loops around this point, and how often they run in all.
    depth: u32,
    trips: u32,
    /// Functions from this one on may be called.
    callable: usize,
}

struct Generator<'e, 'b> {
    entropy: &'e mut Entropy<'b>,
    features: Features,
    kind: ProgramKind,
    maps: Vec<PlacedMap>,
    code: Code,
    functions: Vec<Function>,
    scope: Scope,
}

/// Bytes below the frame pointer that hold numbers from the start.
const SCRATCH: u32 = 64;
/// Below that: saved registers, counters of loops, keys and values for maps.
const SPILLS: i32 = -72;
const SPILLS_COUNT: usize = 4;
const COUNTERS: i32 = -104;
const KEY: i32 = -160;
const VALUE: i32 = -256;

/// A program most likely to be accepted.
pub(crate) fn program_of(entropy: &mut Entropy<'_>, flavour: Flavour, features: Features) -> Program {
    let kind = kind(entropy, flavour);
    let parts = 3 + entropy.below(24);
    let maps = if features.maps { maps::declare(entropy) } else { Vec::new() };
    let mut generator = Generator {
        entropy,
        features,
        kind,
        maps,
        code: Code::default(),
        functions: Vec::new(),
        scope: Scope::default(),
    };
    generator.declare_functions();
    generator.main(parts);
    generator.bodies();
    finish(generator.kind, generator.code, generator.maps)
}

/// A kind of that flavour.
pub(crate) fn kind_of(flavour: Flavour) -> ProgramKind {
    kind(&mut Entropy::bytes(&[]), flavour)
}

fn finish(kind: ProgramKind, code: Code, maps: Vec<PlacedMap>) -> Program {
    Program {
        name: "random".to_owned(),
        kind,
        code: code.finish(),
        lines: Vec::new(),
        maps,
        fuel_limit: FUEL_LIMIT_DEFAULT,
    }
}

impl Generator<'_, '_> {
    fn main(&mut self, parts: usize) {
        let mut context: Vec<u8> = vec![6, 7, 8, 9];
        let mut pick = |entropy: &mut Entropy<'_>| context.remove(entropy.below(context.len()));
        self.scope.trips = 1;
        match self.kind {
            ProgramKind::Raw { memory_len } => {
                let register = pick(self.entropy);
                self.code.mov(register, Reg(1));
                self.scope.pointers.push(Pointer { register, bias: 0, room: memory_len, writable: true });
                self.scope.taken = 1 << register;
                self.scope.numbers = 1 << 2;
            }
            ProgramKind::Rule(_) => {
                let registers = [(); 3].map(|()| pick(self.entropy));
                for (argument, register) in (1..).zip(registers) {
                    self.code.mov(register, Reg(argument));
                    self.scope.taken |= 1 << register;
                }
                self.scope.context = Some(registers);
            }
        }
        self.prologue(SCRATCH);
        self.parts(parts);
        self.place_pending();
        let register = self.number();
        self.code.mov(0, Reg(register));
        if matches!(self.kind, ProgramKind::Rule(_)) {
            match self.entropy.below(3) {
                0 => self.code.alu(AND, true, 0, Imm(1)),
                1 => self.code.alu(MOD, true, 0, Imm(3)),
                _ => {
                    let end = self.code.label();
                    self.code.branch(JLE, true, 0, Imm(2), end);
                    self.code.mov(0, Imm(2));
                    self.code.place(end);
                }
            }
        }
        self.code.exit();
    }

    /// The stack is written from `scratch` up, and some registers get a number.
    fn prologue(&mut self, scratch: u32) {
        for slot in 1..=scratch as i32 / 8 {
            let imm = self.entropy.imm();
            self.code.store(8, 10, -8 * slot, Imm(imm));
        }
        for register in 0..10 {
            if self.scope.taken & 1 << register == 0 && self.entropy.chance(75) {
                if self.entropy.chance(70) {
                    self.load_input(register);
                } else {
                    let imm = self.entropy.imm();
                    self.code.mov(register, Imm(imm));
                }
                self.scope.numbers |= 1 << register;
            }
        }
    }

    fn parts(&mut self, count: usize) {
        for _ in 0..count {
            self.advance_pending();
            self.part();
        }
    }

    fn part(&mut self) {
        let Features { loops, calls, maps, helpers, addresses } = self.features;
        match self.entropy.below(100) {
            0..=29 => self.arithmetic(),
            30..=33 => self.constant(),
            34..=49 => self.branch(),
            50..=53 => self.copied(),
            54..=57 => self.any_input(),
            58..=72 => self.access(),
            73..=76 => self.spill(),
            77 if addresses => self.compare_addresses(),
            78 if self.entropy.chance(10) => self.perhaps_written(),
            79..=83 if loops => self.looped(),
            84..=88 if calls => self.call_function(),
            89..=95 if maps => self.map_part(),
            96..=99 if helpers => self.call_helper(),
            _ => self.arithmetic(),
        }
    }

    // Registers

    fn choose(&mut self, among: u16) -> Option<u8> {
        let count = among.count_ones() as usize;
        let nth = self.entropy.below(count.max(1));
        (0..10).filter(|register| among & 1 << register != 0).nth(nth)
    }

    /// A register that holds a number.
    fn number(&mut self) -> u8 {
        if let Some(register) = self.choose(self.scope.numbers) {
            return register;
        }
        let register = self.target();
        let imm = self.entropy.imm();
        self.code.mov(register, Imm(imm));
        register
    }

    /// A register that may be overwritten, and then holds a number.
    fn target(&mut self) -> u8 {
        let register = self.choose(!self.scope.taken & 0x3ff).expect("some registers are never taken");
        self.scope.numbers |= 1 << register;
        register
    }

    /// A register that holds a number and may be overwritten.
    fn updatable(&mut self) -> u8 {
        if let Some(register) = self.choose(self.scope.numbers & !self.scope.taken) {
            return register;
        }
        let register = self.target();
        let imm = self.entropy.imm();
        self.code.mov(register, Imm(imm));
        register
    }

    /// A register or a constant.
    fn operand(&mut self) -> Operand {
        if self.entropy.chance(40) { Reg(self.number()) } else { Imm(self.entropy.imm()) }
    }

    /// A register of `among` to be kept for a while, if there are enough left.
    fn take_of(&mut self, among: u16) -> Option<u8> {
        let free = !self.scope.taken & 0x3ff;
        if free.count_ones() < 4 {
            return None;
        }
        let register = self.choose(free & among)?;
        self.scope.taken |= 1 << register;
        self.scope.numbers &= !(1 << register);
        Some(register)
    }

    fn take(&mut self) -> Option<u8> {
        self.take_of(0x3ff)
    }

    fn release(&mut self, register: u8, is_number: bool) {
        self.scope.taken &= !(1 << register);
        self.scope.numbers &= !(1 << register);
        self.scope.numbers |= u16::from(is_number) << register;
    }

    /// A number from elsewhere in a register of its own.
    fn take_number(&mut self) -> Option<u8> {
        let from = self.number();
        let register = self.take()?;
        // If it took the only number, there is no other.
        if register != from {
            self.code.alu(MOV, true, register, Reg(from));
        }
        Some(register)
    }

    // Places

    fn ahead(&mut self) -> Ahead {
        Ahead { label: self.code.label(), numbers: None }
    }

    /// One more way to a place: what holds a number there holds it on all ways.
    fn leads_to(&self, ahead: &mut Ahead) {
        ahead.numbers = Some(ahead.numbers.unwrap_or(u16::MAX) & self.scope.numbers);
    }

    fn branch_to(&mut self, op: u8, wide: bool, dst: u8, operand: Operand, ahead: &mut Ahead) {
        self.leads_to(ahead);
        self.code.branch(op, wide, dst, operand, ahead.label);
    }

    fn jump_to(&mut self, ahead: &mut Ahead) {
        self.leads_to(ahead);
        self.code.jump(ahead.label);
    }

    fn place(&mut self, ahead: Ahead) {
        self.scope.numbers &= ahead.numbers.unwrap_or(u16::MAX);
        self.code.place(ahead.label);
    }

    fn advance_pending(&mut self) {
        let mut index = 0;
        while let Some((_, left)) = self.scope.pending.get_mut(index) {
            if *left == 0 {
                let (ahead, _) = self.scope.pending.remove(index);
                self.place(ahead);
            } else {
                *left -= 1;
                index += 1;
            }
        }
    }

    fn place_pending(&mut self) {
        for (ahead, _) in std::mem::take(&mut self.scope.pending) {
            self.place(ahead);
        }
    }

    /// A few parts inside of something, with no branch out of it.
    fn nested(&mut self, count: usize) {
        let outer = std::mem::take(&mut self.scope.pending);
        self.parts(count);
        self.place_pending();
        self.scope.pending = outer;
    }

    /// The address of bytes that can be accessed, and how many there are, in a register to be released. Some are at a
    /// constant distance from it.
    fn any_memory(&mut self) -> Pointer {
        let frame = Pointer { register: 10, bias: -(SCRATCH as i32), room: SCRATCH, writable: true };
        let chosen = self.entropy.below(self.scope.pointers.len() * 2 + 1);
        self.scope.pointers.get(chosen / 2).copied().filter(|_| chosen < self.scope.pointers.len() * 2).unwrap_or(frame)
    }
}
