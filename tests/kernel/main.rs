//! The Linux kernel as an oracle: its verifier beside ours, its runs beside ours.
//!
//! Needs the right to call bpf(2) (root, as a rule); says that it was skipped where there is none.
#![cfg(target_os = "linux")]

mod bpf;
#[allow(dead_code, reason = "the generator serves other oracles too")]
#[path = "../soundness/generator.rs"]
mod generator;
mod oracle;

use std::collections::BTreeMap;

use generator::{Flavour, Rng, mutate, program_of};
use oracle::{Kernel, Left};
use trapline_vm::helper::RAW_HELPERS;
use trapline_vm::interp::Code;
use trapline_vm::isa::{Instruction, disassemble};
use trapline_vm::memory::{Memory, Region};
use trapline_vm::program::{Program, ProgramKind};
use trapline_vm::verifier::load_and_verify;

#[test]
fn explore() {
    let Some(mut kernel) = Kernel::ask() else { return };
    let mut hist: BTreeMap<String, (u32, String)> = BTreeMap::new();
    let mut both = 0;
    for seed in 0..3000u64 {
        let mut rng = Rng::new(seed);
        let mut program = program_of(&mut rng, Flavour::Raw);
        if seed % 2 == 1 {
            program = mutate(&mut rng, program);
        }
        for slot in &mut program.code {
            if slot.opcode == 0x85 && slot.src == 0 {
                *slot = Instruction { opcode: 0xbf, dst: 0, src: 1, ..Instruction::default() };
            }
        }
        let ProgramKind::Raw { memory_len } = program.kind else { continue };
        let ours = load_and_verify(program.clone(), &RAW_HELPERS);
        let theirs = kernel.load(&program.code, memory_len);
        match (ours, theirs) {
            (Ok(v), Ok(t)) => {
                both += 1;
                let input = generator::input(&mut rng, &program.kind);
                let mut memory = generator::memory(&program.kind);
                input.load(&mut memory);
                let left = kernel.run(&t, memory.contents(Region::Buffer)).unwrap();
                let code = Code::predicted(v.loaded(), |pc| Some(v.access(pc))).unwrap();
                let out = code.run(&mut memory, 100000);
                let ours = Left { r0: out.result.unwrap(), memory: memory.contents(Region::Buffer).to_vec() };
                assert_eq!(ours, left, "{}", disassemble(&program.code));
            }
            (Ok(_), Err(r)) => {
                let last = r
                    .log
                    .lines()
                    .rev()
                    .filter(|l| {
                        !l.starts_with("processed")
                            && !l.starts_with("verification time")
                            && !l.starts_with("stack depth")
                    })
                    .next()
                    .unwrap_or("")
                    .to_owned();
                let key: String = format!(
                    "K {} {}",
                    r.error,
                    last.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect::<String>()
                );
                let e = hist.entry(key).or_insert((
                    0,
                    format!(
                        "{}\n{}",
                        disassemble(&program.code),
                        r.log.lines().rev().take(8).collect::<Vec<_>>().join("\n")
                    ),
                ));
                e.0 += 1;
            }
            (Err(r), Ok(_)) => {
                hist.entry(format!("O {}", r.code())).or_insert((0, String::new())).0 += 1;
            }
            _ => {
                hist.entry("both reject".into()).or_insert((0, String::new())).0 += 1;
            }
        }
    }
    println!("both accept {both}");
    for (k, (n, ex)) in &hist {
        println!("{n:5} {k}");
        if std::env::var_os("EX").is_some() {
            println!("{ex}");
        }
    }
    let _ = Memory::for_raw(&[]);
    let _: Option<Program> = None;
}
