//! Executors against a naive transcription of the RFC, on random programs: result, trap, place of the trap, fuel and
//! memory must agree. None is verified, so programs do all that a hostile one could.

mod naive;

use naive::Bytes;
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, Kind, Op, Role, Row, TABLE, disassemble};
use trapline_vm::memory::{Capacities, Memory, Region, STACK_LEN};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};

const PROGRAMS: u64 = 30_000;
const FUEL: u64 = 300;

/// A small generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Numbers at which things happen, and any others.
    fn interesting(&mut self) -> i64 {
        let bases = [Region::Stack, Region::Record, Region::Buffer, Region::Output];
        match self.below(8) {
            0 => self.pick(&[0, 1, -1, 2, 7, 8, 31, 32, 63, 64, 65, 255]),
            1 => self.pick(&[i64::MIN, i64::MAX, i32::MIN.into(), i32::MAX.into(), 1 << 32, u32::MAX.into()]),
            2 | 3 => i64::from(self.pick(&bases).base()) + self.below(80) as i64 - 8,
            4 => self.next() as i32 as i64,
            5 => self.next() as i64,
            _ => self.below(16) as i64,
        }
    }
}

fn any_of(random: &mut Random, wanted: fn(Kind) -> bool) -> Row {
    loop {
        let row = TABLE[random.below(TABLE.len())];
        if wanted(row.kind) {
            return row;
        }
    }
}

fn random_code(random: &mut Random) -> Vec<Instruction> {
    let len = 2 + random.below(24);
    let mut code = Vec::new();
    let mut last_dst = 0;
    while code.len() < len {
        // Copies, arithmetic and branches, often on one register: what predecoding puts together.
        let row = match random.below(8) {
            0 => *random.pick(&[Op::Mov64Reg, Op::Mov32Reg]).row(),
            1 | 2 => *random.pick(&[Op::Add64Imm, Op::Sub64Imm, Op::And64Imm, Op::Rsh64Imm, Op::Xor64Reg]).row(),
            3 => any_of(random, |kind| matches!(kind, Kind::Branch(..))),
            4 => any_of(random, |kind| matches!(kind, Kind::Alu(..))),
            _ => any_of(random, |_| true),
        };
        // Calls and exits are kept rare: they end too many programs too soon.
        let rare = matches!(row.kind, Kind::Exit | Kind::CallLocal) && random.below(3) != 0;
        if rare || row.refusal().is_some() {
            continue;
        }
        let register = |random: &mut Random, role: Role| match role {
            Role::Fixed(value) => value as u8,
            Role::Read => random.below(11) as u8,
            _ => random.below(10) as u8,
        };
        let distance = |random: &mut Random| random.below(len) as i32 - code.len() as i32 - 1;
        let offset = match row.offset {
            Role::Fixed(value) => value as i16,
            Role::Target => distance(random) as i16,
            _ => random.pick(&[0, 0, 1, 8, -8, -1, 16, -16, -512, 511, 32767, -32768]),
        };
        let imm = match row.imm {
            Role::Fixed(value) => value,
            Role::Target => distance(random),
            _ if row.kind == Kind::CallHelper => 5,
            _ => random.interesting() as i32,
        };
        let (mut dst, src) = (register(random, row.dst), register(random, row.src));
        if matches!(row.kind, Kind::Alu(..) | Kind::Branch(..)) && random.below(2) == 0 {
            dst = last_dst;
        }
        if matches!(row.dst, Role::Write | Role::Update) {
            last_dst = dst;
        }
        code.push(Instruction { opcode: row.opcode, dst, src, offset, imm });
        if row.slots() == 2 {
            code.push(Instruction { imm: random.interesting() as i32, ..Instruction::default() });
        }
    }
    code.push(Instruction { opcode: 0x95, ..Instruction::default() });
    code
}

