//! The machine against its peers: the same programs on our interpreter, on rbpf's, and as native Rust, side by side.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::{Checked, Code, Predicted};
use trapline_vm::isa::{Instruction, Kind, assemble};
use trapline_vm::memory::{Access, Memory, Region};
use trapline_vm::program::{FUEL_LIMIT_DEFAULT, Loaded, Program, ProgramKind};

const RETURN: &str = "mov r0, 0\nexit";
const PREDICATE: &str = include_str!("predicate.s");
const LOOP: &str = include_str!("loop.s");

/// A record that [`PREDICATE`] matches.
fn record() -> [u8; 64] {
    let mut record = [0; 64];
    record[0..2].copy_from_slice(&7u16.to_le_bytes());
    record[2..4].copy_from_slice(&0x0230u16.to_le_bytes());
    record[4..8].copy_from_slice(&4100u32.to_le_bytes());
    record[8..12].copy_from_slice(&812u32.to_le_bytes());
    record[12..16].copy_from_slice(&1000u32.to_le_bytes());
    record[16..24].copy_from_slice(&0x17a1_2233_4455_6677_u64.to_le_bytes());
    record[24..28].copy_from_slice(&[203, 0, 113, 9]);
    record[28..30].copy_from_slice(&8443u16.to_le_bytes());
    record[30..32].copy_from_slice(&40_000u16.to_le_bytes());
    record[32..40].copy_from_slice(&0xfedc_ba98_7654_3210_u64.to_le_bytes());
    record[40..48].copy_from_slice(&1u64.to_le_bytes());
    record[48..63].copy_from_slice(b"/usr/bin/ncat\0\0");
    record
}

fn native_predicate(record: &[u8; 64]) -> u64 {
    let u16_at = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes(*record[at..].first_chunk().expect("inside the record"));
    let u64_at = |at: usize| u64::from_le_bytes(*record[at..].first_chunk().expect("inside the record"));
    let flags = u16_at(2);
    let (pid, parent, user) = (u32_at(4), u32_at(8), u32_at(12));
    let (start, address, digest) = (u64_at(16), u32_at(24), u64_at(32));
    let (first, second) = (u64_at(48), u64_at(56));
    let holds = u16_at(0) == 7
        && flags & 0x30 == 0x30
        && flags >> 8 <= 6
        && pid >= 300
        && parent != 1
        && parent < pid
        && user != 0
        && user <= 60_000
        && start >= 0x17a0_0000_0000_0000
        && start >> 48 <= 0x1800
        && !matches!(address & 0xff, 10 | 127)
        && address & 0xffff != 0xa8c0
        && matches!(u16_at(28), 4444 | 8443)
        && u16_at(30) >= 1024
        && digest != 0x0102_0304_0506_0708
        && (digest ^ 0x0102_0304_0506_0708) >> 60 != 0
        && u64_at(40) != digest
        && first == 0x6e69_622f_7273_752f
        && second == 0x0000_0074_6163_6e2f
        && record[3] & 2 != 0
        && first.wrapping_add(second) & 0x7f <= 0x7e;
    u64::from(holds)
}

fn native_loop(rounds: u64) -> u64 {
    let mut value = 7u64;
    for _ in 0..rounds {
        value = value.wrapping_add(0xd6e8_feb8_6659_fd93);
        value ^= value >> 9;
    }
    value
}

fn load(text: &str, memory_len: u32) -> Loaded {
    let code = assemble(text).expect("the program assembles").code;
    let kind = ProgramKind::Raw { memory_len };
    let program = Program {
        name: "bench".to_owned(),
        kind,
        code,
        lines: Vec::new(),
        maps: Vec::new(),
        fuel_limit: FUEL_LIMIT_DEFAULT,
    };
    Loaded::new(program, &RAW_HELPERS).expect("the program loads")
}

/// These programs load from `r1`, which is the buffer, by constant offsets: what a verifier would prove of them.
fn predicted(loaded: &Loaded) -> Code<Predicted> {
    Code::predicted(loaded, |pc| {
        let instruction = loaded.at(pc)?;
        let Kind::Load(size, _) = instruction.kind() else { return None };
        let at = u32::try_from(instruction.offset).ok()?;
        Some(Access { region: Region::Buffer, lo: at, hi: at, size })
    })
    .expect("every load is from the buffer")
}

fn compare(criterion: &mut Criterion, name: &str, text: &str, buffer: &[u8], native: impl Fn() -> u64) {
    let loaded = load(text, u32::try_from(buffer.len()).expect("a small buffer"));
    let want = native();
    let mut group = criterion.benchmark_group(name);
    group.bench_function("native", |bencher| bencher.iter(&native));

    let mut memory = Memory::for_raw(buffer).expect("a small buffer");
    let code: Code<Checked> = Code::checked(&loaded);
    assert_eq!(code.run(&mut memory, FUEL_LIMIT_DEFAULT).result, Ok(want));
    group.bench_function("interpreter, unverified", |bencher| {
        bencher.iter(|| black_box(&code).run(&mut memory, FUEL_LIMIT_DEFAULT).result);
    });

    let code = predicted(&loaded);
    assert_eq!(code.run(&mut memory, FUEL_LIMIT_DEFAULT).result, Ok(want));
    group.bench_function("interpreter, predicted", |bencher| {
        bencher.iter(|| black_box(&code).run(&mut memory, FUEL_LIMIT_DEFAULT).result);
    });

    let bytes = Instruction::to_section(loaded.code());
    let vm = rbpf::EbpfVmRaw::new(Some(&bytes)).expect("rbpf takes the program");
    let mut buffer = buffer.to_vec();
    assert_eq!(vm.execute_program(&mut buffer).expect("rbpf runs it"), want);
    group.bench_function("rbpf interpreter", |bencher| {
        bencher.iter(|| black_box(&vm).execute_program(&mut buffer).expect("rbpf runs it"));
    });
    group.finish();
}

fn machine(criterion: &mut Criterion) {
    let record = record();
    compare(criterion, "return", RETURN, &[], || black_box(0));
    compare(criterion, "predicate", PREDICATE, &record, || native_predicate(black_box(&record)));
    compare(criterion, "loop", LOOP, &[], || native_loop(black_box(1000)));
}

criterion_group!(benches, machine);
criterion_main!(benches);
