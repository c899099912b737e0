//! Programs and inputs, from a seed. Biased so that most programs are accepted, and so that their numbers are near
//! the places where widths and signs turn over.

use std::fmt::Write as _;

use trapline_vm::helper::{HelperTable, RAW_HELPERS, RULE_HELPERS};
use trapline_vm::isa::{Instruction, Role, TABLE, assemble};
use trapline_vm::memory::{Capacities, Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Manifest, Program, ProgramKind};
use trapline_vm::record::{Cell, RecordHeader, RecordWriter, Slot, Value, slots_len};

/// Splitmix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A number near a place where something turns over, or any.
    fn number(&mut self) -> u64 {
        let base = self.pick(&[0, 0, 0, 7, 8, 56, 64, 255, 1 << 15, 1 << 31, 1 << 32, 1 << 63, u64::MAX]);
        match self.below(4) {
            0 => self.next(),
            1 => base.wrapping_neg(),
            _ => base.wrapping_add(self.next() % 5).wrapping_sub(2),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flavour {
    Raw,
    Rule,
}

const BUFFER_LEN: u32 = 64;
const SLOTS: u16 = 20;
const RULE_SLOTS: [u16; 5] = [0, 7, 8, 15, 19];

pub(crate) fn helpers(kind: &ProgramKind) -> &'static HelperTable {
    match kind {
        ProgramKind::Raw { .. } => &RAW_HELPERS,
        ProgramKind::Rule(_) => &RULE_HELPERS,
    }
}

fn kind(flavour: Flavour) -> ProgramKind {
    match flavour {
        Flavour::Raw => ProgramKind::Raw { memory_len: BUFFER_LEN },
        Flavour::Rule => ProgramKind::Rule(Manifest {
            record_len: slots_len(u32::from(SLOTS)),
            slots: RULE_SLOTS.to_vec(),
            predicate_bytes: vec![0, 1, 2, 3, 9],
            masks: vec![0, 2],
            helpers: (1024..=1031).collect(),
        }),
    }
}

/// What a program finds in memory.
pub(crate) struct Input(Vec<(Region, Vec<u8>)>);

impl Input {
    /// Puts it into a memory, which may have been used before.
    pub(crate) fn load(&self, memory: &mut Memory) {
        for (region, bytes) in &self.0 {
            memory.set_len(*region, bytes.len() as u32).unwrap();
            memory.contents_mut(*region).copy_from_slice(bytes);
        }
    }
}

/// A memory that any input fits.
pub(crate) fn memory(kind: &ProgramKind) -> Memory {
    Memory::new(&match kind {
        ProgramKind::Raw { memory_len } => Capacities { buffer: *memory_len, ..Capacities::default() },
        ProgramKind::Rule(_) => {
            Capacities { record: RECORD_ROOM as u32, predicates: 16, masks: 96, ..Capacities::default() }
        }
    })
    .unwrap()
}

const RECORD_ROOM: usize = 4096;

/// An input for programs of a kind.
pub(crate) fn input(rng: &mut Rng, kind: &ProgramKind) -> Input {
    let mut words = |len: usize| {
        let mut bytes = vec![0; len];
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&rng.number().to_le_bytes()[..word.len()]);
        }
        bytes
    };
    if let ProgramKind::Raw { memory_len } = kind {
        return Input(vec![(Region::Buffer, words(*memory_len as usize))]);
    }
    let (predicates, masks) = (words(16), words(96));
    let header = RecordHeader { digest: 7, class: 1, os: None, time_ns: rng.next() as i64, sequence: 3 };
    let mut bytes = vec![0; RECORD_ROOM];
    let mut record = RecordWriter::new(&mut bytes, SLOTS, &header).unwrap();
    for slot in 0..SLOTS {
        let text = "abcdefgh".repeat(rng.below(8));
        let cell = match rng.below(5) {
            0 => Cell::Lost,
            1 | 2 => Cell::Present(Value::Int(rng.number() as i64)),
            3 => Cell::Present(Value::Str(&text)),
            _ => continue,
        };
        record.set(Slot(slot), 64, &cell);
    }
    let len = record.finish();
    bytes.truncate(len as usize);
    Input(vec![(Region::Record, bytes), (Region::Predicates, predicates), (Region::Masks, masks)])
}