fn load(code: Vec<Instruction>) -> Option<Loaded> {
    let kind = ProgramKind::Raw { memory_len: 0 };
    let program = Program {
        name: "random".into(),
        kind,
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    Loaded::new(program, &RAW_HELPERS).ok()
}

fn memory(random: &mut Random) -> Memory {
    let all = Capacities { record: 64, buffer: 72, output: 16, predicates: 3, ..Capacities::default() };
    let mut memory = Memory::new(&all).expect("small regions");
    for region in [Region::Record, Region::Buffer, Region::Output, Region::Predicates] {
        memory.whole_mut(region).fill_with(|| random.next() as u8);
        let len = memory.capacity(region);
        memory.set_len(region, len).expect("the capacity");
    }
    memory
}

fn regions(memory: &Memory) -> Vec<Bytes> {
    let copy = |region: Region| Bytes {
        base: region.base().into(),
        bytes: memory.contents(region).to_vec(),
        writable: region.writable(),
    };
    Region::ALL.into_iter().map(copy).collect()
}

#[test]
fn the_interpreter_agrees_with_the_transcription() {
    let mut random = Random(0x5eed_0001);
    let (mut ran, mut results, mut traps) = (0, 0, std::collections::BTreeMap::new());
    let mut reused = memory(&mut random);
    for _ in 0..PROGRAMS {
        let Some(loaded) = load(random_code(&mut random)) else { continue };
        let arguments = std::array::from_fn(|_| random.interesting() as u64);
        // Now and then the memory of the program before, which leaves what it wrote, but for the stack.
        if random.below(4) == 0 {
            reused = memory(&mut random);
        }
        let mut expected = regions(&reused);
        expected[Region::Stack as usize].bytes = vec![0; STACK_LEN as usize];
        let bytes: Vec<[u8; 8]> = loaded.code().iter().map(|slot| slot.to_bytes()).collect();
        let (end, used) = naive::run(&bytes, &mut expected, arguments, FUEL);

        let outcome = Code::checked(&loaded).run_with(&mut reused, arguments, FUEL);
        let got = outcome.result.map_err(|stop| (stop.trap.info().name, stop.pc as usize));
        let text = || format!("arguments {arguments:x?}\n{}", disassemble(loaded.code()));
        assert_eq!(got, end, "{}", text());
        assert_eq!(outcome.fuel_used, used, "{}", text());
        assert!(outcome.fuel_used <= FUEL);
        for (region, want) in Region::ALL.into_iter().zip(&expected) {
            assert_eq!(reused.contents(region), want.bytes, "{region:?}\n{}", text());
        }
        ran += 1;
        match got {
            Ok(_) => results += 1,
            Err((name, _)) => *traps.entry(name).or_insert(0) += 1,
        }
    }
    // A generator that makes nothing but rejects, or nothing but traps, tests nothing.
    assert!(ran > PROGRAMS / 2, "only {ran} programs loaded");
    assert!(results > ran / 20, "only {results} of {ran} ended: {traps:?}");
    for name in ["fuel-exhausted", "out-of-region", "read-only", "call-depth"] {
        assert!(traps.contains_key(name), "no {name}: {traps:?}");
    }
}

#[test]
fn arbitrary_bytes_end_in_a_result_or_a_trap() {
    let mut random = Random(0x5eed_0002);
    let mut ran = 0;
    for _ in 0..PROGRAMS / 10 {
        let slots = 1 + random.below(6);
        let mut code: Vec<Instruction> =
            (0..slots).map(|_| Instruction::from_bytes(random.next().to_le_bytes())).collect();
        // Most random slots decode to nothing: half of them are given a clean encoding of their opcode.
        for slot in &mut code {
            if random.below(8) != 0 {
                let (dst, src) = (random.below(11) as u8, random.below(11) as u8);
                let (offset, imm) = (slot.offset % 4, slot.imm);
                let row = TABLE[random.below(TABLE.len())];
                let fixed = |role: Role, other: i32| if let Role::Fixed(value) = role { value } else { other };
                *slot = Instruction {
                    opcode: row.opcode,
                    dst: fixed(row.dst, dst.into()) as u8,
                    src: fixed(row.src, src.into()) as u8,
                    offset: fixed(row.offset, offset.into()) as i16,
                    imm: fixed(row.imm, imm),
                };
            }
        }
        code.push(Instruction { opcode: 0x95, ..Instruction::default() });
        let Some(loaded) = load(code) else { continue };
        let mut memory = memory(&mut random);
        let before = memory.clone();
        let outcome = Code::checked(&loaded).run(&mut memory, FUEL);
        assert!(outcome.fuel_used <= FUEL);
        let mut changed = memory.bytes().to_vec();
        for region in Region::ALL.into_iter().filter(|region| region.writable() && !memory.is_empty(*region)) {
            let (base, len) = (region.base() as usize, memory.len(region) as usize);
            changed[base..base + len].copy_from_slice(before.contents(region));
        }
        assert!(changed == before.bytes(), "a byte outside the writable regions changed");
        ran += 1;
    }
    assert!(ran > PROGRAMS / 200, "only {ran} programs loaded");
}
