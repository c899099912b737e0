//! Unproved programs, sound in their form: the interpreter and the naive transcription of the RFC agree on result,
//! trap, its place, fuel and every byte.

use crate::naive::{self, Bytes};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, Kind, Role, TABLE, disassemble};
use trapline_vm::memory::{Capacities, Memory, Region, STACK_LEN};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};

const FUEL: u64 = 300;
/// Bytes of input for each instruction, and at most so many instructions.
const STEP: usize = 8;
const LEN_MAX: usize = 64;

pub(crate) fn check(data: &[u8]) {
    let code = code(data);
    let name = "bytes".to_owned();
    let kind = ProgramKind::Raw { memory_len: 0 };
    let program = Program { name, kind, code, lines: Vec::new(), maps: Vec::new(), fuel_limit: FUEL_LIMIT_DEFAULT };
    let Ok(loaded) = Loaded::new(program, &RAW_HELPERS) else { return };
    let mut memory = memory(data);
    let arguments = std::array::from_fn(|index| {
        let bases = [Region::Stack, Region::Record, Region::Buffer, Region::Output, Region::Predicates];
        u64::from(bases[index].base()) + data.get(index).map_or(0, |byte| u64::from(byte & 15))
    });
    let copy = |region: Region| Bytes {
        base: region.base().into(),
        bytes: memory.contents(region).to_vec(),
        writable: region.writable(),
    };
    let mut expected: Vec<Bytes> = Region::ALL.into_iter().map(copy).collect();
    expected[Region::Stack as usize].bytes = vec![0; STACK_LEN as usize];
    let slots: Vec<[u8; 8]> = loaded.code().iter().map(|slot| slot.to_bytes()).collect();
    let (end, used) = naive::run(&slots, &mut expected, arguments, FUEL);
    let outcome = Code::checked(&loaded).run_with(&mut memory, arguments, FUEL);
    let got = outcome.result.map_err(|stop| (stop.trap.info().name, stop.pc as usize));
    let text = || disassemble(loaded.code());
    assert_eq!(got, end, "{}", text());
    assert_eq!(outcome.fuel_used, used, "{}", text());
    for (region, want) in Region::ALL.into_iter().zip(&expected) {
        assert_eq!(memory.contents(region), want.bytes, "{region:?}\n{}", text());
    }
}

/// Eight bytes an instruction: a row of the table, registers, offset and immediate, bent to what the row takes.
fn code(data: &[u8]) -> Vec<Instruction> {
    let (chunks, _) = data.as_chunks::<STEP>();
    let len = chunks.len().min(LEN_MAX);
    let mut code = Vec::new();
    for (pc, chunk) in chunks.iter().take(len).enumerate() {
        let row = &TABLE[usize::from(chunk[0]) % TABLE.len()];
        if row.refusal().is_some() || matches!(row.kind, Kind::LoadPseudo(_)) {
            continue;
        }
        let slot = Instruction::from_bytes(*chunk);
        let register = |role: Role, value: u8| match role {
            Role::Fixed(value) => value as u8,
            Role::Read => value % 11,
            _ => value % 10,
        };
        let distance = |value: i32| value.rem_euclid(len as i32 + 1) - pc as i32 - 1;
        let offset = match row.offset {
            Role::Fixed(value) => value as i16,
            Role::Target => distance(i32::from(slot.offset)) as i16,
            _ => slot.offset,
        };
        let imm = match row.imm {
            Role::Fixed(value) => value,
            Role::Target => distance(slot.imm),
            _ if row.kind == Kind::CallHelper => 5,
            _ => slot.imm,
        };
        code.push(Instruction {
            opcode: row.opcode,
            dst: register(row.dst, slot.dst),
            src: register(row.src, slot.src),
            offset,
            imm,
        });
        if row.slots() == 2 {
            code.push(Instruction { imm: slot.imm.rotate_left(7), ..Instruction::default() });
        }
    }
    code.push(Instruction { opcode: 0x95, ..Instruction::default() });
    code
}

fn memory(data: &[u8]) -> Memory {
    let capacities = Capacities { record: 64, buffer: 72, output: 16, predicates: 3, ..Capacities::default() };
    let mut memory = Memory::new(&capacities).expect("small regions");
    for region in [Region::Record, Region::Buffer, Region::Output, Region::Predicates] {
        for (byte, from) in memory.whole_mut(region).iter_mut().zip(data.iter().rev().cycle()) {
            *byte = *from;
        }
        let len = memory.capacity(region);
        memory.set_len(region, len).expect("the capacity");
    }
    memory
}