struct Generator<'r> {
    rng: &'r mut Rng,
    flavour: Flavour,
    text: String,
    /// Labels not yet placed, and how many more steps until they are.
    pending: Vec<(usize, usize)>,
    labels: usize,
}

/// A program most likely to be accepted.
pub(crate) fn program_of(rng: &mut Rng, flavour: Flavour) -> Program {
    let mut generator = Generator { rng, flavour, text: String::new(), pending: Vec::new(), labels: 0 };
    generator.prologue();
    for _ in 0..5 + generator.rng.below(25) {
        generator.place_labels(false);
        generator.part();
    }
    generator.place_labels(true);
    generator.epilogue();
    let text = generator.text;
    let code = assemble(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")).code;
    Program {
        name: "random".to_owned(),
        kind: kind(flavour),
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    }
}

const ALU: [&str; 12] = ["add", "sub", "mul", "div", "sdiv", "or", "and", "lsh", "rsh", "mod", "xor", "arsh"];
const BRANCHES: [&str; 11] = ["jeq", "jne", "jset", "jgt", "jge", "jlt", "jle", "jsgt", "jsge", "jslt", "jsle"];
const SIZES: [(&str, u32); 4] = [("b", 1), ("h", 2), ("w", 4), ("dw", 8)];

impl Generator<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).unwrap();
        self.text.push('\n');
    }

    /// A register that holds a number between parts.
    fn number(&mut self) -> u8 {
        match self.flavour {
            Flavour::Raw => self.rng.pick(&[0, 2, 3, 4, 5, 6, 7, 8, 9]),
            Flavour::Rule => self.rng.pick(&[0, 4, 5, 6, 7, 8, 9]),
        }
    }

    fn other_number(&mut self, than: u8) -> u8 {
        loop {
            let register = self.number();
            if register != than {
                return register;
            }
        }
    }

    fn imm(&mut self) -> i32 {
        self.rng.number() as i32
    }

    /// Every number register gets a value, and the stack from -64 up is written.
    fn prologue(&mut self) {
        for slot in 1..=8 {
            let imm = self.imm();
            self.line(format_args!("stdw [r10-{}], {imm}", slot * 8));
        }
        for register in [0, 2, 3, 4, 5, 6, 7, 8, 9] {
            if self.flavour == Flavour::Rule && register < 4 && register != 0 {
                continue;
            }
            if self.rng.chance(60) {
                self.load_input(register);
            } else {
                let imm = self.imm();
                self.line(format_args!("mov r{register}, {imm}"));
            }
        }
    }

    fn epilogue(&mut self) {
        let register = self.number();
        self.line(format_args!("mov r0, r{register}"));
        if self.flavour == Flavour::Rule {
            match self.rng.below(3) {
                0 => self.line(format_args!("and r0, 1")),
                1 => self.line(format_args!("mod r0, 3")),
                _ => self.line(format_args!("jle r0, 2, +1\nmov r0, 2")),
            }
        }
        self.line(format_args!("exit"));
    }

    fn place_labels(&mut self, all: bool) {
        let mut index = 0;
        while index < self.pending.len() {
            let (label, left) = self.pending[index];
            if all || left == 0 {
                self.pending.remove(index);
                self.line(format_args!("l{label}:"));
            } else {
                self.pending[index].1 -= 1;
                index += 1;
            }
        }
    }

    fn new_label(&mut self) -> usize {
        self.labels += 1;
        self.labels
    }

    /// A number from outside into a register.
    fn load_input(&mut self, register: u8) {
        let (size, bytes) = self.rng.pick(&SIZES);
        let sign = if bytes < 8 && self.rng.chance(30) { "s" } else { "" };
        let (base, offset) = match self.flavour {
            Flavour::Raw => (1, self.rng.below((BUFFER_LEN - bytes) as usize + 1) as u32),
            Flavour::Rule => match self.rng.below(8) {
                0 => (1, self.rng.below(49 - bytes as usize) as u32),
                1 if bytes <= 4 => (2, 0),
                2 => (3, self.rng.pick(&[0, 8, 16, 48, 64])),
                3 if bytes == 1 => (1, Slot(self.rng.pick(&RULE_SLOTS)).state_offset()),
                _ => (1, Slot(self.rng.pick(&RULE_SLOTS)).offset() + self.rng.below(9 - bytes as usize) as u32),
            },
        };
        self.line(format_args!("ldx{sign}{size} r{register}, [r{base}+{offset}]"));
    }

    fn part(&mut self) {
        match self.rng.below(200) / 10 {
            0 if self.rng.chance(10) => self.perhaps_written(),
            0..=5 => self.arithmetic(),
            6 => {
                let register = self.number();
                self.load_input(register);
            }
            7 => {
                let (register, value) = (self.number(), self.rng.number());
                self.line(format_args!("lddw r{register}, {value:#x}"));
            }
            8..=11 => self.branch(),
            12 => self.bounded(),
            13..=14 => self.stack(),
            15 => self.indexed(),
            16 => self.indexed_stack(),
            17 => self.saved_address(),
            18 => self.atomic(),
            _ => self.call(),
        }
    }

    fn arithmetic(&mut self) {
        let width = self.rng.pick(&["", "32"]);
        let (dst, src) = (self.number(), self.number());
        match self.rng.below(12) {
            0 => self.line(format_args!("neg{width} r{dst}")),
            1 => {
                let op =
                    self.rng.pick(&["le16", "le32", "le64", "be16", "be32", "be64", "bswap16", "bswap32", "bswap64"]);
                self.line(format_args!("{op} r{dst}"));
            }
            2 => {
                let op = self.rng.pick(&["movsx832", "movsx1632", "movsx864", "movsx1664", "movsx3264"]);
                self.line(format_args!("{op} r{dst}, r{src}"));
            }
            3 => self.line(format_args!("mov{width} r{dst}, r{src}")),
            4..=7 => {
                let op = self.rng.pick(&ALU);
                self.line(format_args!("{op}{width} r{dst}, r{src}"));
            }
            _ => {
                let op = self.rng.pick(&ALU);
                let imm = if op.ends_with("sh") { self.rng.below(40) as i32 } else { self.imm() };
                let smod = if op == "mod" && self.rng.chance(50) { "s" } else { "" };
                self.line(format_args!("{smod}{op}{width} r{dst}, {imm}"));
            }
        }
    }

    fn branch(&mut self) {
        let label = self.new_label();
        let steps = self.rng.below(6);
        let (op, width) = (self.rng.pick(&BRANCHES), self.rng.pick(&["", "32"]));
        let (dst, src) = (self.number(), self.number());
        if self.rng.chance(40) {
            self.line(format_args!("{op}{width} r{dst}, r{src}, l{label}"));
        } else {
            let imm = self.imm();
            self.line(format_args!("{op}{width} r{dst}, {imm}, l{label}"));
        }
        self.pending.push((label, steps));
    }

    /// Loads or stores with a number register, and clears the register with the address.
    fn access(&mut self, address: u8, offset: i32) -> String {
        let value = self.other_number(address);
        let imm = self.imm();
        match self.rng.below(4) {
            0 => format!("stxB [r{address}{offset:+}], r{value}"),
            1 => format!("stB [r{address}{offset:+}], {imm}"),
            _ => format!("ldxB r{value}, [r{address}{offset:+}]"),
        }
    }

    /// An access bounded by a comparison.
    fn bounded(&mut self) {
        if self.flavour == Flavour::Rule {
            return self.stack();
        }
        let (size, bytes) = self.rng.pick(&SIZES);
        let index = self.number();
        let address = self.other_number(index);
        let label = self.new_label();
        let last = BUFFER_LEN - bytes;
        self.line(format_args!("jgt r{index}, {last}, l{label}"));
        self.line(format_args!("mov r{address}, r1\nadd r{address}, r{index}"));
        let access = self.access(address, 0).replace('B', size);
        self.line(format_args!("{access}\nl{label}:\nmov r{address}, {bytes}"));
    }

    fn stack(&mut self) {
        let (size, bytes) = self.rng.pick(&SIZES);
        let offset = -64 + self.rng.below(65 - bytes as usize) as i32;
        let offset = if self.rng.chance(70) { offset & !7 } else { offset };
        let access = self.access(10, offset).replace('B', size);
        self.line(format_args!("{access}"));
    }

    /// An access bounded by a mask.
    fn indexed(&mut self) {
        if self.flavour == Flavour::Rule {
            return self.arithmetic();
        }
        let (size, bytes) = self.rng.pick(&SIZES);
        let (from, address) = (self.number(), self.number());
        let index = self.other_number(address);
        let mask = self.rng.pick(&[0x7, 0x1f, 0x38, 0x3c, 0x30, 0x3f & !(bytes - 1)]);
        let room = (BUFFER_LEN - bytes).saturating_sub(mask);
        let offset = self.rng.below(room as usize + 1) as i32;
        self.line(format_args!("mov r{index}, r{from}\nand r{index}, {mask}\nmov r{address}, r1"));
        let order = self.rng.chance(30);
        if order {
            self.line(format_args!("add r{index}, r{address}\nmov r{address}, r{index}\nmov r{index}, 1"));
        } else {
            self.line(format_args!("add r{address}, r{index}"));
        }
        let access = self.access(address, offset).replace('B', size);
        self.line(format_args!("{access}\nmov r{address}, {mask}"));
    }

    fn indexed_stack(&mut self) {
        let (size, bytes) = self.rng.pick(&SIZES);
        let (from, address) = (self.number(), self.number());
        let index = self.other_number(address);
        let mask = self.rng.pick(&[0x7, 0x8, 0x18, 0x38, 0x30]);
        self.line(format_args!("mov r{index}, r{from}\nand r{index}, {mask}"));
        self.line(format_args!("mov r{address}, r10\nsub r{address}, 64\nadd r{address}, r{index}"));
        let offset = self.rng.below((64 - bytes - mask) as usize + 1) as i32;
        let access = self.access(address, offset).replace('B', size);
        self.line(format_args!("{access}\nmov r{address}, {mask}"));
    }

    /// Reads what only one path has written; refused, unless the branch is decided.
    fn perhaps_written(&mut self) {
        let (a, b, imm, label) = (self.number(), self.number(), self.imm(), self.new_label());
        self.line(format_args!("jsgt r{a}, {imm}, l{label}\nstdw [r10-96], 1\nl{label}:\nldxdw r{b}, [r10-96]"));
    }

    fn saved_address(&mut self) {
        let address = self.number();
        let value = self.other_number(address);
        self.line(format_args!("stxdw [r10-72], r1\nldxdw r{address}, [r10-72]"));
        self.line(format_args!("ldxw r{value}, [r{address}+4]\nmov r{address}, 3"));
    }

    fn atomic(&mut self) {
        let op = self.rng.pick(&[
            "add",
            "or",
            "and",
            "xor",
            "fetch add",
            "fetch or",
            "fetch and",
            "fetch xor",
            "xchg",
            "cmpxchg",
        ]);
        let (width, bytes) = self.rng.pick(&[("", 8), ("32", 4)]);
        let value = self.number();
        if self.flavour == Flavour::Raw && self.rng.chance(60) {
            let offset = self.rng.below((BUFFER_LEN - bytes) as usize + 1);
            self.line(format_args!("lock {op}{width} [r1+{offset}], r{value}"));
        } else {
            let offset = 8 + 8 * self.rng.below(7);
            self.line(format_args!("lock {op}{width} [r10-{offset}], r{value}"));
        }
    }

    /// A call, with the addresses in r1 to r3 saved meanwhile.
    fn call(&mut self) {
        if self.flavour == Flavour::Raw {
            let value = self.number();
            self.line(format_args!("stxdw [r10-72], r1\nmov r1, r{value}\ncall 5\nldxdw r1, [r10-72]"));
            for register in 2..=5 {
                let imm = self.imm();
                self.line(format_args!("mov r{register}, {imm}"));
            }
            return;
        }
        self.line(format_args!("stxdw [r10-72], r1\nstxdw [r10-80], r2\nstxdw [r10-88], r3"));
        let (a, b) = (self.number(), self.number());
        let (left, right) = (self.rng.pick(&RULE_SLOTS), self.rng.pick(&RULE_SLOTS));
        match self.rng.below(4) {
            0 => {
                let flags = self.rng.pick(&[0, 1, 2, 3, 0x100, 0x101]);
                self.line(format_args!("mov r2, {left}\nmov r3, {right}\nmov r4, {flags}\ncall 1024"));
            }
            1 => self.line(format_args!("mov r2, {left}\ncall 1030")),
            _ => {
                let helper = self.rng.pick(&[1025, 1026, 1027, 1028, 1029]);
                self.line(format_args!("mov r1, r{a}\nmov r2, r{b}\ncall {helper}"));
            }
        }
        self.line(format_args!("ldxdw r1, [r10-72]\nldxdw r2, [r10-80]\nldxdw r3, [r10-88]"));
        for register in 4..=5 {
            self.load_input(register);
        }
    }
}

/// Changes one field of one instruction.
pub(crate) fn mutate(rng: &mut Rng, mut program: Program) -> Program {
    let at = rng.below(program.code.len());
    let number = rng.number();
    let opcode = rng.pick(TABLE).opcode;
    let slot = &mut program.code[at];
    match rng.below(6) {
        0 => slot.opcode = opcode,
        1 => slot.dst = rng.below(11) as u8,
        2 => slot.src = rng.below(11) as u8,
        3 => slot.offset = slot.offset.wrapping_add(number as i16 % 9),
        4 => slot.imm = number as i32,
        _ => {
            program.code.remove(at);
        }
    }
    program
}

/// A few instructions of any kind.
pub(crate) fn random_code(rng: &mut Rng) -> Program {
    let mut code = Vec::new();
    for _ in 0..1 + rng.below(8) {
        let row = rng.pick(TABLE);
        let register = |rng: &mut Rng, role: Role| match role {
            Role::Fixed(value) => value as u8,
            _ => rng.pick(&[0, 1, 2, 10]),
        };
        let (dst, src) = (register(rng, row.dst), register(rng, row.src));
        let offset = match row.offset {
            Role::Fixed(value) => value as i16,
            Role::Target => rng.below(3) as i16,
            _ => rng.pick(&[0, 4, 8, -8, -16]),
        };
        let imm = match row.imm {
            Role::Fixed(value) => value,
            Role::Target => rng.below(3) as i32,
            _ => rng.number() as i32,
        };
        code.push(Instruction { opcode: row.opcode, dst, src, offset, imm });
        if row.slots() == 2 {
            code.push(Instruction { imm: rng.number() as i32, ..Instruction::default() });
        }
    }
    code.extend(assemble("mov r0, 0\nexit").unwrap().code.iter().skip(rng.below(2)));
    Program {
        name: "random".to_owned(),
        kind: kind(Flavour::Raw),
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    }
}
